package outbound

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Body is an answer that must keep coming: reading it fails when it is silent for
// too long.
type Body struct {
	Status int
	Header http.Header
	Size   int64 // bytes, -1 if the server does not say

	body     io.ReadCloser
	ctx      context.Context // of the request
	cancel   context.CancelCauseFunc
	timer    *time.Timer
	stall    time.Duration
	unframed bool
}

// Do sends the request and returns its answer, whatever its status, which is left
// after as long as stall without a byte. Closing it ends the request. Errors do
// not quote the url, which may hold a signature.
func Do(client *http.Client, request *http.Request, stall time.Duration) (*Body, error) {
	ctx, cancel := context.WithCancelCause(request.Context())
	response, err := client.Do(request.WithContext(ctx)) //nolint:bodyclose // Body.Close does
	if err != nil {
		cancel(nil)
		if urlError, ok := errors.AsType[*url.Error](err); ok {
			err = urlError.Err
		}
		return nil, cmp.Or(context.Cause(request.Context()), err)
	}
	silent := fmt.Errorf("no bytes for %v", stall)
	b := &Body{
		Status: response.StatusCode, Header: response.Header, Size: response.ContentLength,
		body: response.Body, ctx: ctx, cancel: cancel, stall: stall,
		timer: time.AfterFunc(stall, func() { cancel(silent) }),
		// Without a length or chunks the end of the body is the end of the
		// connection, and nothing tells a complete body from a cut one.
		unframed: response.ProtoMajor == 1 && response.ContentLength < 0 && len(response.TransferEncoding) == 0,
	}
	return b, nil
}

// EndUnknown reports whether the end of the body may be a cut connection.
func (b *Body) EndUnknown() bool { return b.unframed }

// Read implements io.Reader.
func (b *Body) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.timer.Reset(b.stall)
	if err != nil && !errors.Is(err, io.EOF) {
		err = cmp.Or(context.Cause(b.ctx), err)
	}
	return n, err
}

// Close ends the request, also in the middle of the body.
func (b *Body) Close() error {
	b.timer.Stop()
	b.cancel(nil)
	return b.body.Close()
}
