package oci

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/outbound"
)

const (
	connectTimeout = 10 * time.Second
	headerTimeout  = 30 * time.Second
	stallTimeout   = 30 * time.Second // without a single byte of an answer
	maxAnswer      = 16 << 20         // of any answer, those that the library reads included
)

// errPlain is what a registry comes to that does not encrypt.
var errPlain = reject(deployment.CodeURLNotAllowed, "registry speaks plain http, or sends on to where that is spoken, which is not allowed here: expected one that speaks https")

// watched is a transport that connects where it may.
type watched struct {
	https, http http.RoundTripper // the latter nil: not allowed
}

// transport watches what a registry that somebody has named makes us connect to:
// by redirects and by where it says that tokens are.
func (r *Registries) transport(registry name.Registry) http.RoundTripper {
	base := r.HTTP
	if base == nil {
		base = &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: connectTimeout, ResponseHeaderTimeout: headerTimeout}
	}
	guard := func(port string) http.RoundTripper {
		home := registry.RegistryStr()
		if u := (url.URL{Host: home}); u.Port() == "" {
			home += ":" + port
		}
		g := &outbound.Guard{
			Home: home, Allow: r.AllowPrivateRedirects,
			Error: reject(deployment.CodeURLNotAllowed, "registry sends on to a private address, which is not allowed here"),
		}
		return g.Transport(base)
	}
	w := &watched{https: guard("443")}
	if r.AllowHTTP {
		w.http = guard("80")
	}
	return w
}

// RoundTrip implements http.RoundTripper.
func (w *watched) RoundTrip(request *http.Request) (*http.Response, error) {
	transport := w.https
	switch {
	case request.URL.Scheme == "http" && w.http == nil:
		return nil, errPlain
	case request.URL.Scheme == "http":
		transport = w.http
	}
	response, err := transport.RoundTrip(request)
	if err == nil {
		response.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(response.Body, maxAnswer), response.Body}
	}
	return response, err
}

// login is who we are at the registry.
func (r *Registries) login(ctx context.Context, id string, registry *url.URL) (authn.AuthConfig, error) {
	if id == "" {
		return authn.AuthConfig{}, nil
	}
	if r.Credentials == nil {
		return authn.AuthConfig{}, deployment.Reject(deployment.CodeCredentialsMissing, AtCredentials, "there are no credentials %q: none are set up here", id)
	}
	header, err := r.Credentials.Authorization(ctx, id, registry)
	if wrong, ok := errors.AsType[*deployment.Rejection](err); ok {
		return authn.AuthConfig{}, deployment.Reject(wrong.Code, AtCredentials, "%s", wrong.Message)
	}
	if err != nil {
		return authn.AuthConfig{}, err
	}
	if token, ok := strings.CutPrefix(header, "Bearer "); ok {
		return authn.AuthConfig{RegistryToken: token}, nil
	}
	return authn.AuthConfig{Auth: strings.TrimPrefix(header, "Basic ")}, nil
}

// signed is a transport that sends the registry what it asks for: nothing, a user
// and a password, or a token, which it says where to get.
func signed(ctx context.Context, repository name.Repository, auth authn.AuthConfig, plain http.RoundTripper, challenge *transport.Challenge) (http.RoundTripper, error) {
	registry, who := repository.Registry, authn.Anonymous
	if auth != (authn.AuthConfig{}) {
		who = authn.FromConfig(auth)
	}
	token := &transport.Token{Token: auth.RegistryToken}
	if strings.EqualFold(challenge.Scheme, "bearer") {
		if err := realm(registry, challenge); err != nil {
			return nil, err
		}
		if token.Token == "" {
			var err error
			if token, err = transport.Exchange(ctx, registry, who, plain, []string{repository.Scope(transport.PullScope)}, challenge); err != nil {
				return nil, noToken(err)
			}
			if token.AccessToken != "" {
				token.Token = token.AccessToken
			}
		}
	}
	signed, err := transport.FromToken(registry, who, plain, challenge, token)
	if err != nil { // its text may quote what was sent
		return nil, errNoToken
	}
	return signed, nil
}

var errNoToken = errors.New("the server that gives tokens for the registry gives none")

func noToken(err error) error {
	_, answered := errors.AsType[*transport.Error](err)
	_, unreached := errors.AsType[*url.Error](err)
	if answered || unreached {
		return failed(err)
	}
	return errNoToken
}

// realm refuses what a registry says of where its tokens are, for what the
// library would refuse without a word that can be told from others.
func realm(registry name.Registry, challenge *transport.Challenge) error {
	at, err := url.Parse(challenge.Parameters["realm"])
	if err != nil || at.Host == "" || at.Scheme != "https" && (at.Scheme != "http" || !challenge.Insecure) {
		return reject(deployment.CodeURLNotAllowed, "registry names no place that gives tokens for it, or one that does not speak https: expected a registry that does")
	}
	address, err := netip.ParseAddr(at.Hostname())
	if err == nil && at.Host != registry.RegistryStr() && outbound.IsPrivate(address) {
		return reject(deployment.CodeURLNotAllowed, "registry has its tokens at a private address, which is not allowed: expected the name of a host")
	}
	return nil
}
