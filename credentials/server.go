package credentials

import (
	"context"
	"encoding/base64"
	"net"
	"net/url"
	"strings"

	"github.com/slipway-ml/slipway/deployment"
)

// Authorization is what a request to an http server carries as its Authorization:
// Basic for a user and password, Bearer for a token. It is refused when the
// secret is for another server, or when anybody could read it on the way: over
// plain http it is sent to this machine, and to the server that the secret itself
// names with http://. Errors are those of Find.
func (f *Finder) Authorization(ctx context.Context, id string, to *url.URL) (string, error) {
	s, err := f.Find(ctx, id)
	if err != nil {
		return "", err
	}
	switch {
	case s.Password == "":
		return "", invalid(id, "expected a user and password, or a token, for an http server")
	case !s.Fits(to.String()):
		return "", notFor(id)
	case to.Scheme != "https" && !strings.HasPrefix(s.Host, "http://") && !isLoopback(to.Hostname()):
		return "", invalid(id, "they are not sent over plain http: expected an https url, or credentials whose host begins with http://")
	case s.User != "":
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(s.User+":"+s.Password)), nil
	}
	return "Bearer " + s.Password, nil
}

// For is Find of a secret that may be sent to the server of a url, or of what git
// takes as one: user@host:path.
func (f *Finder) For(ctx context.Context, id, to string) (Secret, error) {
	s, err := f.Find(ctx, id)
	if err == nil && !s.Fits(to) {
		err = notFor(id)
	}
	return s, err
}

func notFor(id string) error {
	return deployment.Reject(deployment.CodeCredentialsInvalid, atID, "credentials %q: they are for another server, which their host names", id)
}

// Fits reports whether the secret may be sent to the server of a url, or of
// user@host:path.
func (s Secret) Fits(to string) bool {
	if s.Host == "" {
		return true
	}
	scheme, own, named := strings.Cut(s.Host, "://")
	if !named {
		scheme, own = "", s.Host
	}
	at, err := url.Parse(to)
	if err != nil || at.Host == "" {
		_, rest, isSSH := strings.Cut(to, "@")
		host, _, hasPath := strings.Cut(rest, ":")
		if !isSSH || !hasPath {
			return false
		}
		at = &url.URL{Scheme: "ssh", Host: host}
	}
	host, port := (&url.URL{Host: own}).Hostname(), (&url.URL{Host: own}).Port()
	if named && port == "" {
		port = ports[scheme]
	}
	have := at.Port()
	if have == "" {
		have = ports[at.Scheme]
	}
	return strings.EqualFold(host, at.Hostname()) && (port == "" || port == have) && (!named || scheme == at.Scheme)
}

// ports are those of schemes, where a url names none.
var ports = map[string]string{"http": "80", "https": "443", "ssh": "22"}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
