package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/outbound"
)

const (
	connectTimeout = 10 * time.Second
	headerTimeout  = time.Minute
	stallTimeout   = time.Minute // without a single byte of an answer
	maxRefsBytes   = 64 << 20    // of the list of branches and tags
	maxPageBytes   = 64 << 10    // of an answer that is an error
)

// http is the repository behind an http or https url. go-git follows redirects
// of the first request only, never to plain http, and sends no credentials to
// another origin.
func (r *Repositories) http(at address, c Credentials) *wire {
	client := githttp.NewClient(&http.Client{Transport: &bounded{next: r.transport(at.host), max: r.limit() + maxRefsBytes}})
	endpoint := func() *transport.Endpoint { // a session changes its own
		host, port, _ := net.SplitHostPort(at.host)
		number, _ := strconv.Atoi(port)
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		return &transport.Endpoint{Protocol: at.scheme, Host: host, Port: number, Path: at.path}
	}
	var auth transport.AuthMethod
	if c.Secret != "" {
		user := c.User
		if user == "" { // servers that take a token as password ignore the user, but want one
			user = "git"
		}
		auth = &githttp.BasicAuth{Username: user, Password: c.Secret}
	}
	return &wire{
		repositories: r,
		fetching: func(context.Context) (transport.UploadPackSession, error) {
			return client.NewUploadPackSession(endpoint(), auth)
		},
		pushing: func(context.Context) (transport.ReceivePackSession, error) {
			return client.NewReceivePackSession(endpoint(), auth)
		},
	}
}

// transport is Transport, or one with sensible limits for nil, that follows redirects
// to private addresses only when that is allowed.
func (r *Repositories) transport(home string) *http.Transport {
	base := r.Transport
	if base == nil {
		base = &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			TLSHandshakeTimeout:   connectTimeout,
			ResponseHeaderTimeout: headerTimeout,
		}
	}
	guard := &outbound.Guard{
		Home: home, Allow: r.AllowPrivateRedirects,
		Error: deployment.Reject(deployment.CodeURLNotAllowed, atURL, "the server redirects to a private address, which is not allowed here"),
	}
	return guard.Transport(base)
}

// bounded ends answers that are too long, and those that stop coming.
type bounded struct {
	next http.RoundTripper
	max  int64 // bytes of one answer
}

// RoundTrip implements http.RoundTripper.
func (b *bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(request.Context())
	response, err := b.next.RoundTrip(request.WithContext(ctx))
	if err != nil {
		cancel(nil)
		return nil, err
	}
	most := b.max
	switch {
	case response.StatusCode < 200 || response.StatusCode > 299:
		response.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(response.Body, maxPageBytes), response.Body}
	case strings.HasSuffix(request.URL.Path, "/info/refs"):
		most = maxRefsBytes
	}
	silent := fmt.Errorf("no bytes for %v", stallTimeout)
	response.Body = &answer{
		body: response.Body, left: most, ctx: ctx, cancel: cancel,
		timer: time.AfterFunc(stallTimeout, func() { cancel(silent) }),
	}
	return response, nil
}

type answer struct {
	body   io.ReadCloser
	left   int64
	ctx    context.Context // of the request
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

func (a *answer) Read(p []byte) (int, error) {
	n, err := a.body.Read(p)
	a.timer.Reset(stallTimeout)
	if a.left -= int64(n); a.left < 0 {
		return 0, deployment.Reject(CodeRepositoryTooLarge, atURL, "the server answers with more bytes than are allowed for one revision")
	}
	switch {
	case errors.Is(err, io.EOF): // go-git does not close what it has read to the end
		a.timer.Stop()
		a.cancel(nil)
	case err != nil && context.Cause(a.ctx) != nil:
		err = context.Cause(a.ctx)
	}
	return n, err
}

// Close ends the request, also in the middle of the answer.
func (a *answer) Close() error {
	a.timer.Stop()
	a.cancel(nil)
	return a.body.Close()
}
