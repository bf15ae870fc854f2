package git

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/slipway-ml/slipway/deployment"
)

const (
	standardMaxBytes = 1 << 30
	maxObjects       = 5_000_000
	cacheBytes       = 16 << 20 // of objects, for each repository in use
	streamedBytes    = 1 << 20  // objects beyond are read as they come
)

// limit is what a fetch may bring.
func (r *Repositories) limit() int64 {
	if r.MaxBytes > 0 {
		return r.MaxBytes
	}
	return standardMaxBytes
}

// unpack makes the objects of a pack readable. The pack goes to disk, and is
// looked through before anything of it is kept in memory.
func (r *Repositories) unpack(in io.Reader) (_ *objects, err error) {
	dir, err := os.MkdirTemp(r.Dir, "slipway-git-*")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir)
		}
	}()
	defer func() {
		if r := recover(); r != nil {
			err = damaged("pack: %v", r)
		}
	}()
	store := openStore(dir)
	if err := store.Init(); err != nil {
		return nil, err
	}
	file, err := os.Create(filepath.Join(dir, "objects", "pack", "fetched"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	n, err := io.Copy(file, io.LimitReader(in, r.limit()+1))
	if err != nil {
		return nil, err
	}
	if n > r.limit() {
		return nil, r.tooLarge()
	}
	index, checksum, err := r.index(file)
	if err != nil {
		return nil, err
	}
	name := filepath.Join(filepath.Dir(file.Name()), "pack-"+checksum.String())
	if err := errors.Join(writeIndex(name+".idx", index), os.Rename(file.Name(), name+".pack")); err != nil {
		return nil, err
	}
	return newObjects(store, func() error { return errors.Join(store.Close(), os.RemoveAll(dir)) }), nil
}

func writeIndex(name string, content *idxfile.MemoryIndex) error {
	index, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = idxfile.NewEncoder(index).Encode(content)
	return errors.Join(err, index.Close())
}

// openStore reads the objects in a git directory.
func openStore(dir string) *filesystem.Storage {
	return filesystem.NewStorageWithOptions(osfs.New(dir, osfs.WithBoundOS()), cache.NewObjectLRU(cacheBytes), filesystem.Options{LargeObjectThreshold: streamedBytes})
}

func (r *Repositories) tooLarge() error {
	return deployment.Reject(CodeRepositoryTooLarge, atURL, "the repository has more than the %d bytes allowed for one revision", r.limit())
}
