package handlers

import (
	"maps"

	"github.com/slipway-ml/slipway/deployment"
)

// OpValidate is the operation that is also answered at once, without a command.
const OpValidate = "validate"

// Validate is the data of a command that asks whether a model can replace the
// one that a deployment serves (datarobot.md R13).
type Validate struct{ ModelChoice }

func (Validate) compares() bool { return true }

func validate() Operation {
	return define(deployment.KindDeployment, OpValidate,
		"Says whether a model can replace the one that a deployment serves; nothing changes.",
		Validate{ModelChoice{ModelID: "churn-v3"}}, decideValidate)
}

// decideValidate makes every check of a replacement. A failing verdict is an
// answer: the command has completed. The file is looked at even if a check
// already fails, except for somebody who may not replace the model.
func decideValidate(before deployment.Subject, facts deployment.Facts, cmd deployment.Command, data Validate) (deployment.Decision, error) {
	state, err := withModel(before, cmd)
	if err != nil {
		return deployment.Decision{}, err
	}
	reading, err := data.unread(facts, state.Model)
	if err != nil {
		return deployment.Decision{}, err
	}
	if reading != nil {
		if r := facts.Policy.Permit(cmd); r != nil {
			return deployment.Decision{}, r
		}
		return deployment.Decision{Read: reading}, nil
	}
	chosen, err := data.resolve(facts, state.Model)
	if err != nil {
		return deployment.Decision{Checks: chosen.checks}, err
	}
	model := chosen.model
	if !facts.Inspected() && facts.Policy.Permissions.Allow(cmd) {
		return deployment.Decision{Inspect: &model}, nil
	}
	validation, checks := (&deployment.Candidate{Model: model, State: state, Command: cmd, Facts: facts}).Validate()
	maps.Copy(checks, chosen.checks)
	return deployment.Decision{After: before, Checks: checks, Validation: validation}, nil
}
