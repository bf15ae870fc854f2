package worker_test

import (
	"context"
	"testing"

	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/worker"
)

// overtakenViews show the outcome of a deployment's first command only once they
// show that the next one has begun.
type overtakenViews struct {
	worker.Views
	first uint64 // in the stream of commands
	begun chan struct{}
}

func (v *overtakenViews) Project(ctx context.Context, view worker.View) error {
	of := view.Operation
	if of != nil && of.Done && of.Sequence == v.first {
		<-v.begun
	}
	if err := v.Views.Project(ctx, view); err != nil {
		return err
	}
	if of != nil && of.Outcome == events.Started && of.Sequence > v.first {
		close(v.begun)
	}
	return nil
}

// An outcome is shown also when the next command of the deployment is shown
// first: the record of a command is of that command alone.
func TestOutcomeIsShownAfterTheNextCommandHasBegun(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	w := s.worker("w1")
	first := s.publish(deployRequest("churn", "1", 1))
	second := s.publish(replaceRequest("churn", "2", 2))
	w.Views = &overtakenViews{Views: w.Views, first: first, begun: make(chan struct{})}
	stop := s.run(w)
	s.outcomeOf(second)
	stop()
	if got := found(s.audit()); len(got) > 0 {
		t.Errorf("found %s", got)
	}
}
