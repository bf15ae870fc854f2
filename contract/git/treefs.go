package git

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/slipway-ml/slipway/contract"
)

// treeFS shows the tree of a commit as files. Links and submodules are listed
// but not followed.
type treeFS struct {
	objects *objects
	root    plumbing.Hash
}

var (
	_ fs.ReadDirFS  = (*treeFS)(nil)
	_ fs.ReadLinkFS = (*treeFS)(nil)
)

var errLink = errors.New("is a symbolic link")

// find is the entry of that name. The root has no entry of its own.
func (t *treeFS) find(op, name string) (info, error) {
	at, err := t.lookup(name)
	if err != nil {
		return info{}, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return at, nil
}

func (t *treeFS) lookup(name string) (info, error) {
	if !fs.ValidPath(name) {
		return info{}, fs.ErrInvalid
	}
	at := info{entry: entry{name: ".", mode: 0o40000, hash: t.root}}
	if name == "." {
		return at, nil
	}
	for element := range strings.SplitSeq(name, "/") {
		if at.IsDir() {
			entries, err := t.objects.tree(at.hash)
			if err != nil {
				return info{}, err
			}
			i := index(entries, element)
			if i < 0 {
				return info{}, fs.ErrNotExist
			}
			at.entry = entries[i]
			continue
		}
		if at.Mode()&fs.ModeSymlink != 0 {
			return info{}, errLink
		}
		return info{}, fs.ErrNotExist
	}
	if at.Mode().IsRegular() || at.Mode()&fs.ModeSymlink != 0 {
		object, err := t.objects.object(at.hash)
		if err != nil {
			return info{}, err
		}
		at.size, at.object = object.Size(), object
	}
	return at, nil
}

// Open opens a file or folder.
func (t *treeFS) Open(name string) (fs.File, error) {
	at, err := t.find("open", name)
	switch {
	case err != nil:
		return nil, err
	case at.IsDir():
		entries, err := t.ReadDir(name)
		if err != nil {
			return nil, err
		}
		return contract.OpenFolder(at, name, entries), nil
	case at.Mode()&fs.ModeSymlink != 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: errLink}
	case !at.Mode().IsRegular() || at.object.Type() != plumbing.BlobObject:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	r, err := t.objects.reader(at.object)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &blob{info: at, path: name, content: r}, nil
}

// ReadDir lists a folder by name.
func (t *treeFS) ReadDir(name string) ([]fs.DirEntry, error) {
	at, err := t.find("readdir", name)
	if err != nil {
		return nil, err
	}
	if !at.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("is not a folder")}
	}
	entries, err := t.objects.tree(at.hash)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	listed := make([]fs.DirEntry, len(entries))
	for i, e := range entries {
		listed[i] = dirEntry{e, t, path.Join(name, e.name)}
	}
	return listed, nil
}

// Lstat describes a file, folder or link.
func (t *treeFS) Lstat(name string) (fs.FileInfo, error) {
	at, err := t.find("lstat", name)
	if err != nil {
		return nil, err
	}
	return at, nil
}

// ReadLink returns where a link leads.
func (t *treeFS) ReadLink(name string) (string, error) {
	at, err := t.find("readlink", name)
	if err != nil {
		return "", err
	}
	if at.Mode()&fs.ModeSymlink == 0 {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	const most = 4096
	target, err := content(at.object, most)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
	}
	return string(target), nil
}

func index(entries []entry, name string) int {
	for i, e := range entries {
		if e.name == name {
			return i
		}
	}
	return -1
}

// info is an entry as a file system describes it.
type info struct {
	entry

	size   int64
	object plumbing.EncodedObject // of a file or link
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.kind() }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.isDir() }
func (i info) Sys() any           { return nil }

type dirEntry struct {
	entry

	fsys *treeFS
	path string
}

func (d dirEntry) Name() string               { return d.name }
func (d dirEntry) IsDir() bool                { return d.isDir() }
func (d dirEntry) Type() fs.FileMode          { return d.kind().Type() }
func (d dirEntry) Info() (fs.FileInfo, error) { return d.fsys.Lstat(d.path) }
func (d dirEntry) String() string             { return fs.FormatDirEntry(d) }

// blob is an open file.
type blob struct {
	info info
	path string

	mu      sync.Mutex
	content io.ReadCloser // nil once closed: go-git hands its readers to others then
}

func (b *blob) Stat() (fs.FileInfo, error) { return b.info, nil }

func (b *blob) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.content == nil {
		return 0, &fs.PathError{Op: "read", Path: b.path, Err: fs.ErrClosed}
	}
	return b.content.Read(p)
}

func (b *blob) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.content == nil {
		return &fs.PathError{Op: "close", Path: b.path, Err: fs.ErrClosed}
	}
	err := b.content.Close()
	b.content = nil
	return err
}
