package bucket

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ml/slipway/artifacts"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/jetstream/jetstreamtest"
)

// pinning is a store of artifacts that fetches from the buckets.
func pinning(tb testing.TB, b *Buckets) *artifacts.Store {
	tb.Helper()
	objects, err := jetstream.OpenObjects(tb.Context(), jetstreamtest.Start(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return &artifacts.Store{Dir: filepath.Join(tb.TempDir(), "artifacts"), Objects: objects, Limit: 4 << 20, Buckets: b}
}

func artifact(url string, content []byte) deployment.Artifact {
	sum := sha256.Sum256(content)
	return deployment.Artifact{URL: url, Digest: deployment.DigestOf(sum[:]), Size: int64(len(content))}
}

func TestPinFromABucket(t *testing.T) {
	t.Parallel()
	for scheme, start := range places {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			content := bytes.Repeat([]byte("model "), 100_000)
			p.Put("churn/model.ubj", content)
			p.Put("large.ubj", make([]byte, 5<<20))
			store := pinning(t, p.buckets(nil))
			right := artifact(p.URL("churn/model.ubj"), content)
			for _, test := range []struct {
				name   string
				change func(a *deployment.Artifact)
				code   deployment.Code
				at     string
			}{
				{"not there", func(a *deployment.Artifact) { a.URL += ".gone" }, deployment.CodeArtifactNotFound, "model.artifact.url"},
				{"no object", func(a *deployment.Artifact) { a.URL = p.URL("") }, deployment.CodeURLInvalid, "model.artifact.url"},
				{"a query", func(a *deployment.Artifact) { a.URL += "?x=1" }, deployment.CodeURLInvalid, "model.artifact.url"},
				{"unknown credentials", func(a *deployment.Artifact) { a.CredentialsID = "team-a" }, deployment.CodeCredentialsMissing, "model.artifact.credentialsId"},
				{"credentials of an object", func(a *deployment.Artifact) { a.URL, a.Object, a.CredentialsID = "", "x", "team-a" }, deployment.CodeInvalidField, "model.artifact.credentialsId"},
				{"credentials of a server", func(a *deployment.Artifact) { a.URL, a.CredentialsID = "https://h/m", "team-a" }, deployment.CodeCredentialsMissing, "model.artifact.credentialsId"},
				{"other digest", func(a *deployment.Artifact) { a.Digest = artifact("", nil).Digest }, deployment.CodeDigestMismatch, "model.artifact.digest"},
				{"other size", func(a *deployment.Artifact) { a.Size++ }, deployment.CodeSizeMismatch, "model.artifact.size"},
				{"really over the limit", func(a *deployment.Artifact) { a.URL = p.URL("large.ubj") }, deployment.CodeArtifactTooLarge, "model.artifact.size"},
			} {
				a := right
				test.change(&a)
				_, err := store.Pin(t.Context(), a, nil)
				rejection, ok := errors.AsType[*deployment.Rejection](err)
				if !ok || rejection.Code != test.code || rejection.Findings[0].Path != test.at {
					t.Errorf("%s: got %v, want %s at %s", test.name, err, test.code, test.at)
				}
			}
			p.Answer(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/token") {
					p.Serve(w, r)
					return
				}
				w.Header().Set("Content-Length", fmt.Sprint(len(content)))
				w.Write(content[:1000])
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			})
			_, err := store.Pin(t.Context(), right, nil)
			if _, final := errors.AsType[*deployment.Rejection](err); err == nil || final || !strings.Contains(err.Error(), "after 1000 of 600000 bytes") {
				t.Errorf("store that dies midway: got %v, want an error that may pass", err)
			}
			p.Answer(p.Serve)
			path, err := store.Pin(t.Context(), right, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); !bytes.Equal(got, content) || err != nil {
				t.Errorf("got %d bytes, %v, want %d", len(got), err, len(content))
			}
			if entries, err := os.ReadDir(store.Dir); len(entries) != 1 || err != nil {
				t.Errorf("got %v, %v, want one file", entries, err)
			}
		})
	}
}

// endless is as many bytes as are asked for, without holding them.
type endless struct{ left int64 }

func (e *endless) Read(p []byte) (int, error) {
	n := int(min(int64(len(p)), e.left))
	clear(p[:n])
	e.left -= int64(n)
	if e.left == 0 {
		return n, io.EOF
	}
	return n, nil
}

// serveZeros answers object requests with so many bytes.
func serveZeros(p place, size int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/token") {
			p.Serve(w, r)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(size))
		_, _ = io.Copy(w, &endless{size})
	}
}

// A large artifact needs no more memory than a small one.
func TestMemoryIsBounded(t *testing.T) { // not parallel: it measures the whole process
	const size, allowed = 256 << 20, 32 << 20
	sum := sha256.New()
	_, _ = io.Copy(sum, &endless{size})
	p := startS3(t)
	p.Answer(serveZeros(p, size))
	store := &artifacts.Store{Dir: t.TempDir(), Objects: nowhere{}, Buckets: p.buckets(nil)}
	runtime.GC()
	before, more := heap(), int64(0)
	_, err := store.Pin(t.Context(), deployment.Artifact{URL: p.URL("m"), Digest: deployment.DigestOf(sum.Sum(nil)), Size: size}, func(done, _ int64) {
		more = max(more, heap()-before)
	})
	if err != nil || more > allowed {
		t.Errorf("got %v with %d bytes more than before, want %d at most", err, more, allowed)
	}
}

// BenchmarkRead compares the time to read 100 MiB of a bucket, to verify them and
// to write them to a file and sync it, with that of a plain copy and sync of a
// file of that size, and says how much larger the heap is at most meanwhile.
func BenchmarkRead(b *testing.B) {
	const size = 100 << 20
	sum := sha256.New()
	_, _ = io.Copy(sum, &endless{size})
	source := filepath.Join(b.TempDir(), "source")
	copied(b, source, &endless{size})
	for scheme, start := range places {
		b.Run(scheme, func(b *testing.B) {
			p := start(b)
			p.Answer(serveZeros(p, size))
			buckets := p.buckets(nil)
			a := deployment.Artifact{URL: p.URL("m"), Digest: deployment.DigestOf(sum.Sum(nil)), Size: size}
			var fetching, copying time.Duration
			var more int64
			b.SetBytes(size)
			for b.Loop() {
				store := &artifacts.Store{Dir: b.TempDir(), Objects: nowhere{}, Buckets: buckets}
				runtime.GC()
				before := heap()
				began := time.Now()
				if _, err := store.Pin(b.Context(), a, func(done, _ int64) {
					if done%(10<<20) == 0 {
						more = max(more, heap()-before)
					}
				}); err != nil {
					b.Fatal(err)
				}
				fetching += time.Since(began)
				in, err := os.Open(source)
				if err != nil {
					b.Fatal(err)
				}
				began = time.Now()
				copied(b, filepath.Join(b.TempDir(), "copy"), struct{ io.Reader }{in})
				copying += time.Since(began)
				_ = in.Close()
			}
			b.ReportMetric(float64(fetching)/float64(copying), "times-copy+fsync")
			b.ReportMetric(float64(size)*float64(b.N)/1e6/fetching.Seconds(), "pinned-MB/s")
			b.ReportMetric(float64(more)/1e6, "more-heap-MB")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// heap is how many bytes the heap takes of the system.
func heap() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse) //nolint:gosec // far below the limit
}

// nowhere takes everything and keeps nothing, so that only the way to the file is
// measured.
type nowhere struct{}

func (nowhere) Get(context.Context, string) (io.ReadCloser, error) { return nil, fs.ErrNotExist }
func (nowhere) Put(context.Context, string, io.Reader) error       { return nil }
func (nowhere) Renew(context.Context, string) (int64, error)       { return 0, fs.ErrNotExist }

// copied writes all of r to a file and syncs it.
func copied(tb testing.TB, path string, r io.Reader) {
	tb.Helper()
	out, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer out.Close()
	if _, err := io.Copy(struct{ io.Writer }{out}, r); err != nil {
		tb.Fatal(err)
	}
	if err := out.Sync(); err != nil {
		tb.Fatal(err)
	}
}
