package git

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
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
// looked through before anything of it is kept in memory. go-git's own writer of
// packs is not used: it reads a pack in a goroutine, where one that makes it
// panic would end the process.
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
	if err := r.inspect(file); err != nil {
		return nil, err
	}
	if err := writeIndex(file); err != nil {
		return nil, err
	}
	return newObjects(store, func() error { return errors.Join(store.Close(), os.RemoveAll(dir)) }), nil
}

// writeIndex puts an index beside the pack, and gives both their names.
func writeIndex(pack *os.File) error {
	if _, err := pack.Seek(0, io.SeekStart); err != nil {
		return err
	}
	var made idxfile.Writer
	parser, err := packfile.NewParser(packfile.NewScanner(pack), &made)
	if err != nil {
		return err
	}
	checksum, err := parser.Parse()
	if err != nil {
		return damaged("pack: %s", err)
	}
	content, err := made.Index()
	if err != nil {
		return damaged("pack: %s", err)
	}
	name := filepath.Join(filepath.Dir(pack.Name()), "pack-"+checksum.String())
	index, err := os.Create(name + ".idx")
	if err != nil {
		return err
	}
	_, err = idxfile.NewEncoder(index).Encode(content)
	return errors.Join(err, index.Close(), os.Rename(pack.Name(), name+".pack"))
}

// openStore reads the objects in a git directory.
func openStore(dir string) *filesystem.Storage {
	return filesystem.NewStorageWithOptions(osfs.New(dir, osfs.WithBoundOS()), cache.NewObjectLRU(cacheBytes), filesystem.Options{LargeObjectThreshold: streamedBytes})
}

func (r *Repositories) tooLarge() error {
	return deployment.Reject(CodeRepositoryTooLarge, atURL, "the repository has more than the %d bytes allowed for one revision", r.limit())
}

// inspect refuses a pack that would unpack to more than allowed. Deltas say in
// their first bytes how large they make an object.
func (r *Repositories) inspect(file *os.File) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	scanner := packfile.NewScanner(file)
	_, count, err := scanner.Header()
	if err != nil {
		return damaged("pack: %s", err)
	}
	if count > maxObjects {
		return r.tooLarge()
	}
	var total int64
	for range count {
		object, err := scanner.NextObjectHeader()
		if err != nil {
			return damaged("pack: %s", err)
		}
		size := object.Length
		isDelta := object.Type == plumbing.OFSDeltaObject || object.Type == plumbing.REFDeltaObject
		if total += size; size > r.limit() || total > r.limit() {
			return r.tooLarge()
		}
		var head deltaHead
		if _, _, err := scanner.NextObject(&head); err != nil {
			return damaged("pack: %s", err)
		}
		if isDelta {
			if size = head.makes(); size < 0 || size > r.limit() {
				return r.tooLarge()
			}
			if total += size; total > r.limit() {
				return r.tooLarge()
			}
		}
	}
	return nil
}

// deltaHead keeps the first bytes of a delta: two sizes, of what it starts from
// and of what it makes, seven bits a byte, lowest first.
type deltaHead struct{ b []byte }

func (h *deltaHead) Write(p []byte) (int, error) {
	const most = 20
	h.b = append(h.b, p[:min(len(p), most-len(h.b))]...)
	return len(p), nil
}

// makes is the size of what the delta makes, negative when it cannot be said.
func (h *deltaHead) makes() int64 {
	var size int64
	b := h.b
	for range 2 {
		size = 0
		for shift := 0; ; shift += 7 {
			if len(b) == 0 || shift > 56 {
				return -1
			}
			next := b[0]
			b = b[1:]
			size |= int64(next&0x7f) << shift
			if next&0x80 == 0 {
				break
			}
		}
	}
	return size
}
