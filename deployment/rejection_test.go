package deployment_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
)

func TestReject(t *testing.T) {
	t.Parallel()
	got := deployment.Reject(deployment.CodeModelNotFound, "modelId", "model %q is not registered", "churn-v2")
	want := &deployment.Rejection{
		Code: deployment.CodeModelNotFound, Class: deployment.ClassNotFound,
		Message:  `model "churn-v2" is not registered`,
		Findings: []deployment.Finding{{Code: deployment.CodeModelNotFound, Path: "modelId", Message: `model "churn-v2" is not registered`}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rejection (-want +got):\n%s", diff)
	}
	if got.Error() != want.Message {
		t.Errorf("Error(): got %q, want the message once", got.Error())
	}
}

func TestRejectAll(t *testing.T) {
	t.Parallel()
	if got := deployment.RejectAll("nothing", nil); got != nil {
		t.Errorf("without findings: got %v, want nil", got)
	}
	findings := []deployment.Finding{
		{Code: deployment.CodeURLNotAllowed, Path: "model.artifact.url", Message: "file URLs are not allowed"},
		{Code: deployment.CodeMissingField, Path: "label", Message: "label is required"},
	}
	got := deployment.RejectAll("Invalid field data", findings)
	want := &deployment.Rejection{
		Code: deployment.CodeURLNotAllowed, Class: deployment.ClassForbidden,
		Message: "Invalid field data", Findings: findings,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rejection (-want +got):\n%s", diff)
	}
	const text = "Invalid field data; model.artifact.url: file URLs are not allowed; label: label is required"
	if got.Error() != text {
		t.Errorf("Error(): got %q, want %q", got.Error(), text)
	}
}

func TestFailureIsItsMessage(t *testing.T) {
	t.Parallel()
	failure := &deployment.Failure{Code: deployment.CodeServerFailed, Message: "out of memory"}
	if failure.Error() != "out of memory" {
		t.Errorf("got %q, want the message", failure.Error())
	}
}
