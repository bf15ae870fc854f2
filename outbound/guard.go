// Package outbound holds what a program must watch when a command, which
// anybody may have sent, names the server that it talks to: that a redirect does
// not lead into the private network (Guard), that a server which falls silent is
// left (Body), and that its url carries no secret (IsSecret).
package outbound

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"
)

const connectTimeout = 10 * time.Second

// Guard connects to the server that was named and to the proxies of the
// environment. Anywhere else it gets to by a redirect, and then not to private
// addresses. It looks at the address that is connected to, not at names, which
// can change what they stand for. Behind a proxy it is the proxy that connects.
// It must not be copied after its first use.
type Guard struct {
	Home  string // host:port of the server that was named
	Allow bool   // whether a redirect may lead to a private address
	Error error  // what a request fails with when it may not

	mu      sync.Mutex
	proxies map[string]bool
}

// Transport is a transport like base that connects where the guard lets it. It
// serves one operation: it keeps connections for seconds only.
func (g *Guard) Transport(base *http.Transport) *http.Transport {
	t := base.Clone()
	t.ForceAttemptHTTP2 = true // which a DialContext of our own turns off otherwise
	t.DisableKeepAlives = false
	t.IdleConnTimeout = 5 * time.Second
	t.DialContext = g.dial
	if base.Proxy != nil {
		t.Proxy = func(request *http.Request) (*url.URL, error) {
			proxy, err := base.Proxy(request)
			if proxy != nil {
				g.mu.Lock()
				if g.proxies == nil {
					g.proxies = make(map[string]bool)
				}
				g.proxies[proxy.Hostname()] = true
				g.mu.Unlock()
			}
			return proxy, err
		}
	}
	return t
}

func (g *Guard) dial(ctx context.Context, network, to string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: connectTimeout}
	if host, _, err := net.SplitHostPort(to); err == nil && !g.Allow && !strings.EqualFold(to, g.Home) && !g.isProxy(host) {
		dialer.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil || IsPrivate(at.Addr()) {
				return g.Error
			}
			return nil
		}
	}
	return dialer.DialContext(ctx, network, to)
}

func (g *Guard) isProxy(host string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.proxies[host]
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

// IsPrivate reports whether an address is one that only a part of the network
// can reach, or may stand for one.
func IsPrivate(a netip.Addr) bool {
	a = a.Unmap()
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
