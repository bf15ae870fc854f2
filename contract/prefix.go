package contract

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ml/slipway/deployment"
)

// Store is a bucket of objects. Errors name the object.
type Store interface {
	// List returns the objects whose names begin with the prefix, and no more
	// than so many.
	List(ctx context.Context, prefix string, most int) ([]Object, error)
	// Get reads the object as it was listed. Its error wraps fs.ErrNotExist when
	// it is gone, which is a change like others. A store that can tell versions apart does not read another one.
	Get(ctx context.Context, o Object) (io.ReadCloser, error)
}

// Object is one object of a Store, as it is listed.
type Object struct {
	Name    string
	Size    int64             // bytes
	Digest  deployment.Digest // "" when the store does not know it
	Version string            // how the store tells versions apart, if it does
}

// maxListed is how many objects a prefix may have.
const maxListed = 10_000

// ErrChanged is why reading a file of a Prefix fails when the object is not any
// more what was listed.
var ErrChanged = errors.New("the object has changed since it was listed")

// Prefix shows the objects below a prefix as files, as they were when it was
// opened: an object that is replaced or removed later is never read as another
// one. It is an fs.FS.
type Prefix struct {
	ctx   context.Context // of all reading
	store Store
	nodes map[string]*node // by path
}

// node is a file or a folder.
type node struct {
	name   string
	object *Object // of a file
	below  []*node // of a folder, by name
}

// OpenPrefix lists the objects below a prefix, which ends with a slash or is "".
// Objects whose names cannot be those of files are a *deployment.Rejection; every
// other error means that the store could not be asked. The context is that of
// all reading too.
func OpenPrefix(ctx context.Context, store Store, prefix string) (*Prefix, error) {
	listed, err := store.List(ctx, prefix, maxListed+1)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", prefix, err)
	}
	if len(listed) > maxListed {
		return nil, fmt.Errorf("list %s: %w", prefix, ErrTooMany)
	}
	p := &Prefix{ctx: ctx, store: store, nodes: map[string]*node{".": {name: "."}}}
	var f findings
	for _, o := range listed {
		name, ok := strings.CutPrefix(o.Name, prefix)
		if !ok || name == "" || strings.HasSuffix(name, "/") { // consoles make objects that stand for folders
			continue
		}
		if !fs.ValidPath(name) {
			f.add(CodeLayoutInvalid, printable(o.Name), "expected the name of a file, without empty parts, \".\" and \"..\"")
			continue
		}
		if !p.add(name, o) {
			f.add(CodeLayoutInvalid, printable(o.Name), "is an object, and so is a part of its name or one below it: expected a file or a folder")
		}
	}
	for _, n := range p.nodes {
		slices.SortFunc(n.below, func(a, b *node) int { return cmp.Compare(a.name, b.name) })
	}
	if err := f.rejection("the objects below " + prefix + " are not files"); err != nil {
		return nil, err
	}
	return p, nil
}

// add puts the object among the files, and reports whether there is a place.
func (p *Prefix) add(name string, o Object) bool {
	if p.nodes[name] != nil {
		return false
	}
	child := &node{name: path.Base(name), object: &o}
	for at := name; ; {
		p.nodes[at] = child
		at = path.Dir(at)
		parent := p.nodes[at]
		if parent != nil {
			parent.below = append(parent.below, child)
			return parent.object == nil
		}
		child = &node{name: path.Base(at), below: []*node{child}}
	}
}

// Open opens a file or folder.
func (p *Prefix) Open(name string) (fs.File, error) {
	n, err := p.find("open", name)
	if err != nil {
		return nil, err
	}
	if n.object == nil {
		listed := make([]fs.DirEntry, len(n.below))
		for i, child := range n.below {
			listed[i] = fs.FileInfoToDirEntry(child)
		}
		return OpenFolder(n, name, listed), nil
	}
	content, err := p.store.Get(p.ctx, *n.object)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: it is gone", ErrChanged)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &openObject{node: n, path: name, content: content, sum: sha256.New()}, nil
}

// Stat describes a file or folder without reading it.
func (p *Prefix) Stat(name string) (fs.FileInfo, error) {
	n, err := p.find("stat", name)
	if err != nil {
		return nil, err
	}
	return n, nil
}

func (p *Prefix) find(op, name string) (*node, error) {
	err := fs.ErrNotExist
	if !fs.ValidPath(name) {
		err = fs.ErrInvalid
	} else if n := p.nodes[name]; n != nil {
		return n, nil
	}
	return nil, &fs.PathError{Op: op, Path: name, Err: err}
}

// Name implements fs.FileInfo.
func (n *node) Name() string { return n.name }

// Size implements fs.FileInfo.
func (n *node) Size() int64 {
	if n.object == nil {
		return 0
	}
	return n.object.Size
}

// Mode implements fs.FileInfo.
func (n *node) Mode() fs.FileMode {
	if n.object == nil {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

// ModTime implements fs.FileInfo.
func (n *node) ModTime() time.Time { return time.Time{} }

// IsDir implements fs.FileInfo.
func (n *node) IsDir() bool { return n.object == nil }

// Sys implements fs.FileInfo.
func (n *node) Sys() any { return nil }

// openObject is an open file that compares what it reads with what was listed.
type openObject struct {
	node    *node
	path    string
	content io.ReadCloser
	sum     hash.Hash
	read    int64
	closed  bool
}

func (o *openObject) Stat() (fs.FileInfo, error) { return o.node, nil }

func (o *openObject) Read(b []byte) (int, error) {
	if o.closed {
		return 0, &fs.PathError{Op: "read", Path: o.path, Err: fs.ErrClosed}
	}
	n, err := o.content.Read(b)
	o.read += int64(n)
	o.sum.Write(b[:n])
	want := o.node.object
	switch ended := errors.Is(err, io.EOF); {
	case o.read > want.Size,
		ended && o.read < want.Size,
		ended && want.Digest != "" && deployment.DigestOf(o.sum.Sum(nil)) != want.Digest:
		return 0, &fs.PathError{Op: "read", Path: o.path, Err: ErrChanged}
	case err != nil && !ended:
		return n, &fs.PathError{Op: "read", Path: o.path, Err: err}
	}
	return n, err
}

func (o *openObject) Close() error {
	if o.closed {
		return &fs.PathError{Op: "close", Path: o.path, Err: fs.ErrClosed}
	}
	o.closed = true
	return o.content.Close()
}
