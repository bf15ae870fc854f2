package worker_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
)

func cancelRequest(id, of string) events.Request {
	return request(deployment.KindDeployment, "churn", "cancel", id, handlers.Cancel{Source: "/test", ID: of})
}

// A running command ends as cancelled, and what served before serves.
func TestCancelRunning(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	stop := s.run(s.worker("w1"))
	before := s.outcomeOf(s.publish(deployRequest("churn", "1", 1))).Deployment
	began := make(chan struct{})
	s.target.mu.Lock()
	s.target.apply = func(ctx context.Context, _ deployment.Name, _ deployment.ModelRef, _ uint64) error {
		close(began)
		<-ctx.Done()
		return ctx.Err()
	}
	s.target.mu.Unlock()
	replaced := s.publish(replaceRequest("churn", "2", 2))
	<-began
	cancelled := s.publish(cancelRequest("3", "2"))
	got := s.outcomeOf(replaced)
	if got.Outcome != events.Cancelled || got.CancelledBy.Sequence != cancelled || got.CancelledBy.ID != "3" {
		t.Errorf("got %s by %+v, want cancelled by command %d", got.Outcome, got.CancelledBy, cancelled)
	}
	if diff := cmp.Diff(before, got.Deployment); diff != "" {
		t.Errorf("the deployment changed (-before +after):\n%s", diff)
	}
	if got := s.target.serves("churn"); got != contentID(1) {
		t.Errorf("target serves %s, want %s again", got, contentID(1))
	}
	if got := s.outcomeOf(cancelled); got.Outcome != events.Completed {
		t.Errorf("cancel: got %s %+v, want completed", got.Outcome, got.Failure)
	}
	stop()
	if view, _ := s.deployment("churn"); view.Status != deployment.StatusActive || view.Model.ID != contentID(1) {
		t.Errorf("got %s with %s, want active with %s", view.Status, view.Model.ID, contentID(1))
	}
	s.unique(s.history())
}

// A queued command ends as cancelled when its turn comes; commands around it go on.
func TestCancelQueued(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	first := s.publish(deployRequest("churn", "1", 1))
	s.advance(s.worker("w0"), deployment.KindDeployment, "churn")
	queued := s.publish(replaceRequest("churn", "2", 2))
	after := s.publish(replaceRequest("churn", "3", 3))
	cancel := s.publish(cancelRequest("4", "2"))
	again := s.publish(cancelRequest("5", "2"))
	late := s.publish(cancelRequest("6", "1"))
	unknown := s.publish(cancelRequest("7", "nobody"))
	early := s.publish(cancelRequest("8", "9"))
	unharmed := s.publish(replaceRequest("churn", "9", 4))
	invalid := s.publish(request(deployment.KindDeployment, "churn", "cancel", "10", map[string]any{"source": "/test", "id": "11", "why": 1}))
	alsoUnharmed := s.publish(replaceRequest("churn", "11", 5))
	s.run(s.worker("w1"))
	for _, c := range []struct {
		name     string
		sequence uint64
		outcome  events.Outcome
		code     deployment.Code
	}{
		{"first", first, events.Completed, ""},
		{"queued", queued, events.Cancelled, ""},
		{"after", after, events.Completed, ""},
		{"cancel", cancel, events.Completed, ""},
		{"cancel again", again, events.Completed, ""},
		{"too late", late, events.Rejected, deployment.CodeCommandFinished},
		{"of an unknown command", unknown, events.Rejected, deployment.CodeCommandNotFound},
		{"of a later command", early, events.Rejected, deployment.CodeCommandNotFound},
		{"later command", unharmed, events.Completed, ""},
		{"invalid", invalid, events.Rejected, deployment.CodeUnknownField},
		{"not cancelled by the invalid one", alsoUnharmed, events.Completed, ""},
	} {
		got := s.outcomeOf(c.sequence)
		if got.Outcome != c.outcome || c.code != "" && got.Failure.Code != c.code {
			t.Errorf("%s: got %s %+v, want %s %s", c.name, got.Outcome, got.Failure, c.outcome, c.code)
		}
	}
	if got := outcomes(s.history(), queued); len(got) != 1 {
		t.Errorf("events of the queued command: got %v, want cancelled only", got)
	}
}

// A command of which an earlier attempt may have begun an effect is claimed
// before it is cancelled, so that the effect can be taken back under a newer token.
func TestCancelBetweenAttempts(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	dying := s.worker("w1")
	dying.Ledger = &faultyLedger{Ledger: s.ledger, at: 3, dead: true} // after the effect
	deployed := s.publish(deployRequest("churn", "1", 1))
	if _, err := dying.Advance(t.Context(), addressOf("churn"), deployed); err == nil {
		t.Fatal("got no error, want the injected fault")
	}
	s.publish(cancelRequest("2", "1"))
	w2 := s.worker("w2")
	w2.Lease = 1
	s.advance(w2, deployment.KindDeployment, "churn")
	if got := s.outcomeOf(deployed); got.Outcome != events.Cancelled || got.Deployment != nil {
		t.Errorf("got %s with %+v, want cancelled and no deployment", got.Outcome, got.Deployment)
	}
	if got := s.target.serves("churn"); got != "" {
		t.Errorf("target serves %s, want nothing", got)
	}
	s.history()
}
