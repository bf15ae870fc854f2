package worker_test

import (
	"sync/atomic"
	"testing"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/worker"
)

// epochs is a ledger whose connection is made anew when the test says so.
type epochs struct {
	*jetstream.Ledger
	epoch atomic.Uint64
}

func (e *epochs) Epoch() uint64 { return e.epoch.Load() }

// lose takes records of operations away, as a broker does that was killed before
// they had reached its disk.
func (s *system) lose(tokens ...string) {
	s.tb.Helper()
	kv, err := s.js.KeyValue(s.tb.Context(), jetstream.OperationsBucket)
	if err != nil {
		s.tb.Fatal(err)
	}
	for _, token := range tokens {
		if err := kv.Purge(s.tb.Context(), token); err != nil {
			s.tb.Fatal(err)
		}
	}
	for _, token := range tokens {
		if _, revision, err := bucket[worker.OperationView](s, jetstream.OperationsBucket).Load(s.tb.Context(), token); err != nil || revision > 0 {
			s.tb.Fatalf("record %s is still there: %v", token, err)
		}
	}
	if err := kv.PurgeDeletes(s.tb.Context(), natsjs.DeleteMarkersOlderThan(-1)); err != nil {
		s.tb.Fatal(err)
	}
}

// finish has a worker carry commands out, and returns their outcomes.
func (s *system) finish(w *worker.Worker, requests ...events.Request) (outcomes []event) {
	s.tb.Helper()
	stop := s.run(w)
	for _, r := range requests {
		outcomes = append(outcomes, s.outcomeOf(s.publish(r)))
	}
	stop()
	return outcomes
}

// Which commands were carried out is known after the broker has lost the newest
// records of it: an id that another deployment has used is refused.
func TestLostRecordsAreRecoveredAtTheStart(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	done := s.finish(s.worker("w1"), deployRequest("old", "0", 1), deployRequest("churn", "1", 1), replaceRequest("churn", "2", 2))
	s.lose(done[1].Command.Token, done[2].Command.Token)
	reused := s.finish(s.worker("w2"), deployRequest("third", "1", 1))[0]
	if reused.Failure == nil || reused.Failure.Code != deployment.CodeIDReused {
		t.Errorf("an id that was used: got %s %v, want it rejected as %s", reused.Outcome, reused.Failure, deployment.CodeIDReused)
	}
	for _, outcome := range done {
		s.shown(outcome)
	}
}

// Also when the broker is lost while the worker lives, and when no record is left.
func TestLostRecordsAreRecoveredWhenTheBrokerIsBack(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	history := &epochs{Ledger: s.ledger}
	views := s.views()
	views.History = history
	w := s.worker("w1")
	w.Views = views
	done := s.finish(w, deployRequest("churn", "1", 1), replaceRequest("churn", "2", 2))
	s.lose(done[0].Command.Token, done[1].Command.Token)
	history.epoch.Add(1)
	reused := s.finish(w, deployRequest("third", "1", 1))[0]
	if reused.Failure == nil || reused.Failure.Code != deployment.CodeIDReused {
		t.Errorf("an id that was used: got %s %v, want it rejected as %s", reused.Outcome, reused.Failure, deployment.CodeIDReused)
	}
	for _, outcome := range done {
		s.shown(outcome)
	}
}
