package deployment_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
)

// What was replaced for a reason says so where that reason led to. A number is a
// generation: no later version has it, whatever happens between them.
func TestVersions(t *testing.T) {
	t.Parallel()
	var h deployment.History
	at := func(minute int) deployment.Command {
		cmd := command()
		cmd.At, cmd.By = created.Add(time.Duration(minute)*time.Minute), "/people/ada"
		return cmd
	}
	say := func(after *deployment.State, why *deployment.Replacement) *deployment.State {
		h.Add(deployment.Completed{EventID: "e", Actor: "/people/bob", After: after, Replacement: why})
		return after
	}
	call := func(state *deployment.State, version uint64, name *string) {
		h.Add(deployment.Completed{EventID: "named", After: state, Renamed: &deployment.Renamed{Version: version, Name: name}})
	}
	contract := &deployment.Contract{Commit: "c", Message: "Spring data"}
	sale, other := "before the sale", "another one"
	state := say(deployment.NewState(at(1), "Churn", nil).Serving(at(1), ref("churn-v1")), nil)
	call(state, 1, &other)
	state = say(state.Stopped(at(2)), nil)
	state = say(state.Serving(at(3), ref("churn-v2").From(contract)), &deployment.Replacement{Reason: deployment.ReasonDataDrift, ReasonText: "spring"})
	state = say(state.Serving(at(4), ref("churn-v1")), &deployment.Replacement{Reason: deployment.ReasonErrors, Rollback: true})
	call(state, 3, &other)
	call(state, 3, &sale)
	call(state, 1, nil)

	drift, wrong := deployment.ReasonDataDrift, deployment.ReasonErrors
	want := []deployment.Version{
		{Number: 1, Status: deployment.VersionServed, At: at(1).At, ModelID: "churn-v1"},
		{Number: 3, Name: sale, Status: deployment.VersionServed, At: at(3).At, ModelID: "churn-v2", Reason: &drift, ReasonText: "spring", Contract: contract},
		{Number: 4, Status: deployment.VersionCurrent, At: at(4).At, ModelID: "churn-v1", Reason: &wrong, Rollback: true},
	}
	for i := range want {
		want[i].By, want[i].Actor, want[i].EventID = "/people/ada", "/people/bob", "e"
		want[i].ModelType, want[i].Digest = churn().Type, churn().Artifact.Digest
	}
	if diff := cmp.Diff(want, h.Versions()); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}

	say(state.Tombstone(at(5)), nil)
	anew := deployment.NewState(at(6), "Churn", nil)
	anew.Generation = state.Generation + 1
	say(anew.Serving(at(6), ref("churn-v2")), nil)
	last := h.Versions()[2:]
	if got := last[0]; got.Status != deployment.VersionServed {
		t.Errorf("the last version of a deployment that was deleted: got %s, want it to have served", got.Status)
	}
	if got := last[1]; got.Number != 6 || got.Status != deployment.VersionCurrent || got.Reason != nil {
		t.Errorf("got %+v, want version 6 to be the current one, for no reason", got)
	}
}
