package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/slipway-ml/slipway/client"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
)

// To publish a command again changes nothing and comes to the same outcome,
// however it comes to be published again, and however it ended.
func TestRetryIsTheSameCommand(t *testing.T) {
	t.Parallel()
	c := connect(t, "")
	register(t, c)
	for _, test := range []struct {
		name  string
		model deployment.Name
		want  events.Outcome
	}{
		{"retry-completed", "churn-v1", events.Completed},
		{"retry-rejected", "churn-v9", events.Rejected},
	} {
		cmd := client.Command{Name: test.name, ID: "run-" + test.name}
		publish := func() client.Pending {
			p, err := c.Deploy(t.Context(), cmd, deploy("Churn", test.model))
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		first := publish()
		outcome, err := c.Wait(t.Context(), first)
		if outcome.Outcome != test.want || (err == nil) != (test.want == events.Completed) {
			t.Fatalf("got %s, %v, want %s", outcome.Outcome, err, test.want)
		}

		soon := publish() // the broker knows it
		stored, err := c.Commands.At(t.Context(), first.Sequence)
		if err != nil {
			t.Fatal(err)
		}
		ack, err := c.JetStream.PublishMsg(t.Context(), &nats.Msg{Subject: stored.Subject, Data: stored.Body}) // without its token
		if err != nil {
			t.Fatal(err)
		}
		later := first // the broker has forgotten it, the worker not
		later.Sequence = ack.Sequence
		if soon != first || later.Sequence == first.Sequence {
			t.Errorf("got %+v and %+v, want the first one and another one than %+v", soon, later, first)
		}
		byID := client.Pending{Source: first.Source, ID: first.ID}
		for _, p := range []client.Pending{soon, later, byID} {
			again, err := c.Wait(t.Context(), p)
			if again.ID != outcome.ID || again.Stored.Sequence != outcome.Stored.Sequence || (err == nil) != (test.want == events.Completed) {
				t.Errorf("%+v: got event %s, %v, want that of the first one, %s", p, again.ID, err, outcome.ID)
			}
		}
		if e, err := c.Await(t.Context(), later, nil); err != nil || e.Outcome != events.Duplicate {
			t.Errorf("got %s, %v, want duplicate of what was published later", e.Outcome, err)
		}
	}
}

// An id that another command has is refused, also while the broker drops what is
// published under it.
func TestIDOfAnotherCommand(t *testing.T) {
	t.Parallel()
	c := connect(t, "")
	register(t, c)
	cmd := client.Command{Name: "id-reused", ID: "run-1"}
	completed(t, c)(c.Deploy(t.Context(), cmd, deploy("Churn", "churn-v1")))
	publications := []func() (client.Pending, error){
		func() (client.Pending, error) { return c.Deploy(t.Context(), cmd, deploy("Other", "churn-v1")) },
		func() (client.Pending, error) { return c.Delete(t.Context(), cmd) },
		func() (client.Pending, error) {
			other := cmd
			other.Name = "id-reused-elsewhere"
			return c.Deploy(t.Context(), other, deploy("Churn", "churn-v1"))
		},
	}
	for _, publish := range publications {
		p, err := publish()
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Wait(t.Context(), p)
		refused, ok := errors.AsType[*client.Error](err)
		if !ok || refused.Code != deployment.CodeIDReused || refused.Class != deployment.ClassConflict || refused.Outcome != events.Rejected {
			t.Errorf("%+v: got %v, want %s", p, err, deployment.CodeIDReused)
		}
	}
	if d, err := c.Get(t.Context(), "id-reused"); err != nil || d.Revision != 1 {
		t.Errorf("got %+v, %v, want it as it was", d, err)
	}
}

// A wait that ends too early is no failure: the command goes on, and its outcome
// can be waited for again.
func TestOutcomeUnknown(t *testing.T) {
	t.Parallel()
	c := connect(t, "")
	register(t, c)
	completed(t, c)(c.Deploy(t.Context(), client.Command{Name: "unknown"}, deploy("Churn", "churn-v1")))
	p, err := c.Replace(t.Context(), client.Command{Name: "unknown"}, replace("churn-v2"))
	if err != nil {
		t.Fatal(err)
	}
	late, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	_, err = c.Wait(late, p)
	unknown, ok := errors.AsType[*client.UnknownOutcomeError](err)
	if !ok || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want that the outcome is unknown since the time is over", err)
	}
	if e := completed(t, c)(unknown.Pending, nil); e.Replacement.NewModel != "churn-v2" {
		t.Errorf("got %+v, want the replacement", e.Replacement)
	}

	// Nobody says whether it was stored.
	p, err = c.Replace(late, client.Command{Name: "unknown"}, replace("churn-v1"))
	if unknown, ok = errors.AsType[*client.UnknownOutcomeError](err); !ok || unknown.Pending.ID != p.ID || p.ID == "" {
		t.Fatalf("got %v, want that the outcome is unknown of command %s", err, p.ID)
	}
	again := client.Command{Name: "unknown", ID: p.ID}
	if e := completed(t, c)(c.Replace(t.Context(), again, replace("churn-v1"))); e.Replacement.NewModel != "churn-v1" {
		t.Errorf("got %+v, want the replacement", e.Replacement)
	}
}

// ReplaceAndWait says what became of the command, not what the deployment is.
func TestReplaceAndWait(t *testing.T) {
	t.Parallel()
	c := connect(t, "")
	register(t, c)
	completed(t, c)(c.Deploy(t.Context(), client.Command{Name: "and-wait"}, deploy("Churn", "churn-v1")))
	e, err := c.ReplaceAndWait(t.Context(), client.Command{Name: "and-wait"}, replace("churn-v2"))
	if err != nil || e.Outcome != events.Completed || e.Deployment.Model.ID != "churn-v2" {
		t.Fatalf("got %s, %v, want completed", e.Outcome, err)
	}
	if d, err := c.Get(t.Context(), "and-wait"); err != nil || d.Model.ID != "churn-v2" {
		t.Errorf("got %+v, %v, want to read what was written", d.Model, err)
	}
	wrong := handlers.Replace{Reason: "WHIM", ModelChoice: handlers.ModelChoice{ModelID: "churn-v1"}}
	_, err = c.ReplaceAndWait(t.Context(), client.Command{Name: "and-wait"}, wrong)
	if refused, ok := errors.AsType[*client.Error](err); !ok || refused.Code != deployment.CodeUnknownEnum || refused.Errors["reason"] == "" {
		t.Errorf("got %v, want that the reason is none", err)
	}
}

// Watch goes on where it was when the broker was away, and misses nothing.
func TestWatchGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	up, err := start(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := connect(t, up.NATS)
	seen := make(chan client.Event, 64)
	watching, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		var last error
		for e, err := range c.Watch(watching, client.Watch{Kind: deployment.KindModel, From: 1}) {
			if last = err; err == nil && e.Outcome.Terminal() {
				seen <- e
			}
		}
		ended <- last
	}()
	facts, err := churn(t.Context(), c, "v1")
	if err != nil {
		t.Fatal(err)
	}
	completed(t, c)(c.Register(t.Context(), client.Command{Name: "before"}, facts))
	up.stop()
	if up, err = start(dir, "SLIPWAY_NATS_PORT="+up.NATS[len("nats://127.0.0.1:"):]); err != nil {
		t.Fatal(err)
	}
	defer up.stop()
	elsewhere := connect(t, up.NATS)
	completed(t, elsewhere)(elsewhere.Register(t.Context(), client.Command{Name: "after"}, facts))
	late := time.NewTimer(patience)
	defer late.Stop()
	var after uint64
	for _, want := range []string{"before", "after"} {
		select {
		case e := <-seen:
			if e.Subject != want {
				t.Errorf("got an event of %s, want %s", e.Subject, want)
			}
			after = e.Stored.Sequence
		case <-late.C:
			t.Fatalf("no event of %s came", want)
		}
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the context has ended", err)
	}
	for e, err := range elsewhere.Watch(t.Context(), client.Watch{Kind: deployment.KindModel, From: after}) {
		if err != nil || e.Stored.Sequence != after || e.Subject != "after" {
			t.Errorf("got event %d of %s, %v, want %d", e.Stored.Sequence, e.Subject, err, after)
		}
		break
	}
}

// What is no name is refused; if it might be a filter, before anything is published.
func TestNamesAreChecked(t *testing.T) {
	t.Parallel()
	c := connect(t, "")
	for _, name := range []string{"", "Churn", "a.b", "*", ">", "a b"} {
		p, published := c.Delete(t.Context(), client.Command{Name: name})
		if published == nil {
			_, published = c.Wait(t.Context(), p)
		}
		_, validated := c.Validate(t.Context(), client.Command{Name: name}, handlers.Validate{})
		_, got := c.Get(t.Context(), name)
		_, history := c.History(t.Context(), name)
		_, versions := c.Versions(t.Context(), name)
		for _, err := range []error{published, validated, got, history, versions} {
			if refused, ok := errors.AsType[*client.Error](err); !ok || refused.Code != deployment.CodeInvalidName || refused.Errors["subject"] == "" {
				t.Errorf("%q: got %v, want %s", name, err, deployment.CodeInvalidName)
			}
		}
	}
	for _, filter := range []string{jetstream.CommandFilter("deployment", "a.b"), "slipway.commands.deployment.*.delete"} {
		if m, err := c.Commands.Next(t.Context(), filter, 1); err != nil || m.Sequence != 0 {
			t.Errorf("%s: got command %d, %v, want none", filter, m.Sequence, err)
		}
	}
}
