package worker_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/worker"
)

// wantHistory compares the models that have served, oldest first, with the ledger.
func (s *system) wantHistory(want ...string) deployment.History {
	s.tb.Helper()
	h, err := worker.ReadHistory(s.tb.Context(), s.ledger, "churn")
	if err != nil {
		s.tb.Fatal(err)
	}
	var got []string
	for _, served := range h.Served {
		reason := "-"
		if served.Reason != nil {
			reason = string(*served.Reason)
		}
		if served.EventID == "" || served.DeployedAt.IsZero() || served.DeployedBy != "/test" || (served.ReplacedAt == nil) != (served.ReplacedBy == nil) {
			s.tb.Errorf("got %+v, want who and when, and which event says so", served)
		}
		got = append(got, fmt.Sprintf("%s %s", served.ModelID, reason))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.tb.Errorf("history (-want +got):\n%s", diff)
	}
	return h
}

// A rollback serves an earlier model of the deployment, by itself the one before;
// nothing else changes (datarobot.md R16, R17).
func TestRollback(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	stop := s.run(s.worker("w1"))
	s.refuses(nil, []refused{{"rollback", `{"reason":"ERRORS"}`, deployment.CodeDeploymentNotFound, deployment.ClassNotFound, "", missing}})
	s.outcomeOf(s.publish(request(deployment.KindModel, "churn-v2", "register", "register", handlers.Register{ModelFacts: facts(2)})))
	s.outcomeOf(s.publish(request(deployment.KindModel, "other", "register", "register other", handlers.Register{ModelFacts: facts(9)})))
	deployed := s.outcomeOf(s.publish(deployRequest("churn", "deploy", 1))).Deployment
	first := string(contentID(1))
	s.refuses(deployed, []refused{
		{
			"rollback", `{"reason":"ERRORS"}`, deployment.CodeNoEarlierModel, deployment.ClassConflict, "",
			`deployment "churn" has served no model before "` + first + `": there is none to go back to`,
		},
		{
			"rollback", `{"reason":"ERRORS","modelId":"other"}`, deployment.CodeModelNeverServed, deployment.ClassNotFound, "modelId",
			`model "other" has never served deployment "churn": expected a model that has, and there is none but the current one`,
		},
	})
	s.completes("drift", `{"featureDriftEnabled":true}`, true)
	s.completes("update", `{"description":"Who leaves?","importance":"CRITICAL"}`, true)
	s.completes("replace", `{"reason":"DATA_DRIFT","modelId":"churn-v2"}`, true)
	before := s.outcomeOf(s.publish(replaceRequest("churn", "replace", 3))).Deployment
	third := string(contentID(3))
	s.wantHistory(first+" DATA_DRIFT", "churn-v2 OTHER", third+" -")

	back := s.command("rollback", `{"reason":"ERRORS","reasonText":"too many false alarms"}`)
	if back.Outcome != events.Completed || s.target.serves("churn") != "churn-v2" {
		t.Fatalf("got %s %+v, target serves %s, want it to serve churn-v2", back.Outcome, back.Failure, s.target.serves("churn"))
	}
	if diff := cmp.Diff(&deployment.Replacement{
		OldModel: contentID(3), NewModel: "churn-v2", Reason: deployment.ReasonErrors, ReasonText: "too many false alarms", Rollback: true,
	}, back.Replacement); diff != "" {
		t.Errorf("replacement (-want +got):\n%s", diff)
	}
	want := before.Clone()
	want.Model, want.Previous = back.Deployment.Model, before.Model
	want.Generation, want.Revision, want.UpdatedAt = before.Generation+1, before.Revision+1, back.Deployment.UpdatedAt
	if diff := cmp.Diff(string(mustJSON(t, want)), string(mustJSON(t, back.Deployment))); diff != "" {
		t.Errorf("a rollback changes more than the model (-want +got):\n%s", diff)
	}
	// To the first model, by its id: it came inline.
	named := s.completes("rollback", `{"reason":"ACCURACY","modelId":"`+first+`"}`, true)
	if named.Model.ID != contentID(1) || named.Previous.ID != "churn-v2" {
		t.Errorf("got %s, previous %s, want %s and churn-v2", named.Model.ID, named.Previous.ID, first)
	}
	s.wantHistory(first+" DATA_DRIFT", "churn-v2 OTHER", third+" ERRORS", "churn-v2 ACCURACY", first+" -")
	s.refuses(named, []refused{
		{
			"rollback", `{"reason":"ERRORS","modelId":"` + first + `"}`, deployment.CodeIsCurrentModel, deployment.ClassConflict, "modelId",
			`model "` + first + `" is the current model of deployment "churn": expected an earlier one`,
		},
		{
			"rollback", `{"reason":"ERRORS","modelId":"other"}`, deployment.CodeModelNeverServed, deployment.ClassNotFound, "modelId",
			`model "other" has never served deployment "churn": expected one of churn-v2, ` + third,
		},
		{"rollback", `{}`, deployment.CodeMissingField, deployment.ClassInvalid, "reason", "reason is required"},
		{
			"rollback", `{"reason":"BORED"}`, deployment.CodeUnknownEnum, deployment.ClassInvalid, "reason",
			`reason: expected one of ACCURACY, DATA_DRIFT, ERRORS, SCHEDULED_REFRESH, SCORING_SPEED, DEPRECATION, OTHER, got "BORED"`,
		},
		{"rollback", `{"reason":"ERRORS","model":{}}`, deployment.CodeUnknownField, deployment.ClassInvalid, "model", "model is not a known member"},
	})
	stop()
	s.history()
}

// What served before a deployment was deleted is in the history of the name, and
// is nothing that another deployment of that name can go back to.
func TestRollbackStaysInItsLife(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.run(s.worker("w1"))
	s.outcomeOf(s.publish(deployRequest("churn", "deploy", 1)))
	s.outcomeOf(s.publish(replaceRequest("churn", "replace", 2)))
	s.completes("delete", `{}`, true)
	one, two, three := string(contentID(1)), string(contentID(2)), string(contentID(3))
	if h := s.wantHistory(one+" OTHER", two+" -"); h.Served[1].ReplacedAt == nil {
		t.Errorf("got %+v, want it to have ended with the deployment", h.Served[1])
	}
	again := s.outcomeOf(s.publish(deployRequest("churn", "again", 3))).Deployment
	s.refuses(again, []refused{
		{
			"rollback", `{"reason":"ERRORS","modelId":"` + two + `"}`, deployment.CodeModelNeverServed, deployment.ClassNotFound, "modelId",
			`model "` + two + `" has never served deployment "churn": expected a model that has, and there is none but the current one`,
		},
		{
			"rollback", `{"reason":"ERRORS"}`, deployment.CodeNoEarlierModel, deployment.ClassConflict, "",
			`deployment "churn" has served no model before "` + three + `": there is none to go back to`,
		},
	})
	s.wantHistory(one+" OTHER", two+" -", three+" -")
}

// A rollback that fails leaves what served, as any replacement does.
func TestRollbackThatFails(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.run(s.worker("w1"))
	s.outcomeOf(s.publish(deployRequest("churn", "deploy", 1)))
	before := s.outcomeOf(s.publish(replaceRequest("churn", "replace", 2))).Deployment
	s.target.refuse(deployment.Reject(deployment.CodeArtifactNotFound, "model.artifact", "the artifact is gone"))
	s.refuses(before, []refused{
		{"rollback", `{"reason":"ERRORS"}`, deployment.CodeArtifactNotFound, deployment.ClassInvalid, "modelId", "the artifact is gone"},
	})
	if s.target.serves("churn") != contentID(2) {
		t.Errorf("target serves %s, want %s", s.target.serves("churn"), contentID(2))
	}
	s.wantHistory(string(contentID(1))+" OTHER", string(contentID(2))+" -")
}
