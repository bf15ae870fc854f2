package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/jetstream/embedded"
	"github.com/slipway-ml/slipway/jetstream/jetstreamtest"
	"github.com/slipway-ml/slipway/schemas"
	"github.com/slipway-ml/slipway/worker"
)

// system is a broker with workers and a target that only notes what it is told:
// what really serves predictions has tests of its own.
type system struct {
	tb       testing.TB
	server   *embedded.Server
	js       natsjs.JetStream
	ledger   *jetstream.Ledger
	commands *jetstream.Commands
	schemas  *schemas.Set
	target   *target
}

func newSystem(tb testing.TB) *system {
	tb.Helper()
	return newSystemIn(tb, embedded.Options{Dir: tb.TempDir(), Port: -1, SyncInterval: time.Minute})
}

func newSystemIn(tb testing.TB, o embedded.Options) *system {
	tb.Helper()
	server, js := jetstreamtest.StartIn(tb, o)
	s := &system{tb: tb, server: server, js: js, target: &target{serving: map[deployment.Name]deployment.Name{}}}
	s.open()
	return s
}

// open opens what workers need of the broker.
func (s *system) open() {
	tb := s.tb
	tb.Helper()
	var err error
	if s.ledger, err = jetstream.OpenLedger(tb.Context(), s.js); err != nil {
		tb.Fatal(err)
	}
	if s.commands, err = jetstream.OpenCommands(tb.Context(), s.js); err != nil {
		tb.Fatal(err)
	}
	if s.schemas, err = schemas.Load(); err != nil {
		tb.Fatal(err)
	}
}

func (s *system) views() *worker.Projections {
	return &worker.Projections{
		History:     s.ledger,
		Deployments: bucket[worker.DeploymentView](s, jetstream.DeploymentsBucket),
		Models:      bucket[worker.ModelView](s, jetstream.ModelsBucket),
		Operations:  bucket[worker.OperationView](s, jetstream.OperationsBucket),
	}
}

func bucket[T any](s *system, name string) *jetstream.Bucket[T] {
	s.tb.Helper()
	b, err := jetstream.OpenBucket[T](s.tb.Context(), s.js, name)
	if err != nil {
		s.tb.Fatal(err)
	}
	return b
}

// worker is a worker with an id, not yet running.
func (s *system) worker(id string) *worker.Worker {
	s.tb.Helper()
	return &worker.Worker{
		ID: id, Ledger: s.ledger, Commands: s.commands, Backlog: s.commands, Views: s.views(), Target: s.target, Contracts: &contracts{},
		Operations: handlers.All(), Schemas: s.schemas, Log: slog.New(slog.DiscardHandler),
		Lease: time.Minute, MaxAttempts: 3, Deadline: func(string) time.Duration { return time.Hour }, MaxCommand: 256 << 10,
		Backoff: func(int) time.Duration { return 10 * time.Millisecond },
	}
}

// run lets w take commands until the test ends or stop is called.
func (s *system) run(w *worker.Worker) (stop func()) {
	s.tb.Helper()
	return s.runWith(w, worker.Limits{Concurrency: 256, Window: 1024, AckWait: 2 * time.Second, Drain: time.Second, Reconcile: time.Hour})
}

func (s *system) runWith(w *worker.Worker, limits worker.Limits) (stop func()) {
	s.tb.Helper()
	return s.runOf(w, s.commands, limits)
}

// runOf is run with deliveries of the test's own.
func (s *system) runOf(w *worker.Worker, deliveries worker.Deliveries, limits worker.Limits) (stop func()) {
	s.tb.Helper()
	ctx, cancel := context.WithCancel(s.tb.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- w.Run(ctx, deliveries, limits)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.tb.Errorf("worker %s: %v", w.ID, err)
		}
	})
	s.tb.Cleanup(stop)
	return stop
}

// request is a command for kind and name with an id of its own.
func request(kind deployment.Kind, name, op, id string, data any) events.Request {
	return events.Request{
		Type: events.Type{Kind: string(kind), Op: op}, Source: "/test", ID: id, Subject: name, Time: time.Now(), Data: data,
	}
}

func (s *system) publish(r events.Request) (sequence uint64) {
	s.tb.Helper()
	e, err := r.Event()
	if err != nil {
		s.tb.Fatal(err)
	}
	header, body, err := events.Encode(e)
	if err != nil {
		s.tb.Fatal(err)
	}
	return s.publishRaw(jetstream.CommandSubject(r.Type.Kind, r.Subject, r.Type.Op), header, body)
}

// publishRaw publishes as a program does that knows nothing of us: no message id.
func (s *system) publishRaw(subject string, header events.Header, body []byte) (sequence uint64) {
	s.tb.Helper()
	msg := natsMsg(subject, header, body)
	ack, err := s.js.PublishMsg(s.tb.Context(), msg)
	if err != nil {
		s.tb.Fatal(err)
	}
	return ack.Sequence
}

// event is one event of the ledger, read.
type event struct {
	events.Type
	worker.Data
	Subject    string
	Sequence   uint64
	ID         string
	Extensions map[string]any
}

// patience is how long is waited for what has to come, on a machine that is slow.
const patience = 2 * time.Minute

// outcomeOf waits for the terminal event of the command with this sequence.
func (s *system) outcomeOf(sequence uint64) (found event) {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(s.tb.Context(), patience)
	defer cancel()
	err := s.ledger.Follow(ctx, jetstream.AllEvents, 1, nil, func(m jetstream.Message) error {
		e := s.read(m)
		if e.Command.Sequence == sequence && e.Outcome.Terminal() {
			found = e
			return errFound
		}
		return nil
	})
	if err != errFound { //nolint:errorlint // our own, returned bare
		s.tb.Fatalf("outcome of command %d: %v", sequence, err)
	}
	return found
}

var errFound = fmt.Errorf("found")

// history is every event of the ledger so far, each checked against its schema
// and against the chain that it continues.
func (s *system) history() (all []event) {
	s.tb.Helper()
	newest := map[string]uint64{}
	terminal := map[uint64]event{}
	err := s.ledger.Events(s.tb.Context(), jetstream.AllEvents, 1, func(m jetstream.Message) error {
		e := s.read(m)
		who := e.Kind + "." + e.Subject
		if e.Ledger.Previous != newest[who] {
			s.tb.Errorf("event %d of %s continues %d, want %d", e.Sequence, who, e.Ledger.Previous, newest[who])
		}
		newest[who] = e.Sequence
		if first, again := terminal[e.Command.Sequence]; again && e.Outcome.Terminal() {
			s.tb.Errorf("command %d has two outcomes: %s and %s", e.Command.Sequence, first.Outcome, e.Outcome)
		}
		if e.Outcome.Terminal() {
			terminal[e.Command.Sequence] = e
		}
		all = append(all, e)
		return nil
	})
	if err != nil {
		s.tb.Fatal(err)
	}
	return all
}

func (s *system) read(m jetstream.Message) event {
	s.tb.Helper()
	typ, data, err := worker.ReadEvent(m)
	if err != nil {
		s.tb.Fatal(err)
	}
	ce, err := events.Decode(m.Header, m.Body)
	if err != nil {
		s.tb.Fatal(err)
	}
	if want := jetstream.EventSubject(typ.Kind, ce.Subject(), typ.Op, string(typ.Outcome)); m.Subject != want {
		s.tb.Errorf("event %d is on %s, want %s", m.Sequence, m.Subject, want)
	}
	for _, finding := range s.schemas.Check(typ.String(), ce.Data()) {
		s.tb.Errorf("event %d %s: %s: %s\n%s", m.Sequence, typ, finding.Path, finding.Message, ce.Data())
	}
	if want := events.SchemaBase + s.schemas.File(typ.String()); ce.DataSchema() != want {
		s.tb.Errorf("event %d has schema %s, want %s", m.Sequence, ce.DataSchema(), want)
	}
	return event{Type: typ, Data: data, Subject: ce.Subject(), Sequence: m.Sequence, ID: ce.ID(), Extensions: ce.Extensions()}
}

// shown waits until the views show what a command led to.
func (s *system) shown(outcome event) {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(s.tb.Context(), patience)
	defer cancel()
	if err := bucket[worker.OperationView](s, jetstream.OperationsBucket).Await(ctx, outcome.Command.Token, func(v worker.OperationView) bool {
		return v.LedgerSequence >= outcome.Sequence
	}); err != nil {
		s.tb.Fatalf("event %d is not shown: %v", outcome.Sequence, err)
	}
}

// deployment is what the deployments bucket shows.
func (s *system) deployment(name string) (view worker.DeploymentView, exists bool) {
	s.tb.Helper()
	view, revision, err := bucket[worker.DeploymentView](s, jetstream.DeploymentsBucket).Load(s.tb.Context(), name)
	if err != nil {
		s.tb.Fatal(err)
	}
	return view, revision > 0
}

// target notes what it is told to serve. Its hooks stand for what can happen there.
type target struct {
	mu       sync.Mutex
	serving  map[deployment.Name]deployment.Name
	tokens   []uint64
	inspect  func(ctx context.Context, m deployment.Model) (deployment.Inspection, error)
	apply    func(ctx context.Context, name deployment.Name, m deployment.ModelRef, token uint64) error
	stop     func(ctx context.Context, name deployment.Name, token uint64) error
	restored []deployment.Name
}

func (t *target) Inspect(ctx context.Context, m deployment.Model, progress func(string)) (deployment.Inspection, error) {
	progress("looking")
	t.mu.Lock()
	hook := t.inspect
	t.mu.Unlock()
	if hook != nil {
		return hook(ctx, m)
	}
	return deployment.Inspection{Format: m.Format, Objective: "binary:logistic", Features: len(m.Features), Outputs: 1}, nil
}

func (t *target) Apply(ctx context.Context, name deployment.Name, serve deployment.Serve, token uint64, progress func(string)) error {
	m := serve.Model
	progress("serving")
	t.mu.Lock()
	hook := t.apply
	t.mu.Unlock()
	if hook != nil {
		if err := hook(ctx, name, m, token); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.serving[name] = m.ID
	t.tokens = append(t.tokens, token)
	return nil
}

func (t *target) Stop(ctx context.Context, name deployment.Name, inactive bool, token uint64, _ func(string)) error {
	t.mu.Lock()
	hook := t.stop
	t.mu.Unlock()
	if hook != nil {
		if err := hook(ctx, name, token); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hold(name, deployment.Stop{Inactive: inactive})
	t.tokens = append(t.tokens, token)
	return nil
}

func (t *target) Restore(_ context.Context, name deployment.Name, before deployment.Effect, _ uint64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.restored = append(t.restored, name)
	t.hold(name, before)
	return nil
}

func (t *target) Converge(_ context.Context, name deployment.Name, effect deployment.Effect, _ uint64) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.serving[name]
	t.hold(name, effect)
	return t.serving[name] != before, nil
}

// inactiveModel is what an inactive deployment serves here.
const inactiveModel = "(inactive)"

// hold notes what is served, under the lock.
func (t *target) hold(name deployment.Name, effect deployment.Effect) {
	delete(t.serving, name)
	switch effect := effect.(type) {
	case deployment.Serve:
		t.serving[name] = effect.Model.ID
	case deployment.Stop:
		if effect.Inactive {
			t.serving[name] = inactiveModel
		}
	}
}

func (t *target) serves(name deployment.Name) deployment.Name {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.serving[name]
}

// facts are the facts of a model whose content depends on variant.
func facts(variant int) handlers.ModelFacts {
	return handlers.ModelFacts{
		Format: deployment.FormatXGBoost,
		Target: deployment.Target{Name: "churned", Type: deployment.TargetBinary},
		Features: []deployment.Feature{
			{Name: "tenure", Type: deployment.FeatureNumeric}, {Name: "charges", Type: deployment.FeatureNumeric},
		},
		Artifact: deployment.Artifact{
			Object: fmt.Sprintf("model-%d", variant),
			Digest: deployment.Digest(fmt.Sprintf("sha256:%064x", variant)), Size: 100,
		},
	}
}

func inline(variant int) handlers.ModelChoice {
	f := facts(variant)
	return handlers.ModelChoice{Model: &f}
}

func contentID(variant int) deployment.Name { return facts(variant).Named("").ContentID() }

func mustJSON(tb testing.TB, v any) []byte {
	tb.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}
