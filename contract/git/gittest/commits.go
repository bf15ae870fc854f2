package gittest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// Noon is when everything is committed.
var Noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// Put commits the files on a branch, in place of what it holds.
func Put(tb testing.TB, st *filesystem.Storage, branch string, files map[string]string) plumbing.Hash {
	tb.Helper()
	var parents []plumbing.Hash
	name := plumbing.NewBranchReferenceName(branch)
	if ref, err := st.Reference(name); err == nil {
		parents = append(parents, ref.Hash())
	}
	return PutOn(tb, st, branch, files, parents...)
}

// PutOn commits the files on a branch, after the parents.
func PutOn(tb testing.TB, st *filesystem.Storage, branch string, files map[string]string, parents ...plumbing.Hash) plumbing.Hash {
	tb.Helper()
	who := object.Signature{Name: "Ann", Email: "ann@example.com", When: Noon}
	hash := Store(tb, st, &object.Commit{Author: who, Committer: who, Message: "files\n", TreeHash: Tree(tb, st, files), ParentHashes: parents})
	if err := st.SetReference(plumbing.NewHashReference(plumbing.NewBranchReferenceName(branch), hash)); err != nil {
		tb.Fatal(err)
	}
	return hash
}

// Tree stores a folder. A name that ends with @ is a symbolic link.
func Tree(tb testing.TB, st *filesystem.Storage, files map[string]string) plumbing.Hash {
	tb.Helper()
	tree := &object.Tree{}
	folders := map[string]map[string]string{}
	for name, content := range files {
		if first, rest, below := strings.Cut(name, "/"); below {
			if folders[first] == nil {
				folders[first] = map[string]string{}
			}
			folders[first][rest] = content
			continue
		}
		blob := &plumbing.MemoryObject{}
		blob.SetType(plumbing.BlobObject)
		if _, err := blob.Write([]byte(content)); err != nil {
			tb.Fatal(err)
		}
		hash, err := st.SetEncodedObject(blob)
		if err != nil {
			tb.Fatal(err)
		}
		mode := filemode.Regular
		if link, ok := strings.CutSuffix(name, "@"); ok {
			name, mode = link, filemode.Symlink
		}
		tree.Entries = append(tree.Entries, object.TreeEntry{Name: name, Mode: mode, Hash: hash})
	}
	for name, below := range folders {
		tree.Entries = append(tree.Entries, object.TreeEntry{Name: name, Mode: filemode.Dir, Hash: Tree(tb, st, below)})
	}
	sortEntries(tree.Entries)
	return Store(tb, st, tree)
}

// Store stores an object.
func Store(tb testing.TB, st *filesystem.Storage, o interface {
	Encode(plumbing.EncodedObject) error
},
) plumbing.Hash {
	tb.Helper()
	encoded := &plumbing.MemoryObject{}
	if err := o.Encode(encoded); err != nil {
		tb.Fatal(err)
	}
	hash, err := st.SetEncodedObject(encoded)
	if err != nil {
		tb.Fatal(err)
	}
	return hash
}

// sortEntries puts the entries of a tree into the order that git wants.
func sortEntries(entries []object.TreeEntry) {
	key := func(e object.TreeEntry) string {
		if e.Mode == filemode.Dir {
			return e.Name + "/"
		}
		return e.Name
	}
	slices.SortFunc(entries, func(a, b object.TreeEntry) int { return strings.Compare(key(a), key(b)) })
}
