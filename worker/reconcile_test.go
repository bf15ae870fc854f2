package worker_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/worker"
)

// sweeps hands over what the reconciler logs that it has mended.
type sweeps struct {
	slog.Handler
	mended chan map[string]int64
}

func newSweeps() *sweeps {
	return &sweeps{Handler: slog.DiscardHandler, mended: make(chan map[string]int64, 16)}
}

func (s *sweeps) Enabled(context.Context, slog.Level) bool { return true }

func (s *sweeps) Handle(_ context.Context, r slog.Record) error {
	if r.Message != "sweep has mended" {
		return nil
	}
	counts := map[string]int64{}
	r.Attrs(func(a slog.Attr) bool {
		counts[a.Key] = a.Value.Int64()
		return true
	})
	s.mended <- counts
	return nil
}

func (s *system) sweeper(id string) (*worker.Worker, *sweeps) {
	s.tb.Helper()
	log := newSweeps()
	w := s.worker(id)
	w.Log = slog.New(log)
	return w, log
}

// A command that the broker takes for delivered, and that nobody has, is found.
func TestReconcileFindsForgottenCommand(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	sequence := s.publish(deployRequest("churn", "1", 1))
	ctx, cancel := context.WithCancel(t.Context())
	if err := s.commands.Consume(ctx, func(d jetstream.Delivery) {
		if err := d.Ack(); err != nil {
			t.Error(err)
		}
		cancel()
	}); err != nil {
		t.Fatal(err)
	}
	w, log := s.sweeper("w1")
	s.run(w)
	if got := s.outcomeOf(sequence); got.Outcome != events.Completed {
		t.Errorf("got %s %+v, want completed", got.Outcome, got.Failure)
	}
	if got := <-log.mended; got["commands"] != 1 || got["commands_total"] != 1 {
		t.Errorf("got %v, want 1 command mended", got)
	}
	s.history()
}

// Views that lag, or were tampered with, and what is desired of the prediction
// servers are made what the ledger says.
func TestReconcileMendsViewsAndServing(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	stop := s.run(s.worker("w1"))
	s.outcomeOf(s.publish(deployRequest("gone", "1", 1)))
	s.outcomeOf(s.publish(deployRequest("stale", "2", 1)))
	last := s.outcomeOf(s.publish(replaceRequest("stale", "3", 2)))
	s.outcomeOf(s.publish(deployRequest("unharmed", "4", 1)))
	stop()
	deployments := bucket[worker.DeploymentView](s, jetstream.DeploymentsBucket)
	if err := deployments.Delete(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	if err := deployments.Put(t.Context(), "stale", worker.DeploymentView{State: deployment.State{Name: "stale"}, LedgerSequence: 1}); err != nil {
		t.Fatal(err)
	}
	s.target.mu.Lock()
	s.target.serving["stale"] = contentID(1)
	delete(s.target.serving, "gone")
	s.target.mu.Unlock()

	w, log := s.sweeper("w2")
	stop = s.run(w)
	if diff := cmp.Diff(map[string]int64{
		"commands": 0, "projections": 2, "serving": 2, "commands_total": 0, "projections_total": 2, "serving_total": 2,
	}, <-log.mended); diff != "" {
		t.Errorf("mended (-want +got):\n%s", diff)
	}
	stop()
	if view, _ := s.deployment("stale"); cmp.Diff(*last.Deployment, view.State) != "" {
		t.Errorf("stale (-ledger +bucket):\n%s", cmp.Diff(*last.Deployment, view.State))
	}
	if view, exists := s.deployment("gone"); !exists || view.Model.ID != contentID(1) {
		t.Errorf("gone: got %+v, %v, want it to serve %s", view, exists, contentID(1))
	}
	if s.target.serves("stale") != contentID(2) || s.target.serves("gone") != contentID(1) {
		t.Errorf("target serves %s and %s, want %s and %s", s.target.serves("stale"), s.target.serves("gone"), contentID(2), contentID(1))
	}
}

// A command that another worker holds is left to it.
func TestReconcileLeavesClaimsAlone(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	began, release := make(chan struct{}), make(chan struct{})
	s.target.apply = func(context.Context, deployment.Name, deployment.ModelRef, uint64) error {
		close(began) // a second call would panic
		<-release
		return nil
	}
	sequence := s.publish(deployRequest("churn", "1", 1))
	s.run(s.worker("w1"))
	<-began
	other := s.publish(deployRequest("gone", "2", 1))
	s.target.mu.Lock()
	s.target.apply = nil
	s.target.mu.Unlock()
	s.shown(s.outcomeOf(other))
	if err := bucket[worker.DeploymentView](s, jetstream.DeploymentsBucket).Delete(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	w, log := s.sweeper("w2")
	s.run(w)
	if got := <-log.mended; got["commands"] != 0 || got["projections"] != 1 || got["serving"] != 0 {
		t.Errorf("got %v, want only the view of the other deployment mended", got)
	}
	close(release)
	if got := s.outcomeOf(sequence); got.Outcome != events.Completed || got.Worker != "w1" || got.Attempt != 1 {
		t.Errorf("got %s by %s in attempt %d, want completed by w1 in attempt 1", got.Outcome, got.Worker, got.Attempt)
	}
}
