package artifacts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/slipway-ml/slipway/deployment"
)

// What a url has now is kept by its digest, whatever the url has later
// (deeploy.md D27).
func TestTakeKeepsWhatIsThereNow(t *testing.T) {
	t.Parallel()
	content := random(3*chunk+7, 1)
	path := filepath.Join(t.TempDir(), "model.ubj")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(http.FileServer(http.Dir(filepath.Dir(path))))
	t.Cleanup(web.Close)
	for _, url := range []string{"file://" + path, web.URL + "/model.ubj", "objects://artifacts/churn/v1%20a.ubj"} {
		t.Run(url[:7], func(t *testing.T) {
			t.Parallel()
			s, o := newStore(t)
			o.held["churn/v1 a.ubj"] = content
			var told int64
			a, err := s.Take(t.Context(), url, "", func(done, _ int64) { told = done })
			want := deployment.Artifact{Object: ObjectName(digest(content)), Digest: digest(content), Size: int64(len(content))}
			if err != nil || a != want || told != want.Size {
				t.Fatalf("got %+v after %d bytes, %v, want %+v", a, told, err, want)
			}
			delete(o.held, "churn/v1 a.ubj")
			pinned, err := s.Pin(t.Context(), a, nil)
			if kept, readErr := os.ReadFile(pinned); err != nil || readErr != nil || !bytes.Equal(kept, content) || !bytes.Equal(o.held[a.Object], content) {
				t.Errorf("got %v, %v, want our copy of it", err, readErr)
			}
			if again, err := s.Keep(t.Context(), "again", reader(content, -1), nil); err != nil || again != want || len(o.puts) != 1 {
				t.Errorf("got %+v, %v and puts %q, want the same artifact, put once", again, err, o.puts)
			}
		})
	}
}

func reader(content []byte, size int64) func(context.Context) (io.ReadCloser, int64, error) {
	return func(context.Context) (io.ReadCloser, int64, error) {
		return io.NopCloser(bytes.NewReader(content)), size, nil
	}
}

// Nothing is left of what cannot be taken.
func TestTakeRefuses(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	for url, want := range map[string]deployment.Code{
		"file:///nowhere/model.ubj": deployment.CodeArtifactNotFound, web.URL + "/model.ubj": deployment.CodeArtifactNotFound,
		"objects://artifacts/nothing": deployment.CodeArtifactNotFound, "objects://artifacts/": deployment.CodeURLInvalid,
		"gopher://host/model": deployment.CodeURLInvalid, "https://ann:secret@host/model": deployment.CodeURLInvalid,
	} {
		t.Run(url, func(t *testing.T) {
			t.Parallel()
			s, o := newStore(t)
			_, err := s.Take(t.Context(), url, "", nil)
			wantRefusal(t, s, o, err, want)
		})
	}
	for name, test := range map[string]struct {
		content []byte
		size    int64
		want    deployment.Code
	}{
		"too large, as it says": {nil, 8<<20 + 1, deployment.CodeArtifactTooLarge},
		"too large, as it is":   {random(8<<20+1, 2), -1, deployment.CodeArtifactTooLarge},
		"empty":                 {nil, -1, deployment.CodeArtifactInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, o := newStore(t)
			_, err := s.Keep(t.Context(), name, reader(test.content, test.size), nil)
			wantRefusal(t, s, o, err, test.want)
		})
	}
}

func wantRefusal(tb testing.TB, s *Store, o *objects, err error, want deployment.Code) {
	tb.Helper()
	if r, ok := errors.AsType[*deployment.Rejection](err); !ok || r.Code != want {
		tb.Errorf("got %v, want a rejection with the code %s", err, want)
	}
	wantNothing(tb, s, o)
}

func wantNothing(tb testing.TB, s *Store, o *objects) {
	tb.Helper()
	if left, _ := filepath.Glob(filepath.Join(s.Dir, "*")); len(left) > 0 || len(o.puts) > 0 {
		tb.Errorf("got %q and puts %q, want nothing left", left, o.puts)
	}
	if left, _ := filepath.Glob(filepath.Join(s.Dir, ".*")); len(left) > 0 {
		tb.Errorf("got %q, want nothing left", left)
	}
}

// A source that dies midway, or a store that cannot be asked, may be there later.
func TestTakeMayPass(t *testing.T) {
	t.Parallel()
	cut := func(context.Context) (io.ReadCloser, int64, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(random(chunk, 3)), &broken{})), -1, nil
	}
	s, o := newStore(t)
	for name, open := range map[string]func(context.Context) (io.ReadCloser, int64, error){
		"dies": cut, "short": reader(random(10, 4), 11), "long": reader(random(12, 4), 11),
	} {
		_, err := s.Keep(t.Context(), name, open, nil)
		if _, wrong := errors.AsType[*deployment.Rejection](err); err == nil || wrong {
			t.Errorf("%s: got %v, want an error that may pass", name, err)
		}
	}
	wantNothing(t, s, o)
	o.down = errors.New("down")
	if _, err := s.Keep(t.Context(), "m", reader(random(10, 5), 10), nil); !errors.Is(err, o.down) {
		t.Errorf("got %v, want that the store is down", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(fmt.Errorf("enough"))
	if _, err := s.Keep(ctx, "m", reader(random(10, 6), 10), nil); err == nil {
		t.Error("got no error from a context that has ended")
	}
}

type broken struct{}

func (*broken) Read([]byte) (int, error) { return 0, errors.New("connection reset") }
