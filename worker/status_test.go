package worker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/worker"
)

const (
	missing = `deployment "churn" does not exist: deploy it first`
	idle    = `deployment "churn" is inactive: activate it first`
	already = "Deployment is already in process of status change or already in requested status"
)

// A deletion stops what serves, leaves a tombstone, and makes every later command
// find nothing (datarobot.md R6, R7). The name is free for another deployment.
func TestDelete(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	stop := s.run(s.worker("w1"))
	s.refuses(nil, []refused{{"delete", `{}`, deployment.CodeDeploymentNotFound, deployment.ClassNotFound, "", missing}})
	deployed := s.outcomeOf(s.publish(deployRequest("churn", "deploy", 1))).Deployment
	s.completes("drift", `{"targetDriftEnabled":true}`, true)
	s.outcomeOf(s.publish(replaceRequest("churn", "replace", 2)))

	first := request(deployment.KindDeployment, "churn", "delete", "delete", struct{}{})
	deleted := s.outcomeOf(s.publish(first))
	if deleted.Outcome != events.Completed || s.target.serves("churn") != "" {
		t.Fatalf("got %s %+v, target serves %q, want it deleted and nothing served", deleted.Outcome, deleted.Failure, s.target.serves("churn"))
	}
	tombstone := deleted.Deployment
	want := &deployment.State{
		Name: "churn", Label: "churn", Importance: deployment.ImportanceModerate, Status: deployment.StatusDeleted,
		DriftTracking: deployment.DriftTracking{TargetDrift: deployment.DriftSetting{Enabled: true}},
		Generation:    3, Revision: 4, CreatedAt: deployed.CreatedAt, CreatedBy: "/test",
		UpdatedAt: *tombstone.DeletedAt, UpdatedBy: "/test", DeletedAt: tombstone.DeletedAt, DeletedBy: "/test",
	}
	if diff := cmp.Diff(want, tombstone); diff != "" {
		t.Errorf("tombstone (-want +got):\n%s", diff)
	}
	// The same delete again is the same one; another one finds nothing.
	if again := s.outcomeOf(s.publish(first)); again.Outcome != events.Duplicate || again.Original.Outcome != events.Completed {
		t.Errorf("the same delete again: got %s, want the duplicate of one that completed", again.Outcome)
	}
	var refusals []refused
	for op, data := range map[string]string{
		"delete": `{}`, "activate": `{}`, "deactivate": `{}`, "update": `{"label":"x"}`, "drift": `{"targetDriftEnabled":true}`,
		"replace": `{"reason":"OTHER","modelId":"churn-v1"}`,
	} {
		refusals = append(refusals, refused{op, data, deployment.CodeDeploymentNotFound, deployment.ClassNotFound, "", missing})
	}
	s.refuses(tombstone, refusals)

	again := s.outcomeOf(s.publish(deployRequest("churn", "deploy again", 3)))
	if again.Outcome != events.Completed || s.target.serves("churn") != contentID(3) {
		t.Fatalf("deployed again: got %s %+v, want completed", again.Outcome, again.Failure)
	}
	want = &deployment.State{
		Name: "churn", Label: "churn", Importance: deployment.ImportanceModerate, Status: deployment.StatusActive, Model: again.Deployment.Model,
		Generation: 4, Revision: 5, CreatedAt: again.Deployment.CreatedAt, CreatedBy: "/test", UpdatedAt: again.Deployment.CreatedAt, UpdatedBy: "/test",
	}
	if diff := cmp.Diff(want, again.Deployment); diff != "" {
		t.Errorf("a new deployment of that name (-want +got):\n%s", diff)
	}
	s.shown(again)
	stop()
	s.history()
	if a := s.audit(); len(a.Differences)+len(a.Violations) > 0 {
		t.Errorf("audit: %v", found(a))
	}
}

// The deployments bucket shows a tombstone, and an audit knows that it has to.
func TestTombstoneIsProjected(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	stop := s.run(s.worker("w1"))
	s.outcomeOf(s.publish(deployRequest("churn", "deploy", 1)))
	deleted := s.command("delete", `{}`)
	s.shown(deleted)
	stop()
	view, _ := s.deployment("churn")
	if diff := cmp.Diff(worker.DeploymentView{State: *deleted.Deployment, LedgerSequence: deleted.Sequence}, view); diff != "" {
		t.Errorf("deployments bucket (-event +bucket):\n%s", diff)
	}
	if err := bucket[worker.DeploymentView](s, "deployments").Delete(t.Context(), "churn"); err != nil {
		t.Fatal(err)
	}
	a := s.audit()
	if diff := cmp.Diff([]string{"deployments churn missing"}, found(a)); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
	if _, err := a.Mend(t.Context()); err != nil {
		t.Fatal(err)
	}
	if mended, _ := s.deployment("churn"); cmp.Diff(view, mended) != "" {
		t.Errorf("rebuilt (-before +after):\n%s", cmp.Diff(view, mended))
	}
}

func TestActivateAndDeactivate(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	stop := s.run(s.worker("w1"))
	s.refuses(nil, []refused{
		{"activate", `{}`, deployment.CodeDeploymentNotFound, deployment.ClassNotFound, "", missing},
		{"deactivate", `{}`, deployment.CodeDeploymentNotFound, deployment.ClassNotFound, "", missing},
	})
	deployed := s.outcomeOf(s.publish(deployRequest("churn", "deploy", 1))).Deployment
	s.refuses(deployed, []refused{
		{"activate", `{}`, deployment.CodeAlreadyInStatus, deployment.ClassConflict, "", already},
		{"deactivate", `{"now":true}`, deployment.CodeUnknownField, deployment.ClassInvalid, "now", "now is not a known member"},
	})
	off := s.command("deactivate", `{}`)
	if off.Outcome != events.Completed || s.target.serves("churn") != inactiveModel {
		t.Fatalf("got %s %+v, target serves %q, want it inactive", off.Outcome, off.Failure, s.target.serves("churn"))
	}
	want := *deployed
	want.Status, want.Generation, want.Revision, want.UpdatedAt = deployment.StatusInactive, 2, 2, off.Deployment.UpdatedAt
	if diff := cmp.Diff(&want, off.Deployment); diff != "" {
		t.Errorf("inactive (-want +got):\n%s", diff)
	}
	s.refuses(off.Deployment, []refused{
		{"deactivate", `{}`, deployment.CodeAlreadyInStatus, deployment.ClassConflict, "", already},
		{"drift", `{"targetDriftEnabled":true}`, deployment.CodeDeploymentInactive, deployment.ClassConflict, "", idle},
		{"replace", `{"reason":"OTHER","modelId":"churn-v1"}`, deployment.CodeDeploymentInactive, deployment.ClassConflict, "", idle},
	})
	s.completes("update", `{"label":"Customer churn"}`, true)
	on := s.completes("activate", `{}`, true)
	if on.Status != deployment.StatusActive || on.Label != "Customer churn" || s.target.serves("churn") != contentID(1) {
		t.Errorf("got %+v, target serves %q, want it active with model %s", on, s.target.serves("churn"), contentID(1))
	}
	s.completes("deactivate", `{}`, true)
	s.completes("delete", `{}`, true)
	if got := s.target.serves("churn"); got != "" {
		t.Errorf("deleted while inactive: target holds %q, want nothing", got)
	}
	stop()
	var shown []deployment.Status
	for _, e := range s.history() {
		if e.Outcome == events.Started && e.Op != "deploy" {
			shown = append(shown, e.Deployment.Status)
		}
	}
	stopping, launching, deleting := deployment.StatusStopping, deployment.StatusLaunching, deployment.StatusDeleting
	if diff := cmp.Diff([]deployment.Status{stopping, launching, stopping, deleting}, shown); diff != "" {
		t.Errorf("shown meanwhile (-want +got):\n%s", diff)
	}
}

// When what serves cannot be stopped, or begun, the deployment is what it was,
// and so is what serves.
func TestStatusChangeThatFails(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	stop := s.run(s.worker("w1"))
	deployed := s.outcomeOf(s.publish(deployRequest("churn", "deploy", 1))).Deployment
	s.target.mu.Lock()
	s.target.stop = func(context.Context, deployment.Name, uint64) error { return errors.New("no responders") }
	s.target.mu.Unlock()
	for _, op := range []string{"deactivate", "delete"} {
		got := s.command(op, `{}`)
		if got.Outcome != events.Failed || got.Failure.Code != deployment.CodeServerUnavailable || !got.Failure.Retryable {
			t.Errorf("%s: got %s %+v, want failed with %s", op, got.Outcome, got.Failure, deployment.CodeServerUnavailable)
		}
		if got.Deployment.Status != deployment.StatusActive || got.Deployment.Generation != deployed.Generation || got.Deployment.LastFailure == nil {
			t.Errorf("%s: got %+v, want what it was, with the failure noted", op, got.Deployment)
		}
		if s.target.serves("churn") != contentID(1) {
			t.Errorf("%s: target serves %q, want %s", op, s.target.serves("churn"), contentID(1))
		}
	}
	s.target.mu.Lock()
	s.target.stop = nil
	s.target.apply = func(context.Context, deployment.Name, deployment.ModelRef, uint64) error {
		return &deployment.Failure{Code: deployment.CodeServerFailed, Message: "out of memory"}
	}
	s.target.mu.Unlock()
	s.completes("deactivate", `{}`, true)
	got := s.command("activate", `{}`)
	if got.Outcome != events.Failed || got.Deployment.Status != deployment.StatusInactive || s.target.serves("churn") != inactiveModel {
		t.Errorf("activate: got %s %+v, target holds %q, want it inactive", got.Outcome, got.Deployment, s.target.serves("churn"))
	}
	stop()
	s.history()
}

// A sweep leaves alone what is stopped, and stops what is not.
func TestReconcileStops(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	stop := s.run(s.worker("w1"))
	s.outcomeOf(s.publish(deployRequest("churn", "1", 1)))
	s.completes("deactivate", `{}`, true)
	s.outcomeOf(s.publish(deployRequest("gone", "2", 2)))
	s.outcomeOf(s.publish(request(deployment.KindDeployment, "gone", "delete", "3", struct{}{})))
	s.outcomeOf(s.publish(deployRequest("other", "4", 3)))
	stop()
	s.target.mu.Lock()
	s.target.serving["gone"] = contentID(2)
	s.target.mu.Unlock()
	w, log := s.sweeper("w2")
	s.run(w)
	if got := <-log.mended; got["serving"] != 1 || got["projections"] != 0 {
		t.Errorf("mended %v, want the deleted deployment stopped and nothing else", got)
	}
	if s.target.serves("gone") != "" || s.target.serves("churn") != inactiveModel || s.target.serves("other") != contentID(3) {
		t.Errorf("target holds %v, want the deleted one gone and the inactive one inactive", s.target.serving)
	}
}

// A claim is renewed also while the target has nothing to say, with an event that
// fits its schema.
func TestProgressOfASilentTarget(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	w := s.worker("w1")
	w.Lease = 150 * time.Millisecond
	s.run(w)
	s.outcomeOf(s.publish(deployRequest("churn", "deploy", 1)))
	s.target.mu.Lock()
	s.target.stop = func(ctx context.Context, _ deployment.Name, token uint64) error {
		err := s.ledger.Follow(ctx, jetstream.EventSubject("deployment", "churn", "delete", string(events.Progress)), token, nil, func(jetstream.Message) error {
			return errFound
		})
		if errors.Is(err, errFound) {
			return nil
		}
		return err
	}
	s.target.mu.Unlock()
	if got := s.command("delete", `{}`); got.Outcome != events.Completed {
		t.Errorf("got %s %+v, want it deleted", got.Outcome, got.Failure)
	}
	var told []string
	for _, e := range s.history() { // each checked against its schema
		if e.Outcome == events.Progress {
			told = append(told, e.Message)
		}
	}
	if len(told) == 0 || told[0] != "begun" {
		t.Errorf("told %q, want that it has begun", told)
	}
}
