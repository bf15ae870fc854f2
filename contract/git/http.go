package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/slipway-ml/slipway/deployment"
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
	g := &guard{home: at.host, allow: r.AllowPrivateRedirects, proxies: map[string]bool{}}
	client := githttp.NewClient(&http.Client{Transport: &bounded{next: g.transport(r.Transport), max: r.limit() + maxRefsBytes}})
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

// guard connects to the server that was named and to the proxies of the
// environment. Anywhere else it gets to by a redirect, and then not to private
// addresses. It looks at the address that is connected to, not at names, which
// can change what they stand for. Behind a proxy it is the proxy that connects.
type guard struct {
	home  string // host:port
	allow bool

	mu      sync.Mutex
	proxies map[string]bool
}

func (g *guard) transport(base *http.Transport) *http.Transport {
	if base == nil {
		base = &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			TLSHandshakeTimeout:   connectTimeout,
			ResponseHeaderTimeout: headerTimeout,
		}
	}
	t := base.Clone()
	t.ForceAttemptHTTP2 = true // which a DialContext of our own turns off otherwise
	t.DisableKeepAlives = false
	t.IdleConnTimeout = 5 * time.Second // this transport serves one operation
	t.DialContext = g.dial
	if base.Proxy != nil {
		t.Proxy = func(request *http.Request) (*url.URL, error) {
			proxy, err := base.Proxy(request)
			if proxy != nil {
				g.mu.Lock()
				g.proxies[proxy.Hostname()] = true
				g.mu.Unlock()
			}
			return proxy, err
		}
	}
	return t
}

func (g *guard) dial(ctx context.Context, network, to string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: connectTimeout}
	if host, _, err := net.SplitHostPort(to); err == nil && !g.allow && !strings.EqualFold(to, g.home) && !g.isProxy(host) {
		dialer.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error { return refusePrivate(address) }
	}
	return dialer.DialContext(ctx, network, to)
}

func (g *guard) isProxy(host string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.proxies[host]
}

func refusePrivate(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || isPrivate(at.Addr().Unmap()) {
		return deployment.Reject(deployment.CodeURLNotAllowed, atURL, "the server redirects to a private address, which is not allowed here")
	}
	return nil
}

// notPublic are the networks, besides those that netip knows, in which nobody
// from outside has a server, or through which one inside can be reached.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this host
	netip.MustParsePrefix("100.64.0.0/10"),   // carriers
	netip.MustParsePrefix("192.0.0.0/24"),    // protocols
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved
	netip.MustParsePrefix("64:ff9b::/96"),    // IPv4 behind NAT64
	netip.MustParsePrefix("64:ff9b:1::/48"),  // the same, local
	netip.MustParsePrefix("2002::/16"),       // IPv4 behind 6to4
	netip.MustParsePrefix("2001::/32"),       // IPv4 behind Teredo
	netip.MustParsePrefix("fec0::/10"),       // sites
	netip.MustParsePrefix("::ffff:0:0:0/96"), // translated IPv4
	netip.MustParsePrefix("::/96"),           // IPv4-compatible
}

func isPrivate(a netip.Addr) bool {
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return true
	}
	for _, network := range notPublic {
		if network.Contains(a) {
			return true
		}
	}
	return false
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
