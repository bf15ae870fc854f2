package artifacts

import (
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/slipway-ml/slipway/deployment"
)

func TestPinRefusesWrongDeclarations(t *testing.T) {
	t.Parallel()
	good := deployment.Artifact{URL: "http://models.example/m", Digest: digest(nil), Size: 10}
	for _, test := range []struct {
		name   string
		change func(a *deployment.Artifact)
		code   deployment.Code
		path   string
		says   []string
	}{
		{"relative url", func(a *deployment.Artifact) { a.URL = "models/m.ubj" }, deployment.CodeURLInvalid, "model.artifact.url", []string{"relative"}},
		{"other scheme", func(a *deployment.Artifact) { a.URL = "ftp://models.example/m" }, deployment.CodeURLInvalid, "model.artifact.url", []string{`"ftp"`}},
		{"no host", func(a *deployment.Artifact) { a.URL = "https:///m" }, deployment.CodeURLInvalid, "model.artifact.url", []string{"no host"}},
		{"opaque", func(a *deployment.Artifact) { a.URL = "http:m" }, deployment.CodeURLInvalid, "model.artifact.url", []string{"no host"}},
		{"user", func(a *deployment.Artifact) { a.URL = "https://ann:secret@models.example/m" }, deployment.CodeURLInvalid, "model.artifact.url", nil},
		{"unparsable", func(a *deployment.Artifact) { a.URL = "https://ann:se cret@models.example/%zz" }, deployment.CodeURLInvalid, "model.artifact.url", nil},
		{"signed for S3", func(a *deployment.Artifact) { a.URL = "https://b.example/m?X-Amz-Signature=secret" }, deployment.CodeURLInvalid, "model.artifact.url", []string{"X-Amz-Signature"}},
		{"signed for Azure", func(a *deployment.Artifact) { a.URL = "https://b.example/m?sv=1&sig=secret" }, deployment.CodeURLInvalid, "model.artifact.url", []string{"sig"}},
		{"token", func(a *deployment.Artifact) { a.URL = "https://b.example/m?access_token=secret" }, deployment.CodeURLInvalid, "model.artifact.url", nil},
		{"bad query", func(a *deployment.Artifact) { a.URL = "https://b.example/m?%zz=secret" }, deployment.CodeURLInvalid, "model.artifact.url", nil},
		{"file of a host", func(a *deployment.Artifact) { a.URL = "file://nas/m" }, deployment.CodeURLInvalid, "model.artifact.url", []string{`"nas"`}},
		{"relative file", func(a *deployment.Artifact) { a.URL = "file:m" }, deployment.CodeURLInvalid, "model.artifact.url", []string{"file:///path"}},
		{"neither", func(a *deployment.Artifact) { a.URL = "" }, deployment.CodeInvalidField, "model.artifact", nil},
		{"both", func(a *deployment.Artifact) { a.Object = "m" }, deployment.CodeInvalidField, "model.artifact", nil},
		{"digest", func(a *deployment.Artifact) { a.Digest = "sha256:../../m" }, deployment.CodeInvalidField, "model.artifact.digest", nil},
		{"credentials for a file", func(a *deployment.Artifact) { a.URL, a.CredentialsID = "file:///m", "team-a" }, deployment.CodeInvalidField, "model.artifact.credentialsId", []string{"expected none"}},
		{"credentials for an object", func(a *deployment.Artifact) { a.URL, a.Object, a.CredentialsID = "", "m", "team-a" }, deployment.CodeInvalidField, "model.artifact.credentialsId", []string{"expected none"}},
		{"credentials that nobody has", func(a *deployment.Artifact) { a.CredentialsID = "team-a" }, deployment.CodeCredentialsMissing, "model.artifact.credentialsId", []string{`"team-a"`}},
		{"size", func(a *deployment.Artifact) { a.Size = 0 }, deployment.CodeInvalidField, "model.artifact.size", nil},
		{"over the limit", func(a *deployment.Artifact) { a.Size = 8<<20 + 1 }, deployment.CodeArtifactTooLarge, "model.artifact.size", []string{"8388609", "8388608"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			store, o := newStore(t)
			a := good
			test.change(&a)
			_, err := store.Pin(t.Context(), a, nil)
			wantRejection(t, err, test.code, test.path, test.says...)
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("message %q leaks the credential", err)
			}
			if len(o.gets)+len(o.puts) != 0 {
				t.Errorf("got gets %v and puts %v, want none", o.gets, o.puts)
			}
		})
	}
}

func TestPinFromFile(t *testing.T) {
	t.Parallel()
	b := random(1000, 20)

	t.Run("not allowed", func(t *testing.T) {
		t.Parallel()
		store, _ := newStore(t)
		store.AllowFileURLs = false
		_, err := store.Pin(t.Context(), written(t, b), nil)
		wantRejection(t, err, deployment.CodeURLNotAllowed, "model.artifact.url")
	})
	t.Run("missing", func(t *testing.T) {
		t.Parallel()
		store, _ := newStore(t)
		a := written(t, b)
		for _, url := range []string{a.URL + ".gone", a.URL + "/below"} {
			a.URL = url
			_, err := store.Pin(t.Context(), a, nil)
			wantRejection(t, err, deployment.CodeArtifactNotFound, "model.artifact.url", ".ubj")
		}
	})
	t.Run("directory", func(t *testing.T) {
		t.Parallel()
		store, _ := newStore(t)
		_, err := store.Pin(t.Context(), deployment.Artifact{URL: "file://" + t.TempDir(), Digest: digest(b), Size: 1000}, nil)
		wantRejection(t, err, deployment.CodeArtifactNotFound, "model.artifact.url", "directory")
	})
	t.Run("pipe", func(t *testing.T) {
		t.Parallel()
		store, _ := newStore(t)
		path := filepath.Join(t.TempDir(), "pipe")
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := store.Pin(t.Context(), deployment.Artifact{URL: "file://" + path, Digest: digest(b), Size: 1000}, nil)
		wantRejection(t, err, deployment.CodeArtifactNotFound, "model.artifact.url", "regular")
	})
	t.Run("forbidden", func(t *testing.T) {
		t.Parallel()
		// Root may read everything, so the rule is asked directly.
		err := forbiddenFile("/models/m.ubj")
		wantRejection(t, err, deployment.CodeArtifactForbidden, "model.artifact.url", "/models/m.ubj")
		store, _ := newStore(t)
		a := written(t, b)
		u, _ := url.Parse(a.URL)
		if err := os.Chmod(u.Path, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Pin(t.Context(), a, nil); os.Geteuid() != 0 {
			wantRejection(t, err, deployment.CodeArtifactForbidden, "model.artifact.url", u.Path)
		} else if err != nil {
			t.Errorf("root could not read: %v", err)
		}
	})
	t.Run("other bytes", func(t *testing.T) {
		t.Parallel()
		store, o := newStore(t)
		a := written(t, b)
		a.Digest = digest([]byte("other"))
		_, err := store.Pin(t.Context(), a, nil)
		wantRejection(t, err, deployment.CodeDigestMismatch, "model.artifact.digest", string(digest(b)), string(a.Digest))
		wantEntries(t, store.Dir, 0)
		if len(o.puts) != 0 {
			t.Errorf("got puts %v, want none", o.puts)
		}
	})
	t.Run("other size", func(t *testing.T) {
		t.Parallel()
		store, _ := newStore(t)
		for _, size := range []int64{999, 1001} {
			a := written(t, b)
			a.Size = size
			_, err := store.Pin(t.Context(), a, nil)
			wantRejection(t, err, deployment.CodeSizeMismatch, "model.artifact.size", "1000", strconv.FormatInt(size, 10))
		}
	})
	t.Run("really over the limit", func(t *testing.T) {
		t.Parallel()
		store, _ := newStore(t)
		store.Limit = 500
		a := written(t, b)
		a.Size = 400
		_, err := store.Pin(t.Context(), a, nil)
		wantRejection(t, err, deployment.CodeArtifactTooLarge, "model.artifact.size", "1000", "500")
	})
}

func TestPinFromObject(t *testing.T) {
	t.Parallel()
	store, o := newStore(t)
	b := random(1000, 21)
	a := deployment.Artifact{Object: "given", Digest: digest(b), Size: 1000}
	_, err := store.Pin(t.Context(), a, nil)
	wantRejection(t, err, deployment.CodeArtifactNotFound, "model.artifact.object", "given")
	for _, length := range []int{999, 1001} {
		o.held["given"] = random(length, 21)
		_, err = store.Pin(t.Context(), a, nil)
		wantRejection(t, err, deployment.CodeSizeMismatch, "model.artifact.size", strconv.Itoa(length), "1000")
	}
	wantEntries(t, store.Dir, 0)
}
