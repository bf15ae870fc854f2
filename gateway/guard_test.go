package gateway_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway/gateway"
)

const secret = "a-token-of-some-length"

func TestToken(t *testing.T) {
	t.Parallel()
	b := start(t, func(s *gateway.Server) { s.Token = secret })
	for _, path := range []string{"/objects/model", "/nothing"} {
		for name, headers := range map[string][]string{
			"no token":       nil,
			"another token":  {"Authorization", "Bearer a-token-of-no-length"},
			"half of it":     {"Authorization", "Bearer a-token"},
			"another scheme": {"Authorization", "Basic " + secret},
			"none at all":    {"Authorization", "Bearer "},
		} {
			got := b.ask(t, "PUT", path, []byte("model"), headers...)
			got.refused(t, http.StatusUnauthorized, "Authorization", "expected the token of this gateway")
			if got.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s: got %v", name, got.header)
			}
		}
	}
	b.holds(t, "model", "")
	got := b.ask(t, "PUT", "/objects/model", []byte("model"), "Authorization", "Bearer "+secret, "Host", "gateway.example.com")
	if got.status != http.StatusCreated {
		t.Errorf("with the token: got %d %s", got.status, got.body)
	}
	if got := b.ask(t, "GET", "/healthz", nil); got.status != http.StatusOK {
		t.Errorf("health needs no token: got %d", got.status)
	}
	if strings.Contains(b.log.String(), secret) || strings.Contains(b.log.String(), "a-token") {
		t.Errorf("the log has the token: %s", b.log)
	}
}

// Without a token, a name that leads here is not enough: browsers are made to ask by it.
func TestHostWithoutToken(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	for host, want := range map[string]int{
		"localhost": 404, "localhost:8082": 404, "127.0.0.1": 404, "127.8.8.8:1": 404, "[::1]:8082": 404, "[::1]": 404,
		"example.com": 403, "localhost.example.com": 403, "10.0.0.1:8082": 403, "127.0.0.1.example.com": 403,
	} {
		if got := b.ask(t, "HEAD", "/objects/nothing", nil, "Host", host); got.status != want {
			t.Errorf("%s: got %d, want %d", host, got.status, want)
		}
	}
}

func TestReadToken(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		mode os.FileMode
		says string // "": it is read
	}{
		"fine":             {secret + "\n", 0o600, ""},
		"to read only":     {secret, 0o400, ""},
		"for a group":      {secret, 0o440, ""},
		"for all":          {secret, 0o644, "expected a file that nobody but its owner"},
		"written by group": {secret, 0o660, "expected a file that nobody but its owner"},
		"short":            {"short", 0o600, "expected one token of 16 or more"},
		"empty":            {"", 0o600, "expected one token of 16 or more"},
		"two lines":        {secret + "\n" + secret, 0o600, "expected one token of 16 or more"},
		"not printable":    {secret + "\x00", 0o600, "expected one token of 16 or more"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "token")
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, test.mode); err != nil {
				t.Fatal(err)
			}
			got, err := gateway.ReadToken(path)
			switch {
			case test.says == "" && (err != nil || got != secret):
				t.Errorf("got %q %v", got, err)
			case test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), path)):
				t.Errorf("got %q %v, want it to say %q", got, err, test.says)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Error("the error has the token")
			}
		})
	}
	if _, err := gateway.ReadToken(t.TempDir()); err == nil {
		t.Error("a directory is read as a token")
	}
}
