package credentials_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway/credentials"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/jetstream/jetstreamtest"
)

const planted = "pl4nted"

// mounted makes a directory of secrets as an orchestrator mounts them.
func mounted(tb testing.TB, files map[string]string) string {
	tb.Helper()
	dir := tb.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

func TestFind(t *testing.T) {
	t.Parallel()
	f := &credentials.Finder{
		Environment: map[string]string{
			"SLIPWAY_CREDENTIAL_TOKEN":     planted,
			"SLIPWAY_CREDENTIAL_GIT_HUB_1": `{"user":"ann","password":"` + planted + `"}`,
			"SLIPWAY_CREDENTIAL_BOTH":      "from the environment",
		},
		Dir: mounted(t, map[string]string{
			"both": "from a file", "plain": planted + "\n", "object": `{"token":"` + planted + `"}`,
			"key":                "-----BEGIN OPENSSH PRIVATE KEY-----\n" + planted + "\n-----END OPENSSH PRIVATE KEY-----\n",
			"basic/username":     "ann\n",
			"basic/password":     planted,
			"ssh/ssh-privatekey": "a key", "ssh/passphrase": "open sesame\n",
		}),
	}
	for id, want := range map[string]string{
		"token": ` pl4nted  `, "git-hub.1": `ann pl4nted  `, "both": " from the environment  ",
		"plain": " pl4nted  ", "object": " pl4nted  ", "basic": "ann pl4nted  ", "ssh": "  a key open sesame",
		"key": "  -----BEGIN OPENSSH PRIVATE KEY-----\npl4nted\n-----END OPENSSH PRIVATE KEY-----\n ",
	} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			s, err := f.Find(t.Context(), id)
			if got := strings.Join([]string{s.User, s.Password, string(s.Key), string(s.Phrase)}, " "); err != nil || got != want {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		})
	}
}

// What is wrong with credentials is said without anything of them.
func TestFindRefuses(t *testing.T) {
	t.Parallel()
	dir := mounted(t, map[string]string{
		"empty": "\n", "broken": `{"password":"` + planted, "unknown": `{"` + planted + `":"` + planted + `"}`,
		"two": `{"password":"` + planted + `","token":"x"}`, "nothing/username": "ann",
		"large": strings.Repeat(planted, 20_000), "folder/password/deeper": planted,
	})
	outside := filepath.Join(filepath.Dir(dir), "outside")
	if err := os.WriteFile(outside, []byte(planted), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &credentials.Finder{Dir: dir}
	for id, want := range map[string]deployment.Code{
		"missing": deployment.CodeCredentialsMissing, "empty": deployment.CodeCredentialsInvalid, "broken": deployment.CodeCredentialsInvalid,
		"unknown": deployment.CodeCredentialsInvalid, "two": deployment.CodeCredentialsInvalid, "nothing": deployment.CodeCredentialsInvalid,
		"large": deployment.CodeCredentialsInvalid, "folder": deployment.CodeCredentialsInvalid,
		"../outside": deployment.CodeInvalidField, "a/b": deployment.CodeInvalidField, "a..b": deployment.CodeInvalidField, "": deployment.CodeInvalidField,
	} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			_, err := f.Find(t.Context(), id)
			rejection, ok := errors.AsType[*deployment.Rejection](err)
			if !ok || rejection.Code != want || rejection.Findings[0].Path != "source.credentialsId" {
				t.Errorf("got %v, want a rejection with the code %s", err, want)
			}
			if strings.Contains(fmt.Sprint(err), planted) || strings.Contains(fmt.Sprint(err), dir) {
				t.Errorf("got %v, which says something of the secret or where it is", err)
			}
		})
	}
}

// The environment is looked at before the directory, and that before the bucket,
// which a broker keeps. What is wrong in one is not made good by the next.
func TestOrderOfPlaces(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t)
	if err := jetstream.ProvisionCredentials(t.Context(), js, 1); err != nil {
		t.Fatal(err)
	}
	bucket, err := jetstream.OpenSecrets(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	for id, text := range map[string]string{"everywhere": "bucket", "two": "bucket", "bucket": `{"user":"ann","password":"bucket"}`, "broken": `{"` + planted, "empty": ""} {
		if err := bucket.Put(t.Context(), id, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	f := &credentials.Finder{
		Environment: map[string]string{"SLIPWAY_CREDENTIAL_EVERYWHERE": "environment"}, Bucket: bucket,
		Dir: mounted(t, map[string]string{"everywhere": "directory", "two": "directory", "wrong": "{"}),
	}
	for id, want := range map[string]string{"everywhere": "environment", "two": "directory", "bucket": "bucket"} {
		if s, err := f.Find(t.Context(), id); err != nil || s.Password != want {
			t.Errorf("%s: got %q, %v, want that of the %s", id, s.Password, err, want)
		}
	}
	if err := bucket.Put(t.Context(), "wrong", []byte("right")); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]deployment.Code{
		"wrong": deployment.CodeCredentialsInvalid, "broken": deployment.CodeCredentialsInvalid, "empty": deployment.CodeCredentialsInvalid, "none": deployment.CodeCredentialsMissing,
	} {
		_, err := f.Find(t.Context(), id)
		if r, ok := errors.AsType[*deployment.Rejection](err); !ok || r.Code != want || strings.Contains(err.Error(), planted) {
			t.Errorf("%s: got %v, want %s", id, err, want)
		}
	}
	js.Conn().Close()
	_, err = f.Find(t.Context(), "bucket")
	if _, refused := errors.AsType[*deployment.Rejection](err); err == nil || refused {
		t.Errorf("broker gone: got %v, want an error that may pass", err)
	}
}

// What is kept is read again as it was.
func TestDocument(t *testing.T) {
	t.Parallel()
	f := &credentials.Finder{Settings: []string{"AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_KEY", "GOOGLE_APPLICATION_CREDENTIALS_JSON"}}
	for text, kinds := range map[string]string{
		planted: "[token]",
		`{"user":"ann","password":"` + planted + `"}`:                       "[password]",
		`{"token":"x","host":"https://git.example.com"}`:                    "[token]",
		"-----BEGIN OPENSSH PRIVATE KEY-----\n" + planted:                   "[key]",
		`{"key":"k","passphrase":"p"}`:                                      "[key]",
		`{"type":"service_account","private_key":"x"}`:                      "[gs]",
		`{"AWS_SECRET_ACCESS_KEY":"x","AZURE_STORAGE_KEY":"x","token":"x"}`: "[token s3 azblob]",
	} {
		first, err := f.Parse("id", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		document, err := first.Document()
		if err != nil {
			t.Fatal(err)
		}
		second, err := f.Parse("id", document)
		if err != nil || !reflect.DeepEqual(first, second) || fmt.Sprint(second.Kinds()) != kinds {
			t.Errorf("%s: got %s with the kinds %v, %v, want the same with %s", text, document, second.Kinds(), err, kinds)
		}
	}
}

func TestSecretsAreHidden(t *testing.T) {
	t.Parallel()
	s := credentials.Secret{User: planted, Password: planted, Key: []byte(planted), Phrase: []byte(planted)}
	text, err := json.Marshal(map[string]any{"value": s, "pointer": &s})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("found", "secret", s, "pointer", &s)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("found", "secret", s, "pointer", &s)
	all := fmt.Sprintf("%v %+v %#v %s %q %v %#v %s %s", s, s, s, s, s, &s, &s, text, log.String())
	if strings.Contains(all, planted) || strings.Contains(all, fmt.Sprintf("%d", planted[0])+" ") {
		t.Errorf("got %s", all)
	}
}
