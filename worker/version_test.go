package worker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/worker"
)

// wantVersions compares the versions, the oldest first, with the ledger.
func (s *system) wantVersions(want ...string) []deployment.Version {
	s.tb.Helper()
	versions, err := worker.ReadVersions(s.tb.Context(), s.ledger, "churn")
	if err != nil {
		s.tb.Fatal(err)
	}
	var got []string
	for _, v := range versions {
		why := "-"
		if v.Reason != nil {
			why = string(*v.Reason)
		}
		if v.Failure != nil {
			why += " " + string(v.Failure.Code)
		}
		got = append(got, fmt.Sprintf("%d %s %s %s %q", v.Number, v.Status, v.ModelID, why, v.Name))
		if v.At.IsZero() || v.By != "/test" || v.EventID == "" || (v.Failure == nil) != (v.Status != deployment.VersionFailed) {
			s.tb.Errorf("got %+v, want who and when, which event says so, and why it failed if it did", v)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.tb.Errorf("versions (-want +got):\n%s", diff)
	}
	return versions
}

// Each change of the model has a number for ever, those that failed have none;
// names come and go beside them, and everything is the same when the buckets are
// made anew (deeploy.md D22).
func TestVersions(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	w, read := s.worker("w1"), &contracts{}
	w.Contracts = read
	s.run(w)
	one, two, three := contentID(1), contentID(2), contentID(3)
	away := func(err error) {
		s.target.mu.Lock()
		defer s.target.mu.Unlock()
		s.target.apply = nil
		if err != nil {
			s.target.apply = func(context.Context, deployment.Name, deployment.ModelRef, uint64) error { return err }
		}
	}
	away(&deployment.Failure{Code: deployment.CodeServerFailed, Message: "out of memory"})
	s.command("deploy", `{"label":"Churn",`+sourceOf("v1")+`}`)
	away(nil)
	s.completes("deploy", `{"label":"Churn",`+sourceOf("v1")+`}`, true)
	s.completes("deactivate", `{}`, true)
	s.completes("activate", `{}`, true)
	s.outcomeOf(s.publish(replaceRequest("churn", "replace", 2)))
	read.fail(errors.New("connection refused"))
	s.command("update", `{`+sourceOf("v3")+`}`) // it is not known which model it would have been
	read.fail(nil)
	away(errors.New("no answer"))
	s.command("replace", `{"reason":"ACCURACY",`+sourceOf("v3")+`}`)
	s.completes("deactivate", `{}`, true)
	s.command("activate", `{}`) // that fails, too, and is no version
	away(nil)
	s.completes("activate", `{}`, true)
	named := s.command("rename", `{"version":1,"name":"before the sale"}`)
	if named.Outcome != events.Completed || !*named.Changed || named.Renamed == nil || named.Renamed.Version != 1 {
		t.Fatalf("rename: got %s %+v %+v", named.Outcome, named.Failure, named.Renamed)
	}
	s.completes("rename", `{"version":1,"name":"before the sale"}`, false)
	s.completes("rename", `{"version":4,"name":"spring"}`, true)
	before := s.completes("rename", `{"version":4,"name":null}`, true)
	s.refuses(before, []refused{
		{
			"rename", `{"version":2,"name":"x"}`, deployment.CodeVersionNotFound, deployment.ClassNotFound, "version",
			`deployment "churn" has no version 2: expected one of 4, 1`,
		},
		{"rename", `{"version":1,"name":""}`, deployment.CodeInvalidField, deployment.ClassInvalid, "name", "name: minLength: got 0, want 1"},
		{"rename", `{"version":0,"name":"x"}`, deployment.CodeInvalidField, deployment.ClassInvalid, "version", "version: expected 1 or more, got 0"},
		{"rename", `{"version":1}`, deployment.CodeMissingField, deployment.ClassInvalid, "name", "name is required"},
		{
			"rollback", `{"reason":"ERRORS","version":4}`, deployment.CodeIsCurrentModel, deployment.ClassConflict, "version",
			`the model of version 4, "` + string(two) + `", is the current model of deployment "churn": expected another version`,
		},
		{
			"rollback", `{"reason":"ERRORS","version":1,"modelId":"` + string(two) + `"}`, deployment.CodeInvalidField, deployment.ClassInvalid, "modelId",
			`expected the model of version 1, which is "` + string(one) + `", or none, got "` + string(two) + `"`,
		},
	})
	back := s.completes("rollback", `{"reason":"ERRORS","version":1}`, true)
	if back.Label != before.Label || back.Model.Contract == nil || back.Model.Contract.Branch != "v1" {
		t.Errorf("got %+v, want everything but the model as it was, and its contract", back)
	}
	want := []string{
		fmt.Sprintf("0 failed %s - prediction_server_failed \"\"", one),
		fmt.Sprintf("1 served %s - \"before the sale\"", one),
		fmt.Sprintf("4 served %s OTHER \"\"", two),
		"0 failed  - store_unavailable \"\"",
		fmt.Sprintf("0 failed %s ACCURACY prediction_server_unavailable \"\"", three),
		fmt.Sprintf("7 current %s ERRORS \"\"", one),
	}
	versions := s.wantVersions(want...)
	if c := versions[1].Contract; c == nil || c.Branch != "v1" || versions[1].Digest == "" || versions[2].Contract != nil || !versions[5].Rollback {
		t.Errorf("got %+v, want contracts, digests, and that the last one is a rollback", versions)
	}
	if _, err := s.audit().Mend(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{jetstream.DeploymentsBucket, jetstream.ModelsBucket} {
		if err := s.js.DeleteKeyValue(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	s.wantVersions(want...)
}
