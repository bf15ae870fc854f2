package contract

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync"
	"time"
)

// Folder keeps contracts in a directory of this machine. Nothing outside of the
// directory is read or written, wherever links in it lead. Several Folders, also
// of several processes, may share one directory. A Folder must not be copied
// after its first use.
type Folder struct {
	Dir string

	mu        sync.Mutex
	interrupt func(step string) error // for tests: what a crash does
}

// The files that a Folder keeps for itself in its directory.
const (
	lockFile    = ".slipway.lock"
	journalFile = ".slipway.write.json"
	tempPrefix  = ".slipway.new."
)

const lockPause = 10 * time.Millisecond // between two looks at a lock that another process has

// Root is the files of a Folder.
type Root struct {
	fs.FS

	root *os.Root
}

// Lstat implements fs.ReadLinkFS.
func (r *Root) Lstat(name string) (fs.FileInfo, error) { return fs.Lstat(r.FS, name) }

// ReadLink implements fs.ReadLinkFS.
func (r *Root) ReadLink(name string) (string, error) { return fs.ReadLink(r.FS, name) }

// Close gives back the directory.
func (r *Root) Close() error { return r.root.Close() }

// Open shows the directory as it is. A write that a crash has cut short is
// finished before; one that runs meanwhile may be seen in part. Read sees none.
func (f *Folder) Open(ctx context.Context) (*Root, error) {
	root, unlock, err := f.locked(ctx, false)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", f.Dir, err)
	}
	unlock()
	return &Root{root.FS(), root}, nil
}

// Read is Read on the directory, while nobody writes there.
func (f *Folder) Read(ctx context.Context, at Path) (Contract, error) {
	root, unlock, err := f.locked(ctx, false)
	if err != nil {
		return Contract{}, fmt.Errorf("read %s: %w", f.Dir, err)
	}
	defer root.Close()
	defer unlock()
	return Read(ctx, root.FS(), at)
}

// Write makes a contract in the directory say what the change wants, all of it
// or nothing: after a crash in the midst of it, whoever comes next finishes it.
// When the contract says so already, nothing is written. A change that is not
// possible is a *deployment.Rejection; every other error may pass.
func (f *Folder) Write(ctx context.Context, at Path, ch Change) (Plan, error) {
	root, unlock, err := f.locked(ctx, true)
	if err != nil {
		return Plan{}, fmt.Errorf("write %s: %w", f.Dir, err)
	}
	defer root.Close()
	defer unlock()
	plan, err := ch.Plan(ctx, root.FS(), at)
	if err != nil || plan.Empty() {
		return plan, err
	}
	if err := f.commit(root, journal{plan.Write, plan.Remove}); err != nil {
		return Plan{}, fmt.Errorf("write %s: %w", f.Dir, err)
	}
	return plan, nil
}

// locked opens the directory while nobody else writes there, and finishes what
// was begun. Who only reads may do so where no lock can be made.
func (f *Folder) locked(ctx context.Context, writing bool) (_ *os.Root, unlock func(), err error) {
	root, err := os.OpenRoot(f.Dir)
	if err != nil {
		return nil, nil, err
	}
	f.mu.Lock()
	release := f.mu.Unlock
	defer func() {
		if err != nil {
			release()
			_ = root.Close()
		}
	}()
	lock, err := root.OpenFile(lockFile, os.O_CREATE|os.O_RDWR, 0o600)
	switch {
	case err == nil:
		release = func() {
			_ = lock.Close()
			f.mu.Unlock()
		}
		if err := waitLock(ctx, lock); err != nil {
			return nil, nil, err
		}
	case writing || !errors.Is(err, fs.ErrPermission):
		return nil, nil, err
	default:
		return root, release, nil
	}
	if err := f.finish(root); err != nil {
		return nil, nil, fmt.Errorf("finish what was begun: %w", err)
	}
	return root, release, nil
}

func waitLock(ctx context.Context, lock *os.File) error {
	for {
		got, err := tryLock(lock)
		if got || err != nil {
			return err
		}
		timer := time.NewTimer(lockPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

// journal is a write that is decided. Once it is on disk the write counts as
// done, and doing it again changes nothing.
type journal struct {
	Write  []Write
	Remove []string
}

func (f *Folder) commit(root *os.Root, j journal) error {
	text, err := json.Marshal(j)
	if err != nil {
		return err
	}
	if err := f.replace(root, journalFile, text); err != nil {
		return err
	}
	return f.carryOut(root, j)
}

// finish carries out a journal that somebody has left behind.
func (f *Folder) finish(root *os.Root) error {
	text, err := root.ReadFile(journalFile)
	if errors.Is(err, fs.ErrNotExist) {
		_ = root.Remove(tempPrefix + journalFile) // one that was not decided
		return nil
	}
	if err != nil {
		return err
	}
	var j journal
	if err := json.Unmarshal(text, &j); err != nil {
		return fmt.Errorf("%s: %w", journalFile, err)
	}
	return f.carryOut(root, j)
}

func (f *Folder) carryOut(root *os.Root, j journal) error {
	for _, name := range j.Remove {
		if err := f.step("remove " + name); err != nil {
			return err
		}
		if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for dir := path.Dir(name); dir != "." && root.Remove(dir) == nil; dir = path.Dir(dir) { // folders that are empty now
			continue
		}
	}
	for _, w := range j.Write {
		if err := root.MkdirAll(path.Dir(w.Name), 0o755); err != nil {
			return err
		}
		if err := f.replace(root, w.Name, w.Content); err != nil {
			return err
		}
	}
	if err := f.step("remove the journal"); err != nil {
		return err
	}
	if err := root.Remove(journalFile); err != nil {
		return err
	}
	return syncFolder(root, ".")
}

// replace makes a file hold the content, all of it or what it held before.
func (f *Folder) replace(root *os.Root, name string, content []byte) error {
	if err := f.step("write " + name); err != nil {
		return err
	}
	dir, base := path.Split(name)
	temp := dir + tempPrefix + base // the same each time, so that a crash leaves nothing behind
	file, err := root.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(err, root.Remove(temp))
	}
	if err := f.step("rename " + name); err != nil {
		return err
	}
	if err := root.Rename(temp, name); err != nil {
		return err
	}
	for at := path.Dir(name); ; at = path.Dir(at) { // the folders may be new
		if err := syncFolder(root, at); err != nil || at == "." {
			return err
		}
	}
}

func (f *Folder) step(name string) error {
	if f.interrupt == nil {
		return nil
	}
	return f.interrupt(name)
}

// syncFolder makes what was renamed or removed in a folder outlive a power cut.
func syncFolder(root *os.Root, name string) error {
	dir, err := root.Open(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
