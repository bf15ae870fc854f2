package artifacts

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/slipway-ml/slipway/deployment"
)

const chunk = 256 << 10 // bytes held at a time while an artifact is copied

// fetch makes the file of the digest from what the source gives, provided that
// it is what was declared. It needs the memory of one chunk, reads no more than
// one byte beyond the declared size, and leaves either the complete, verified
// and synced file or none.
func (s *Store) fetch(ctx context.Context, d deployment.Digest, size int64, from source, progress func(done, total int64)) error {
	_, err := restarting(func() (struct{}, error) { return struct{}{}, s.fetchOnce(ctx, d, size, from, progress) })
	if err != nil && !rejected(err) {
		err = fmt.Errorf("fetch %s: %w", from.name, err)
	}
	return err
}

func (s *Store) fetchOnce(ctx context.Context, d deployment.Digest, size int64, from source, progress func(done, total int64)) error {
	in, known, err := from.begin(ctx)
	if err != nil {
		return err
	}
	defer in.Close()
	if known >= 0 && known != size {
		return s.wrongSize(fmt.Sprint(known), known, size)
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return err
	}
	out, err := os.CreateTemp(s.Dir, fetchPrefix+"*")
	if err != nil {
		return err
	}
	defer func() {
		_ = out.Close()
		_ = os.Remove(out.Name()) // after the rename there is nothing of that name
	}()

	sum := sha256.New()
	if err := s.copy(ctx, out, sum, in, size, progress); err != nil {
		return err
	}
	if got := deployment.DigestOf(sum.Sum(nil)); got != d {
		return deployment.Reject(deployment.CodeDigestMismatch, atDigest, "artifact has the digest %s, expected %s", got, d)
	}
	if err := out.Sync(); err != nil {
		return err
	}
	if err := os.Rename(out.Name(), s.path(d)); err != nil {
		return err
	}
	return syncDir(s.Dir)
}

// copy writes exactly size bytes of in to out and sum, or says what is wrong.
func (s *Store) copy(ctx context.Context, out io.Writer, sum hash.Hash, in io.Reader, size int64, progress func(done, total int64)) error {
	buffer := make([]byte, min(chunk, size+1))
	var done int64
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n, err := in.Read(buffer[:min(int64(len(buffer)), size+1-done)])
		done += int64(n)
		if done > size {
			return s.wrongSize(fmt.Sprintf("%d or more", done), done, size)
		}
		if _, err := out.Write(buffer[:n]); err != nil {
			return err
		}
		sum.Write(buffer[:n])
		if n > 0 {
			progress(done, size)
		}
		switch {
		case errors.Is(err, io.EOF) && done == size:
			return nil
		case errors.Is(err, io.EOF) && endUnknown(in):
			return fmt.Errorf("connection ended after %d of %d bytes", done, size)
		case errors.Is(err, io.EOF):
			return s.wrongSize(fmt.Sprint(done), done, size)
		case err != nil:
			return fmt.Errorf("after %d of %d bytes: %w", done, size, err)
		}
	}
}

// rejected reports whether the error is for good.
func rejected(err error) bool {
	_, wrong := errors.AsType[*deployment.Rejection](err)
	return wrong
}

// wrongSize rejects an artifact of at least that many bytes, named got, where
// want were declared.
func (s *Store) wrongSize(got string, atLeast, want int64) error {
	if err := s.checkLimit(atLeast); err != nil {
		return err
	}
	return deployment.Reject(deployment.CodeSizeMismatch, atSize, "artifact has %s bytes, expected %d", got, want)
}

// holds reports whether the file has that size and digest. A missing file has
// neither.
func holds(path string, d deployment.Digest, size int64) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	if info.Size() != size {
		return false, nil
	}
	sum := sha256.New()
	if _, err := io.CopyBuffer(sum, struct{ io.Reader }{f}, make([]byte, min(chunk, size+1))); err != nil {
		return false, err
	}
	return deployment.DigestOf(sum.Sum(nil)) == d, nil
}

// syncDir makes a rename in the directory outlive a power cut.
func syncDir(dir string) error {
	f, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// missing reports whether a path leads nowhere, also by way of a file where a
// directory should be.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
