package handlers

import "github.com/slipway-ml/slipway/deployment"

// Replace is the data of a command that changes the model of a deployment. The
// reason is required (datarobot.md R9).
type Replace struct {
	Reason     deployment.Reason `json:"reason"`
	ReasonText string            `json:"reasonText,omitempty"`
	ModelChoice
}

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
	model, registered, err := data.resolve(facts)
	if err != nil {
		return deployment.Decision{}, err
	}
	if model.ID == state.Model.ID {
		return deployment.Decision{}, deployment.Reject(deployment.CodeIsCurrentModel, data.path(),
			"model %q is the current model of deployment %q: expected another one", model.ID, cmd.Name)
	}
	shown := state.RollingOut(deployment.StatusReplacing, model.Ref())
	return rollOut(model, facts, shown, deployment.Decision{
		Shown: shown, Registered: registered,
		After: deployment.Subject{Deployment: state.Serving(cmd, model.Ref())},
		Replacement: &deployment.Replacement{
			OldModel: state.Model.ID, NewModel: model.ID, Reason: data.Reason, ReasonText: data.ReasonText,
		},
	})
}
