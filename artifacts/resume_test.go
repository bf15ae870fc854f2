package artifacts

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/outbound"
)

// dying is a server that sends no more than most bytes of a file before the
// connection breaks, and counts what it was asked and what it has sent.
type dying struct {
	file    atomic.Pointer[[]byte]
	tag     func(content []byte) string
	most    int
	change  func(asked int64) // before a request is answered
	asked   atomic.Int64
	sent    atomic.Int64
	unasked bool // whether ranges are ignored
}

func (d *dying) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	asked := d.asked.Add(1)
	if d.change != nil {
		d.change(asked)
	}
	content := *d.file.Load()
	if tag := d.tag(content); tag != "" {
		w.Header().Set("ETag", tag)
	}
	if d.unasked {
		r.Header.Del("Range")
	}
	http.ServeContent(&breaking{ResponseWriter: w, left: d.most, sent: &d.sent}, r, "", time.Time{}, bytes.NewReader(content))
}

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

func strong(content []byte) string { return fmt.Sprintf("%q", digest(content).Hex()[:16]) }

// A connection that breaks again and again is made again each time, and goes on
// behind the last byte.
func TestFetchGoesOn(t *testing.T) {
	t.Parallel()
	content := random(3<<20, 31)
	a := deployment.Artifact{Digest: digest(content), Size: int64(len(content))}
	for _, test := range []struct {
		name string
		take bool
	}{{"pin", false}, {"take", true}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := &dying{tag: strong, most: 100_000}
			d.file.Store(&content)
			url := serve(t, d.ServeHTTP)
			store, _ := newStore(t)
			var err error
			if test.take {
				var got deployment.Artifact
				if got, err = store.Take(t.Context(), url, "", nil); got.Digest != a.Digest {
					t.Errorf("got %+v, want %+v", got, a)
				}
			} else {
				pinned := a
				pinned.URL = url
				_, err = store.Pin(t.Context(), pinned, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			wantFile(t, store.path(a.Digest), content)
			if want := a.Size / 100_000; d.asked.Load() < want || d.sent.Load() > a.Size+int64(d.most) {
				t.Errorf("got %d bytes in %d requests, want %d in %d or more: what was there is not fetched again", d.sent.Load(), d.asked.Load(), a.Size, want)
			}
		})
	}
}

// What has changed is fetched from its first byte, and nothing of what it was
// before is kept.
func TestFetchBeginsAnew(t *testing.T) {
	t.Parallel()
	before, after := random(1<<20, 32), random(1<<20+5, 33)
	d := &dying{tag: strong, most: 300_000}
	d.file.Store(&before)
	d.change = func(asked int64) {
		if asked == 3 {
			d.file.Store(&after)
		}
	}
	store, _ := newStore(t)
	got, err := store.Take(t.Context(), serve(t, d.ServeHTTP), "", nil)
	if err != nil || got.Digest != digest(after) || got.Size != int64(len(after)) {
		t.Fatalf("got %+v, %v, want what is there now", got, err)
	}
	wantFile(t, store.path(got.Digest), after)
}

func TestFetchGivesUp(t *testing.T) {
	t.Parallel()
	content := random(1<<20, 34)
	var count atomic.Int64
	for _, test := range []struct {
		name  string
		d     *dying
		says  string
		asked int64 // at most
	}{
		{"no version", &dying{tag: func([]byte) string { return "" }, most: 1000}, "after 1000 of 1048576 bytes", 1},
		{"a weak version", &dying{tag: func(c []byte) string { return "W/" + strong(c) }, most: 1000}, "after 1000 of 1048576 bytes", 1},
		{"no ranges", &dying{tag: strong, most: 1000, unasked: true}, "changed while it was fetched", 2 * maxBegins},
		{"another version each time", &dying{tag: func([]byte) string {
			return strconv.Quote(fmt.Sprint(count.Add(1)))
		}, most: 1000}, "changed while it was fetched", 2 * maxBegins},
		{"nothing more", &dying{tag: strong}, "after 0 of 1048576 bytes", 1 + maxResumes},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := test.d
			d.file.Store(&content)
			store, o := newStore(t)
			_, err := store.Pin(t.Context(), deployment.Artifact{URL: serve(t, d.ServeHTTP), Digest: digest(content), Size: int64(len(content))}, nil)
			wantTransient(t, err, test.says)
			if d.asked.Load() > test.asked {
				t.Errorf("got %d requests, want %d at most", d.asked.Load(), test.asked)
			}
			wantEntries(t, store.Dir, 0)
			if len(o.puts) != 0 {
				t.Errorf("got puts %v, want none", o.puts)
			}
		})
	}
}

// Only the rest is taken for the rest.
func TestOtherRangesAreRefused(t *testing.T) {
	t.Parallel()
	content := random(1000, 35)
	for _, contentRange := range []string{"", "bytes 0-999/1000", "bytes 101-999/1000", "bytes 100-899/1000", "bytes 100-1099/1100", "bytes 100-50/1000", "bytes */1000"} {
		t.Run(contentRange, func(t *testing.T) {
			t.Parallel()
			store, _ := newStore(t)
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("ETag", `"1"`)
				if r.Header.Get("Range") == "" {
					w.Header().Set("Content-Length", "1000")
					_, _ = (&breaking{ResponseWriter: w, left: 100, sent: new(atomic.Int64)}).Write(content)
					return
				}
				if r.Header.Get("Range") != "bytes=100-" || r.Header.Get("If-Range") != `"1"` {
					t.Errorf("got headers %v, want those of the rest", r.Header)
				}
				w.Header().Set("Content-Range", contentRange)
				w.WriteHeader(http.StatusPartialContent)
				w.Write(content[100:])
			})
			_, err := store.Pin(t.Context(), deployment.Artifact{URL: url, Digest: digest(content), Size: 1000}, nil)
			wantTransient(t, err, "changed while it was fetched")
		})
	}
	unknown := &outbound.Body{Header: http.Header{"Content-Range": {"bytes 5-9/*"}}}
	if total, err := rest(unknown, 5); total != -1 || err != nil {
		t.Errorf("a rest of unknown size: got %d, %v", total, err)
	}
}
