package contract

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway/deployment"
)

// What the files of a contract may be at most.
const (
	maxReferenceBytes = 64 << 10
	maxMetadataBytes  = 4 << 20
	maxEntries        = 1000 // of one folder
	headBytes         = 64   // of a model file that are looked at
)

// modelFile is a model that lies in its folder: model.joblib, model.tar.gz.
var modelFile = regexp.MustCompile(`^model(\.[A-Za-z0-9_-]+)+$`)

// lfsPointer is how a file begins that stands for one that Git LFS keeps elsewhere.
const lfsPointer = "version https://git-lfs.github.com/spec/"

// tree looks at the files of a repository, which may be hostile: it follows no
// symbolic link, reads no more than allowed, and tells what is wrong with what
// is there from not being able to look.
type tree struct {
	fs.FS
	ctx   context.Context // of one call
	found *findings
}

// look is the file or folder of that name, nil when there is none. A link, and
// a file where a folder should be, are findings.
func (t tree) look(name string) (fs.FileInfo, error) {
	if name == "." {
		return fs.Stat(t.FS, name)
	}
	elements := strings.Split(name, "/")
	for i := range elements {
		at := path.Join(elements[:i+1]...)
		info, err := fs.Lstat(t.FS, at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, nil
		case err != nil:
			return nil, err
		case info.Mode()&fs.ModeSymlink != 0:
			t.found.add(CodeLayoutInvalid, at, "is a symbolic link: expected a file or folder of the repository itself")
			return nil, nil
		case i == len(elements)-1:
			return info, nil
		case !info.IsDir():
			t.found.add(CodeLayoutInvalid, at, "is not a folder")
			return nil, nil
		}
	}
	return nil, nil
}

// list is what is in a folder, by name, or nil when there is no such folder.
// Files that only speak to people or to git are left out.
func (t tree) list(folder string) ([]fs.DirEntry, error) {
	info, err := t.look(folder)
	if err != nil || info == nil {
		return nil, err
	}
	if !info.IsDir() {
		t.found.add(CodeLayoutInvalid, folder, "is not a folder")
		return nil, nil
	}
	entries, err := readDir(t.FS, folder, maxEntries+1)
	if err != nil {
		return nil, err
	}
	if len(entries) > maxEntries {
		t.found.add(CodeLayoutInvalid, folder, "holds more than %d entries", maxEntries)
		return nil, nil
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return beside(e.Name()) })
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// beside reports whether a file of that name says nothing about the model.
func beside(name string) bool { return strings.HasPrefix(name, ".") || name == "README.md" }

// readDir is fs.ReadDir with an end.
func readDir(fsys fs.FS, folder string, most int) (entries []fs.DirEntry, err error) {
	f, err := fsys.Open(folder)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	dir, ok := f.(fs.ReadDirFile)
	if !ok {
		return nil, &fs.PathError{Op: "readdir", Path: folder, Err: errors.ErrUnsupported}
	}
	for len(entries) < most {
		more, err := dir.ReadDir(most - len(entries))
		entries = append(entries, more...)
		if errors.Is(err, io.EOF) || err == nil && len(more) == 0 {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// read is the content of a file; nil when it is not a file or too large, which
// is a finding.
func (t tree) read(name string, most int64, code deployment.Code) ([]byte, error) {
	f, err := t.open(name, code)
	if err != nil || f == nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > most {
		t.found.add(code, name, "has more than the %d bytes that such a file may have", most)
		return nil, nil
	}
	return data, nil
}

// open opens a regular file, or finds that it is none.
func (t tree) open(name string, code deployment.Code) (fs.File, error) {
	info, err := t.look(name)
	if err != nil || info == nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for ever
		t.found.add(code, name, "is not a regular file")
		return nil, nil
	}
	return t.Open(name)
}

// digest looks at a model file: how many bytes, which digest.
func (t tree) digest(name string) (*File, error) {
	f, err := t.open(name, CodeLayoutInvalid)
	if err != nil || f == nil {
		return nil, err
	}
	defer f.Close()
	sum := sha256.New()
	var head head
	size, err := io.Copy(io.MultiWriter(sum, &head), &reader{ctx: t.ctx, r: f})
	if err != nil {
		return nil, err
	}
	switch {
	case size == 0:
		t.found.add(CodeLayoutInvalid, name, "is empty")
		return nil, nil
	case strings.HasPrefix(string(head.b), lfsPointer):
		t.found.add(deployment.CodeUnsupportedArtifact, name, "is a pointer of Git LFS, not the model: expected the model itself, or a reference.json to where it is")
		return nil, nil
	}
	return &File{Name: name, Digest: deployment.DigestOf(sum.Sum(nil)), Size: size}, nil
}

// head keeps the first bytes that are written to it.
type head struct{ b []byte }

func (h *head) Write(p []byte) (int, error) {
	h.b = append(h.b, p[:min(len(p), headBytes-len(h.b))]...)
	return len(p), nil
}

// reader stops reading when its context ends.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r *reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, fmt.Errorf("stopped: %w", context.Cause(r.ctx))
	}
	return r.r.Read(p)
}
