package outbound_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ml/slipway/outbound"
)

func TestIsPrivate(t *testing.T) {
	t.Parallel()
	for text, private := range map[string]bool{
		"127.0.0.1": true, "10.1.2.3": true, "172.31.0.1": true, "192.168.1.1": true, "169.254.169.254": true, "100.64.0.1": true, "0.0.0.0": true,
		"224.0.0.1": true, "255.255.255.255": true, "::1": true, "::": true, "fe80::1": true, "fd00::1": true, "ff02::1": true,
		"::ffff:10.0.0.1": true, "64:ff9b::a00:1": true, "2002:a00:1::": true,
		"8.8.8.8": false, "2606:4700::1111": false, "100.128.0.1": false,
	} {
		if got := outbound.IsPrivate(netip.MustParseAddr(text)); got != private {
			t.Errorf("%s: got private %v, want %v", text, got, private)
		}
	}
}

// A named server may be private; another one that it redirects to may not.
func TestGuard(t *testing.T) {
	t.Parallel()
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("inside")) }))
	t.Cleanup(inside.Close)
	named := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, inside.URL+"/?sig=s3cret", http.StatusFound)
		case "/here":
			http.Redirect(w, r, "/", http.StatusFound)
		default:
			w.Write([]byte("named"))
		}
	}))
	t.Cleanup(named.Close)
	refused := errors.New("not there")
	for _, test := range []struct {
		path  string
		allow bool
		want  string // "": refused
	}{
		{"/", false, "named"}, {"/here", false, "named"}, {"/away", false, ""}, {"/away", true, "inside"},
	} {
		u, err := url.Parse(named.URL + test.path)
		if err != nil {
			t.Fatal(err)
		}
		guard := &outbound.Guard{Home: u.Host, Allow: test.allow, Error: refused}
		client := &http.Client{Transport: guard.Transport(&http.Transport{})}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u.String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := outbound.Do(client, request, time.Minute)
		if test.want == "" {
			if !errors.Is(err, refused) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s: got %v, want that it is refused", test.path, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(body)
		_ = body.Close()
		if string(got) != test.want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", test.path, got, err, test.want)
		}
	}
}
