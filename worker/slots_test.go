package worker_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/worker"
)

// While a worker works for as many commands as it may, it claims others, which wait.
func TestSlots(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	var working, most atomic.Int64
	work := func() (done func()) {
		if now := working.Add(1); now > most.Load() {
			most.Store(now)
		}
		return func() { working.Add(-1) }
	}
	applying, letGo := make(chan struct{}), make(chan struct{})
	s.target.inspect = func(_ context.Context, m deployment.Model) (deployment.Inspection, error) {
		defer work()()
		return deployment.Inspection{Format: m.Format, Objective: "binary:logistic", Features: len(m.Features), Outputs: 1}, nil
	}
	s.target.apply = func(ctx context.Context, name deployment.Name, _ deployment.ModelRef, _ uint64) error {
		defer work()()
		if name != "first" {
			return nil
		}
		close(applying)
		select {
		case <-letGo:
		case <-ctx.Done():
		}
		return nil
	}
	s.runWith(s.worker("w1"), worker.Limits{Concurrency: 1, Window: 16, AckWait: 2 * time.Second, Drain: time.Second, Reconcile: time.Hour})
	first := s.publish(deployRequest("first", "c1", 1))
	<-applying
	second := s.publish(deployRequest("second", "c2", 1))
	started := 0
	if err := s.ledger.Follow(t.Context(), "slipway.events.deployment.*.deploy.started", 1, nil, func(jetstream.Message) error {
		if started++; started == 2 {
			return errFound
		}
		return nil
	}); err != errFound { //nolint:errorlint // our own, returned bare
		t.Fatal(err)
	}
	close(letGo)
	for _, sequence := range []uint64{first, second} {
		if got := s.outcomeOf(sequence); got.Outcome != events.Completed {
			t.Errorf("command %d: got %s, want completed", sequence, got.Outcome)
		}
	}
	if most.Load() != 1 {
		t.Errorf("worked for %d commands at a time, want 1", most.Load())
	}
}

// What waits behind slow deployments keeps no delivery from another one, as long
// as they leave a slot.
func TestSlowDeploymentsStallNobodyElse(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	const slots, behind = 4, 40
	for i := range slots - 1 {
		name := fmt.Sprint("slow-", i)
		s.publish(deployRequest(name, name, 1))
		for j := range behind {
			s.publish(replaceRequest(name, fmt.Sprint(name, "-", j), 1+j%2))
		}
	}
	applying := make(chan struct{}, slots)
	s.target.apply = func(ctx context.Context, name deployment.Name, _ deployment.ModelRef, _ uint64) error {
		if name != "fast" {
			applying <- struct{}{}
			<-ctx.Done()
		}
		return ctx.Err()
	}
	s.runWith(s.worker("w1"), worker.Limits{Concurrency: slots, Window: 16 * slots, AckWait: 30 * time.Second, Drain: time.Millisecond, Reconcile: time.Hour})
	for range slots - 1 {
		<-applying
	}
	fast := s.publish(deployRequest("fast", "fast", 1)) // after the sweep at the start
	if got := s.outcomeOf(fast); got.Outcome != events.Completed {
		t.Errorf("got %s %+v, want completed", got.Outcome, got.Failure)
	}
}
