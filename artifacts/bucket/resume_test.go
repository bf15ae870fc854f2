package bucket

import (
	"bytes"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
)

// breaking ends the connection once so many bytes are sent.
type breaking struct {
	http.ResponseWriter
	left int
	sent *atomic.Int64
}

func (b *breaking) Write(p []byte) (int, error) {
	n, err := b.ResponseWriter.Write(p[:min(len(p), b.left)])
	b.left -= n
	b.sent.Add(int64(n))
	if n < len(p) && err == nil {
		if err := http.NewResponseController(b.ResponseWriter).Flush(); err != nil {
			panic(err)
		}
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// A store whose connections break again and again is read on behind the last byte,
// as the version that was begun; another version is read from its first byte.
func TestReadGoesOn(t *testing.T) {
	t.Parallel()
	for scheme, start := range places {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			const most = 100_000
			p := start(t)
			first, second := bytes.Repeat([]byte("first "), 200_000), bytes.Repeat([]byte("second "), 190_000)
			p.Put("m.ubj", first)
			var asked, sent atomic.Int64
			var change func(asked int64)
			p.Answer(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/token") {
					p.Serve(w, r)
					return
				}
				if n := asked.Add(1); change != nil {
					change(n)
				}
				p.Serve(&breaking{ResponseWriter: w, left: most, sent: &sent}, r)
			})
			store := pinning(t, p.buckets(nil))
			path, err := store.Pin(t.Context(), artifact(p.URL("m.ubj"), first), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, first) {
				t.Errorf("got %d bytes, %v, want %d", len(got), err, len(first))
			}
			if sent.Load() > int64(len(first))+most || asked.Load() < int64(len(first)/most) {
				t.Errorf("got %d bytes in %d requests, want %d once: what was there is not fetched again", sent.Load(), asked.Load(), len(first))
			}
			asked.Store(0)
			change = func(asked int64) {
				if asked == 3 {
					p.Put("m.ubj", second)
				}
			}
			p.Put("m.ubj", append(first, '!'))
			got, err := store.Take(t.Context(), p.URL("m.ubj"), "", nil)
			if want := artifact("", second); err != nil || got.Digest != want.Digest || got.Size != want.Size {
				t.Errorf("got %+v, %v, want what is there now: %+v", got, err, want)
			}
		})
	}
}
