//go:build unix

package contract

import (
	"errors"
	"os"
	"syscall"
)

// tryLock takes the lock on an open file that only one process can have, and
// reports whether it got it. The system gives it back when the file is closed,
// however the process ends.
func tryLock(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) //nolint:gosec // a file descriptor fits
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}
