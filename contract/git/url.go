package git

import (
	"net"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/deployment"
)

// address is where a repository is.
type address struct {
	scheme string // https, http, ssh or file
	user   string // for ssh
	host   string // with port, for all but file
	path   string // as the server is to be told, escaped for http
}

// scpLike is how git takes user@host:path.
var scpLike = regexp.MustCompile(`^([A-Za-z0-9._-]+)@([A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\]):([^/].*)$`)

var userName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// parse reads the url of a repository. It refuses what is not allowed and what
// carries a secret, without quoting it.
func (r *Repositories) parse(text string) (address, error) {
	invalid := func(format string, args ...any) (address, error) {
		return address{}, deployment.Reject(deployment.CodeURLInvalid, atURL, format, args...)
	}
	if filepath.IsAbs(text) {
		return r.parsePath(text)
	}
	if m := scpLike.FindStringSubmatch(text); m != nil {
		return address{scheme: "ssh", user: m[1], host: net.JoinHostPort(strings.Trim(m[2], "[]"), "22"), path: m[3]}, nil
	}
	if u, err := url.Parse(text); err == nil && u.Scheme == "ssh" {
		_, secret := u.User.Password()
		switch {
		case secret:
			return invalid("url carries a password: expected ssh://user@host/path, and a key named by the id of its credentials")
		case !userName.MatchString(u.User.Username()):
			return invalid("ssh url names no user: expected ssh://user@host/path")
		case u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "-") || len(u.Path) < 2 || u.RawQuery != "" || u.Fragment != "":
			return invalid("url names no repository: expected ssh://user@host/path")
		}
		return address{scheme: "ssh", user: u.User.Username(), host: hostPort(u, "22"), path: u.Path}, nil
	}
	u, err := contract.ParseURL(text, "https", "http", "ssh", "file")
	switch {
	case err != nil:
		return invalid("%s", err)
	case u.RawQuery != "" || u.Fragment != "":
		return invalid("url has a query or fragment: expected %s://host/path", u.Scheme)
	case u.Scheme == "file":
		if u.Host != "" && u.Host != "localhost" {
			return invalid("file url names the host %q: expected file:///path", u.Host)
		}
		return r.parsePath(u.Path)
	case u.Hostname() == "" || path.Clean("/"+u.Path) == "/":
		return invalid("url names no repository: expected %s://host/path", u.Scheme)
	case u.Scheme == "http" && !r.AllowHTTP:
		return address{}, deployment.Reject(deployment.CodeURLNotAllowed, atURL, "plain http is not allowed here: use https")
	case u.Scheme == "http":
		return address{scheme: "http", host: hostPort(u, "80"), path: u.EscapedPath()}, nil
	default:
		return address{scheme: "https", host: hostPort(u, "443"), path: u.EscapedPath()}, nil
	}
}

func (r *Repositories) parsePath(name string) (address, error) {
	if !r.AllowLocal {
		return address{}, deployment.Reject(deployment.CodeURLNotAllowed, atURL, "repositories on this machine are not allowed here: use https or ssh")
	}
	if !filepath.IsAbs(name) || strings.ContainsRune(name, 0) {
		return address{}, deployment.Reject(deployment.CodeURLInvalid, atURL, "expected the absolute path of a repository")
	}
	return address{scheme: "file", path: filepath.Clean(name)}, nil
}

func hostPort(u *url.URL, standard string) string {
	port := u.Port()
	if port == "" {
		port = standard
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// key is the same for all spellings of one address.
func (a address) key() string {
	return a.scheme + " " + a.host + " " + strings.TrimSuffix(path.Clean("/"+a.path), ".git")
}

// redact is how messages name a url that may hold anything.
func redact(text string) string {
	if m := scpLike.FindStringSubmatch(text); m != nil {
		return m[2] + ":" + m[3]
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "repository"
	case u.Scheme == "" && u.Host == "":
		return u.Path
	}
	return u.Scheme + "://" + u.Host + u.EscapedPath()
}
