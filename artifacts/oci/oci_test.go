package oci_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/slipway-ml/slipway/artifacts/oci"
	"github.com/slipway-ml/slipway/credentials"
	"github.com/slipway-ml/slipway/deployment"
)

const planted = "pl4nted-s3cret"

// store is a registry in the process. What it answers can be changed on the way.
type store struct {
	http.Handler
	host string // host:port
}

// newStore starts a registry that speaks plain http. around is what stands in
// front of it; nil: nothing.
func newStore(tb testing.TB, around func(http.Handler) http.Handler) *store {
	tb.Helper()
	s := &store{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	front := s.Handler
	if around != nil {
		front = around(s.Handler)
	}
	server := httptest.NewServer(front)
	tb.Cleanup(server.Close)
	s.host = strings.TrimPrefix(server.URL, "http://")
	return s
}

// inside sends what a test writes to the registry itself, past what is in front.
func (s *store) inside(r *http.Request) (*http.Response, error) {
	answer := httptest.NewRecorder()
	copied := r.Clone(r.Context())
	if copied.Body == nil {
		copied.Body = http.NoBody
	}
	s.ServeHTTP(answer, copied)
	response := answer.Result()
	response.Request = r
	return response, nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// image is a small one for a platform such as linux/amd64.
func image(tb testing.TB, platform string) v1.Image {
	tb.Helper()
	built, err := random.Image(64, 1)
	if err != nil {
		tb.Fatal(err)
	}
	config, err := built.ConfigFile()
	if err != nil {
		tb.Fatal(err)
	}
	config.OS, config.Architecture, _ = strings.Cut(platform, "/")
	built, err = mutate.ConfigFile(built, config)
	if err != nil {
		tb.Fatal(err)
	}
	return built
}

// index holds an image for each platform; "?" is one for linux/amd64 of which the
// index does not say so.
func index(tb testing.TB, platforms ...string) v1.ImageIndex {
	tb.Helper()
	out := v1.ImageIndex(empty.Index)
	for _, platform := range platforms {
		add := mutate.IndexAddendum{Add: image(tb, strings.Replace(platform, "?", "linux/amd64", 1))}
		if platform != "?" {
			p, err := v1.ParsePlatform(platform)
			if err != nil {
				tb.Fatal(err)
			}
			add.Descriptor = v1.Descriptor{Platform: p}
		}
		out = mutate.AppendManifests(out, add)
	}
	return out
}

// push writes an image or an index and returns its digest.
func (s *store) push(tb testing.TB, repository string, what any) deployment.Digest {
	tb.Helper()
	ref, err := name.ParseReference(s.host + "/" + repository)
	if err != nil {
		tb.Fatal(err)
	}
	var hash v1.Hash
	switch what := what.(type) {
	case v1.Image:
		err = remote.Write(ref, what, remote.WithTransport(roundTripper(s.inside)))
		hash, _ = what.Digest()
	case v1.ImageIndex:
		err = remote.WriteIndex(ref, what, remote.WithTransport(roundTripper(s.inside)))
		hash, _ = what.Digest()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return deployment.Digest(hash.String())
}

func wantDigest(tb testing.TB, r *oci.Registries, name string, want deployment.Digest) {
	tb.Helper()
	got, err := r.Resolve(tb.Context(), name, "")
	if err != nil || got != want {
		tb.Errorf("%s: got %s, %v, want %s", name, got, err, want)
	}
}

// A name means the digest that it has now, of an index where there is one; what
// was had before is still what it was.
func TestResolve(t *testing.T) {
	t.Parallel()
	s := newStore(t, nil)
	r := &oci.Registries{AllowHTTP: true}
	first := s.push(t, "team/model:1", image(t, "linux/amd64"))
	wantDigest(t, r, s.host+"/team/model:1", first)
	second := s.push(t, "team/model:1", image(t, "linux/amd64")) // the tag moves
	wantDigest(t, r, s.host+"/team/model:1", second)
	wantDigest(t, r, s.host+"/team/model@"+string(first), first)
	wantDigest(t, r, s.host+"/team/model:1@"+string(first), first)
	latest := s.push(t, "alone:latest", image(t, "linux/amd64"))
	wantDigest(t, r, s.host+"/alone", latest)
	several := s.push(t, "several:1", index(t, "linux/arm64", "unknown/unknown", "linux/amd64"))
	wantDigest(t, r, s.host+"/several:1", several)
	silent := s.push(t, "silent:1", index(t, "linux/s390x", "?"))
	wantDigest(t, r, s.host+"/silent:1", silent)
	arm := &oci.Registries{AllowHTTP: true, Platform: "linux/arm64"}
	wantDigest(t, arm, s.host+"/several:1", several)
}

// Registries are asked by https.
func TestResolveByHTTPS(t *testing.T) {
	t.Parallel()
	s := newStore(t, nil)
	want := s.push(t, "model:1", image(t, "linux/amd64"))
	server := httptest.NewTLSServer(s)
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	transport := server.Client().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.RootCAs = roots
	wantDigest(t, &oci.Registries{HTTP: transport}, strings.TrimPrefix(server.URL, "https://")+"/model:1", want)
}

// known are the credentials of the tests.
var known = &credentials.Finder{Environment: map[string]string{
	"SLIPWAY_CREDENTIAL_RIGHT": `{"user":"ann","password":"` + planted + `"}`,
	"SLIPWAY_CREDENTIAL_WRONG": `{"user":"ann","password":"wr0ng-` + planted + `"}`,
	"SLIPWAY_CREDENTIAL_TOKEN": planted + "-token",
	"SLIPWAY_CREDENTIAL_OTHER": `{"token":"` + planted + `","host":"registry.example"}`,
	"SLIPWAY_CREDENTIAL_KEY":   "-----BEGIN OPENSSH PRIVATE KEY-----\n" + planted,
}}

// guarded asks for a user and a password, or for a token that they buy.
func guarded(scheme string) func(http.Handler) http.Handler {
	return func(inner http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user, password, _ := r.BasicAuth()
			right := user == "ann" && password == planted
			bearer := r.Header.Get("Authorization") == "Bearer "+planted+"-token"
			switch {
			case r.URL.Path == "/token" && right && r.URL.Query().Get("scope") == "repository:model:pull":
				_, _ = io.WriteString(w, `{"access_token":"`+planted+`-token"}`)
			case r.URL.Path == "/token":
				http.Error(w, "wrong: "+r.Header.Get("Authorization"), http.StatusUnauthorized)
			case scheme == "Basic" && right, scheme == "Bearer" && bearer:
				inner.ServeHTTP(w, r)
			case scheme == "Basic":
				w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
				http.Error(w, "no: "+r.Header.Get("Authorization"), http.StatusUnauthorized)
			default:
				w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token",service="here"`)
				http.Error(w, "no: "+r.Header.Get("Authorization"), http.StatusUnauthorized)
			}
		})
	}
}

func TestResolveWithCredentials(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"Basic", "Bearer"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			s := newStore(t, guarded(scheme))
			want := s.push(t, "model:1", image(t, "linux/amd64"))
			r := &oci.Registries{AllowHTTP: true, Credentials: known}
			ids := []string{"right"}
			if scheme == "Bearer" {
				ids = append(ids, "token")
			}
			for _, id := range ids {
				if got, err := r.Resolve(t.Context(), s.host+"/model:1", id); err != nil || got != want {
					t.Errorf("with %s: got %s, %v, want %s", id, got, err, want)
				}
			}
			for id, code := range map[string]deployment.Code{
				"": deployment.CodeImageForbidden, "wrong": deployment.CodeImageForbidden,
				"nobody": deployment.CodeCredentialsMissing, "key": deployment.CodeCredentialsInvalid, "other": deployment.CodeCredentialsInvalid,
			} {
				_, err := r.Resolve(t.Context(), s.host+"/model:1", id)
				at := oci.AtCredentials
				if code == deployment.CodeImageForbidden {
					at = oci.AtImage
				}
				wantRejection(t, err, code, at, "")
			}
			_, err := (&oci.Registries{AllowHTTP: true}).Resolve(t.Context(), s.host+"/model:1", "right")
			wantRejection(t, err, deployment.CodeCredentialsMissing, oci.AtCredentials, "none are set up here")
		})
	}
}

// Registries keep blobs elsewhere. Our credentials do not go there, and a private
// address is not where they are.
func TestRedirects(t *testing.T) {
	t.Parallel()
	var s *store
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the credentials went to another server")
		}
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(elsewhere.Close)
	s = newStore(t, func(inner http.Handler) http.Handler {
		return guarded("Basic")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/blobs/") {
				to := url.URL{Scheme: "http", Host: strings.TrimPrefix(elsewhere.URL, "http://"), Path: r.URL.Path, RawQuery: "sig=" + planted}
				http.Redirect(w, r, to.String(), http.StatusTemporaryRedirect)
				return
			}
			inner.ServeHTTP(w, r)
		}))
	})
	want := s.push(t, "model:1", image(t, "linux/amd64"))
	r := &oci.Registries{AllowHTTP: true, Credentials: known}
	_, err := r.Resolve(t.Context(), s.host+"/model:1", "right")
	wantRejection(t, err, deployment.CodeURLNotAllowed, oci.AtImage, "private address")
	r.AllowPrivateRedirects = true
	if got, err := r.Resolve(t.Context(), s.host+"/model:1", "right"); err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestPlatforms(t *testing.T) {
	t.Parallel()
	for _, good := range []string{oci.DefaultPlatform, "linux/arm64", "linux/arm/v7", "windows/amd64"} {
		if err := oci.CheckPlatform(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "linux", "linux/", "/amd64", "linux/arm/v7/x", " linux/amd64", "windows/amd64:10"} {
		if oci.CheckPlatform(bad) == nil {
			t.Errorf("platform %q is taken", bad)
		}
	}
}

// wantRejection checks the code, the place and the message, which holds no secret.
func wantRejection(tb testing.TB, err error, code deployment.Code, at, text string) {
	tb.Helper()
	r, ok := errors.AsType[*deployment.Rejection](err)
	if !ok || r.Code != code || len(r.Findings) != 1 || r.Findings[0].Path != at || !strings.Contains(r.Message, text) || strings.Contains(r.Error(), planted) {
		tb.Errorf("got %v, want a rejection %s at %s that says %q", err, code, at, text)
	}
}

// wantTransient checks that the error may pass, says the text, and holds no secret.
func wantTransient(tb testing.TB, err error, text string) {
	tb.Helper()
	_, refused := errors.AsType[*deployment.Rejection](err)
	if err == nil || refused || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), planted) {
		tb.Errorf("got %v, want an error that may pass and says %q", err, text)
	}
}

// answer is what a handler has written.
func answer(inner http.Handler, r *http.Request) (*httptest.ResponseRecorder, []byte) {
	recorded := httptest.NewRecorder()
	inner.ServeHTTP(recorded, r)
	return recorded, bytes.Clone(recorded.Body.Bytes())
}

// lyingIndex says linux/amd64 of an image for linux/arm64.
func lyingIndex(tb testing.TB) v1.ImageIndex {
	tb.Helper()
	return mutate.AppendManifests(empty.Index, mutate.IndexAddendum{
		Add: image(tb, "linux/arm64"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}},
	})
}
