package git

import (
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"

	"github.com/slipway-ml/slipway/deployment"
)

// refs are the names that a repository has for commits.
type refs struct {
	head   string // the branch that HEAD names; "" when nobody says
	byName map[plumbing.ReferenceName]plumbing.Hash
}

const (
	branchPrefix = "refs/heads/"
	tagPrefix    = "refs/tags/"
)

// advertised are the refs as a server lists them.
func advertised(ar *packp.AdvRefs) refs {
	r := refs{byName: make(map[plumbing.ReferenceName]plumbing.Hash, len(ar.References))}
	for name, hash := range ar.References {
		r.byName[plumbing.ReferenceName(name)] = hash
	}
	for _, symref := range ar.Capabilities.Get(capability.SymRef) {
		if name, target, _ := strings.Cut(symref, ":"); name == "HEAD" {
			r.head = strings.TrimPrefix(target, branchPrefix)
		}
	}
	if r.head == "" && ar.Head != nil {
		r.head = r.named(*ar.Head)
	}
	return r
}

// named is the branch that points to the commit. Of several it is the one that
// is likely to be meant.
func (r refs) named(hash plumbing.Hash) string {
	var branches []string
	for name, h := range r.byName {
		if branch, ok := strings.CutPrefix(name.String(), branchPrefix); ok && h == hash {
			branches = append(branches, branch)
		}
	}
	slices.Sort(branches)
	for _, usual := range []string{"main", "master"} {
		if slices.Contains(branches, usual) {
			return usual
		}
	}
	if len(branches) == 0 {
		return ""
	}
	return branches[0]
}

// tips are what all branches and tags point to, once each.
func (r refs) tips() (tips []plumbing.Hash) {
	for name, hash := range r.byName {
		if strings.HasPrefix(name.String(), branchPrefix) || strings.HasPrefix(name.String(), tagPrefix) {
			tips = append(tips, hash)
		}
	}
	plumbing.HashesSort(tips)
	return slices.Compact(tips)
}

// points reports whether any name stands for the object.
func (r refs) points(hash plumbing.Hash) bool {
	for _, h := range r.byName {
		if h == hash {
			return true
		}
	}
	return false
}

// pick is the object that the source means, and the branch it is on, if it is a
// branch that is meant.
func (s Source) pick(r refs) (hash plumbing.Hash, branch string, err error) {
	find := func(name plumbing.ReferenceName, at, what string) (plumbing.Hash, error) {
		if hash, ok := r.byName[name]; ok {
			return hash, nil
		}
		return plumbing.ZeroHash, deployment.Reject(CodeRevisionNotFound, at, "the repository has no %s %q", what, shortened(name.Short()))
	}
	switch {
	case s.Commit != "":
		return plumbing.NewHash(s.Commit), s.Branch, nil
	case s.Tag != "":
		hash, err = find(plumbing.NewTagReferenceName(s.Tag), atTag, "tag")
		return hash, "", err
	case s.Branch == "" && r.head == "":
		return hash, "", deployment.Reject(CodeRevisionNotFound, atBranch, "the repository does not say which branch is its main one: expected a branch")
	}
	branch = s.branch(r)
	hash, err = find(plumbing.NewBranchReferenceName(branch), atBranch, "branch")
	return hash, branch, err
}

// branch is the branch that the source means.
func (s Source) branch(r refs) string {
	if s.Branch != "" {
		return s.Branch
	}
	return r.head
}
