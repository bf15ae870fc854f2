package handlers

import (
	"maps"

	"github.com/slipway-ml/slipway/deployment"
)

// Replace is the data of a command that changes the model of a deployment. The
// reason is required (datarobot.md R9).
type Replace struct {
	Reason     deployment.Reason `json:"reason"`
	ReasonText string            `json:"reasonText,omitempty"`
	Strict     bool              `json:"strict,omitempty"` // a warning stops it (datarobot.md R14)
	DryRun     bool              `json:"dryRun,omitempty"` // nothing changes (deeploy.md D18)
	ModelChoice
}

func (Replace) compares() {}

func replace() Operation {
	return define(deployment.KindDeployment, "replace",
		"Serves another model from a deployment, without interrupting predictions.",
		Replace{Reason: deployment.ReasonDataDrift, ReasonText: "spring data", ModelChoice: ModelChoice{ModelID: "churn-v2"}}, decideReplace)
}

// decideReplace changes the model and nothing else (datarobot.md R17).
func decideReplace(before deployment.Subject, facts deployment.Facts, cmd deployment.Command, data Replace) (deployment.Decision, error) {
	state, err := active(before, cmd)
	if err != nil {
		return deployment.Decision{}, err
	}
	reading, err := data.unread(facts, state.Model)
	if err != nil {
		return deployment.Decision{}, err
	}
	if reading != nil {
		if r := facts.Policy.Permit(cmd); r != nil { // nothing is fetched for who may not replace
			return deployment.Decision{}, r
		}
		return seen(deployment.Decision{Read: reading, Shown: state.Going(deployment.StatusReplacing)}, data.DryRun), nil
	}
	chosen, err := data.resolve(facts, state.Model)
	if err != nil {
		return deployment.Decision{Checks: chosen.checks}, err
	}
	model := chosen.model
	verdict, rejection := checkReplace(deployment.Candidate{Model: model, State: state, Command: cmd, Facts: facts}, data.Strict || facts.Policy.Strict)
	maps.Copy(verdict.Checks, chosen.checks)
	if rejection != nil {
		return verdict, rejection
	}
	rollout := rollout{chosen: chosen, before: before, facts: facts, command: cmd, dry: data.DryRun}
	return rollout.decide(deployment.Decision{
		Shown: state.RollingOut(deployment.StatusReplacing, chosen.ref), Registered: chosen.registered,
		After:  deployment.Subject{Deployment: state.Serving(cmd, chosen.ref)},
		Checks: verdict.Checks, Validation: verdict.Validation,
		Replacement: &deployment.Replacement{
			OldModel: state.Model.ID, NewModel: model.ID, Reason: data.Reason, ReasonText: data.ReasonText,
		},
	}), nil
}

// checkReplace is the verdict on a candidate, and what keeps it from replacing
// the current model. What is declared of the two is compared before the
// candidate's file is looked at, so that a candidate that does not fit, or that
// the sender may not use, costs no fetch.
func checkReplace(c deployment.Candidate, strict bool) (verdict deployment.Decision, rejection *deployment.Rejection) {
	verdict.Validation, verdict.Checks = c.Validate()
	if rejection = c.Facts.Refused; rejection == nil { // it says more than its check
		rejection = verdict.Checks.ReplaceRejection()
	}
	if rejection == nil && c.Facts.Inspected() && strict {
		rejection = verdict.Checks.StrictRejection(deployment.CodeValidationFailed)
	}
	return verdict, rejection
}
