package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/slipway-ml/slipway/deployment"
)

// local is a repository on this machine. Its files are read and written in
// place, with git's own lock, so that a git that works there at the same time
// is not disturbed. Hooks do not run.
type local struct{ path string }

// open finds the git directory, and refuses what go-git would misread.
func (l *local) open() (store *filesystem.Storage, dir string, err error) {
	dir = l.path
	info, err := os.Stat(filepath.Join(dir, ".git"))
	switch {
	case err == nil && info.IsDir():
		dir = filepath.Join(dir, ".git")
	case err == nil:
		return nil, "", invalid("is a work tree whose repository is elsewhere: expected the path of the repository")
	}
	for _, name := range []string{"HEAD", "objects", "refs"} {
		_, err := os.Stat(filepath.Join(dir, name))
		switch {
		case errors.Is(err, fs.ErrPermission):
			return nil, "", deployment.Reject(CodeRepositoryForbidden, atURL, "the repository may not be read")
		case errors.Is(err, fs.ErrNotExist) && name == "HEAD":
			return nil, "", transport.ErrRepositoryNotFound
		case err != nil:
			return nil, "", invalid("has no %s", name)
		}
	}
	store = openStore(dir)
	cfg, err := store.Config()
	if err != nil {
		return nil, "", errors.Join(invalid("has a config that cannot be read"), store.Close())
	}
	if extensions := cfg.Raw.Section("extensions"); !strings.EqualFold(extensions.Option("objectformat"), "sha256") && extensions.Option("refstorage") == "" {
		return store, dir, nil
	}
	return nil, "", errors.Join(invalid("is of a format that is not supported: expected sha1 and refs in files"), store.Close())
}

func invalid(format string, args ...any) error {
	return deployment.Reject(CodeInvalidRepository, atURL, "what is at the path "+format, args...)
}

func (l *local) fetch(_ context.Context, pick func(refs) (plumbing.Hash, error), _ uint64) (*objects, plumbing.Hash, error) {
	store, dir, err := l.open()
	if err != nil {
		return nil, plumbing.ZeroHash, err
	}
	want, err := l.pick(store, dir, pick)
	if err != nil {
		return nil, want, errors.Join(err, store.Close())
	}
	return newObjects(store, store.Close), want, nil
}

func (l *local) pick(store *filesystem.Storage, dir string, pick func(refs) (plumbing.Hash, error)) (plumbing.Hash, error) {
	known := refs{byName: map[plumbing.ReferenceName]plumbing.Hash{}}
	names, err := refNames(dir)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	for _, name := range names {
		ref, err := store.Reference(name)
		switch {
		case errors.Is(err, plumbing.ErrReferenceNotFound): // removed since
		case err != nil:
			return plumbing.ZeroHash, fmt.Errorf("read %s: %w", name, err)
		case ref.Type() == plumbing.HashReference:
			known.byName[name] = ref.Hash()
		case name == plumbing.HEAD:
			known.head = ref.Target().Short()
		}
	}
	if len(known.tips()) == 0 {
		return plumbing.ZeroHash, transport.ErrEmptyRemoteRepository
	}
	return pick(known)
}

// refNames are the names of HEAD and all branches and tags. go-git lists the
// locks of who is moving a branch as if they were branches.
func refNames(dir string) ([]plumbing.ReferenceName, error) {
	names := []plumbing.ReferenceName{plumbing.HEAD}
	for _, below := range []string{branchPrefix, tagPrefix} {
		root := filepath.Join(dir, filepath.FromSlash(below))
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || entry.IsDir() || strings.HasSuffix(path, ".lock") {
				return err
			}
			name, err := filepath.Rel(dir, path)
			names = append(names, plumbing.ReferenceName(filepath.ToSlash(name)))
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	packed, err := os.ReadFile(filepath.Join(dir, "packed-refs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for line := range strings.Lines(string(packed)) {
		_, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(name, branchPrefix) || strings.HasPrefix(name, tagPrefix) {
			names = append(names, plumbing.ReferenceName(name))
		}
	}
	return names, nil
}

func (l *local) push(_ context.Context, branch string, old, commit plumbing.Hash, added *memory) (err error) {
	store, dir, err := l.open()
	if err != nil {
		return err
	}
	defer store.Close()
	name := plumbing.NewBranchReferenceName(branch)
	if err := notCheckedOut(store, name); err != nil {
		return err
	}
	for _, hash := range added.added {
		if err := l.keep(store, dir, added, hash); err != nil {
			return denied(err)
		}
	}
	file := filepath.Join(dir, filepath.FromSlash(name.String()))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return denied(err)
	}
	lock, err := os.OpenFile(file+".lock", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return errMoved // somebody is moving it
	}
	if err != nil {
		return denied(err)
	}
	defer func() {
		_ = lock.Close()
		if err != nil {
			_ = os.Remove(lock.Name())
		}
	}()
	now, err := store.Reference(name)
	switch {
	case errors.Is(err, plumbing.ErrReferenceNotFound):
		now = plumbing.NewHashReference(name, plumbing.ZeroHash)
	case err != nil:
		return err
	case now.Type() != plumbing.HashReference:
		return deployment.Reject(CodePushRefused, atBranch, "the branch %s stands for another one", branch)
	}
	if now.Hash() != old {
		return errMoved
	}
	if _, err := fmt.Fprintln(lock, commit); err != nil {
		return err
	}
	if err := lock.Sync(); err != nil {
		return err
	}
	if err := os.Rename(lock.Name(), file); err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}

// notCheckedOut refuses what git refuses too: to move a branch under the feet of
// who has its files in a work tree.
func notCheckedOut(store *filesystem.Storage, name plumbing.ReferenceName) error {
	cfg, err := store.Config()
	if err != nil {
		return err
	}
	head, err := store.Reference(plumbing.HEAD)
	if err != nil {
		return err
	}
	if !cfg.Core.IsBare && head.Type() == plumbing.SymbolicReference && head.Target() == name {
		return deployment.Reject(CodePushRefused, atBranch, "the branch %s is checked out there: expected a bare repository, or another branch", name.Short())
	}
	return nil
}

// keep stores an object so that it outlives a power cut.
func (l *local) keep(store *filesystem.Storage, dir string, added *memory, hash plumbing.Hash) error {
	object, err := added.store.EncodedObject(plumbing.AnyObject, hash)
	if err != nil {
		return err
	}
	if store.HasEncodedObject(hash) == nil {
		return nil
	}
	if _, err := store.SetEncodedObject(object); err != nil {
		return err
	}
	folder := filepath.Join(dir, "objects", hash.String()[:2])
	file, err := os.Open(filepath.Join(folder, hash.String()[2:]))
	if err != nil {
		return err
	}
	defer file.Close()
	if err := file.Sync(); err != nil {
		return err
	}
	return syncDir(folder)
}

func denied(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return deployment.Reject(CodePushRefused, atBranch, "the repository may not be written")
	}
	return err
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
