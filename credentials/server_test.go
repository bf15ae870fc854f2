package credentials_test

import (
	"errors"
	"maps"
	"testing"

	"github.com/slipway-ml/slipway/credentials"
	"github.com/slipway-ml/slipway/deployment"
)

// Settings of object stores are found wherever a secret may be, and in the form
// in which their owners have them.
func TestSettings(t *testing.T) {
	t.Parallel()
	const key = `{"type":"service_account","private_key":"` + planted + `"}`
	f := &credentials.Finder{
		Settings: []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "GOOGLE_APPLICATION_CREDENTIALS_JSON"},
		Dir: mounted(t, map[string]string{
			"s3": `{"AWS_ACCESS_KEY_ID":"a","AWS_SECRET_ACCESS_KEY":"` + planted + `"}`, "s3-folder/AWS_ACCESS_KEY_ID": "a\n", "s3-folder/AWS_SECRET_ACCESS_KEY": planted + "\n",
			"gs": key + "\n", "gs-object": `{"GOOGLE_APPLICATION_CREDENTIALS_JSON":` + key + `}`, "gs-folder/GOOGLE_APPLICATION_CREDENTIALS_JSON": key,
			"unknown": `{"AZURE_STORAGE_KEY":"` + planted + `"}`, "object": `{"AWS_ACCESS_KEY_ID":{"a":1}}`, "number": `{"AWS_ACCESS_KEY_ID":1}`,
		}),
	}
	amazon := map[string]string{"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": planted}
	google := map[string]string{"GOOGLE_APPLICATION_CREDENTIALS_JSON": key}
	for id, want := range map[string]map[string]string{
		"s3": amazon, "s3-folder": amazon, "gs": google, "gs-object": google, "gs-folder": google,
	} {
		if s, err := f.Find(t.Context(), id); err != nil || !maps.Equal(s.Settings, want) {
			t.Errorf("%s: got %v, %v, want %v", id, s.Settings, err, want)
		}
	}
	for _, id := range []string{"unknown", "object", "number"} {
		_, err := f.Find(t.Context(), id)
		if r, ok := errors.AsType[*deployment.Rejection](err); !ok || r.Code != deployment.CodeCredentialsInvalid {
			t.Errorf("%s: got %v, want %s", id, err, deployment.CodeCredentialsInvalid)
		}
	}
}

// A secret that names its server is for no other one, in whatever way the
// server is named.
func TestSecretsFitTheirServer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		host, url string
		fits      bool
	}{
		{"", "anything", true},
		{"git.example.com", "https://git.example.com/models.git", true},
		{"git.example.com", "https://GIT.example.com:8443/models.git", true},
		{"git.example.com", "ssh://git@git.example.com/models.git", true},
		{"git.example.com", "git@git.example.com:models.git", true},
		{"git.example.com:22", "git@git.example.com:models.git", true},
		{"git.example.com:22", "https://git.example.com/models.git", false},
		{"git.example.com:443", "https://git.example.com/models.git", true},
		{"http://git.example.com", "http://git.example.com/models.git", true},
		{"https://git.example.com", "http://git.example.com/models.git", false},
		{"git.example.com", "git@evil.example:git.example.com", false},
		{"git.example.com", "https://git.example.com@evil.example/models.git", false},
		{"git.example.com", "https://evil.example/git.example.com", false},
		{"git.example.com", "https://evil.git.example.com/models.git", false},
		{"git.example.com", "/srv/models.git", false},
		{"git.example.com", "", false},
		{"[::1]:8080", "http://[::1]:8080/models.git", true},
	} {
		if got := (credentials.Secret{Host: test.host}).Fits(test.url); got != test.fits {
			t.Errorf("%q to %q: got %v, want %v", test.host, test.url, got, test.fits)
		}
	}
	f := &credentials.Finder{Environment: map[string]string{"SLIPWAY_CREDENTIAL_GIT": `{"token":"` + planted + `","host":"git.example.com"}`, "SLIPWAY_CREDENTIAL_BAD": `{"token":"x","host":"a/b"}`}}
	if _, err := f.For(t.Context(), "git", "https://git.example.com/m.git"); err != nil {
		t.Errorf("got %v, want it found", err)
	}
	for id, url := range map[string]string{"git": "https://evil.example/m.git", "bad": "https://a/b"} {
		_, err := f.For(t.Context(), id, url)
		if r, ok := errors.AsType[*deployment.Rejection](err); !ok || r.Code != deployment.CodeCredentialsInvalid {
			t.Errorf("%s: got %v, want %s", id, err, deployment.CodeCredentialsInvalid)
		}
	}
}
