package contract

import (
	"errors"
	"io"
	"io/fs"
)

// OpenFolder is an open folder of a file system in which folders are lists: what
// it is, the path under which it was opened, and what is in it, in the order in
// which that is to be read.
func OpenFolder(info fs.FileInfo, path string, entries []fs.DirEntry) fs.ReadDirFile {
	return &openFolder{info, path, entries}
}

type openFolder struct {
	info fs.FileInfo
	path string
	left []fs.DirEntry
}

func (f *openFolder) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFolder) Close() error               { return nil }
func (f *openFolder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: f.path, Err: errors.New("is a folder")}
}

func (f *openFolder) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		n = len(f.left)
	} else if len(f.left) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(f.left))
	listed := f.left[:n:n]
	f.left = f.left[n:]
	return listed, nil
}
