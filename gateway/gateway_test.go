package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/gateway"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/jetstream/jetstreamtest"
	"github.com/slipway-ml/slipway/worker"
)

// patience is how long a test waits for what is to happen soon.
const patience = 60 * time.Second

// bench is a gateway that runs over a broker of its own.
type bench struct {
	*gateway.Server
	js    natsjs.JetStream
	url   string
	log   *logs
	stop  context.CancelFunc
	ended chan error
}

func start(tb testing.TB, change func(*gateway.Server)) *bench {
	tb.Helper()
	b := &bench{js: jetstreamtest.Start(tb), log: &logs{}, ended: make(chan error, 1)}
	objects, err := jetstream.OpenObjects(tb.Context(), b.js)
	if err != nil {
		tb.Fatal(err)
	}
	commands, err := jetstream.OpenCommands(tb.Context(), b.js)
	if err != nil {
		tb.Fatal(err)
	}
	operations, err := jetstream.OpenBucket[worker.OperationView](tb.Context(), b.js, jetstream.OperationsBucket)
	if err != nil {
		tb.Fatal(err)
	}
	b.Server = &gateway.Server{
		Objects: objects, Commands: commands, Operations: operations, Connected: b.js.Conn().IsConnected,
		Log: slog.New(slog.NewTextHandler(b.log, nil)), MaxObject: 1 << 20, MaxCommand: 4096,
	}
	if change != nil {
		change(b.Server)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	b.url = "http://" + listener.Addr().String()
	ctx, stop := context.WithCancel(context.WithoutCancel(tb.Context()))
	b.stop = stop
	go func() { b.ended <- b.Run(ctx, listener) }()
	tb.Cleanup(stop)
	return b
}

// logs is a log that can be read while it is written.
type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// reply is what the gateway has answered.
type reply struct {
	status int
	header http.Header
	body   string
}

// member is a member of the JSON that was answered, by its path; nil: there is none.
func (r reply) member(tb testing.TB, path ...string) any {
	tb.Helper()
	var value any
	if err := json.Unmarshal([]byte(r.body), &value); err != nil {
		tb.Fatalf("answer %d %q: %v", r.status, r.body, err)
	}
	for _, name := range path {
		members, _ := value.(map[string]any)
		value = members[name]
	}
	return value
}

// ask sends a request with headers given as names and values.
func (b *bench) ask(tb testing.TB, method, path string, body []byte, header ...string) reply {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, b.url+path, bytes.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			request.Host = header[i+1]
		}
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		tb.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(text)}
}

// refused checks a problem: its status, what it is about, and that it says what is expected.
func (r reply) refused(tb testing.TB, status int, field, says string) {
	tb.Helper()
	if r.status != status || r.header.Get("Content-Type") != "application/problem+json" {
		tb.Errorf("got %d %s %q, want a problem with %d", r.status, r.header.Get("Content-Type"), r.body, status)
		return
	}
	if text, ok := r.member(tb, "errors", field).(string); !ok || !strings.Contains(text, says) {
		tb.Errorf("got %s, want it to say %q of %s", r.body, says, field)
	}
	if r.member(tb, "title") == "" || r.member(tb, "detail") == "" || r.member(tb, "status") != float64(status) {
		tb.Errorf("got %s, want status, title and detail", r.body)
	}
}

func TestPathsAndMethods(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	for _, test := range []struct{ method, path, allow string }{
		{"GET", "/objects/x", "HEAD, PUT"},
		{"DELETE", "/objects/x", "HEAD, PUT"},
		{"PUT", "/commands", "GET, POST"},
		{"POST", "/commands/x", "GET"},
		{"POST", "/healthz", "GET, HEAD"},
	} {
		got := b.ask(t, test.method, test.path, nil)
		got.refused(t, http.StatusMethodNotAllowed, "method", "expected "+test.allow)
		if got.header.Get("Allow") != test.allow {
			t.Errorf("%s %s: Allow is %q, want %q", test.method, test.path, got.header.Get("Allow"), test.allow)
		}
	}
	for _, path := range []string{"/", "/objects", "/command", "/healthz/x"} {
		b.ask(t, "GET", path, nil).refused(t, http.StatusNotFound, "path", "expected /objects/NAME, /commands")
	}
	if got := b.ask(t, "GET", "/healthz", nil); got.status != http.StatusOK || got.body != "ok\n" {
		t.Errorf("health: got %d %q", got.status, got.body)
	}
	b.js.Conn().Close()
	if got := b.ask(t, "GET", "/healthz", nil); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("health without NATS: got %d %q", got.status, got.body)
	}
	if got := b.ask(t, "PUT", "/objects/x", []byte("x")); got.status != http.StatusServiceUnavailable || got.member(t, "code") != "store_unavailable" {
		t.Errorf("upload without NATS: got %d %s", got.status, got.body)
	}
}

// A stop ends what waits, lets uploads end, and then takes nothing more.
func TestStop(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	upload, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer upload.Close()
	answers := bufio.NewReader(upload)
	fmt.Fprint(upload, "PUT /objects/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\nExpect: 100-continue\r\n\r\n")
	if line, err := answers.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") { // the body is being read
		t.Fatal(line, err)
	}
	waited := make(chan reply, 1)
	posted := b.ask(t, "POST", "/commands", structured("1", "churn", `{"label":"Churn"}`), "Content-Type", cloudEvent)
	go func() { waited <- b.ask(t, "GET", posted.header.Get("Location")+"&wait=1m", nil) }()
	// Both are there once the broker has seen the watch.
	operations, err := b.js.Stream(t.Context(), "KV_"+jetstream.OperationsBucket)
	if err != nil {
		t.Fatal(err)
	}
	await(t, func() bool {
		info, err := operations.Info(t.Context())
		return err == nil && info.State.Consumers > 0
	})
	b.stop()
	if got := <-waited; got.status != http.StatusAccepted || got.member(t, "outcome") != "requested" {
		t.Errorf("what waited: got %d %s", got.status, got.body)
	}
	if _, err := answers.ReadString('\n'); err != nil { // of the line above, the empty one after it
		t.Fatal(err)
	}
	fmt.Fprint(upload, "complete")
	response, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		t.Errorf("the upload: got %s", response.Status)
	}
	if err := <-b.ended; err != nil {
		t.Errorf("run: %v", err)
	}
}

// await waits until it is so.
func await(tb testing.TB, so func() bool) {
	tb.Helper()
	tick, end := time.NewTicker(time.Millisecond), time.NewTimer(patience)
	defer tick.Stop()
	defer end.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-end.C:
			tb.Fatal("it does not come to be so")
		}
	}
}
