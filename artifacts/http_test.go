package artifacts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ml/slipway/deployment"
)

// serve answers every request with the handler and returns the url of a file there.
func serve(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return server.URL + "/models/m.ubj"
}

func TestPinFromHTTP(t *testing.T) {
	t.Parallel()
	b := random(2<<20, 22)
	for _, chunked := range []bool{false, true} {
		t.Run(fmt.Sprintf("chunked %v", chunked), func(t *testing.T) {
			t.Parallel()
			store, _ := newStore(t)
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/models/m.ubj" {
					http.Redirect(w, r, "/moved?X-Amz-Signature=secret", http.StatusFound)
					return
				}
				if !chunked {
					w.Header().Set("Content-Length", strconv.Itoa(len(b)))
				}
				w.Write(b)
			})
			path, err := store.Pin(t.Context(), deployment.Artifact{URL: url + "?revision=7", Digest: digest(b), Size: int64(len(b))}, nil)
			if err != nil {
				t.Fatal(err)
			}
			wantFile(t, path, b)
		})
	}
}

func TestPinFromHTTPRejects(t *testing.T) {
	t.Parallel()
	b := random(1000, 23)
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(code) }
	}
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		code   deployment.Code
		path   string
		says   []string
	}{
		{"404", status(404), deployment.CodeArtifactNotFound, "model.artifact.url", []string{"404"}},
		{"410", status(410), deployment.CodeArtifactNotFound, "model.artifact.url", []string{"410"}},
		{"401", status(401), deployment.CodeArtifactForbidden, "model.artifact.url", []string{"401"}},
		{"403", status(403), deployment.CodeArtifactForbidden, "model.artifact.url", []string{"403"}},
		{"redirect to a file", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(302)
		}, deployment.CodeURLInvalid, "model.artifact.url", []string{`"file"`}},
		{"redirects for ever", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path+"x?sig=secret", http.StatusFound)
		}, deployment.CodeURLInvalid, "model.artifact.url", []string{"5 times"}},
		{"announces another size", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1001")
			w.Write(append(b, 0))
		}, deployment.CodeSizeMismatch, "model.artifact.size", []string{"1001", "1000"}},
		{"announces more than allowed", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "9000000")
			w.Write(b)
		}, deployment.CodeArtifactTooLarge, "model.artifact.size", []string{"9000000", "8388608"}},
		{"never ends", func(w http.ResponseWriter, r *http.Request) {
			for {
				if _, err := w.Write(b); err != nil {
					return
				}
			}
		}, deployment.CodeSizeMismatch, "model.artifact.size", []string{"1001 or more", "1000"}},
		{"ends early", func(w http.ResponseWriter, r *http.Request) {
			w.Write(b[:10])
			w.(http.Flusher).Flush()
			w.Write(b[10:900])
		}, deployment.CodeSizeMismatch, "model.artifact.size", []string{"900", "1000"}},
		{"other bytes", func(w http.ResponseWriter, r *http.Request) {
			w.Write(random(1000, 24))
		}, deployment.CodeDigestMismatch, "model.artifact.digest", []string{string(digest(b))}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			store, o := newStore(t)
			_, err := store.Pin(t.Context(), deployment.Artifact{URL: serve(t, test.answer), Digest: digest(b), Size: 1000}, nil)
			wantRejection(t, err, test.code, test.path, test.says...)
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("message %q leaks the credential", err)
			}
			wantEntries(t, store.Dir, 0)
			if len(o.puts) != 0 {
				t.Errorf("got puts %v, want none", o.puts)
			}
		})
	}
}

// A server may be private when a command names it, and not when a redirect does.
func TestPinFromAPrivateRedirect(t *testing.T) {
	t.Parallel()
	b := random(1000, 26)
	inside := serve(t, func(w http.ResponseWriter, r *http.Request) { w.Write(b) })
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, inside+"?sig=secret", http.StatusFound)
	})
	store, o := newStore(t)
	a := deployment.Artifact{URL: url, Digest: digest(b), Size: 1000}
	_, err := store.Pin(t.Context(), a, nil)
	wantRejection(t, err, deployment.CodeURLNotAllowed, "model.artifact.url", "private address")
	if strings.Contains(err.Error(), "secret") || len(o.puts) != 0 {
		t.Errorf("got %v and puts %v, want neither the credential nor a put", err, o.puts)
	}
	store.AllowPrivateRedirects = true
	path, err := store.Pin(t.Context(), a, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, b)
}

func TestPinFromHTTPMayPass(t *testing.T) {
	t.Parallel()
	b := random(1000, 25)
	cut := func(head string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			connection, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			fmt.Fprintf(connection, "HTTP/1.1 200 OK\r\n%s\r\n", head)
			_, _ = connection.Write(b[:700])
			_ = connection.Close()
		}
	}
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		says   []string
	}{
		{"500", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) }, []string{"answered 500"}},
		{"503 after a redirect", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery == "" {
				http.Redirect(w, r, "/?sig=secret", http.StatusFound)
			}
			w.WriteHeader(503)
		}, []string{"answered 503"}},
		{"cut", cut("Content-Length: 1000\r\n"), []string{"after 700 of 1000 bytes", "unexpected EOF"}},
		{"cut without a length", cut(""), []string{"after 700 of 1000 bytes"}},
		{"cut in a redirect", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery == "" {
				http.Redirect(w, r, "/?sig=secret", http.StatusFound)
				return
			}
			panic(http.ErrAbortHandler)
		}, []string{"EOF"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			store, _ := newStore(t)
			url := serve(t, test.answer)
			_, err := store.Pin(t.Context(), deployment.Artifact{URL: url, Digest: digest(b), Size: 1000}, nil)
			wantTransient(t, err, append(test.says, "fetch "+url)...)
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("message %q leaks the credential", err)
			}
			wantEntries(t, store.Dir, 0)
		})
	}
}

func TestPinFromNobody(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + listener.Addr().String() + "/m"
	_ = listener.Close()
	store, _ := newStore(t)
	_, err = store.Pin(t.Context(), deployment.Artifact{URL: url, Digest: digest(nil), Size: 1}, nil)
	wantTransient(t, err, "connection refused")
	if got := strings.Count(err.Error(), url); got != 1 {
		t.Errorf("got error %q, want the url once", err)
	}
}

// silent answers with the head and a first part of the body, then nothing until
// the client has gone.
func silent(w http.ResponseWriter, r *http.Request) {
	w.Write([]byte("first"))
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

func TestPinCanBeCancelled(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	a := deployment.Artifact{URL: serve(t, silent), Digest: digest(nil), Size: 100}
	_, err := store.Pin(ctx, a, func(done, total int64) { cancel(errors.New("fence moved")) })
	wantTransient(t, err, "fence moved")
	wantEntries(t, store.Dir, 0)
}

func TestSilentServerIsLeft(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	u, err := url.Parse(serve(t, silent))
	if err != nil {
		t.Fatal(err)
	}
	from := source{name: "silent", open: func(ctx context.Context) (body io.ReadCloser, size int64, err error) {
		answer, err := get(ctx, store.client(u), u, http.Header{}, 20*time.Millisecond)
		if err != nil {
			return nil, 0, err
		}
		return answer, answer.Size, nil
	}}
	err = store.fetch(t.Context(), digest(nil), 100, from, func(done, total int64) {})
	wantTransient(t, err, "no bytes for 20ms", "after 5 of 100 bytes")
}
