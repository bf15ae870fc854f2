package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-ml/slipway/artifacts"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/jetstream"
)

// Upload puts a model file into the artifacts object store, under its digest, and
// returns what names it in the facts of a model. A file that is there already is
// not sent again. progress, unless it is nil, is told of bytes that were sent and
// of all that are to be, when there are any.
func (c *Client) Upload(ctx context.Context, file io.ReadSeeker, progress func(done, total int64)) (a deployment.Artifact, err error) {
	if a.Digest, a.Size, err = describe(file); err != nil {
		return a, fmt.Errorf("upload: %w", err)
	}
	a.Object = artifacts.ObjectName(a.Digest)
	objects, err := jetstream.OpenObjects(ctx, c.JetStream)
	if err != nil {
		return a, err
	}
	found, err := has(ctx, objects, a.Object, a.Digest)
	if err != nil || found {
		return a, err
	}
	return a, send(ctx, objects, a.Object, a.Digest, file, counting(progress, a.Size))
}

// UploadPath puts a file, or each file of a directory, into the artifacts object
// store, as a command names them (deployment.Upload). Their objects are named
// prefix/path, or after their digests if prefix is "". What is there already is not
// sent again; progress is that of Upload, for all files together. Of a directory,
// files and folders whose names begin with a dot are left out. Symbolic links and
// empty files are errors; nothing is sent then. An error on the way leaves files
// that are complete: the same call again goes on after them. What is wrong with a
// file is a *FileError.
func (c *Client) UploadPath(ctx context.Context, name, prefix string, progress func(done, total int64)) ([]deployment.UploadedFile, error) {
	files, err := list(name)
	if err != nil {
		return nil, &FileError{name, err}
	}
	objects, err := jetstream.OpenObjects(ctx, c.JetStream)
	if err != nil {
		return nil, err
	}
	uploads := make([]upload, len(files))
	for i, file := range files {
		if uploads[i], err = file.read(prefix); err != nil {
			return nil, &FileError{file.at, err}
		}
		if uploads[i].found, err = has(ctx, objects, uploads[i].Object, uploads[i].Digest); err != nil {
			return nil, err
		}
	}
	var total int64
	for _, u := range uploads {
		if !u.found {
			total += u.Size
		}
	}
	count := counting(progress, total)
	result := make([]deployment.UploadedFile, len(uploads))
	for i, u := range uploads {
		if result[i] = u.UploadedFile; u.found {
			continue
		}
		if err := u.send(ctx, objects, count); err != nil {
			return nil, err
		}
	}
	return result, nil
}

// FileError says why a file of this machine cannot be uploaded, as opposed to a
// broker that cannot be reached.
type FileError struct {
	Path string
	Err  error
}

func (e *FileError) Error() string { return fmt.Sprintf("upload %s: %v", e.Path, e.Err) }
func (e *FileError) Unwrap() error { return e.Err }

// local is a file on this machine: at is where, path is in the model.
type local struct{ at, path string }

// upload is a local file that was read once.
type upload struct {
	local
	deployment.UploadedFile
	found bool // the store has it
}

// list are the files that name stands for.
func list(name string) ([]local, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, cause(err)
	}
	if !info.IsDir() {
		return []local{{name, filepath.Base(name)}}, nil
	}
	var files []local
	err = filepath.WalkDir(name, func(at string, entry fs.DirEntry, err error) error {
		switch hidden := strings.HasPrefix(entry.Name(), ".") && at != name; {
		case err != nil:
			return err
		case hidden && entry.IsDir():
			return filepath.SkipDir
		case hidden || entry.IsDir():
			return nil
		case !entry.Type().IsRegular():
			return fmt.Errorf("%s is neither a file nor a folder: expected a copy of what it stands for", at)
		}
		inside, err := filepath.Rel(name, at)
		files = append(files, local{at, filepath.ToSlash(inside)})
		return err
	})
	if err == nil && len(files) == 0 {
		err = errors.New("the folder has no files: expected those of a model")
	}
	return files, err
}

// read reads the file and names its object.
func (l local) read(prefix string) (u upload, err error) {
	u.local, u.Path = l, l.path
	if err := artifacts.CheckObjectName(u.Path); err != nil {
		return u, err
	}
	file, err := l.open()
	if err != nil {
		return u, err
	}
	defer file.Close()
	if u.Digest, u.Size, err = describe(file); err != nil {
		return u, err
	}
	if u.Object = artifacts.ObjectName(u.Digest); prefix != "" {
		u.Object = strings.TrimSuffix(prefix, "/") + "/" + u.Path
	}
	if want, err := artifacts.ObjectDigest(u.Object); err != nil {
		return u, err
	} else if want != "" && want != u.Digest {
		return u, fmt.Errorf("object %s: expected another name: below sha256/ objects are named after what they are", u.Object)
	}
	return u, nil
}

func (u upload) send(ctx context.Context, objects *jetstream.Objects, count func(int)) error {
	file, err := u.open()
	if err != nil {
		return &FileError{u.at, err}
	}
	defer file.Close()
	err = send(ctx, objects, u.Object, u.Digest, file, count)
	if errors.Is(err, jetstream.ErrSum) {
		err = &FileError{u.at, fmt.Errorf("the file has changed meanwhile: %w", err)}
	}
	return err
}

// open opens the file; a pipe or a device is none.
func (l local) open() (*os.File, error) {
	info, err := os.Stat(l.at)
	if err != nil {
		return nil, cause(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	file, err := os.Open(l.at)
	return file, cause(err)
}

// describe reads the file to its end.
func describe(file io.Reader) (d deployment.Digest, size int64, err error) {
	sum := sha256.New()
	size, err = io.Copy(sum, file)
	if err == nil && size == 0 {
		err = errors.New("the file is empty: expected that of a model")
	}
	return deployment.DigestOf(sum.Sum(nil)), size, cause(err)
}

// has reports whether the object is there and is what it is to be. Then it is
// renewed: a command is to name it, and until then nobody needs it.
func has(ctx context.Context, objects *jetstream.Objects, name string, d deployment.Digest) (bool, error) {
	found, err := objects.Look(ctx, name)
	if err == nil && deployment.DigestOf(found.Sum) != d {
		return false, nil
	}
	if err == nil {
		_, err = objects.Renew(ctx, name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// send puts the file from its start into the object.
func send(ctx context.Context, objects *jetstream.Objects, name string, d deployment.Digest, file io.ReadSeeker, count func(int)) error {
	sum, err := hex.DecodeString(d.Hex())
	if err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return cause(err)
	}
	_, err = objects.PutSum(ctx, name, counted{file, count}, sum)
	return err
}

// counted tells of what is read.
type counted struct {
	io.Reader
	count func(int)
}

func (c counted) Read(p []byte) (n int, err error) {
	n, err = c.Reader.Read(p)
	c.count(n)
	return n, err
}

// counting adds up what is sent for progress.
func counting(progress func(done, total int64), total int64) func(int) {
	var done int64
	return func(n int) {
		if done += int64(n); progress != nil && n > 0 {
			progress(done, total)
		}
	}
}

// cause is err without the operation and path that the os package puts in front.
func cause(err error) error {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		return pathError.Err
	}
	return err
}
