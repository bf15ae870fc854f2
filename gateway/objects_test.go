package gateway_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ml/slipway/gateway"
)

func digestOf(body []byte) (header, digest string) {
	sum := sha256.Sum256(body)
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":", "sha256:" + hex.EncodeToString(sum[:])
}

// holds checks what is stored under a name; "": nothing is.
func (b *bench) holds(tb testing.TB, name, want string) {
	tb.Helper()
	body, err := b.Objects.Get(tb.Context(), name)
	if want == "" {
		if !errors.Is(err, fs.ErrNotExist) {
			tb.Errorf("%s: got %v, want nothing", name, err)
		}
		return
	}
	if err != nil {
		tb.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); err != nil || string(got) != want {
		tb.Errorf("%s: got %q %v, want %q", name, got, err, want)
	}
}

// messages is how many messages the object store has.
func (b *bench) messages(tb testing.TB) uint64 {
	tb.Helper()
	stream, err := b.js.Stream(tb.Context(), "OBJ_artifacts")
	if err != nil {
		tb.Fatal(err)
	}
	return stream.CachedInfo().State.Msgs
}

func TestPutObject(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	model := []byte("a model")
	header, digest := digestOf(model)
	const path = "/objects/run-42/mod%C3%A8le%201.onnx"
	for i, test := range []struct {
		status  int
		headers []string
	}{
		{http.StatusCreated, nil},
		{http.StatusOK, nil},
		{http.StatusOK, []string{"Content-Digest", header}},
		{http.StatusOK, []string{"Repr-Digest", "sha-512=:" + base64.StdEncoding.EncodeToString(make([]byte, sha512.Size)) + ":, " + header}},
		{http.StatusOK, []string{"Content-Digest", header, "Repr-Digest", header, "Content-Encoding", "identity"}},
	} {
		got := b.ask(t, "PUT", path, model, test.headers...)
		if got.status != test.status || got.header.Get("Repr-Digest") != header {
			t.Errorf("%d: got %d %v %s, want %d", i, got.status, got.header, got.body, test.status)
		}
		if want := fmt.Sprintf(`{"object":"run-42/modèle 1.onnx","digest":"%s","size":7}`+"\n", digest); got.body != want {
			t.Errorf("%d: got %s, want %s", i, got.body, want)
		}
	}
	b.holds(t, "run-42/modèle 1.onnx", "a model")
	if got := b.messages(t); got != 2 { // a chunk, and what says so
		t.Errorf("got %d messages of one small object, want 2", got)
	}
	if got := b.ask(t, "HEAD", path, nil); got.status != http.StatusOK || got.header.Get("Repr-Digest") != header || got.header.Get("Content-Length") != "7" {
		t.Errorf("head: got %d %v", got.status, got.header)
	}
	if got := b.ask(t, "HEAD", "/objects/nothing", nil); got.status != http.StatusNotFound {
		t.Errorf("head of nothing: got %d", got.status)
	}

	other := []byte("another model")
	if got := b.ask(t, "PUT", path, other); got.status != http.StatusOK {
		t.Errorf("other content: got %d %s", got.status, got.body)
	}
	b.holds(t, "run-42/modèle 1.onnx", "another model")

	kept := "/objects/sha256/" + strings.TrimPrefix(digest, "sha256:")
	if got := b.ask(t, "PUT", kept, model); got.status != http.StatusCreated || got.member(t, "digest") != digest {
		t.Errorf("under its digest: got %d %s", got.status, got.body)
	}
	if log := b.log.String(); !strings.Contains(log, "method=PUT") || !strings.Contains(log, "status=201") || !strings.Contains(log, "bytes=7") {
		t.Errorf("the log says %s", log)
	}
}

func TestPutObjectRefuses(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	const path = "/objects/run-42/model.onnx"
	model, large := []byte("a model"), bytes.Repeat([]byte("x"), 1<<20+1)
	right, digest := digestOf(model)
	wrong, _ := digestOf([]byte("another model"))
	if got := b.ask(t, "PUT", path, []byte("old")); got.status != http.StatusCreated {
		t.Fatal(got)
	}
	before := b.messages(t)
	for name, test := range map[string]struct {
		path        string
		body        []byte
		headers     []string
		status      int
		field, says string
	}{
		"wrong digest":            {path, model, []string{"Content-Digest", wrong}, 400, "Content-Digest", "is not what Content-Digest says"},
		"wrong digest of it":      {path, model, []string{"Repr-Digest", wrong}, 400, "Repr-Digest", "is not what Repr-Digest says"},
		"two digests":             {path, model, []string{"Content-Digest", right, "Repr-Digest", wrong}, 400, "Repr-Digest", "another SHA-256 than Content-Digest"},
		"what is there, wrongly":  {path, model, []string{"Content-Digest", header("old")}, 400, "Content-Digest", "is not what Content-Digest says"},
		"no digest":               {path, model, []string{"Content-Digest", "sha-256"}, 400, "Content-Digest", "expected sha-256=:BASE64:"},
		"a hexadecimal digest":    {path, model, []string{"Content-Digest", "sha-256=" + digest}, 400, "Content-Digest", "expected sha-256=:BASE64:"},
		"a short digest":          {path, model, []string{"Content-Digest", "sha-256=:AAAA:"}, 400, "Content-Digest", "expected sha-256=:BASE64:"},
		"another kind of digest":  {path, model, []string{"Repr-Digest", "sha-512=:AAAA:"}, 400, "Repr-Digest", "expected sha-256=:BASE64:"},
		"too large":               {path, large, nil, 413, "Content-Length", "file of 1048577 bytes: expected 1048576 at most"},
		"empty":                   {path, nil, nil, 400, "Content-Length", "the file is empty"},
		"a part":                  {path, model, []string{"Content-Range", "bytes 0-6/99"}, 400, "Content-Range", "expected the whole file"},
		"compressed":              {path, model, []string{"Content-Encoding", "gzip"}, 415, "Content-Encoding", "expected the bytes as they are"},
		"no name":                 {"/objects/", model, nil, 400, "path", "no name: expected one such as"},
		"a name out of here":      {"/objects/../x", model, nil, 400, "path", "expected a path such as"},
		"a name out of here, too": {"/objects/run/%2e%2e/x", model, nil, 400, "path", "expected a path such as"},
		"an empty part":           {"/objects/run//x", model, nil, 400, "path", "expected a path such as"},
		"control characters":      {"/objects/x%00y", model, nil, 400, "path", "expected a path such as"},
		"no UTF-8":                {"/objects/x%ff", model, nil, 400, "path", "expected a path such as"},
		"a long name":             {"/objects/" + strings.Repeat("x", 513), model, nil, 400, "path", "expected 512 at most"},
		"a kept name":             {"/objects/sha256/x", model, nil, 400, "path", "expected 64 lower-case"},
		"a contract":              {"/objects/contracts/x", model, nil, 400, "path", "expected another one: below contracts/"},
		"another kept name":       {"/objects/sha256/" + strings.Repeat("ab", 32), model, nil, 400, "path", "the body is not what path says"},
		"a kept name, doubted": {
			"/objects/sha256/" + strings.TrimPrefix(digest, "sha256:"), model,
			[]string{"Content-Digest", wrong},
			400, "Content-Digest", "another SHA-256 than the name",
		},
	} {
		t.Log(name)
		b.ask(t, "PUT", test.path, test.body, test.headers...).refused(t, test.status, test.field, test.says)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, b.url+path, io.MultiReader(bytes.NewReader(model))) // of unknown length
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusLengthRequired {
		t.Errorf("without a length: got %d, want %d", response.StatusCode, http.StatusLengthRequired)
	}
	b.holds(t, "run-42/model.onnx", "old")
	if after := b.messages(t); after != before {
		t.Errorf("%d messages were left behind", after-before)
	}
}

func header(body string) string {
	text, _ := digestOf([]byte(body))
	return text
}

// An upload that breaks off leaves what was there, and nothing else.
func TestPutObjectInterrupted(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	if got := b.ask(t, "PUT", "/objects/model", []byte("old")); got.status != http.StatusCreated {
		t.Fatal(got)
	}
	before := b.messages(t)
	for _, object := range []string{"model", "new"} {
		ended := b.begin(t, object, 400_000)
		if err := ended.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		ended.answers(t, "400 Bad Request")

		lines := strings.Count(b.log.String(), "\n")
		gone := b.begin(t, object, 400_000)
		if err := gone.Close(); err != nil {
			t.Fatal(err)
		}
		await(t, func() bool { return strings.Count(b.log.String(), "\n") > lines }) // the request is over
	}
	b.holds(t, "model", "old")
	b.holds(t, "new", "")
	if after := b.messages(t); after != before {
		t.Errorf("%d messages were left behind", after-before)
	}
}

// An upload that stands still is given up.
func TestPutObjectStalled(t *testing.T) {
	t.Parallel()
	b := start(t, func(s *gateway.Server) { s.Stall = 100 * time.Millisecond })
	b.begin(t, "new", 10).answers(t, "408 Request Timeout")
	b.holds(t, "new", "")
}

// sender is an upload of which a part was sent.
type sender struct{ *net.TCPConn }

// begin sends the first bytes of an upload of 900000.
func (b *bench) begin(tb testing.TB, object string, bytes int) sender {
	tb.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() }) // it may be closed
	begin := fmt.Sprintf("PUT /objects/%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\n", object)
	if _, err := conn.Write(append([]byte(begin), make([]byte, bytes)...)); err != nil {
		tb.Fatal(err)
	}
	return sender{conn.(*net.TCPConn)}
}

func (s sender) answers(tb testing.TB, status string) {
	tb.Helper()
	response, err := http.ReadResponse(bufio.NewReader(s), nil)
	if err != nil {
		tb.Fatal(err)
	}
	defer response.Body.Close()
	if response.Status != status {
		tb.Errorf("got %s, want %s", response.Status, status)
	}
}
