package sourcing

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/deployment"
)

// Stores opens object stores that hold contracts. What cannot be opened is a
// *deployment.Rejection, and so is what may not be listed or read; every other
// error may pass.
type Stores interface {
	// Store is the store that a url of the schemes s3, gs, azblob or objects
	// names, and what of the names in it the url says. credentialsID may be "".
	Store(ctx context.Context, url, credentialsID string) (store contract.Store, prefix string, err error)
}

// place is where a contract lies that is not in a git repository.
type place struct {
	files   fs.FS
	close   func() error
	changes bool // while it is read
}

// place opens what a source names that is not a git repository: a directory, or
// the objects below a prefix. It returns nil for a git repository.
func (c *Contracts) place(ctx context.Context, s deployment.Source) (*place, error) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // git has other spellings, and says what is wrong
	}
	switch u.Scheme {
	case "s3", "gs", "azblob", "objects":
	case "file":
		if !c.AllowDirectories || s.Branch+s.Tag+s.Commit != "" || isRepository(u.Path) {
			return nil, nil //nolint:nilnil // it is git's
		}
	default:
		return nil, nil //nolint:nilnil // it is git's
	}
	if err := checkPlace(s, u.Scheme); err != nil {
		return nil, err
	}
	if u.Scheme == "file" {
		return directory(ctx, s.URL)
	}
	if c.Stores == nil {
		return nil, deployment.Reject(deployment.CodeURLNotAllowed, "source.url", "%s urls are not set up here: use a git repository", u.Scheme)
	}
	store, prefix, err := c.Stores.Store(ctx, s.URL, s.CredentialsID)
	if err != nil {
		return nil, err
	}
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	below, err := contract.OpenPrefix(ctx, store, prefix)
	if errors.Is(err, contract.ErrTooMany) {
		return nil, deployment.Reject(deployment.CodeRepositoryTooLarge, "source.url", "there are too many objects below the prefix: expected that of one contract")
	}
	if err != nil {
		return nil, err
	}
	return &place{files: below, close: func() error { return nil }}, nil
}

// checkPlace refuses what only a git repository has.
func checkPlace(s deployment.Source, scheme string) error {
	var findings []deployment.Finding
	for _, m := range []struct{ name, text string }{{"branch", s.Branch}, {"tag", s.Tag}, {"commit", s.Commit}} {
		if m.text != "" {
			findings = append(findings, deployment.Finding{
				Code: deployment.CodeInvalidField, Path: "source." + m.name, Message: "is of a git repository: expected nothing there for " + scheme + " urls",
			})
		}
	}
	if s.CredentialsID != "" && (scheme == "file" || scheme == "objects") {
		findings = append(findings, deployment.Finding{
			Code: deployment.CodeInvalidField, Path: "source.credentialsId", Message: scheme + " urls need none: expected nothing there",
		})
	}
	if r := deployment.RejectAll(deployment.InvalidData, findings); r != nil {
		return r
	}
	return nil
}

// isRepository reports whether a directory is a git repository, with a work tree
// or without.
func isRepository(dir string) bool {
	there := func(names ...string) bool {
		for _, name := range names {
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				return false
			}
		}
		return true
	}
	return there(".git") || there("HEAD", "objects", "refs")
}

// directory opens a directory of this machine.
func directory(ctx context.Context, text string) (*place, error) {
	u, err := contract.ParseURL(text, "file")
	switch {
	case err != nil:
		return nil, deployment.Reject(deployment.CodeURLInvalid, "source.url", "%s", err)
	case u.Host != "" && u.Host != "localhost", !filepath.IsAbs(u.Path), u.RawQuery != "", u.Fragment != "", strings.ContainsRune(u.Path, 0):
		return nil, deployment.Reject(deployment.CodeURLInvalid, "source.url", "expected the absolute path of a directory, as file:///path")
	}
	name := filepath.Clean(u.Path)
	info, err := os.Stat(name)
	if err == nil && !info.IsDir() {
		err = fs.ErrNotExist
	}
	var root *contract.Root
	if err == nil {
		root, err = (&contract.Folder{Dir: name}).Open(ctx)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, deployment.Reject(deployment.CodeRepositoryNotFound, "source.url", "there is no directory %s", name)
	case errors.Is(err, fs.ErrPermission):
		return nil, deployment.Reject(deployment.CodeRepositoryForbidden, "source.url", "directory %s may not be read", name)
	case err != nil:
		return nil, err
	}
	return &place{files: root, close: root.Close, changes: true}, nil
}

// inPlace reads a contract that is in no git repository. What it says is pinned
// by its digest, and its model by the one of the file: nothing tells later what
// was there.
func (c *Contracts) inPlace(ctx context.Context, p *place, r deployment.Reading, w wanted, progress func(string)) (s deployment.Sourced, err error) {
	defer func() { err = errors.Join(err, p.close()) }()
	s, err = c.readIn(ctx, p.files, deployment.Contract{URL: r.Source.URL}, r, w, progress)
	if err != nil || !p.changes {
		return s, err
	}
	again, err := contract.Read(ctx, p.files, w.at)
	if err != nil || again.Digest() != s.Contract.Digest {
		return s, fmt.Errorf("contract in %s: %w", r.Source.URL, contract.ErrChanged)
	}
	return s, nil
}
