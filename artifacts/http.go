package artifacts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/slipway-ml/slipway/deployment"
)

const (
	connectTimeout = 10 * time.Second
	headerTimeout  = 30 * time.Second
	stallTimeout   = time.Minute // without a single byte of the body
	maxRedirects   = 5
)

// http is the source behind an http or https url. A fetch has no deadline of
// its own beyond that of its context, but a server that falls silent is left.
func (s *Store) http(u *url.URL) source {
	s.once.Do(func() { s.client = withRedirectRules(s.HTTP) })
	return source{name: redact(u), open: func(ctx context.Context) (io.ReadCloser, int64, error) {
		return get(ctx, s.client, u, stallTimeout)
	}}
}

// withRedirectRules is a copy of the client, or of a sensible default for nil,
// that follows a few redirects and only to http and https.
func withRedirectRules(client *http.Client) *http.Client {
	if client == nil {
		dialer := &net.Dialer{Timeout: connectTimeout}
		client = &http.Client{Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           dialer.DialContext,
			TLSHandshakeTimeout:   connectTimeout,
			ResponseHeaderTimeout: headerTimeout,
			IdleConnTimeout:       time.Minute,
			ForceAttemptHTTP2:     true,
		}}
	}
	c := *client
	c.CheckRedirect = func(next *http.Request, via []*http.Request) error {
		if next.URL.Scheme != "http" && next.URL.Scheme != "https" {
			return deployment.Reject(deployment.CodeURLInvalid, atURL, "url redirects to the scheme %q: expected http or https", next.URL.Scheme)
		}
		if len(via) > maxRedirects {
			return deployment.Reject(deployment.CodeURLInvalid, atURL, "url redirects more than %d times", maxRedirects)
		}
		return nil
	}
	return &c
}

// get asks for the url and returns the body of a 200 answer. The body fails
// when it is silent for as long as stall.
func get(ctx context.Context, client *http.Client, u *url.URL, stall time.Duration) (io.ReadCloser, int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		cancel(nil)
		return nil, 0, errors.New("request cannot be made")
	}
	request.Header.Set("Accept-Encoding", "identity") // the digest is that of the bytes as they are
	response, err := client.Do(request)
	if err != nil {
		cancel(nil)
		if urlError, ok := errors.AsType[*url.Error](err); ok {
			err = urlError.Err // without the url, which after a redirect may hold a signature
		}
		return nil, 0, err
	}
	if err := checkStatus(response); err != nil {
		_ = response.Body.Close()
		cancel(nil)
		return nil, 0, err
	}
	silent := fmt.Errorf("no bytes for %v", stall)
	b := &body{
		body: response.Body, ctx: ctx, cancel: cancel, stall: stall,
		timer: time.AfterFunc(stall, func() { cancel(silent) }),
		// Without a length or chunks the end of the body is the end of the
		// connection, and nothing tells a complete body from a cut one.
		unframed: response.ProtoMajor == 1 && response.ContentLength < 0 && len(response.TransferEncoding) == 0,
	}
	return b, response.ContentLength, nil
}

// checkStatus takes what a missing or protected file is answered with as a
// fault of the request, everything else but 200 as trouble that may pass.
func checkStatus(response *http.Response) error {
	switch response.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusNotFound, http.StatusGone:
		return deployment.Reject(deployment.CodeArtifactNotFound, atURL, "server answered %d: the artifact is not there", response.StatusCode)
	case http.StatusUnauthorized, http.StatusForbidden:
		return deployment.Reject(deployment.CodeArtifactForbidden, atURL, "server answered %d: the artifact may not be fetched", response.StatusCode)
	default:
		return fmt.Errorf("server answered %d", response.StatusCode)
	}
}

// body is the body of an answer that must keep coming.
type body struct {
	body     io.ReadCloser
	ctx      context.Context // of the request
	cancel   context.CancelCauseFunc
	timer    *time.Timer
	stall    time.Duration
	unframed bool
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.timer.Reset(b.stall)
	if err != nil && !errors.Is(err, io.EOF) {
		err = cmp.Or(context.Cause(b.ctx), err)
	}
	return n, err
}

// Close ends the request, also in the middle of the body.
func (b *body) Close() error {
	b.timer.Stop()
	b.cancel(nil)
	return b.body.Close()
}

// endUnknown reports whether the end of body may be a cut connection.
func endUnknown(r io.Reader) bool {
	b, ok := r.(*body)
	return ok && b.unframed
}
