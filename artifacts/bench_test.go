package artifacts

import (
	"crypto/sha256"
	"io"
	"net/url"
	"os"
	"testing"
	"time"
)

type stopwatch struct{ total time.Duration }

func (s *stopwatch) time(f func()) {
	start := time.Now()
	f()
	s.total += time.Since(start)
}

// BenchmarkPin compares the time to pin a new artifact with that of a plain
// copy and fsync of the same file, without and with its SHA-256.
func BenchmarkPin(b *testing.B) {
	content := random(8<<20, 11)
	a := written(b, content)
	u, _ := url.Parse(a.URL)
	b.SetBytes(a.Size)
	plain := func(also io.Writer) {
		in, err := os.Open(u.Path)
		if err != nil {
			b.Fatal(err)
		}
		defer in.Close()
		out, err := os.CreateTemp(b.TempDir(), "plain")
		if err != nil {
			b.Fatal(err)
		}
		defer out.Close()
		if _, err := io.Copy(io.MultiWriter(out, also), struct{ io.Reader }{in}); err != nil {
			b.Fatal(err)
		}
		if err := out.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	var pinning, copying, summing stopwatch
	for b.Loop() {
		store, o := newStore(b)
		o.held[ObjectName(a.Digest)] = content // so that only the way to the file is measured
		from := file(u.Path)
		pinning.time(func() {
			if err := store.fetch(b.Context(), a.Digest, a.Size, from, func(done, total int64) {}); err != nil {
				b.Fatal(err)
			}
		})
		copying.time(func() { plain(io.Discard) })
		summing.time(func() { plain(sha256.New()) })
	}
	b.ReportMetric(float64(pinning.total)/float64(copying.total), "times-copy+fsync")
	b.ReportMetric(float64(pinning.total)/float64(summing.total), "times-copy+sha256+fsync")
	b.ReportMetric(float64(a.Size)*float64(b.N)/1e6/pinning.total.Seconds(), "pinned-MB/s")
	b.ReportMetric(0, "ns/op")
}
