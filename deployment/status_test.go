package deployment_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
)

func TestEffect(t *testing.T) {
	t.Parallel()
	inactive, failed, deleted := serving(), serving(), serving()
	inactive.Status = deployment.StatusInactive
	failed.Status, failed.Model = deployment.StatusFailed, nil
	deleted.Status = deployment.StatusDeleted
	for _, test := range []struct {
		name   string
		state  *deployment.State
		want   deployment.Effect
		exists bool
	}{
		{"none", nil, deployment.Stop{}, false},
		{"active", serving(), deployment.Serve{Model: ref("churn-v2")}, true},
		{"inactive", inactive, deployment.Stop{Inactive: true}, true},
		{"failed", failed, deployment.Stop{}, true},
		{"deleted", deleted, deployment.Stop{}, false},
	} {
		if diff := cmp.Diff(test.want, test.state.Effect()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
		_, serves := test.want.(deployment.Serve)
		if test.state.Serves() != serves || test.state.Exists() != test.exists {
			t.Errorf("%s: serves %v, exists %v, want %v and %v", test.name, test.state.Serves(), test.state.Exists(), serves, test.exists)
		}
	}
}

func TestTombstone(t *testing.T) {
	t.Parallel()
	before := serving()
	got := before.Tombstone(command())
	want := serving()
	want.Status, want.Model, want.Previous, want.LastFailure = deployment.StatusDeleted, nil, nil, nil
	want.Generation, want.Revision, want.UpdatedAt, want.UpdatedBy = 3, 6, later, "/pipeline/spring"
	want.DeletedAt, want.DeletedBy = &later, "/pipeline/spring"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tombstone (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(serving(), before); diff != "" {
		t.Errorf("the state before changed:\n%s", diff)
	}
	*got.Clone().DeletedAt = created
	if !got.DeletedAt.Equal(later) {
		t.Error("a clone shares the time of deletion")
	}
}

func TestStoppedKeepsTheModel(t *testing.T) {
	t.Parallel()
	got := serving().Stopped(command())
	want := serving()
	want.Status, want.Generation, want.Revision = deployment.StatusInactive, 3, 6
	want.UpdatedAt, want.UpdatedBy = later, "/pipeline/spring"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	if going := got.Going(deployment.StatusLaunching); going.Status != deployment.StatusLaunching || going.Revision != got.Revision || got.Status != deployment.StatusInactive {
		t.Errorf("got %+v, want it launching and else as it was", going)
	}
}

func TestChanged(t *testing.T) {
	t.Parallel()
	before := serving()
	if after, changed := before.Changed(command(), func(s *deployment.State) { s.Label = "Churn" }); changed || after != before {
		t.Errorf("got %+v, changed %v, want the same state", after, changed)
	}
	after, changed := before.Changed(command(), func(s *deployment.State) { *s.Description = "Who leaves?" })
	want := serving()
	want.Revision, want.UpdatedAt, want.UpdatedBy = 6, later, "/pipeline/spring"
	*want.Description = "Who leaves?"
	if diff := cmp.Diff(want, after); diff != "" || !changed {
		t.Errorf("changed %v, state (-want +got):\n%s", changed, diff)
	}
	if diff := cmp.Diff(serving(), before); diff != "" {
		t.Errorf("the state before changed:\n%s", diff)
	}
}
