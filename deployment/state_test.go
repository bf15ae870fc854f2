package deployment_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/slipway-ml/slipway/deployment"
)

var (
	created = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	later   = time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
)

// command is one about the deployment churn.
func command() deployment.Command {
	return deployment.Command{
		Kind: deployment.KindDeployment, Name: "churn", Op: "replace", Token: "abcdefghijklmnopqrstuvwxyz",
		By: "/pipeline/spring", At: later,
	}
}

// ref is a model by id.
func ref(id deployment.Name) deployment.ModelRef {
	m := churn()
	m.ID = id
	return m.Ref()
}

// serving is a deployment that serves churn-v2 and served churn-v1 before.
func serving() *deployment.State {
	text, model, previous := "Who leaves", ref("churn-v2"), ref("churn-v1")
	return &deployment.State{
		Name: "churn", Label: "Churn", Description: &text, Status: deployment.StatusActive,
		Model: &model, Previous: &previous,
		DriftTracking: deployment.DriftTracking{FeatureDrift: deployment.DriftSetting{Enabled: true}},
		LastFailure:   &deployment.LastFailure{Code: "panic", Message: "oops", At: created, Command: "before"},
		Generation:    2, Revision: 5, CreatedAt: created, CreatedBy: "/people/ada", UpdatedAt: created, UpdatedBy: "/people/ada",
	}
}

func TestNewState(t *testing.T) {
	t.Parallel()
	target := ref("churn-v1")
	got := deployment.NewState(command(), "Churn", nil).RollingOut(deployment.StatusDeploying, target)
	want := &deployment.State{
		Name: "churn", Label: "Churn", Status: deployment.StatusDeploying, Target: &target,
		CreatedAt: later, CreatedBy: "/pipeline/spring", UpdatedAt: later, UpdatedBy: "/pipeline/spring",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	if got.Serves() {
		t.Error("a deployment that is being deployed serves")
	}
}

func TestServes(t *testing.T) {
	t.Parallel()
	var none *deployment.State
	if none.Serves() {
		t.Error("a deployment that does not exist serves")
	}
	if !serving().Serves() {
		t.Error("a deployment with a model does not serve")
	}
}

func TestRollingOutKeepsWhatServes(t *testing.T) {
	t.Parallel()
	before, target := serving(), ref("churn-v3")
	got := before.RollingOut(deployment.StatusReplacing, target)
	want := serving()
	want.Status, want.Target = deployment.StatusReplacing, &target
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(serving(), before); diff != "" {
		t.Errorf("the state before changed:\n%s", diff)
	}
}

func TestServingChangesTheModelAndNothingElse(t *testing.T) {
	t.Parallel()
	model, previous := ref("churn-v3"), ref("churn-v2")
	before := serving()
	before.Status, before.Target = deployment.StatusReplacing, &model
	got := before.Serving(command(), model)

	want := serving()
	want.Model, want.Previous, want.Target, want.LastFailure, want.Status = &model, &previous, nil, nil, deployment.StatusActive
	want.Generation, want.Revision = 3, 6
	want.UpdatedAt, want.UpdatedBy = later, "/pipeline/spring"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	if before.Model.ID != "churn-v2" || before.Revision != 5 || before.Target == nil {
		t.Errorf("the state before changed: %+v", before)
	}
}

func TestServingOfTheSameModelKeepsPrevious(t *testing.T) {
	t.Parallel()
	got := serving().Serving(command(), ref("churn-v2"))
	if got.Model.ID != "churn-v2" || got.Previous == nil || got.Previous.ID != "churn-v1" {
		t.Errorf("got model %s, previous %v, want churn-v2 and still churn-v1", got.Model.ID, got.Previous)
	}
	if got.Generation != 3 || got.Revision != 6 {
		t.Errorf("got generation %d, revision %d, want 3 and 6", got.Generation, got.Revision)
	}
}

func TestServingOfTheFirstModelHasNoPrevious(t *testing.T) {
	t.Parallel()
	got := deployment.NewState(command(), "Churn", nil).RollingOut(deployment.StatusDeploying, ref("churn-v1")).Serving(command(), ref("churn-v1"))
	if got.Previous != nil || got.Target != nil || got.Status != deployment.StatusActive || got.Generation != 1 || got.Revision != 1 {
		t.Errorf("got %+v, want it active at generation 1 and revision 1 without previous or target", got)
	}
}

func TestAfterFailureOfOneThatServesKeepsServing(t *testing.T) {
	t.Parallel()
	before := serving()
	shown := before.RollingOut(deployment.StatusReplacing, ref("churn-v3"))
	got := deployment.AfterFailure(before, shown, command(), deployment.CodeServerFailed, "out of memory")
	want := serving()
	want.LastFailure = &deployment.LastFailure{
		Code: "prediction_server_failed", Message: "out of memory", At: later, Command: "abcdefghijklmnopqrstuvwxyz",
	}
	want.Revision, want.UpdatedAt, want.UpdatedBy = 6, later, "/pipeline/spring"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(serving(), before); diff != "" {
		t.Errorf("the state before changed:\n%s", diff)
	}
}

func TestAfterFailureOfANewOneIsFailedWithoutModel(t *testing.T) {
	t.Parallel()
	shown := deployment.NewState(command(), "Churn", nil).RollingOut(deployment.StatusDeploying, ref("churn-v1"))
	got := deployment.AfterFailure(nil, shown, command(), deployment.CodePanic, "oops")
	want := &deployment.State{
		Name: "churn", Label: "Churn", Status: deployment.StatusFailed,
		LastFailure: &deployment.LastFailure{Code: "panic", Message: "oops", At: later, Command: "abcdefghijklmnopqrstuvwxyz"},
		Revision:    1, CreatedAt: later, CreatedBy: "/pipeline/spring", UpdatedAt: later, UpdatedBy: "/pipeline/spring",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	if got.Serves() {
		t.Error("a deployment whose first rollout failed serves")
	}
	if shown.Status != deployment.StatusDeploying || shown.LastFailure != nil {
		t.Errorf("what was shown changed: %+v", shown)
	}
}

// A second try that fails too: the deployment stays failed, and its revision goes on.
func TestAfterFailureOfAFailedOneStaysFailed(t *testing.T) {
	t.Parallel()
	before := deployment.AfterFailure(nil, deployment.NewState(command(), "Churn", nil).RollingOut(deployment.StatusDeploying, ref("churn-v1")), command(), deployment.CodePanic, "oops")
	shown := deployment.NewState(command(), "Churn again", nil).RollingOut(deployment.StatusDeploying, ref("churn-v2"))
	got := deployment.AfterFailure(before, shown, command(), deployment.CodeServerFailed, "again")
	if got.Status != deployment.StatusFailed || got.Serves() || got.Target != nil || got.Revision != 2 {
		t.Errorf("got %+v, want it failed without model at revision 2", got)
	}
	if got.LastFailure.Message != "again" {
		t.Errorf("got last failure %q, want the newest", got.LastFailure.Message)
	}
}

func TestAfterFailureOfAModelIsNothing(t *testing.T) {
	t.Parallel()
	if got := deployment.AfterFailure(nil, nil, command(), deployment.CodePanic, "oops"); got != nil {
		t.Errorf("got %+v, want nil: the model stays unregistered", got)
	}
}

func TestCloneOfNil(t *testing.T) {
	t.Parallel()
	var none *deployment.State
	if got := none.Clone(); got != nil {
		t.Errorf("got %+v, want nil", got)
	}
}

// Whatever is done to a clone, the original stays as it was.
func TestCloneSharesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		original := states().Draw(t, "state")
		before := marshal(t, original)
		copied := original.Clone()
		if diff := cmp.Diff(original, copied); diff != "" {
			t.Fatalf("clone (-original +clone):\n%s", diff)
		}
		scramble(reflect.ValueOf(copied))
		if diff := cmp.Diff(before, marshal(t, original)); diff != "" {
			t.Fatalf("the original changed with its clone (-before +after):\n%s", diff)
		}
	})
}

// states are deployments of any shape.
func states() *rapid.Generator[*deployment.State] {
	refs := rapid.Custom(func(t *rapid.T) deployment.ModelRef {
		r := ref(deployment.Name(rapid.StringMatching(deployment.NamePattern).Draw(t, "id")))
		r.Target.Classes = rapid.SliceOf(rapid.StringN(0, 8, -1)).Draw(t, "classes")
		r.Size = rapid.Int64().Draw(t, "size")
		return r
	})
	return rapid.Custom(func(t *rapid.T) *deployment.State {
		s := serving()
		s.Model = rapid.Ptr(refs, true).Draw(t, "model")
		s.Target = rapid.Ptr(refs, true).Draw(t, "target")
		s.Previous = rapid.Ptr(refs, true).Draw(t, "previous")
		s.Description = rapid.Ptr(rapid.String(), true).Draw(t, "description")
		s.Revision = rapid.Uint64().Draw(t, "revision")
		if rapid.Bool().Draw(t, "no failure") {
			s.LastFailure = nil
		}
		return s
	})
}

// scramble changes everything that can be reached from v.
func scramble(v reflect.Value) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Unix(1, 0)))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			scramble(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			scramble(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			scramble(v.Index(i))
		}
	case reflect.String:
		v.SetString(v.String() + "!")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Uint64:
		v.SetUint(v.Uint() + 1)
	default:
		panic("a field of kind " + v.Kind().String() + ": add it here and see whether Clone copies it")
	}
}

func marshal(t *rapid.T, s *deployment.State) string {
	t.Helper()
	text, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
