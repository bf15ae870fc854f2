package artifacts

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-ml/slipway/deployment"
)

// objects is an object store in memory that counts what it is asked.
type objects struct {
	mu   sync.Mutex
	held map[string][]byte
	gets []string
	puts []string
	down error // what every call returns, if set
}

func (o *objects) Get(_ context.Context, name string) (io.ReadCloser, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gets = append(o.gets, name)
	b, ok := o.held[name]
	switch {
	case o.down != nil:
		return nil, o.down
	case !ok:
		return nil, fmt.Errorf("object %s: %w", name, fs.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (o *objects) Put(_ context.Context, name string, r io.Reader) error {
	b, err := io.ReadAll(r)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.puts = append(o.puts, name)
	if o.down != nil || err != nil {
		return errors.Join(o.down, err)
	}
	o.held[name] = b
	return nil
}

func (o *objects) Renew(_ context.Context, name string) (int64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b, ok := o.held[name]
	switch {
	case o.down != nil:
		return 0, o.down
	case !ok:
		return 0, fmt.Errorf("object %s: %w", name, fs.ErrNotExist)
	}
	return int64(len(b)), nil
}

func newStore(tb testing.TB) (*Store, *objects) {
	tb.Helper()
	o := &objects{held: map[string][]byte{}}
	return &Store{Dir: filepath.Join(tb.TempDir(), "artifacts"), Objects: o, Limit: 8 << 20, AllowFileURLs: true}, o
}

// random is size bytes that differ per seed.
func random(size int, seed uint64) []byte {
	b := make([]byte, size)
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func digest(b []byte) deployment.Digest {
	sum := sha256.Sum256(b)
	return deployment.DigestOf(sum[:])
}

// written is an artifact in a file of its own.
func written(tb testing.TB, b []byte) deployment.Artifact {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "model ä.ubj")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		tb.Fatal(err)
	}
	u := url.URL{Scheme: "file", Path: path}
	return deployment.Artifact{URL: u.String(), Digest: digest(b), Size: int64(len(b))}
}

// wantFile checks that the path holds the bytes and nothing else is in its directory.
func wantFile(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("file has %d bytes with digest %s, want %d with %s", len(got), digest(got), len(want), digest(want))
	}
	wantEntries(t, filepath.Dir(path), 1)
}

func wantEntries(t *testing.T, dir string, want int) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if len(entries) != want {
		t.Errorf("directory has %v, want %d files", entries, want)
	}
}

// wantRejection checks the code, the path of the only finding and that the
// message holds each text.
func wantRejection(t *testing.T, err error, code deployment.Code, path string, texts ...string) {
	t.Helper()
	r, ok := errors.AsType[*deployment.Rejection](err)
	if !ok {
		t.Fatalf("got error %v, want a rejection with code %s", err, code)
	}
	if r.Code != code || len(r.Findings) != 1 || r.Findings[0].Path != path {
		t.Errorf("got %s with findings %v, want %s at %s", r.Code, r.Findings, code, path)
	}
	for _, text := range texts {
		if !strings.Contains(r.Error(), text) {
			t.Errorf("got message %q, want it to say %q", r.Error(), text)
		}
	}
}

// wantTransient checks that the error may pass and says each text.
func wantTransient(t *testing.T, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("got no error")
	}
	if _, rejected := errors.AsType[*deployment.Rejection](err); rejected {
		t.Fatalf("got the rejection %v, want an error that may pass", err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("got error %q, want it to say %q", err, text)
		}
	}
}
