package handlers

import "github.com/slipway-ml/slipway/deployment"

// Replace is the data of a command that changes the model of a deployment. The
// reason is required (datarobot.md R9).
type Replace struct {
	Reason     deployment.Reason `json:"reason"`
	ReasonText string            `json:"reasonText,omitempty"`
	Strict     bool              `json:"strict,omitempty"` // a warning stops it (datarobot.md R14)
	DryRun     bool              `json:"dryRun,omitempty"` // nothing changes (deeploy.md D18)
	ModelChoice
}

func (Replace) compares() bool { return true }

func replace() Operation {
	return define(deployment.KindDeployment, "replace",
		"Serves another model from a deployment, without interrupting predictions.",
		Replace{Reason: deployment.ReasonDataDrift, ReasonText: "spring data", ModelChoice: ModelChoice{ModelID: "churn-v3"}}, decideReplace)
}

// decideReplace changes the model and nothing else (datarobot.md R17).
func decideReplace(before deployment.Subject, facts deployment.Facts, cmd deployment.Command, data Replace) (deployment.Decision, error) {
	state, err := active(before, cmd)
	if err != nil {
		return deployment.Decision{}, err
	}
	r := rollout{before: before, facts: facts, command: cmd, dry: data.DryRun}
	if reading, err := data.unread(facts, state.Model); reading != nil || err != nil {
		return r.read(reading, err)
	}
	if r.chosen, err = data.resolve(facts, state.Model); err != nil {
		return deployment.Decision{Checks: r.chosen.checks}, err
	}
	return r.exchange(data.Strict || facts.Policy.Strict, deployment.Replacement{Reason: data.Reason, ReasonText: data.ReasonText})
}

// checkReplace is the verdict on a candidate, and what keeps it from replacing
// the current model. What is declared of the two is compared before the
// candidate's file is looked at, so that a candidate that does not fit, or that
// the sender may not use, costs no fetch.
func checkReplace(c *deployment.Candidate, strict bool) (verdict deployment.Decision, rejection *deployment.Rejection) {
	verdict.Validation, verdict.Checks = c.Validate()
	if rejection = c.Facts.Refused; rejection == nil { // it says more than its check
		rejection = verdict.Checks.ReplaceRejection()
	}
	if rejection == nil && c.Facts.Inspected() && strict {
		rejection = verdict.Checks.StrictRejection(deployment.CodeValidationFailed)
	}
	return verdict, rejection
}
