package worker_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/worker"
)

// Findings name their field, for people; errors have it as their key, and say the
// rest, as DataRobot's do (datarobot.md section 6). The first finding counts.
func TestRefusalByField(t *testing.T) {
	t.Parallel()
	findings := []deployment.Finding{
		{Code: deployment.CodeMissingField, Path: "label", Message: "label is required"},
		{Code: deployment.CodeInvalidField, Path: "label", Message: "label: got null, want string"},
		{Code: deployment.CodeUnknownField, Path: "model.nmae", Message: "model.nmae is not a known member"},
		{Code: deployment.CodeUnknownEnum, Path: "reason", Message: `reason: expected one of A, B, got "C"`},
		{Code: deployment.CodeModelNotFound, Path: "model", Message: `model "churn-v9" is not registered`},
		{Code: deployment.CodeMissingModelType, Path: "source.modelType", Message: "is required for a model from a blob"},
		{Code: deployment.CodeInvalidField, Path: "", Message: "expected exactly one of modelId, model"},
	}
	got := worker.Refusal(deployment.RejectAll(deployment.InvalidData, findings))
	want := &worker.Failure{
		Code: deployment.CodeMissingField, Class: deployment.ClassInvalid, Message: deployment.InvalidData, Findings: findings,
		Errors: map[string]string{
			"label": "is required", "model.nmae": "is not a known member", "reason": `expected one of A, B, got "C"`,
			"model": `model "churn-v9" is not registered`, "source.modelType": "is required for a model from a blob",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("refusal (-want +got):\n%s", diff)
	}
}
