package bucket

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// place is a server of one kind of store, with one bucket, models.
type place struct {
	scheme   string
	settings func(server string) map[string]string // that give access
	wrong    map[string]string                     // settings that spoil the access
	secrets  []string                              // what must never be read anywhere
	put      func(name string, content []byte)
	serve    http.HandlerFunc

	server *httptest.Server
	front  atomic.Pointer[http.HandlerFunc] // answers instead, if set
	asked  atomic.Int64                     // requests so far
}

// places are all kinds of stores, started when they are asked for.
var places = map[string]func(tb testing.TB) *place{"s3": startS3, "gs": startGCS, "azblob": startAzure}

func start(tb testing.TB, p *place) *place {
	tb.Helper()
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		if front := p.front.Load(); front != nil {
			(*front)(w, r)
			return
		}
		p.serve(w, r)
	}))
	tb.Cleanup(p.server.Close)
	return p
}

// answer puts a handler in front of the store.
func (p *place) answer(handler http.HandlerFunc) { p.front.Store(&handler) }

func (p *place) url(name string) string { return p.scheme + "://models/" + name }

// buckets have access, unless settings spoil it.
func (p *place) buckets(spoil map[string]string) *Buckets {
	environment := p.settings(p.server.URL)
	for name, value := range spoil {
		environment[name] = value
	}
	return &Buckets{Environment: environment}
}

// open is the bucket of a url, with access.
func (p *place) open(tb testing.TB, name string) *Bucket {
	tb.Helper()
	b, err := p.buckets(nil).Open(tb.Context(), Source{URL: p.url(name)})
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// isList tells the requests that list from those that read.
func isList(r *http.Request) bool {
	query := r.URL.Query()
	return query.Has("list-type") || query.Get("comp") == "list" || strings.HasSuffix(r.URL.Path, "/o")
}

// shelf is a bucket in memory that knows versions.
type shelf struct {
	mu   sync.Mutex
	held map[string]stored
	next int
}

type stored struct {
	content []byte
	version int
}

func (s *shelf) put(name string, content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		s.held = map[string]stored{}
	}
	s.next++
	s.held[name] = stored{content, s.next}
}

func (s *shelf) get(name string) (stored, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.held[name]
	return o, ok
}

// list is a page of names from after on, at most so many, and where the next begins.
func (s *shelf) list(prefix, after string, most int) (names []string, next string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.held)) {
		switch {
		case !strings.HasPrefix(name, prefix) || name < after:
		case len(names) == most:
			return names, name
		default:
			names = append(names, name)
		}
	}
	return names, ""
}
