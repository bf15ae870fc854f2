package worker_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/worker"
)

// aboutChurn is a command about churn whose data is JSON.
func aboutChurn(op, id, data string) events.Request {
	return request(deployment.KindDeployment, "churn", op, id, json.RawMessage(data))
}

// holds compares what the target was told about churn with what is to be true.
func (s *system) holds(effect deployment.Effect) {
	s.tb.Helper()
	want := &target{serving: map[deployment.Name]deployment.Name{}}
	want.hold("churn", effect)
	if got := s.target.serves("churn"); got != want.serves("churn") {
		s.tb.Errorf("target holds %q, want %q", got, want.serves("churn"))
	}
}

// command publishes a command about churn, whose data is JSON, under an id of its
// own, and waits for what it comes to.
func (s *system) command(op, data string) event {
	s.tb.Helper()
	return s.outcomeOf(s.publish(aboutChurn(op, rand.Text(), data)))
}

// completes is command for one that must complete, and whether it changed something.
func (s *system) completes(op, data string, changed bool) *deployment.State {
	s.tb.Helper()
	got := s.command(op, data)
	if got.Outcome != events.Completed || *got.Changed != changed {
		s.tb.Fatalf("%s %s: got %s %+v, changed %v, want completed, changed %v", op, data, got.Outcome, got.Failure, got.Changed, changed)
	}
	return got.Deployment
}

// refused is a command that must end as rejected.
type refused struct {
	op, data string
	code     deployment.Code
	class    deployment.Class
	path     string // of the first finding
	message  string // of the first finding
}

// refuses asks for each and compares what is said, down to the text. The state
// is the same afterwards, byte by byte.
func (s *system) refuses(before *deployment.State, list []refused) {
	s.tb.Helper()
	for _, want := range list {
		e := s.command(want.op, want.data)
		if e.Outcome != events.Rejected {
			s.tb.Errorf("%s %s: got %s, want rejected", want.op, want.data, e.Outcome)
			continue
		}
		first := e.Failure.Findings[0]
		got := refused{want.op, want.data, e.Failure.Code, e.Failure.Class, first.Path, first.Message}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(refused{})); diff != "" {
			s.tb.Errorf("refusal (-want +got):\n%s", diff)
		}
		text := strings.TrimPrefix(strings.TrimPrefix(first.Message, first.Path+": "), first.Path+" ") // the field is the key
		if first.Path != "" && e.Failure.Errors[first.Path] != text {
			s.tb.Errorf("%s %s: errors are %v, want the message at %s", want.op, want.data, e.Failure.Errors, first.Path)
		}
		if diff := cmp.Diff(string(mustJSON(s.tb, before)), string(mustJSON(s.tb, e.Deployment))); diff != "" {
			s.tb.Errorf("%s %s: the state changed (-before +after):\n%s", want.op, want.data, diff)
		}
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.run(s.worker("w1"))
	s.refuses(nil, []refused{
		{"update", `{"label":"Churn"}`, deployment.CodeDeploymentNotFound, deployment.ClassNotFound, "", `deployment "churn" does not exist: deploy it first`},
	})
	deployed := s.outcomeOf(s.publish(deployRequest("churn", "deploy", 1))).Deployment
	if deployed.Importance != deployment.ImportanceModerate {
		t.Errorf("got importance %q, want MODERATE as nothing else was said", deployed.Importance)
	}
	s.completes("update", `{"label":"Customer churn","description":"Who leaves?","importance":"CRITICAL"}`, true)
	s.completes("update", `{"importance":"CRITICAL"}`, false)
	s.completes("update", `{"importance":"LOW"}`, true)
	after := s.completes("update", `{"description":null}`, true)

	want := *deployed
	want.Label, want.Importance, want.Revision = "Customer churn", deployment.ImportanceLow, 4
	want.UpdatedAt, want.UpdatedBy = after.UpdatedAt, "/test"
	if diff := cmp.Diff(&want, after); diff != "" {
		t.Errorf("after the updates (-want +got):\n%s", diff)
	}
	if !after.UpdatedAt.After(deployed.UpdatedAt) {
		t.Errorf("updated at %s, want it after the deployment at %s", after.UpdatedAt, deployed.UpdatedAt)
	}
	const among = "expected at least one of label, description, importance, modelId, model, source, version, commit"
	s.refuses(after, []refused{
		{"update", `{}`, deployment.CodeEmptyUpdate, deployment.ClassInvalid, "", among},
		{"update", `{"strict":true}`, deployment.CodeEmptyUpdate, deployment.ClassInvalid, "", among},
		{
			"update", `{"label":"x","modelId":"churn-v2","version":1}`, deployment.CodeInvalidField, deployment.ClassInvalid, "",
			"expected exactly one of modelId, model, source, version, commit, or none",
		},
		{"update", `{"label":""}`, deployment.CodeInvalidField, deployment.ClassInvalid, "label", "label: minLength: got 0, want 1"},
		{"update", `{"label":null}`, deployment.CodeInvalidField, deployment.ClassInvalid, "label", "label: got null, want string"},
		{"update", `{"importance":"high"}`, deployment.CodeUnknownEnum, deployment.ClassInvalid, "importance", `importance: expected one of CRITICAL, HIGH, MODERATE, LOW, got "high"`},
		{"update", `{"importance":null}`, deployment.CodeUnknownEnum, deployment.ClassInvalid, "importance", `importance: expected one of CRITICAL, HIGH, MODERATE, LOW, got null`},
		{"update", `{"label":"x","lable":"y"}`, deployment.CodeUnknownField, deployment.ClassInvalid, "lable", "lable is not a known member"},
	})
	if len(s.target.tokens) != 1 {
		t.Errorf("the target was told %d times what to serve, want once, by the deploy", len(s.target.tokens))
	}
	s.history()
}

func TestDrift(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.run(s.worker("w1"))
	s.refuses(nil, []refused{
		{"drift", `{"targetDriftEnabled":true}`, deployment.CodeDeploymentNotFound, deployment.ClassNotFound, "", `deployment "churn" does not exist: deploy it first`},
	})
	deployed := s.outcomeOf(s.publish(deployRequest("churn", "deploy", 1))).Deployment
	off := deployment.DriftTracking{}
	if deployed.DriftTracking != off {
		t.Errorf("got %+v after the deployment, want both off", deployed.DriftTracking)
	}
	target := deployment.DriftTracking{TargetDrift: deployment.DriftSetting{Enabled: true}}
	both := deployment.DriftTracking{TargetDrift: deployment.DriftSetting{Enabled: true}, FeatureDrift: deployment.DriftSetting{Enabled: true}}
	for _, step := range []struct {
		data    string
		changed bool
		want    deployment.DriftChange
	}{
		{`{"targetDriftEnabled":true}`, true, deployment.DriftChange{Before: off, After: target}},
		{`{"targetDriftEnabled":true}`, false, deployment.DriftChange{Before: target, After: target}},
		{`{"featureDriftEnabled":true}`, true, deployment.DriftChange{Before: target, After: both}},
		{`{"targetDriftEnabled":true,"featureDriftEnabled":true}`, false, deployment.DriftChange{Before: both, After: both}},
	} {
		got := s.command("drift", step.data)
		if got.Outcome != events.Completed || *got.Changed != step.changed {
			t.Fatalf("drift %s: got %s %+v, want completed, changed %v", step.data, got.Outcome, got.Failure, step.changed)
		}
		if diff := cmp.Diff(&step.want, got.Drift); diff != "" {
			t.Errorf("drift %s (-want +got):\n%s", step.data, diff)
		}
	}
	// Neither a replacement nor an update touches what was set (datarobot.md R17).
	s.outcomeOf(s.publish(replaceRequest("churn", "replace", 2)))
	after := s.completes("update", `{"label":"Customer churn"}`, true)
	if diff := cmp.Diff(string(mustJSON(t, both)), string(mustJSON(t, after.DriftTracking))); diff != "" {
		t.Errorf("drift settings after a replacement and an update (-before +after):\n%s", diff)
	}
	s.refuses(after, []refused{
		{"drift", `{}`, deployment.CodeEmptyUpdate, deployment.ClassInvalid, "", "expected at least one of targetDriftEnabled, featureDriftEnabled"},
		{"drift", `{"targetDriftEnabled":"on"}`, deployment.CodeInvalidField, deployment.ClassInvalid, "targetDriftEnabled", "targetDriftEnabled: got string, want boolean"},
		{"drift", `{"targetDriftEnabled":null}`, deployment.CodeInvalidField, deployment.ClassInvalid, "targetDriftEnabled", "targetDriftEnabled: got null, want boolean"},
		{"drift", `{"drift":true}`, deployment.CodeEmptyUpdate, deployment.ClassInvalid, "", "expected at least one of targetDriftEnabled, featureDriftEnabled"},
	})
	s.completes("drift", `{"featureDriftEnabled":false}`, true)
	s.history()
}

// Whatever happens to the model and to the status, label, description, importance,
// drift settings and who created the deployment are what they were, byte by byte,
// in every event and after a rebuild (datarobot.md R17).
func TestSettingsSurvive(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	stop := s.run(s.worker("w1"))
	s.outcomeOf(s.publish(deployRequest("churn", "deploy", 1)))
	s.completes("update", `{"label":"Customer churn","description":"Who leaves?","importance":"CRITICAL"}`, true)
	set := s.command("drift", `{"featureDriftEnabled":true}`)
	settings := func(state deployment.State) string {
		state.Status, state.Model, state.Target, state.Previous, state.LastFailure = "", nil, nil, nil, nil
		state.Generation, state.Revision, state.UpdatedAt, state.UpdatedBy = 0, 0, set.Deployment.UpdatedAt, ""
		return string(mustJSON(t, state))
	}
	want := settings(*set.Deployment)

	s.outcomeOf(s.publish(replaceRequest("churn", "replace", 2)))
	s.target.refuse(deployment.Reject(deployment.CodeArtifactInvalid, "model.artifact", "not a model"))
	s.outcomeOf(s.publish(replaceRequest("churn", "refused", 3)))
	s.target.mu.Lock()
	s.target.inspect = nil
	s.target.apply = func(context.Context, deployment.Name, deployment.ModelRef, uint64) error {
		return &deployment.Failure{Code: deployment.CodeServerFailed, Message: "out of memory"}
	}
	s.target.mu.Unlock()
	s.outcomeOf(s.publish(replaceRequest("churn", "fails", 3)))
	s.target.mu.Lock()
	s.target.apply = nil
	s.target.mu.Unlock()
	s.completes("rollback", `{"reason":"ERRORS"}`, true)
	stop()
	stop = s.run(s.worker("w2"))
	s.completes("rollback", `{"reason":"ERRORS","version":2}`, true)
	s.completes("update", `{"version":1}`, true)
	s.completes("rename", `{"version":2,"name":"spring"}`, true)
	s.completes("deactivate", `{}`, true)
	s.completes("activate", `{}`, true)
	s.command("update", `{}`)
	stop()
	for _, e := range s.history() {
		if e.Sequence < set.Sequence {
			continue
		}
		if diff := cmp.Diff(want, settings(*e.Deployment)); diff != "" {
			t.Errorf("event %d, %s: settings (-before +after):\n%s", e.Sequence, e.Type, diff)
		}
	}
	before, _ := s.deployment("churn")
	if err := bucket[worker.DeploymentView](s, jetstream.DeploymentsBucket).Delete(t.Context(), "churn"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.audit().Mend(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, _ := s.deployment("churn")
	if diff := cmp.Diff(string(mustJSON(t, before)), string(mustJSON(t, after))); diff != "" || settings(after.State) != want {
		t.Errorf("rebuilt (-before +after):\n%s", diff)
	}
}
