package git

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/storer"

	"github.com/slipway-ml/slipway/deployment"
)

// What trees and commits may be at most. Blobs are read as they come.
const (
	maxTreeBytes   = 32 << 20
	maxCommitBytes = 4 << 20
	maxPeel        = 8 // tags of tags
)

// objects are the commits, trees and blobs of a repository.
//
// go-git's own package for them is not used: it brings an OpenPGP
// implementation and a diff library into the binary, and the formats are small.
type objects struct {
	mu    sync.Mutex // guards store, which has caches
	store storer.EncodedObjectStorer
	trees map[plumbing.Hash][]entry
	close func() error
}

func newObjects(store storer.EncodedObjectStorer, close func() error) *objects {
	return &objects{store: store, trees: map[plumbing.Hash][]entry{}, close: close}
}

// Close removes what lies on disk only for these objects.
func (o *objects) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.close()
}

type commit struct {
	hash    plumbing.Hash
	tree    plumbing.Hash
	message string
}

// commit is the commit of that hash, or that the tag of that hash points to.
func (o *objects) commit(hash plumbing.Hash) (commit, error) {
	for range maxPeel {
		object, err := o.object(hash)
		if err != nil {
			return commit{}, err
		}
		switch object.Type() {
		case plumbing.CommitObject:
			tree, err := header(object, "tree")
			if err != nil {
				return commit{}, err
			}
			said, err := message(object)
			return commit{hash, tree, said}, err
		case plumbing.TagObject:
			if hash, err = header(object, "object"); err != nil {
				return commit{}, err
			}
		default:
			return commit{}, deployment.Reject(CodeRevisionNotFound, atCommit, "%s is a %s, not a commit", hash, object.Type())
		}
	}
	return commit{}, damaged("tag %s leads to no commit", hash)
}

// header is the hash in the first line of a commit or tag.
func header(object plumbing.EncodedObject, name string) (plumbing.Hash, error) {
	data, err := content(object, maxCommitBytes)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	text, ok := strings.CutPrefix(string(line), name+" ")
	if !ok || !plumbing.IsHash(text) {
		return plumbing.ZeroHash, damaged("%s %s has no %s", object.Type(), object.Hash(), name)
	}
	return plumbing.NewHash(text), nil
}

// message is what the author of a commit says of it: all after the headers.
func message(object plumbing.EncodedObject) (string, error) {
	data, err := content(object, maxCommitBytes)
	_, text, _ := bytes.Cut(data, []byte("\n\n"))
	return strings.ToValidUTF8(string(text), "\uFFFD"), err
}

func (o *objects) has(hash plumbing.Hash) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.store.HasEncodedObject(hash) == nil
}

func (o *objects) object(hash plumbing.Hash) (plumbing.EncodedObject, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	object, err := o.store.EncodedObject(plumbing.AnyObject, hash)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, missing{hash}
	}
	return object, err
}

// reader opens the content of an object. Reading it needs no lock.
func (o *objects) reader(object plumbing.EncodedObject) (io.ReadCloser, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return object.Reader()
}

// entry is one line of a tree.
type entry struct {
	name string
	mode filemode.FileMode
	hash plumbing.Hash
}

func (e entry) isDir() bool { return e.mode == filemode.Dir }

// kind is the mode of the file that the entry stands for.
func (e entry) kind() fs.FileMode {
	switch e.mode {
	case filemode.Dir:
		return fs.ModeDir | 0o755
	case filemode.Symlink:
		return fs.ModeSymlink | 0o777
	case filemode.Executable:
		return 0o755
	case filemode.Regular, filemode.Deprecated:
		return 0o644
	default: // a submodule: a commit of another repository
		return fs.ModeIrregular
	}
}

// tree is the content of a folder by name. Names that a file system could not
// have are refused: git itself makes none.
func (o *objects) tree(hash plumbing.Hash) ([]entry, error) {
	o.mu.Lock()
	known, ok := o.trees[hash]
	o.mu.Unlock()
	if ok {
		return known, nil
	}
	object, err := o.object(hash)
	if err != nil {
		return nil, err
	}
	if object.Type() != plumbing.TreeObject {
		return nil, damaged("%s is a %s, not a tree", hash, object.Type())
	}
	data, err := content(object, maxTreeBytes)
	if err != nil {
		return nil, err
	}
	entries, err := decodeTree(data)
	if err != nil {
		return nil, damaged("tree %s: %s", hash, err)
	}
	o.mu.Lock()
	o.trees[hash] = entries
	o.mu.Unlock()
	return entries, nil
}

// decodeTree reads lines of "mode name NUL hash".
func decodeTree(data []byte) (entries []entry, err error) {
	r := bufio.NewReader(bytes.NewReader(data))
	for {
		mode, err := r.ReadString(' ')
		if errors.Is(err, io.EOF) && mode == "" {
			break
		}
		if err != nil {
			return nil, errors.New("entry has no mode")
		}
		e := entry{}
		if e.mode, err = filemode.New(strings.TrimSuffix(mode, " ")); err != nil {
			return nil, errors.New("entry has no valid mode")
		}
		name, err := r.ReadString(0)
		if err != nil {
			return nil, errors.New("entry has no name")
		}
		if e.name = strings.TrimSuffix(name, "\x00"); !isName(e.name) {
			return nil, fmt.Errorf("entry has the name %q", shortened(e.name))
		}
		if _, err := io.ReadFull(r, e.hash[:]); err != nil {
			return nil, errors.New("entry has no hash")
		}
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	for i := range entries {
		if i > 0 && entries[i].name == entries[i-1].name {
			return nil, fmt.Errorf("two entries have the name %q", shortened(entries[i].name))
		}
	}
	return entries, nil
}

func isName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.EqualFold(name, ".git") && !strings.ContainsAny(name, "/\x00")
}

// encodeTree is decodeTree the other way, in the order that git wants: as if
// the names of folders ended with a slash.
func encodeTree(entries []entry) []byte {
	sortName := func(e entry) string {
		if e.isDir() {
			return e.name + "/"
		}
		return e.name
	}
	sorted := slices.SortedFunc(slices.Values(entries), func(a, b entry) int { return cmp.Compare(sortName(a), sortName(b)) })
	var b bytes.Buffer
	for _, e := range sorted {
		fmt.Fprintf(&b, "%o %s\x00%s", uint32(e.mode), e.name, e.hash[:])
	}
	return b.Bytes()
}

// content is what an object holds.
func content(object plumbing.EncodedObject, most int64) ([]byte, error) {
	if object.Size() > most {
		return nil, deployment.Reject(CodeRepositoryTooLarge, atURL, "%s %s has %d bytes, more than the %d allowed", object.Type(), object.Hash(), object.Size(), most)
	}
	r, err := object.Reader()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, most))
}

// missing is an object that is not there: damage, unless it was left out.
type missing struct{ hash plumbing.Hash }

func (m missing) Error() string { return fmt.Sprintf("object %s is missing", m.hash) }
func (m missing) Unwrap() error { return damaged("%s", m.Error()) }

func damaged(format string, args ...any) error {
	return deployment.Reject(CodeInvalidRepository, atURL, "the repository is damaged: "+format, args...)
}
