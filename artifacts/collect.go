package artifacts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-ml/slipway/deployment"
)

// DigestOfObject is the digest whose bytes are kept as that object; ok is false
// for an object that somebody has named otherwise.
func DigestOfObject(name string) (d deployment.Digest, ok bool) {
	hex, ok := strings.CutPrefix(name, "sha256/")
	if !ok {
		return "", false
	}
	d, err := deployment.ParseDigest("sha256:" + hex)
	return d, err == nil
}

// Fate is what becomes of something that is kept, and why.
type Fate struct {
	Remove bool
	Why    string
}

// Judge decides about the bytes of a digest that were stored or used last at that
// time. needed are the digests that must stay, with why; what is younger than
// since may be about to be used.
func Judge(d deployment.Digest, at time.Time, needed map[deployment.Digest]string, since time.Time) Fate {
	switch why, is := needed[d]; {
	case is:
		return Fate{Why: why}
	case !at.Before(since):
		return Fate{Why: "younger than the grace time"}
	default:
		return Fate{Remove: true, Why: "no version needs it"}
	}
}

// File is a file in Store.Dir.
type File struct {
	Name   string
	Digest deployment.Digest // "": one that was never finished
	Size   int64             // bytes
	At     time.Time         // when it was made, or used last, by this machine's clock
}

const (
	filePrefix  = "sha256-"
	fetchPrefix = ".fetch-"
	asidePrefix = ".gone-" // what is about to be removed
)

// Files are those in Dir that are of a Store.
func (s *Store) Files() (files []File, err error) {
	entries, err := os.ReadDir(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list artifacts: %w", err)
	}
	for _, entry := range entries {
		file := File{Name: entry.Name()}
		hex, kept := strings.CutPrefix(file.Name, filePrefix)
		if kept {
			file.Digest, err = deployment.ParseDigest("sha256:" + hex)
			kept = err == nil
		}
		unfinished := strings.HasPrefix(file.Name, fetchPrefix) || strings.HasPrefix(file.Name, asidePrefix)
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) || !entry.Type().IsRegular() || !kept && !unfinished {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list artifacts: %w", err)
		}
		file.Size, file.At = info.Size(), info.ModTime()
		files = append(files, file)
	}
	return files, nil
}

// Forget removes a file of Files unless it was used since it was listed. A process
// that uses one says so first (Store.local), so it is put aside and looked at
// again before it is gone; whoever finds none meanwhile fetches it anew.
func (s *Store) Forget(f File) (done bool, err error) {
	path, aside := filepath.Join(s.Dir, f.Name), filepath.Join(s.Dir, asidePrefix+f.Name)
	if strings.HasPrefix(f.Name, ".") { // nobody uses it
		aside = path
	} else if err := os.Rename(path, aside); err != nil {
		return false, ignoreMissing(err)
	}
	info, err := os.Lstat(aside)
	if err != nil {
		return false, ignoreMissing(err)
	}
	used := info.ModTime().After(f.At)
	if used && aside != path {
		if err := os.Link(aside, path); err != nil && !errors.Is(err, fs.ErrExist) { // which was fetched meanwhile
			return false, fmt.Errorf("put artifact back: %w", err)
		}
	}
	if used && aside == path {
		return false, nil
	}
	if err := os.Remove(aside); err != nil {
		return false, ignoreMissing(err)
	}
	return !used, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("remove artifact: %w", err)
}

// local reports whether the file has that size and digest, and makes it as young
// as a new one before it is looked at.
func (s *Store) local(d deployment.Digest, size int64) (bool, error) {
	now := time.Now()
	_ = os.Chtimes(s.path(d), now, now) // a file of somebody else's, or none, is used as it is
	return holds(s.path(d), d, size)
}
