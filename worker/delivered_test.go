package worker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/worker"
)

// lossy are deliveries of which some do not come, as if another worker had them,
// and some come late.
type lossy struct {
	*jetstream.Commands
	lost func(sequence uint64) bool
	late func(sequence uint64) bool
}

func (l lossy) Consume(ctx context.Context, handle func(jetstream.Delivery)) error {
	var held []jetstream.Delivery
	return l.Commands.Consume(ctx, func(d jetstream.Delivery) {
		if l.lost(d.Sequence) {
			return
		}
		if l.late != nil && l.late(d.Sequence) && len(held) < 8 {
			held = append(held, d)
			return
		}
		handle(d)
		for _, d := range held {
			handle(d)
		}
		held = nil
	})
}

// Commands go by the order of the stream, whatever is delivered, in whatever
// order, and although some are given back in between.
func TestOrderWhateverIsDelivered(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	const deployments, commands, ackWait = 6, 24, 500 * time.Millisecond
	if err := jetstream.Provision(t.Context(), s.js, 1, ackWait); err != nil {
		t.Fatal(err)
	}
	want := map[string][]uint64{}
	publish := func(from, to int) {
		for i := from; i < to; i++ {
			for d := range deployments {
				name := fmt.Sprint("d", d)
				r := replaceRequest(name, fmt.Sprint(name, "-", i), i)
				if i == 0 {
					r = deployRequest(name, name, i)
				}
				want[name] = append(want[name], s.publish(r))
			}
		}
	}
	publish(0, commands/2)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	choose := func(sequence uint64, one uint64) bool { return rand.New(rand.NewPCG(seed, sequence)).Uint64N(one) == 0 } //nolint:gosec // of a test
	quiet := uint64(commands / 4 * deployments)                                                                         // deliveries without a loss
	again := map[uint64]bool{}
	deliveries := lossy{
		Commands: s.commands,
		lost: func(sequence uint64) bool { // the first time
			lost := sequence > quiet && !again[sequence] && choose(sequence, 10)
			again[sequence] = true
			return lost
		},
		late: func(sequence uint64) bool { return choose(sequence+1, 7) },
	}
	var count atomic.Int64
	s.target.apply = func(context.Context, deployment.Name, deployment.ModelRef, uint64) error {
		if count.Add(1)%7 == 0 {
			return errors.New("not now")
		}
		return nil
	}
	w := s.worker("w1")
	w.MaxAttempts = 100
	s.runOf(w, deliveries, worker.Limits{Concurrency: 256, Window: 1024, AckWait: ackWait, Drain: time.Second, Reconcile: time.Hour})
	publish(commands/2, commands)
	s.completedInOrder(want)
}

// A command that was delivered to another worker, which waits for the end of the
// one before it, is taken up when that has ended, also by a worker to which all
// commands before were delivered.
func TestCommandThatWasDeliveredElsewhere(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	var elsewhere atomic.Uint64
	deliveries := lossy{Commands: s.commands, lost: func(sequence uint64) bool { return sequence == elsewhere.Load() }}
	began, goOn := make(chan struct{}), make(chan struct{})
	s.target.apply = func(ctx context.Context, name deployment.Name, _ deployment.ModelRef, _ uint64) error {
		if name != "churn" {
			return nil
		}
		select {
		case began <- struct{}{}:
		case <-ctx.Done():
		}
		select {
		case <-goOn:
		case <-ctx.Done():
		}
		return nil
	}
	w := s.worker("w1")
	s.runOf(w, deliveries, worker.Limits{Concurrency: 256, Window: 1024, AckWait: 2 * time.Second, Drain: time.Second, Reconcile: time.Hour})
	var last uint64
	for i := range 100 {
		last = s.publish(deployRequest("other", fmt.Sprint(i), 1)) // all but the first are refused
	}
	s.outcomeOf(last)
	elsewhere.Store(last + 2)
	s.publish(deployRequest("churn", "c1", 1))
	<-began
	second := s.publish(replaceRequest("churn", "c2", 2))
	if second != last+2 {
		t.Fatalf("the second command is %d, want %d", second, last+2)
	}
	goOn <- struct{}{}
	<-began
	goOn <- struct{}{}
	if got := s.outcomeOf(second); got.Outcome != events.Completed {
		t.Errorf("got %s %+v, want completed", got.Outcome, got.Failure)
	}
}

// followedLedger calls completed after each completed event is stored.
type followedLedger struct {
	worker.Ledger
	completed func()
}

func (l followedLedger) Append(ctx context.Context, w jetstream.Write) (uint64, bool, error) {
	sequence, appended, err := l.Ledger.Append(ctx, w)
	if strings.HasSuffix(w.Subject, "."+string(events.Completed)) {
		l.completed()
	}
	return sequence, appended, err
}

// A command that is stored after the outcome of the one before it, and was
// delivered to another worker, is left to that one; and taken up later, if it does
// nothing.
func TestCommandThatIsLeftToAnotherWorker(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	w := s.worker("w1")
	var second uint64
	w.Ledger = followedLedger{w.Ledger, sync.OnceFunc(func() { second = s.publish(replaceRequest("churn", "c2", 2)) })}
	first := s.publish(deployRequest("churn", "c1", 1))
	deliveries := lossy{Commands: s.commands, lost: func(sequence uint64) bool { return sequence > first }}
	s.runOf(w, deliveries, worker.Limits{Concurrency: 4, Window: 64, AckWait: time.Minute, Drain: time.Second, Reconcile: time.Hour})
	if got := s.outcomeOf(first + 1); got.Outcome != events.Completed {
		t.Fatalf("got %s %+v, want completed", got.Outcome, got.Failure)
	}
	command, err := s.commands.Next(t.Context(), jetstream.CommandSubject("deployment", "churn", "replace"), second)
	if err != nil {
		t.Fatal(err)
	}
	started, err := s.ledger.Last(t.Context(), jetstream.EventSubject("deployment", "churn", "replace", string(events.Started)))
	if err != nil {
		t.Fatal(err)
	}
	const left = 100 * time.Millisecond
	if after := started.Time.Sub(command.Time); command.Sequence != second || after < left {
		t.Errorf("begun %s after it was stored, want it to be left to the other worker for %s", after, left)
	}
}
