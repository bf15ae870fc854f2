package artifacts

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway/credentials"
	"github.com/slipway-ml/slipway/deployment"
)

// planted is what must never be read anywhere.
const planted = "pl4nted-s3cret"

// finder has credentials of every kind.
func finder(host string) *credentials.Finder {
	return &credentials.Finder{Environment: map[string]string{
		"SLIPWAY_CREDENTIAL_BASIC":  `{"user":"ann","password":"` + planted + `"}`,
		"SLIPWAY_CREDENTIAL_TOKEN":  planted,
		"SLIPWAY_CREDENTIAL_WRONG":  "wrong-" + planted,
		"SLIPWAY_CREDENTIAL_KEY":    "-----BEGIN OPENSSH PRIVATE KEY-----\n" + planted,
		"SLIPWAY_CREDENTIAL_HERE":   `{"token":"` + planted + `","host":"` + host + `"}`,
		"SLIPWAY_CREDENTIAL_THERE":  `{"token":"` + planted + `","host":"models.example.com"}`,
		"SLIPWAY_CREDENTIAL_BROKEN": `{"token":"` + planted,
	}}
}

// guarded serves the file to who says the user and password, or the token.
func guarded(content []byte) http.HandlerFunc {
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("ann:"+planted))
	return func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != basic && got != "Bearer "+planted {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write(content)
	}
}

func TestPinWithCredentials(t *testing.T) {
	t.Parallel()
	content := random(100, 1)
	plain, secure := httptest.NewServer(guarded(content)), httptest.NewTLSServer(guarded(content))
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	for _, test := range []struct {
		id   string
		code deployment.Code // "": it is fetched
		path string
		says string
	}{
		{"basic", "", "", ""},
		{"token", "", "", ""},
		{"here", "", "", ""},
		{"", deployment.CodeArtifactForbidden, "url", "server answered 401"},
		{"wrong", deployment.CodeArtifactForbidden, "url", `server answered 401: the artifact may not be fetched with the credentials "wrong"`},
		{"none", deployment.CodeCredentialsMissing, "credentialsId", `there are no credentials "none"`},
		{"key", deployment.CodeCredentialsInvalid, "credentialsId", `credentials "key": expected a user and password, or a token`},
		{"there", deployment.CodeCredentialsInvalid, "credentialsId", `credentials "there": they are for another server`},
		{"broken", deployment.CodeCredentialsInvalid, "credentialsId", `credentials "broken": expected a JSON object`},
	} {
		for _, server := range []*httptest.Server{plain, secure} {
			u, err := url.Parse(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			store, _ := newStore(t)
			store.HTTP = server.Client().Transport.(*http.Transport)
			store.Credentials = finder(u.Host)
			_, err = store.Pin(t.Context(), deployment.Artifact{URL: server.URL + "/m", CredentialsID: test.id, Digest: digest(content), Size: 100}, nil)
			if test.code == "" {
				if err != nil {
					t.Errorf("%s of %s: got %v", test.id, u.Scheme, err)
				}
				continue
			}
			wantRejection(t, err, test.code, "model.artifact."+test.path, test.says)
			if strings.Contains(err.Error(), planted) {
				t.Errorf("%s of %s: message %q holds the secret", test.id, u.Scheme, err)
			}
			wantEntries(t, store.Dir, 0)
		}
	}
}

// Over plain http nothing is sent but where the secret itself says so.
func TestCredentialsAreNotSentInTheClear(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		host, url string
		sent      bool
	}{
		{"", "http://127.0.0.1:8080/m", true},
		{"", "http://localhost/m", true},
		{"", "https://models.example/m", true},
		{"", "http://models.example/m", false},
		{"", "http://10.0.0.1/m", false},
		{"models.example", "http://models.example/m", false},
		{"http://models.example", "http://models.example/m", true},
		{"http://models.example", "http://models.example:8080/m", false},
		{"http://models.example:8080", "http://models.example:8080/m", true},
		{"http://models.example", "https://models.example/m", false},
		{"models.example", "https://MODELS.example/m", true},
		{"models.example:8443", "https://models.example/m", false},
		{"models.example", "https://models.example.evil/m", false},
		{"models.example", "https://a.models.example/m", false},
	} {
		f := &credentials.Finder{Environment: map[string]string{"SLIPWAY_CREDENTIAL_ID": `{"token":"` + planted + `","host":"` + test.host + `"}`}}
		u, err := url.Parse(test.url)
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Authorization(t.Context(), "id", u)
		if rejection, refused := errors.AsType[*deployment.Rejection](err); (got != "") != test.sent || refused == test.sent || refused && rejection.Code != deployment.CodeCredentialsInvalid {
			t.Errorf("%s to %s: got %q, %v, want it sent: %v", test.host, test.url, got, err, test.sent)
		}
	}
}

// A redirect takes the credentials nowhere else, nor back from there.
func TestRedirectsTakeNoCredentials(t *testing.T) {
	t.Parallel()
	content := random(100, 1)
	var named *httptest.Server
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the other server was sent the credentials")
		}
		if r.URL.Path == "/back" {
			http.Redirect(w, r, named.URL+"/m", http.StatusFound)
			return
		}
		_, _ = w.Write(content)
	}))
	t.Cleanup(other.Close)
	named = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, other.URL+"/m", http.StatusFound)
		case "/there-and-back":
			http.Redirect(w, r, other.URL+"/back", http.StatusFound)
		case "/here":
			http.Redirect(w, r, "/m", http.StatusFound)
		default:
			guarded(content)(w, r)
		}
	}))
	t.Cleanup(named.Close)
	for path, want := range map[string]deployment.Code{
		"/here": "", "/away": "", "/there-and-back": deployment.CodeArtifactForbidden,
	} {
		store, _ := newStore(t)
		store.AllowPrivateRedirects, store.Credentials = true, finder("127.0.0.1")
		_, err := store.Pin(t.Context(), deployment.Artifact{URL: named.URL + path, CredentialsID: "token", Digest: digest(content), Size: 100}, nil)
		if want != "" {
			wantRejection(t, err, want, "model.artifact.url")
		} else if err != nil {
			t.Errorf("%s: got %v", path, err)
		}
	}
	store, _ := newStore(t)
	store.Credentials = finder("127.0.0.1")
	_, err := store.Pin(t.Context(), deployment.Artifact{URL: named.URL + "/away", CredentialsID: "token", Digest: digest(content), Size: 100}, nil)
	wantRejection(t, err, deployment.CodeURLNotAllowed, "model.artifact.url", "private address")
}
