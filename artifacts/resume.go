package artifacts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/slipway-ml/slipway/outbound"
)

// ErrChanged is why the rest of something cannot be had: it is not any more what
// its beginning was of.
var ErrChanged = errors.New("it has changed while it was fetched")

// errOnce is why a source cannot be resumed: it does not say which version it
// gives, or what it gives is not from a server.
var errOnce = errors.New("cannot be resumed")

const (
	maxResumes  = 5                      // one after the other that bring no byte
	resumePause = 100 * time.Millisecond // before the second of them; longer before each that follows
	maxBegins   = 3                      // of something that changes while it is fetched
)

// resuming is the body of a source that goes on where a connection broke off, for
// as long as each of a few new ones brings something.
type resuming struct {
	io.ReadCloser // what comes now

	ctx   context.Context
	from  source
	first *outbound.Body // says which version it is
	size  int64          // of all, -1 if that is not known
	done  int64          // bytes
	tries int            // since the last byte
	cut   error          // why ReadCloser has ended too early
}

// begin is open with a body that is resumed if the source can do that.
func (from source) begin(ctx context.Context) (body io.ReadCloser, size int64, err error) {
	body, size, err = from.open(ctx)
	first, ok := body.(*outbound.Body)
	if err != nil || !ok || from.resume == nil {
		return body, size, err
	}
	return &resuming{ReadCloser: body, ctx: ctx, from: from, first: first, size: size}, size, nil
}

// Read implements io.Reader.
func (r *resuming) Read(p []byte) (n int, err error) {
	if r.cut != nil {
		if err := r.again(); err != nil {
			return 0, err
		}
	}
	n, err = r.ReadCloser.Read(p)
	r.done += int64(n)
	if n > 0 {
		r.tries = 0
	}
	switch short := r.size >= 0 && r.done < r.size; {
	case err == nil || errors.Is(err, io.EOF) && !short:
		return n, err
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	r.cut = err
	return n, nil
}

// again goes on behind the last byte.
func (r *resuming) again() error {
	for {
		if r.tries++; r.tries > maxResumes || r.ctx.Err() != nil {
			return r.cut
		}
		if r.tries > 1 {
			timer := time.NewTimer(resumePause << (r.tries - 2))
			select {
			case <-timer.C:
			case <-r.ctx.Done():
				timer.Stop()
				return r.cut
			}
		}
		body, err := r.from.resume(r.ctx, r.first, r.done)
		switch {
		case errors.Is(err, errOnce):
			return r.cut
		case errors.Is(err, ErrChanged) || err != nil && rejected(err):
			return err
		case err != nil:
			r.cut = err
			continue
		}
		total, err := rest(body, r.done)
		if err != nil || r.size >= 0 && total >= 0 && total != r.size {
			_ = body.Close()
			return ErrChanged
		}
		_ = r.Close()
		r.ReadCloser, r.cut, r.size = body, nil, max(r.size, total)
		return nil
	}
}

// rest checks that an answer is the rest from an offset on, and returns how many
// bytes there are in all, -1 if the server does not say.
func rest(body *outbound.Body, from int64) (total int64, err error) {
	var first, last int64
	text := body.Header.Get("Content-Range")
	if _, err := fmt.Sscanf(text, "bytes %d-%d/%d", &first, &last, &total); err != nil {
		total = -1
		if _, err := fmt.Sscanf(text, "bytes %d-%d/*", &first, &last); err != nil {
			return 0, errOnce
		}
	}
	if first != from || last < first || total >= 0 && last != total-1 {
		return 0, errOnce
	}
	return total, nil
}

// restarting calls fetch again when what it fetches has changed meanwhile: what
// was fetched before is of no use then.
func restarting[T any](fetch func() (T, error)) (out T, err error) {
	for range maxBegins {
		if out, err = fetch(); !errors.Is(err, ErrChanged) {
			break
		}
	}
	return out, err
}
