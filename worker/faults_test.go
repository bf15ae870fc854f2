package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/worker"
)

var errInjected = errors.New("injected fault")

// faultyLedger fails one Append, before or after it took effect. From then on,
// if dead is set, nothing works: the process is gone.
type faultyLedger struct {
	worker.Ledger
	at    int // the nth Append fails, from 1
	after bool
	dead  bool

	mu     sync.Mutex
	count  int
	failed bool
}

func (l *faultyLedger) Append(ctx context.Context, w jetstream.Write) (uint64, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count++; l.failed && l.dead {
		return 0, false, errInjected
	}
	if l.count != l.at {
		return l.Ledger.Append(ctx, w)
	}
	l.failed = true
	if l.after {
		if _, _, err := l.Ledger.Append(ctx, w); err != nil {
			return 0, false, err
		}
	}
	return 0, false, errInjected
}

// faultyViews fails one Project, before or after it took effect.
type faultyViews struct {
	worker.Views
	at    int
	after bool
	count int
}

func (v *faultyViews) Project(ctx context.Context, view worker.View) error {
	if v.count++; v.count != v.at {
		return v.Views.Project(ctx, view)
	}
	if v.after {
		if err := v.Views.Project(ctx, view); err != nil {
			return err
		}
	}
	return errInjected
}

// Each write of the path fails once, before and after it took effect, at every
// operation, and the worker goes on in the same process: one outcome, the right
// state, the views as the ledger says.
func TestEveryWriteFailsOnce(t *testing.T) {
	t.Parallel()
	deployed := []events.Request{deployRequest("churn", "before", 1)}
	replaced := append(slices.Clone(deployed), replaceRequest("churn", "replaced", 2))
	inactive := append(slices.Clone(deployed), aboutChurn("deactivate", "deactivated", `{}`))
	deleted := append(slices.Clone(inactive), aboutChurn("delete", "deleted", `{}`))
	for _, c := range []struct {
		name    string
		before  []events.Request
		request events.Request
		want    events.Outcome
		writes  int
	}{
		{"register", nil, request(deployment.KindModel, "m1", "register", "1", handlers.Register{ModelFacts: facts(1)}), events.Completed, 3},
		{
			"register again",
			[]events.Request{request(deployment.KindModel, "m1", "register", "0", handlers.Register{ModelFacts: facts(1)})},
			request(deployment.KindModel, "m1", "register", "1", handlers.Register{ModelFacts: facts(1)}), events.Completed, 1,
		},
		{"deploy", nil, deployRequest("churn", "1", 1), events.Completed, 3},
		{"replace", deployed, replaceRequest("churn", "1", 2), events.Completed, 3},
		{"refused", deployed, deployRequest("churn", "1", 2), events.Rejected, 1},
		{"update", deployed, aboutChurn("update", "1", `{"label":"Customer churn"}`), events.Completed, 1},
		{"update of the model", deployed, updateRequest("1", 2), events.Completed, 3},
		{"update to a version", replaced, aboutChurn("update", "1", `{"label":"Customer churn","version":1}`), events.Completed, 3},
		{"update from a contract", deployed, aboutChurn("update", "1", `{"label":"Customer churn",`+sourceOf("v2")+`}`), events.Completed, 3},
		{"update refused by checks", deployed, updateRequest("1", 1), events.Rejected, 2},
		{"rename", deployed, aboutChurn("rename", "1", `{"version":1,"name":"the first"}`), events.Completed, 1},
		{"drift", deployed, aboutChurn("drift", "1", `{"featureDriftEnabled":true}`), events.Completed, 1},
		{"rollback", replaced, aboutChurn("rollback", "1", `{"reason":"ERRORS"}`), events.Completed, 3},
		{"rollback to a version", replaced, aboutChurn("rollback", "1", `{"reason":"ERRORS","version":1}`), events.Completed, 3},
		{"deactivate", deployed, aboutChurn("deactivate", "1", `{}`), events.Completed, 2},
		{"activate", inactive, aboutChurn("activate", "1", `{}`), events.Completed, 2},
		{"delete", deployed, aboutChurn("delete", "1", `{}`), events.Completed, 2},
		{"delete inactive", inactive, aboutChurn("delete", "1", `{}`), events.Completed, 2},
		{"deploy deleted", deleted, deployRequest("churn", "1", 2), events.Completed, 3},
		{"duplicate", deployed, deployed[0], events.Duplicate, 1},
		{"cancel", deployed, cancelRequest("1", "before"), events.Rejected, 1},
		{"refused by checks", deployed, replaceRequest("churn", "1", 1), events.Rejected, 2},
		{"deploy from a contract", nil, aboutChurn("deploy", "1", `{"label":"Churn",`+sourceOf("v1")+`}`), events.Completed, 3},
		{"replace from a contract", deployed, aboutChurn("replace", "1", `{"reason":"OTHER",`+sourceOf("v2")+`}`), events.Completed, 3},
		{"refused contract", deployed, aboutChurn("replace", "1", `{"reason":"OTHER",`+sourceOf("none")+`}`), events.Rejected, 3},
		{"validate", deployed, validateRequest("1", inline(2)), events.Completed, 3},
	} {
		for _, after := range []bool{false, true} {
			for at := 1; at <= c.writes; at++ { // started, validated, terminal; or the last one or two of them
				t.Run(fmt.Sprintf("%s, append %d, after %v", c.name, at, after), func(t *testing.T) {
					t.Parallel()
					s := newSystem(t)
					s.advanceAll(s.worker("w0"), c.before...)
					w := s.worker("w1")
					w.Ledger = &faultyLedger{Ledger: s.ledger, at: at, after: after}
					s.mendsItself(w, c.request, c.want)
				})
			}
			projects := 2 // what was before, and the terminal event
			if c.writes == 3 {
				projects++ // started
			}
			for at := 2; at <= projects; at++ {
				t.Run(fmt.Sprintf("%s, project %d, after %v", c.name, at, after), func(t *testing.T) {
					t.Parallel()
					s := newSystem(t)
					s.advanceAll(s.worker("w0"), c.before...)
					w := s.worker("w1")
					w.Views = &faultyViews{Views: w.Views, at: at, after: after}
					s.mendsItself(w, c.request, c.want)
				})
			}
		}
	}
}

// mendsItself carries out a command with a worker of which one write fails,
// tries again, and checks where that led.
func (s *system) mendsItself(w *worker.Worker, r events.Request, want events.Outcome) {
	s.tb.Helper()
	sequence := s.publish(r)
	who := worker.NewAddress(deployment.Kind(r.Type.Kind), r.Subject)
	if _, err := w.Advance(s.tb.Context(), who, sequence); !errors.Is(err, errInjected) {
		s.tb.Fatalf("got %v, want the injected fault", err)
	}
	if _, err := w.Advance(s.tb.Context(), who, math.MaxUint64); err != nil {
		s.tb.Fatal(err)
	}
	if last := s.outcomeOf(sequence); last.Outcome != want {
		s.tb.Errorf("got %s %+v, want %s", last.Outcome, last.Failure, want)
	}
	s.unique(s.history())
	a := s.audit()
	if diff := cmp.Diff([]string(nil), found(a)); diff != "" {
		s.tb.Errorf("views against the ledger (-want +got):\n%s", diff)
	}
	if state, exists := a.Deployments["churn"]; exists {
		s.holds(state.Effect())
	}
}

// A worker that dies with a claim is succeeded by another one, once its lease
// has run out, and its own late writes are refused.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	dying := s.worker("w1")
	dying.Ledger = &faultyLedger{Ledger: s.ledger, at: 2, dead: true}
	sequence := s.publish(deployRequest("churn", "1", 1))
	who := worker.NewAddress(deployment.KindDeployment, "churn")
	if _, err := dying.Advance(t.Context(), who, sequence); !errors.Is(err, errInjected) {
		t.Fatalf("got %v, want the injected fault", err)
	}
	patient := s.worker("w2")
	if _, err := patient.Advance(t.Context(), who, sequence); err == nil {
		t.Fatal("the claim of w1 was taken over before its lease ran out")
	}
	successor := s.worker("w3")
	successor.Lease = time.Nanosecond // has run out
	if _, err := successor.Advance(t.Context(), who, sequence); err != nil {
		t.Fatal(err)
	}
	got := s.outcomeOf(sequence)
	if got.Outcome != events.Completed || got.Worker != "w3" || got.Attempt != 2 {
		t.Errorf("got %s by %s in attempt %d, want completed by w3 in attempt 2", got.Outcome, got.Worker, got.Attempt)
	}
	s.unique(s.history())
}

// A zombie, whose effect returns after another worker has finished the command,
// says nothing any more.
func TestZombieIsRefused(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	began, wake := make(chan struct{}), make(chan struct{})
	var calls atomic.Int32
	s.target.apply = func(context.Context, deployment.Name, deployment.ModelRef, uint64) error {
		if calls.Add(1) == 1 {
			close(began)
			<-wake
		}
		return nil
	}
	sequence := s.publish(deployRequest("churn", "1", 1))
	who := worker.NewAddress(deployment.KindDeployment, "churn")
	zombie := make(chan error, 1)
	go func() {
		_, err := s.worker("zombie").Advance(t.Context(), who, sequence)
		zombie <- err
	}()
	<-began
	other := s.worker("other")
	other.Lease = time.Nanosecond
	if _, err := other.Advance(t.Context(), who, sequence); err != nil {
		t.Fatal(err)
	}
	close(wake)
	if err := <-zombie; err != nil {
		t.Errorf("zombie: got %v, want it to see that the command is finished", err)
	}
	all := s.history() // one outcome per command
	if last := all[len(all)-1]; last.Worker != "other" || last.Outcome != events.Completed {
		t.Errorf("got %s by %s as the last event, want completed by other", last.Outcome, last.Worker)
	}
}

// The heartbeat renews the claim for as long as the effect runs.
func TestHeartbeat(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	w := s.worker("w1")
	w.Lease = 30 * time.Millisecond
	s.target.apply = func(ctx context.Context, _ deployment.Name, _ deployment.ModelRef, _ uint64) error {
		seen := 0
		return ignore(errFound, s.ledger.Follow(ctx, jetstream.Fence("deployment", "churn"), 1, nil, func(m jetstream.Message) error {
			if s.read(m).Outcome == events.Progress {
				seen++
			}
			if seen == 3 {
				return errFound
			}
			return nil
		}))
	}
	sequence := s.publish(deployRequest("churn", "1", 1))
	s.run(w)
	if got := s.outcomeOf(sequence); got.Outcome != events.Completed || got.Attempt != 1 {
		t.Errorf("got %s %+v in attempt %d, want completed in attempt 1", got.Outcome, got.Failure, got.Attempt)
	}
	s.unique(s.history())
}

func ignore(expected, err error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

// A transient error is tried again; when there were enough attempts the command
// has failed, and what served before serves.
func TestRetries(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		fails  int
		effect error
		want   []events.Outcome
		code   deployment.Code
	}{
		{"once", 1, errors.New("store is away"), []events.Outcome{events.Started, events.Validated, events.Retrying, events.Started, events.Validated, events.Completed}, ""},
		{"always", 99, errors.New("store is away"), []events.Outcome{
			events.Started, events.Validated, events.Retrying, events.Started, events.Validated, events.Retrying, events.Started, events.Validated, events.Failed,
		}, deployment.CodeServerUnavailable},
		{"for good", 99, &deployment.Failure{Code: deployment.CodeServerFailed, Message: "cannot"}, []events.Outcome{events.Started, events.Validated, events.Failed}, deployment.CodeServerFailed},
		{"panic", 99, nil, []events.Outcome{
			events.Started, events.Validated, events.Retrying, events.Started, events.Validated, events.Retrying, events.Started, events.Validated, events.Failed,
		}, deployment.CodePanic},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			s.run(s.worker("w1"))
			s.outcomeOf(s.publish(deployRequest("churn", "1", 1)))
			failed := 0
			s.target.mu.Lock()
			s.target.apply = func(context.Context, deployment.Name, deployment.ModelRef, uint64) error {
				if failed++; failed > c.fails {
					return nil
				}
				if c.effect == nil {
					panic("out of luck")
				}
				return c.effect
			}
			s.target.mu.Unlock()
			sequence := s.publish(replaceRequest("churn", "2", 2))
			got := s.outcomeOf(sequence)
			if diff := cmp.Diff(c.want, outcomes(s.history(), sequence)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			serves := contentID(2)
			if c.code != "" {
				serves = contentID(1)
				if got.Failure == nil || got.Failure.Code != c.code {
					t.Errorf("got failure %+v, want %s", got.Failure, c.code)
				}
				if f := got.Deployment.LastFailure; f == nil || f.Code != string(c.code) || f.Command != got.Command.Token {
					t.Errorf("got last failure %+v, want %s by this command", f, c.code)
				}
			}
			if got.Deployment.Status != deployment.StatusActive || got.Deployment.Model.ID != serves || s.target.serves("churn") != serves {
				t.Errorf("got %s with model %s, target serves %s; want active with %s", got.Deployment.Status, got.Deployment.Model.ID, s.target.serves("churn"), serves)
			}
		})
	}
}

// A worker that is told to stop gives back what it cannot finish; another one
// takes it at once, and the attempt does not count.
func TestHandOver(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	began := make(chan struct{}, 1)
	s.target.apply = func(ctx context.Context, _ deployment.Name, _ deployment.ModelRef, _ uint64) error {
		began <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	sequence := s.publish(deployRequest("churn", "1", 1))
	w1 := s.worker("w1")
	w1.MaxAttempts = 1
	stop := s.run(w1)
	<-began
	stop()
	s.target.mu.Lock()
	s.target.apply = nil
	s.target.mu.Unlock()
	w2 := s.worker("w2")
	w2.MaxAttempts = 1
	s.run(w2)
	got := s.outcomeOf(sequence)
	if got.Outcome != events.Completed || got.Worker != "w2" || got.Attempt != 2 {
		t.Errorf("got %s %+v by %s in attempt %d, want completed by w2 in attempt 2", got.Outcome, got.Failure, got.Worker, got.Attempt)
	}
	want := []events.Outcome{events.Started, events.Validated, events.Retrying, events.Started, events.Validated, events.Completed}
	if diff := cmp.Diff(want, outcomes(s.history(), sequence)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// Ten thousand commands behind one that does not end keep no other deployment
// from going on.
func TestBacklogBehindBlockedDeployment(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	release := make(chan struct{})
	s.target.apply = func(ctx context.Context, name deployment.Name, _ deployment.ModelRef, _ uint64) error {
		if name == "slow" {
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
		return ctx.Err()
	}
	s.publish(deployRequest("slow", "slow", 1))
	e, err := replaceRequest("slow", "r", 2).Event()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10_000 {
		e.SetID(fmt.Sprint("r", i))
		_, body, err := events.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.js.PublishMsgAsync(natsMsg("slipway.commands.deployment.slow.replace", nil, body), natsjs.WithStallWait(patience)); err != nil {
			t.Fatal(err)
		}
	}
	<-s.js.PublishAsyncComplete()
	var quick []uint64
	for i := range 20 {
		quick = append(quick, s.publish(deployRequest(fmt.Sprint("quick", i), fmt.Sprint("quick", i), 1)))
	}
	s.run(s.worker("w1"))
	for _, sequence := range quick {
		if got := s.outcomeOf(sequence); got.Outcome != events.Completed {
			t.Errorf("command %d: got %s %+v, want completed", sequence, got.Outcome, got.Failure)
		}
	}
	close(release)
}

// Neither a deployment whose effect takes long nor the many commands behind it
// keep others from going on.
func TestBlockedDeploymentBlocksNobodyElse(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	release := make(chan struct{})
	s.target.apply = func(_ context.Context, name deployment.Name, _ deployment.ModelRef, _ uint64) error {
		if name == "slow" {
			<-release
		}
		return nil
	}
	last := s.publish(deployRequest("slow", "slow", 1))
	for i := range 200 {
		last = s.publish(replaceRequest("slow", fmt.Sprint("slow", i), 2+i%2))
	}
	quick := s.publish(deployRequest("quick", "quick", 1))
	s.run(s.worker("w1"))
	if got := s.outcomeOf(quick); got.Outcome != events.Completed {
		t.Errorf("quick: got %s %+v, want completed", got.Outcome, got.Failure)
	}
	close(release)
	if got := s.outcomeOf(last); got.Outcome != events.Completed {
		t.Errorf("slow: got %s %+v, want completed", got.Outcome, got.Failure)
	}
	s.history()
}

// A deployment that serves goes on to do so.
func TestPanicBeforeClaimOfReplacement(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.advanceAll(s.worker("w0"), deployRequest("churn", "1", 1))
	w := s.worker("w1")
	for i := range w.Operations {
		w.Operations[i].Read = func(json.RawMessage) (handlers.Asked, error) {
			return handlers.Asked{Decide: func(deployment.Subject, deployment.Facts, deployment.Command) (deployment.Decision, error) {
				panic("out of luck")
			}}, nil
		}
	}
	stop := s.run(w)
	got := s.outcomeOf(s.publish(replaceRequest("churn", "2", 2)))
	if got.Outcome != events.Failed || got.Deployment == nil || got.Deployment.Status != deployment.StatusActive || got.Deployment.Model.ID != contentID(1) {
		t.Errorf("got %s with %+v, want failed, and active with %s", got.Outcome, got.Deployment, contentID(1))
	}
	stop()
	if view, exists := s.deployment("churn"); !exists || view.Model == nil || s.target.serves("churn") != contentID(1) {
		t.Errorf("got %+v, %v, and %s serves; want %s", view, exists, s.target.serves("churn"), contentID(1))
	}
	s.history()
}

// While the broker refuses to store events, nothing ends and nothing is lost;
// when it stores them again, everything ends.
func TestRefusedWrites(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.advanceAll(s.worker("w0"), deployRequest("churn", "1", 1))
	stream, err := s.js.Stream(t.Context(), jetstream.EventsStream)
	if err != nil {
		t.Fatal(err)
	}
	open := stream.CachedInfo().Config
	full := open
	full.Discard, full.MaxMsgs = natsjs.DiscardNew, int64(stream.CachedInfo().State.LastSeq) //nolint:gosec // a handful
	if _, err := s.js.UpdateStream(t.Context(), full); err != nil {
		t.Fatal(err)
	}
	sequence := s.publish(replaceRequest("churn", "2", 2))
	w := s.worker("w1")
	if _, err := w.Advance(t.Context(), addressOf("churn"), sequence); err == nil {
		t.Error("got no error though nothing can be stored")
	}
	if got := len(s.history()); got != 3 {
		t.Errorf("got %d events, want the 3 of the deployment", got)
	}
	if got := s.target.serves("churn"); got != contentID(1) {
		t.Errorf("target serves %s before the claim is stored, want %s", got, contentID(1))
	}
	if _, err := s.js.UpdateStream(t.Context(), open); err != nil {
		t.Fatal(err)
	}
	s.run(w)
	if got := s.outcomeOf(sequence); got.Outcome != events.Completed {
		t.Errorf("got %s %+v, want completed", got.Outcome, got.Failure)
	}
	s.history()
}

// A broker that takes no message as large as an event keeps the command from
// being done, but not from ending.
func TestEventTooLargeForBroker(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.advanceAll(s.worker("w0"), deployRequest("churn", "1", 1))
	w := s.worker("w1")
	w.Ledger = narrowLedger{s.ledger}
	s.run(w)
	got := s.outcomeOf(s.publish(replaceRequest("churn", "2", 2)))
	if got.Outcome != events.Failed || got.Failure.Code != deployment.CodeTooLarge || got.Deployment.Model.ID != contentID(1) {
		t.Errorf("got %s %+v with %s, want failed with too_large, and %s", got.Outcome, got.Failure, got.Deployment.Model.ID, contentID(1))
	}
	if got := s.target.serves("churn"); got != contentID(1) {
		t.Errorf("target serves %s, want %s again", got, contentID(1))
	}
}

// narrowLedger takes no completed event.
type narrowLedger struct{ worker.Ledger }

func (l narrowLedger) Append(ctx context.Context, w jetstream.Write) (uint64, bool, error) {
	if strings.HasSuffix(w.Subject, ".completed") {
		return 0, false, fmt.Errorf("append: %w", jetstream.ErrTooLarge)
	}
	return l.Ledger.Append(ctx, w)
}

// A worker that holds all the deliveries it may hold still stops in time.
func TestStopWithFullWindow(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	began := make(chan struct{}, 100)
	s.target.apply = func(ctx context.Context, _ deployment.Name, _ deployment.ModelRef, _ uint64) error {
		began <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	for i := range 40 {
		s.publish(deployRequest(fmt.Sprint("d", i), fmt.Sprint(i), 1))
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	w := s.worker("w1")
	go func() {
		ended <- w.Run(ctx, s.commands, worker.Limits{Concurrency: 2, Window: 4, AckWait: time.Minute, Drain: 10 * time.Millisecond, Reconcile: time.Hour})
	}()
	<-began
	<-began
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the worker does not stop")
	}
	// What it had begun is given back, what it had not is untouched, and all of it is done by the next one.
	s.target.mu.Lock()
	s.target.apply = nil
	s.target.mu.Unlock()
	s.run(s.worker("w2"))
	for sequence := range uint64(40) {
		if got := s.outcomeOf(sequence + 1); got.Outcome != events.Completed {
			t.Errorf("command %d: got %s %+v, want completed", sequence+1, got.Outcome, got.Failure)
		}
	}
	s.history()
}

// A defect in the code that reads or decides ends as a failed command, not as a
// worker that dies again and again.
func TestPanicBeforeClaim(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	w := s.worker("w1")
	for i := range w.Operations {
		w.Operations[i].Read = func(json.RawMessage) (handlers.Asked, error) {
			panic("out of luck")
		}
	}
	s.run(w)
	sequence := s.publish(deployRequest("churn", "1", 1))
	if got := s.outcomeOf(sequence); got.Outcome != events.Failed || got.Failure.Code != deployment.CodePanic || got.Deployment != nil {
		t.Errorf("got %s %+v with %+v, want failed with panic and no deployment", got.Outcome, got.Failure, got.Deployment)
	}
	if diff := cmp.Diff([]events.Outcome{events.Retrying, events.Retrying, events.Failed}, outcomes(s.history(), sequence)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// A command that takes longer than it may has failed, in one attempt or over
// several, whichever workers made them.
func TestDeadline(t *testing.T) {
	t.Parallel()
	never := func(ctx context.Context, _ deployment.Name, _ deployment.ModelRef, _ uint64) error {
		<-ctx.Done()
		return ctx.Err()
	}
	away := func(context.Context, deployment.Name, deployment.ModelRef, uint64) error { return errors.New("away") }
	for name, apply := range map[string]func(context.Context, deployment.Name, deployment.ModelRef, uint64) error{"one attempt": never, "many attempts": away} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			s.target.apply = apply
			for _, id := range []string{"w1", "w2"} {
				w := s.worker(id)
				w.MaxAttempts = math.MaxInt
				w.Deadline = func(op string) time.Duration {
					if op != "deploy" {
						t.Errorf("asked for the deadline of %q", op)
					}
					return 300 * time.Millisecond
				}
				s.run(w)
			}
			got := s.outcomeOf(s.publish(deployRequest("churn", "1", 1)))
			if got.Outcome != events.Failed || got.Failure.Code != deployment.CodeDeadlineExceeded {
				t.Errorf("got %s %+v, want failed with deadline_exceeded", got.Outcome, got.Failure)
			}
			s.unique(s.history())
		})
	}
}
