// Package buckettest has servers of S3, of Google Cloud Storage and of Azure Blob
// Storage for tests: in this process, each with one bucket that is called models
// and asks for credentials. Only tests import it.
package buckettest

import (
	"bytes"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Place is a server of one kind of store, with one bucket, models.
type Place struct {
	Scheme   string
	Settings func(server string) map[string]string // that give access
	Wrong    map[string]string                     // settings that spoil the access
	Secrets  []string                              // what must never be read anywhere
	Put      func(name string, content []byte)
	Serve    http.HandlerFunc // the store itself

	Server *httptest.Server
	Asked  atomic.Int64 // requests so far

	front atomic.Pointer[http.HandlerFunc] // answers instead, if set
}

// Places are all kinds of stores, by their scheme. Each is started by a call and
// stopped by the end of the test.
func Places() map[string]func(tb testing.TB) *Place {
	return map[string]func(tb testing.TB) *Place{"s3": S3, "gs": GCS, "azblob": Azure}
}

func start(tb testing.TB, p *Place) *Place {
	tb.Helper()
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.Asked.Add(1)
		if front := p.front.Load(); front != nil {
			(*front)(w, r)
			return
		}
		p.Serve(w, r)
	}))
	tb.Cleanup(p.Server.Close)
	return p
}

// Answer puts a handler in front of the store.
func (p *Place) Answer(handler http.HandlerFunc) { p.front.Store(&handler) }

// URL is that of an object.
func (p *Place) URL(name string) string { return p.Scheme + "://models/" + name }

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

// serve answers with the object, or the part that is asked for.
func (o stored) serve(w http.ResponseWriter, r *http.Request) {
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(o.content))
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
