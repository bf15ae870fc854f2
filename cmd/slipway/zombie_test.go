package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/serving"
)

// A worker that the system stops in the middle of a rollout, for longer than its
// lease, wakes up when another one has finished its command. What it then says
// is refused by the fence, and what it asks of the prediction servers by the
// token; and it goes on to work.
func TestZombieProcess(t *testing.T) {
	t.Parallel()
	c := newFew(t, "SLIPWAY_RECONCILE_INTERVAL=1h") // no sweep is to help
	const name = "churn"
	first := c.awaitOutcome(c.order(name, "deploy", handlers.Deploy{Label: name, ModelChoice: c.inline(0)}))
	if first.Outcome != events.Completed {
		t.Fatalf("deploy: got %s: %s, want completed", first.Outcome, first.detail())
	}

	// While the prediction server does nothing, a rollout does not end.
	c.send(c.servers[0], syscall.SIGSTOP)
	sequence := c.order(name, "replace", handlers.Replace{Reason: deployment.ReasonOther, ModelChoice: c.inline(1)})
	claim := c.await("a claim", func(e entry) bool { return e.Command.Sequence == sequence && e.Outcome == events.Started })
	c.awaitDesired(name, func(d serving.Desired) bool { return d.Token == claim.Stored.Sequence })
	zombie, other := c.workers[0], c.workers[1]
	if c.workerID(zombie) != claim.Worker {
		zombie, other = other, zombie
	}
	c.send(zombie, syscall.SIGSTOP)
	second := c.await("another claim", func(e entry) bool {
		return e.Command.Sequence == sequence && e.Outcome == events.Started && e.Worker == c.workerID(other)
	})
	if waited := second.Stored.Time.Sub(claim.Stored.Time); waited > 10*time.Second {
		t.Errorf("the command was taken over after %s, want about the lease, 1s", waited)
	}
	c.awaitDesired(name, func(d serving.Desired) bool { return d.Token == second.Stored.Sequence })
	c.send(c.servers[0], syscall.SIGCONT)
	done := c.awaitOutcome(sequence)
	if done.Outcome != events.Completed || done.Worker != c.workerID(other) {
		t.Errorf("got %s by %s: %s, want completed by %s", done.Outcome, done.Worker, done.detail(), c.workerID(other))
	}
	desired, revision := c.desired(name)

	// What is published can be heard even if it is not stored.
	said := make(chan entry, 64)
	heard, err := c.conn.Subscribe(jetstream.Fence(string(deployment.KindDeployment), name), func(m *nats.Msg) {
		if e, err := readEntry(jetstream.Message{Subject: m.Subject, Header: m.Header, Body: m.Data}); err == nil && e.Worker == claim.Worker {
			said <- e
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := c.conn.FlushWithContext(ctx); err != nil {
		t.Fatal(err)
	}
	c.send(zombie, syscall.SIGCONT)
	select {
	case e := <-said:
		t.Logf("the zombie has said: %s of command %d", e.Outcome, e.Command.Sequence)
	case <-ctx.Done():
		t.Errorf("the zombie says nothing\n%s", c.tails())
	}
	if err := heard.Unsubscribe(); err != nil {
		t.Fatal(err)
	}

	// The next command of the same deployment can only be carried out by a worker that is done with this one.
	c.send(other, syscall.SIGSTOP)
	if again, now := c.desired(name); now != revision {
		t.Errorf("the serving bucket says %+v at revision %d, after %+v at revision %d", again, now, desired, revision)
	}
	next := c.awaitOutcome(c.order(name, "replace", handlers.Replace{Reason: deployment.ReasonOther, ModelChoice: c.inline(2)}))
	if next.Outcome != events.Completed || next.Worker != claim.Worker {
		t.Errorf("the next command: got %s by %s: %s, want completed by %s", next.Outcome, next.Worker, next.detail(), claim.Worker)
	}
	var told []events.Outcome
	for _, e := range c.history().events {
		if e.Command.Sequence == sequence && e.Worker == claim.Worker && e.Stored.Sequence > second.Stored.Sequence {
			told = append(told, e.Outcome)
		}
	}
	if len(told) > 0 {
		t.Errorf("the ledger has %v by the zombie after the claim of the other worker", told)
	}
	c.sound()
}

// newFew is two workers and a prediction server, for a test that says what is
// done to them. They are this test binary, called by another name.
func newFew(tb testing.TB, more ...string) *chaos {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	c := newProcesses(tb, self, oneNode(tb, tb.TempDir()), 2, 1, more...)
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	servers, err := jetstream.OpenBucket[serving.Server](ctx, c.JetStream, jetstream.ServersBucket)
	if err != nil {
		tb.Fatal(err)
	}
	if err := servers.Await(ctx, c.servers[0].name, func(serving.Server) bool { return true }); err != nil {
		tb.Fatalf("no prediction server: %v\n%s", err, c.tails())
	}
	c.heard()
	return c
}

// send sends a signal to a process.
func (c *chaos) send(p *child, sig syscall.Signal) {
	c.tb.Helper()
	if err := p.signal(sig); err != nil {
		c.tb.Fatal(err)
	}
}

// lives is how often each process was started.
func (c *chaos) lives() map[string]int {
	lives := make(map[string]int)
	for _, p := range c.children {
		lives[p.name], _ = p.byItself()
	}
	return lives
}

// workerID is the id of the worker in that process, as it has said; heard waits for that.
func (c *chaos) workerID(p *child) string {
	said := p.tail(1 << 20)
	_, text, _ := strings.Cut(said[max(0, strings.LastIndex(said, "Worker ")):], "Worker ")
	id, _, _ := strings.Cut(text, " takes commands")
	return id
}

// heard waits until each worker process, as often as it was started, has said its id.
func (c *chaos) heard() {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(c.tb.Context(), patience)
	defer cancel()
	for _, p := range c.workers {
		c.must(ctx, p.name+" starts", func(context.Context) error {
			lives, exits := p.byItself()
			if said := strings.Count(p.tail(1<<20), " takes commands"); said == 0 || said < lives-len(exits) {
				return errors.New("it has not said its id")
			}
			return nil
		})
	}
}

func (c *chaos) inline(variant int) handlers.ModelChoice {
	facts := c.facts(variant)
	return handlers.ModelChoice{Model: &facts}
}

// order publishes a command for a deployment.
func (c *chaos) order(name, op string, data any) (sequence uint64) {
	c.tb.Helper()
	const kind = string(deployment.KindDeployment)
	e, err := events.Request{
		Type: events.Type{Kind: kind, Op: op}, Source: chaosSource, ID: nats.NewInbox(), Subject: name, Data: data,
	}.Event()
	if err != nil {
		c.tb.Fatal(err)
	}
	header, body, err := events.Encode(e)
	if err != nil {
		c.tb.Fatal(err)
	}
	sequence, err = c.Commands.Publish(c.tb.Context(), jetstream.CommandSubject(kind, name, op), e.ID(), header, body)
	if err != nil {
		c.tb.Fatal(err)
	}
	return sequence
}

// await waits for an event of the ledger, from its beginning on.
func (c *chaos) await(what string, is func(entry) bool) (found entry) {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(c.tb.Context(), chaosDrain)
	defer cancel()
	err := c.Ledger.Follow(ctx, jetstream.AllEvents, 1, nil, func(m jetstream.Message) error {
		e, err := readEntry(m)
		if err == nil && is(e) {
			found, err = e, errFound
		}
		return err
	})
	if !errors.Is(err, errFound) {
		c.tb.Fatalf("%s: %v\n%s", what, err, c.tails())
	}
	return found
}

func (c *chaos) awaitOutcome(sequence uint64) entry {
	c.tb.Helper()
	return c.await("an outcome", func(e entry) bool { return e.Command.Sequence == sequence && e.Outcome.Terminal() })
}

// desired is what prediction servers are told of a deployment, and its revision.
func (c *chaos) desired(name deployment.Name) (serving.Desired, uint64) {
	c.tb.Helper()
	bucket, err := jetstream.OpenBucket[serving.Desired](c.tb.Context(), c.JetStream, jetstream.ServingBucket)
	if err != nil {
		c.tb.Fatal(err)
	}
	desired, revision, err := bucket.Load(c.tb.Context(), serving.DesiredKey(name))
	if err != nil {
		c.tb.Fatal(err)
	}
	return desired, revision
}

// awaitDesired waits until prediction servers are told so.
func (c *chaos) awaitDesired(name deployment.Name, is func(serving.Desired) bool) {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(c.tb.Context(), patience)
	defer cancel()
	bucket, err := jetstream.OpenBucket[serving.Desired](ctx, c.JetStream, jetstream.ServingBucket)
	if err != nil {
		c.tb.Fatal(err)
	}
	if err := bucket.Await(ctx, serving.DesiredKey(name), is); err != nil {
		c.tb.Fatalf("desired of %s: %v\n%s", name, err, c.tails())
	}
}

// history is the ledger as it is now.
func (c *chaos) history() *history {
	c.tb.Helper()
	h := newHistory(c.tb)
	h.violation = c.violation
	if err := h.readEvents(c.tb.Context(), c.Ledger); err != nil {
		c.tb.Fatal(err)
	}
	return h
}

// sound checks that the ledger is in order, and that the views are as it says.
func (c *chaos) sound() {
	c.tb.Helper()
	c.history().checkEvents()
	c.checkProjections()
	if len(c.violations) > 0 {
		c.tb.Errorf("%s\n%s", strings.Join(slices.Compact(c.violations), "\n"), c.tails())
	}
}
