package worker_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
)

// updateRequest changes the label and the model.
func updateRequest(id string, variant int) events.Request {
	label := "Customer churn"
	return request(deployment.KindDeployment, "churn", "update", id, handlers.Update{Label: &label, ModelChoice: inline(variant)})
}

// An update with a model is one event, one outcome and one revision; one that
// names none looks at no file, though it may follow the other at once (deeploy.md
// D3, U9).
func TestUpdateOfModel(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.run(s.worker("w1"))
	s.refuses(nil, []refused{{
		"update", `{"label":"x",` + sourceOf("v1") + `}`, deployment.CodeDeploymentNotFound, deployment.ClassNotFound, "", missing,
	}})
	deployed := s.outcomeOf(s.publish(deployRequest("churn", "deploy", 1))).Deployment
	sequence := s.publish(updateRequest("1", 2))
	updated := s.outcomeOf(sequence)
	if diff := cmp.Diff([]events.Outcome{events.Started, events.Validated, events.Completed}, outcomes(s.history(), sequence)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	want := deployed.Clone()
	want.Label, want.Model, want.Previous = "Customer churn", updated.Deployment.Model, deployed.Model
	want.Generation, want.Revision, want.UpdatedAt = deployed.Generation+1, deployed.Revision+1, updated.Deployment.UpdatedAt
	if diff := cmp.Diff(want, updated.Deployment); diff != "" {
		t.Errorf("after the update (-want +got):\n%s", diff)
	}
	if got := updated.Registered; got == nil || got.ID != contentID(2) || s.target.serves("churn") != contentID(2) {
		t.Errorf("got %+v registered, %s serves, want %s", got, s.target.serves("churn"), contentID(2))
	}
	if diff := cmp.Diff(&deployment.Replacement{OldModel: contentID(1), NewModel: contentID(2), Reason: deployment.ReasonOther}, updated.Replacement); diff != "" {
		t.Errorf("replacement (-want +got):\n%s", diff)
	}
	again := s.outcomeOf(s.publish(updateRequest("1", 2)))
	if again.Outcome != events.Duplicate || again.Original.Outcome != events.Completed || again.Deployment.Revision != want.Revision {
		t.Errorf("the same event: got %s %+v at revision %d, want a duplicate that changes nothing", again.Outcome, again.Original, again.Deployment.Revision)
	}
	s.target.refuse(deployment.Reject(deployment.CodeArtifactNotFound, "model.artifact", "there are no files"))
	s.completes("update", `{"description":"Who leaves?"}`, true)
}

// Whatever keeps the model of an update from serving, the label and the
// description stay, too, and what served before goes on (deeploy.md D20, U4).
func TestUpdateOfModelThatFails(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.run(s.worker("w1"))
	before := s.outcomeOf(s.publish(deployRequest("churn", "deploy", 1))).Deployment
	s.refuses(before, []refused{
		{
			"update", `{"label":"x",` + sourceOf("none") + `}`, deployment.CodeRevisionNotFound, deployment.ClassNotFound, "source.branch",
			`the repository has no branch "none"`,
		},
		{
			"update", `{"label":"x","commit":"1111111111111111111111111111111111111111"}`, deployment.CodeNoContract, deployment.ClassConflict, "commit",
			`model "` + string(contentID(1)) + `" of deployment "churn" was deployed from no repository: expected source, modelId or model`,
		},
		{
			"update", `{"label":"x","version":2}`, deployment.CodeVersionNotFound, deployment.ClassNotFound, "version",
			`deployment "churn" has no version 2: expected one of 1`,
		},
	})
	s.target.refuse(deployment.Reject(deployment.CodeArtifactInvalid, "model.artifact", "not a model"))
	s.refuses(before, []refused{{
		"update", `{"label":"x",` + sourceOf("v2") + `}`, deployment.CodeArtifactInvalid, deployment.ClassInvalid, "source", "not a model",
	}})
	s.target.mu.Lock()
	s.target.inspect = nil
	s.target.apply = func(context.Context, deployment.Name, deployment.ModelRef, uint64) error {
		return errors.New("out of memory")
	}
	s.target.mu.Unlock()
	failed := s.outcomeOf(s.publish(updateRequest("fails", 2)))
	want := before.Clone()
	want.LastFailure, want.Revision, want.UpdatedAt = failed.Deployment.LastFailure, before.Revision+1, failed.Deployment.UpdatedAt
	if diff := cmp.Diff(want, failed.Deployment); failed.Outcome != events.Failed || want.LastFailure == nil || diff != "" {
		t.Errorf("%s (-want +got):\n%s", failed.Outcome, diff)
	}
	if s.target.serves("churn") != contentID(1) {
		t.Errorf("target serves %s, want %s", s.target.serves("churn"), contentID(1))
	}
}

// An update follows the contract that was recorded: to another branch, to one of
// its commits, and back to a version, each with the contract that it came from.
func TestUpdateFromContract(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	w := s.worker("w1")
	read := &contracts{}
	w.Contracts = read
	s.run(w)
	s.completes("deploy", `{"label":"Churn",`+sourceOf("v1")+`}`, true)
	two := s.completes("update", `{"description":"new",`+sourceOf("v2")+`}`, true)
	if two.Model.Contract == nil || two.Model.Contract.Branch != "v2" || *two.Description != "new" {
		t.Errorf("got %+v, want the contract and the description", two.Model)
	}
	reads, _ := read.seen()
	s.completes("update", `{"description":null}`, true)
	back := s.completes("update", `{"version":1}`, true)
	if now, _ := read.seen(); back.Model.Contract == nil || back.Model.Contract.Branch != "v1" || back.Description != nil || now != reads {
		t.Errorf("got %+v after %d reads, want the first contract, and no more than %d reads", back.Model, now, reads)
	}
	s.completes("update", `{"commit":"3333333333333333333333333333333333333333"}`, true)
	if _, got := read.seen(); got.Source.Commit != "3333333333333333333333333333333333333333" || got.Source.URL != back.Model.Contract.Repository || got.Recorded == nil {
		t.Errorf("read %+v, want the commit of the repository that serves, with what was recorded", got)
	}
}
