package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/slipway-ml/slipway/client"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/worker"
)

// patience is how long a test waits for what is to happen at once.
const patience = 30 * time.Second

// console is what a program writes; others can wait for a text in it.
type console struct {
	mu      sync.Mutex
	text    bytes.Buffer
	written chan struct{} // closed and made anew by every write
}

func newConsole() *console { return &console{written: make(chan struct{})} }

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text.Write(p)
	close(c.written)
	c.written = make(chan struct{})
	return len(p), nil
}

// read is what was written so far, and a channel that is closed when there is more.
func (c *console) read() (text string, more <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String(), c.written
}

func (c *console) String() string {
	text, _ := c.read()
	return text
}

// await waits until text has been written. It gives up when the program ends or
// when it takes too long.
func (c *console) await(text string, ended <-chan struct{}) error {
	late := time.NewTimer(patience)
	defer late.Stop()
	for over := false; ; {
		have, more := c.read()
		switch {
		case strings.Contains(have, text):
			return nil
		case over:
			return fmt.Errorf("the program ended and did not write %q, but:\n%s", text, have)
		}
		select {
		case <-more:
		case <-ended:
			over = true
		case <-late.C:
			return fmt.Errorf("the program did not write %q within %s, but:\n%s", text, patience, have)
		}
	}
}

// system is a slipway that "up" started in this process, with clients.
type system struct {
	*client.Client
	tb     testing.TB
	dir    string
	where  endpoints
	conn   *nats.Conn
	stderr *console
	stop   func() (code int)
}

// startUp runs "up" in a data directory of its own, or in the one that the
// environment names, until the test ends or stop is called.
func startUp(tb testing.TB, environment map[string]string) *system {
	tb.Helper()
	env := map[string]string{
		"SLIPWAY_DATA_DIR": "", "SLIPWAY_NATS_PORT": "0", "SLIPWAY_PREDICT_ADDR": "127.0.0.1:0", "SLIPWAY_SYNC": "1m",
		"SLIPWAY_LOG_LEVEL": "warn",
	}
	maps.Copy(env, environment)
	if env["SLIPWAY_DATA_DIR"] == "" {
		env["SLIPWAY_DATA_DIR"] = tb.TempDir()
	}
	s := &system{tb: tb, dir: env["SLIPWAY_DATA_DIR"], stderr: newConsole()}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	stdout, ended, code := newConsole(), make(chan struct{}), 0
	go func() {
		defer close(ended)
		code = run(ctx, []string{"up"}, env, strings.NewReader(""), stdout, s.stderr)
	}()
	s.stop = func() int {
		cancel()
		<-ended
		return code
	}
	tb.Cleanup(func() {
		if code := s.stop(); code != 0 {
			tb.Errorf("up ended with %d:\n%s", code, s.stderr)
		}
		if tb.Failed() {
			tb.Logf("up wrote:\n%s", s.stderr)
		}
	})
	if err := stdout.await("Slipway is ready", ended); err != nil {
		tb.Fatalf("up: %v\n%s", err, s.stderr)
	}
	var err error
	if s.where, err = readEndpoints(s.dir); err != nil {
		tb.Fatal(err)
	}
	if s.conn, err = nats.Connect(s.where.NATS); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.conn.Close)
	js, err := jetstream.Open(tb.Context(), s.conn)
	if err != nil {
		tb.Fatal(err)
	}
	if s.Client, err = client.Over(tb.Context(), js, "/test"); err != nil {
		tb.Fatal(err)
	}
	return s
}

// publish publishes bytes as a program does that knows nothing of us.
func (s *system) publish(msg *nats.Msg) (sequence uint64) {
	s.tb.Helper()
	ack, err := s.JetStream.PublishMsg(s.tb.Context(), msg)
	if err != nil {
		s.tb.Fatalf("publish %s: %v", msg.Subject, err)
	}
	return ack.Sequence
}

// command publishes a command that is as it has to be, and waits for its outcome.
func (s *system) command(kind deployment.Kind, name, op string, data any) entry {
	s.tb.Helper()
	text, err := json.Marshal(data)
	if err != nil {
		s.tb.Fatal(err)
	}
	return s.outcomeOf(s.publish(&nats.Msg{
		Subject: jetstream.CommandSubject(string(kind), name, op),
		Data:    structured(kind, name, op, nats.NewInbox(), string(text)),
	}))
}

// structured is a command as its sender might write it by hand.
func structured(kind deployment.Kind, name, op, id, data string) []byte {
	return fmt.Appendf(nil, `{"specversion":"1.0","id":%q,"source":"/test","type":"dev.slipway.%s.%s.requested.v1","subject":%q,"datacontenttype":"application/json","data":%s}`,
		id, kind, op, name, data)
}

// binary are the headers of a command in binary mode.
func binary(name, op, contentType string) nats.Header {
	return nats.Header{
		"ce-specversion": {"1.0"}, "ce-id": {nats.NewInbox()}, "ce-source": {"/test"}, "ce-subject": {name},
		"ce-type": {"dev.slipway.deployment." + op + ".requested.v1"}, "content-type": {contentType},
	}
}

var errFound = errors.New("found")

// outcomeOf waits for the terminal event of the command with this sequence.
func (s *system) outcomeOf(sequence uint64) (found entry) {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(s.tb.Context(), patience)
	defer cancel()
	err := s.Ledger.Follow(ctx, jetstream.AllEvents, 1, nil, func(m jetstream.Message) error {
		e, err := readEntry(m)
		if err == nil && e.Command.Sequence == sequence && e.Outcome.Terminal() {
			found, err = e, errFound
		}
		return err
	})
	if !errors.Is(err, errFound) {
		s.tb.Fatalf("outcome of command %d: %v\n%s", sequence, err, s.stderr)
	}
	s.shown(found)
	return found
}

// shown waits until the buckets show an outcome, which the ledger has a moment earlier.
func (s *system) shown(e entry) {
	s.tb.Helper()
	if !worker.Recorded(e.Outcome, e.Data) {
		return
	}
	bucket, err := jetstream.OpenBucket[worker.OperationView](s.tb.Context(), s.JetStream, jetstream.OperationsBucket)
	if err != nil {
		s.tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.tb.Context(), patience)
	defer cancel()
	if err := bucket.Await(ctx, e.Command.Token, func(v worker.OperationView) bool { return v.LedgerSequence >= e.Stored.Sequence }); err != nil {
		s.tb.Fatalf("event %d is not shown: %v", e.Stored.Sequence, err)
	}
}

// history is every event of the command with this sequence.
func (s *system) history(sequence uint64) (all []entry) {
	s.tb.Helper()
	if err := s.Ledger.Events(s.tb.Context(), jetstream.AllEvents, 1, func(m jetstream.Message) error {
		e, err := readEntry(m)
		if err == nil && e.Command.Sequence == sequence {
			all = append(all, e)
		}
		return err
	}); err != nil {
		s.tb.Fatal(err)
	}
	return all
}

// outcomes counts the terminal events by the sequence of their command.
func (s *system) outcomes() map[uint64]int {
	s.tb.Helper()
	count := make(map[uint64]int)
	if err := s.Ledger.Events(s.tb.Context(), jetstream.AllEvents, 1, func(m jetstream.Message) error {
		e, err := readEntry(m)
		if err == nil && e.Outcome.Terminal() {
			count[e.Command.Sequence]++
		}
		return err
	}); err != nil {
		s.tb.Fatal(err)
	}
	return count
}

// state is what the deployments bucket shows, as JSON, without the sequence of
// the event that it comes from; "" if there is no such deployment.
func (s *system) state(name string) string {
	s.tb.Helper()
	bucket, err := jetstream.OpenBucket[worker.DeploymentView](s.tb.Context(), s.JetStream, jetstream.DeploymentsBucket)
	if err != nil {
		s.tb.Fatal(err)
	}
	view, revision, err := bucket.Load(s.tb.Context(), name)
	if err != nil {
		s.tb.Fatal(err)
	}
	if revision == 0 {
		return ""
	}
	text, err := json.MarshalIndent(view.State, "", "  ")
	if err != nil {
		s.tb.Fatal(err)
	}
	return string(text)
}

// predict asks for predictions as any HTTP client would, and returns the answer.
func (s *system) predict(name string, row []*float64) (status int, answer string) {
	s.tb.Helper()
	body, err := inferRequest([][]*float64{row})
	if err != nil {
		s.tb.Fatal(err)
	}
	request, err := http.NewRequestWithContext(s.tb.Context(), http.MethodPost, s.where.Predict+"/v2/models/"+name+"/infer", bytes.NewReader(body))
	if err != nil {
		s.tb.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.tb.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.tb.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// sample is a row of the demo and what XGBoost itself predicts for it.
type sample struct {
	Features []string           `json:"features"`
	Row      []*float64         `json:"row"`
	Expected map[string]float64 `json:"expected"`
}

func readSample(tb testing.TB) (s sample) {
	tb.Helper()
	text, err := os.ReadFile("demo/sample.json")
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		tb.Fatal(err)
	}
	return s
}

// upload puts a model of the demo into the object store and returns its facts.
func (s *system) upload(id deployment.Name) handlers.ModelFacts {
	s.tb.Helper()
	d := &demoRun{Client: s.Client}
	d.sample.Features = readSample(s.tb).Features
	facts, err := d.upload(s.tb.Context(), id)
	if err != nil {
		s.tb.Fatal(err)
	}
	return facts
}

func readDemo(tb testing.TB, file string) []byte {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("demo", file))
	if err != nil {
		tb.Fatal(err)
	}
	return text
}
