package artifacts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/outbound"
)

const (
	connectTimeout = 10 * time.Second
	headerTimeout  = 30 * time.Second
	stallTimeout   = time.Minute // without a single byte of the body
	maxRedirects   = 5
)

// http is the source behind an http or https url. A fetch has no deadline of
// its own beyond that of its context, but a server that falls silent is left.
// The credentials are sent to the server of the url, and to no other one.
func (s *Store) http(u *url.URL, credentialsID string) source {
	ask := func(ctx context.Context, header http.Header) (*outbound.Body, error) {
		if credentialsID == "" {
			return get(ctx, s.client(u), u, header, stallTimeout)
		}
		if s.Credentials == nil {
			return nil, deployment.Reject(deployment.CodeCredentialsMissing, atAccess, "there are no credentials %q: none are set up here", credentialsID)
		}
		authorization, err := s.Credentials.Authorization(ctx, credentialsID, u)
		if err != nil {
			return nil, atCredentials(err)
		}
		header.Set("Authorization", authorization)
		body, err := get(ctx, s.client(u), u, header, stallTimeout)
		if r, ok := errors.AsType[*deployment.Rejection](err); ok && r.Code == deployment.CodeArtifactForbidden {
			return nil, deployment.Reject(r.Code, atURL, "%s with the credentials %q", r.Message, credentialsID)
		}
		return body, err
	}
	return source{
		name: redact(u),
		open: func(ctx context.Context) (io.ReadCloser, int64, error) {
			body, err := ask(ctx, http.Header{})
			if err != nil {
				return nil, 0, err
			}
			return body, body.Size, nil
		},
		resume: func(ctx context.Context, first *outbound.Body, from int64) (*outbound.Body, error) {
			version := first.Header.Get("ETag")
			if version == "" || strings.HasPrefix(version, "W/") { // a weak one is of several that differ
				return nil, errOnce
			}
			body, err := ask(ctx, http.Header{"Range": {fmt.Sprintf("bytes=%d-", from)}, "If-Range": {version}})
			if err == nil && body.Status != http.StatusPartialContent {
				return nil, errors.Join(ErrChanged, body.Close())
			}
			return body, err
		},
	}
}

// client follows a few redirects and only to http and https. One to another
// server must not lead to a private address, unless that is allowed.
func (s *Store) client(u *url.URL) *http.Client {
	base := s.HTTP
	if base == nil {
		base = &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			TLSHandshakeTimeout:   connectTimeout,
			ResponseHeaderTimeout: headerTimeout,
		}
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	guard := &outbound.Guard{
		Home: net.JoinHostPort(u.Hostname(), port), Allow: s.AllowPrivateRedirects,
		Error: deployment.Reject(deployment.CodeURLNotAllowed, atURL, "url redirects to a private address, which is not allowed here"),
	}
	return &http.Client{Transport: guard.Transport(base), CheckRedirect: func(next *http.Request, via []*http.Request) error {
		if next.URL.Scheme != "http" && next.URL.Scheme != "https" {
			return deployment.Reject(deployment.CodeURLInvalid, atURL, "url redirects to the scheme %q: expected http or https", next.URL.Scheme)
		}
		if len(via) > maxRedirects {
			return deployment.Reject(deployment.CodeURLInvalid, atURL, "url redirects more than %d times", maxRedirects)
		}
		elsewhere := func(r *http.Request) bool { return r.URL.Scheme != u.Scheme || !strings.EqualFold(r.URL.Host, u.Host) }
		if elsewhere(next) || slices.ContainsFunc(via, elsewhere) { // who comes back was told by another one where to go
			next.Header.Del("Authorization")
		}
		return nil
	}}
}

// get asks for the url, with these headers, and returns the body of a 200 or 206
// answer. The body fails when it is silent for as long as stall.
func get(ctx context.Context, client *http.Client, u *url.URL, header http.Header, stall time.Duration) (*outbound.Body, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errors.New("request cannot be made")
	}
	request.Header = header
	request.Header.Set("Accept-Encoding", "identity") // the digest is that of the bytes as they are
	body, err := outbound.Do(client, request, stall)
	if err != nil {
		return nil, err
	}
	partial := body.Status == http.StatusPartialContent && header.Get("Range") != ""
	if err := checkStatus(body.Status); err != nil && !partial {
		_ = body.Close()
		return nil, err
	}
	return body, nil
}

// checkStatus takes what a missing or protected file is answered with as a
// fault of the request, everything else but 200 as trouble that may pass. A range
// that there is not is one of something else.
func checkStatus(status int) error {
	switch status {
	case http.StatusOK:
		return nil
	case http.StatusRequestedRangeNotSatisfiable:
		return ErrChanged
	case http.StatusNotFound, http.StatusGone:
		return deployment.Reject(deployment.CodeArtifactNotFound, atURL, "server answered %d: the artifact is not there", status)
	case http.StatusUnauthorized, http.StatusForbidden:
		return deployment.Reject(deployment.CodeArtifactForbidden, atURL, "server answered %d: the artifact may not be fetched", status)
	default:
		return fmt.Errorf("server answered %d", status)
	}
}

// endUnknown reports whether the end of body may be a cut connection.
func endUnknown(r io.Reader) bool {
	if resumed, ok := r.(*resuming); ok {
		r = resumed.ReadCloser
	}
	b, ok := r.(*outbound.Body)
	return ok && b.EndUnknown()
}
