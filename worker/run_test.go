package worker_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/worker"
)

// heldLedger lets the first look at the clock wait.
type heldLedger struct {
	worker.Ledger
	once           sync.Once
	looking, letGo chan struct{}
}

func (l *heldLedger) Now(ctx context.Context) (time.Time, error) {
	l.once.Do(func() {
		close(l.looking)
		<-l.letGo
	})
	return l.Ledger.Now(ctx)
}

// notedDeliveries tell when a worker has taken the delivery of a command.
type notedDeliveries struct {
	worker.Deliveries
	sequence uint64
	taken    chan struct{}
}

func (d *notedDeliveries) Consume(ctx context.Context, handle func(jetstream.Delivery)) error {
	return d.Deliveries.Consume(ctx, func(delivery jetstream.Delivery) {
		handle(delivery)
		if delivery.Sequence == d.sequence {
			close(d.taken)
		}
	})
}

// A command that is delivered while its worker finds the one before it in the
// hands of another does not wait for the lease of a claim that is over by then.
func TestDeliveredWhileAnotherWasFinishing(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	applying, finish := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.target.apply = func(context.Context, deployment.Name, deployment.ModelRef, uint64) error {
		once.Do(func() {
			close(applying)
			<-finish
		})
		return nil
	}
	first := s.publish(deployRequest("churn", "1", 1))
	holder := make(chan error, 1)
	go func() {
		_, err := s.worker("holder").Advance(t.Context(), worker.NewAddress(deployment.KindDeployment, "churn"), first)
		holder <- err
	}()
	<-applying

	w := s.worker("waiter")
	ledger := &heldLedger{Ledger: w.Ledger, looking: make(chan struct{}), letGo: make(chan struct{})}
	w.Ledger = ledger
	deliveries := &notedDeliveries{Deliveries: s.commands, sequence: first + 1, taken: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- w.Run(ctx, deliveries, worker.Limits{Concurrency: 4, Window: 16, AckWait: 2 * time.Second, Drain: time.Second, Reconcile: time.Hour})
	}()
	<-ledger.looking // it has seen the claim
	close(finish)
	if err := <-holder; err != nil {
		t.Fatal(err)
	}
	second := s.publish(replaceRequest("churn", "2", 2))
	<-deliveries.taken
	close(ledger.letGo)
	if got := s.outcomeOf(second); got.Worker != "waiter" {
		t.Errorf("got %s by %s, want it by the waiter", got.Outcome, got.Worker)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
