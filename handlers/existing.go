package handlers

import "github.com/slipway-ml/slipway/deployment"

// existing is the deployment that the command is about, or the refusal of a
// command about none. One that is deleted is none (datarobot.md R6, R7).
func existing(before deployment.Subject, cmd deployment.Command) (*deployment.State, error) {
	if !before.Deployment.Exists() {
		return nil, deployment.Reject(deployment.CodeDeploymentNotFound, "",
			"deployment %q does not exist: deploy it first", cmd.Name)
	}
	return before.Deployment, nil
}

// withModel is the deployment if it has a model: not when its first rollout has
// failed.
func withModel(before deployment.Subject, cmd deployment.Command) (*deployment.State, error) {
	state, err := existing(before, cmd)
	if err == nil && state.Model == nil {
		err = deployment.Reject(deployment.CodeDeploymentFailed, "",
			"deployment %q has failed and has no model: deploy it again", cmd.Name)
	}
	return state, err
}

// active is the deployment if it answers predictions, which replacing its model
// or computing its drift needs (datarobot.md R21).
func active(before deployment.Subject, cmd deployment.Command) (*deployment.State, error) {
	state, err := withModel(before, cmd)
	if err == nil && state.Status == deployment.StatusInactive {
		err = deployment.Reject(deployment.CodeDeploymentInactive, "",
			"deployment %q is inactive: activate it first", cmd.Name)
	}
	return state, err
}
