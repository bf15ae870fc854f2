package handlers

import "github.com/slipway-ml/slipway/deployment"

// existing is the deployment that the command is about, or the refusal of a
// command about none.
func existing(before deployment.Subject, cmd deployment.Command) (*deployment.State, error) {
	if before.Deployment == nil {
		return nil, deployment.Reject(deployment.CodeDeploymentNotFound, "",
			"deployment %q does not exist: deploy it first", cmd.Name)
	}
	return before.Deployment, nil
}

// active is the deployment if it answers predictions, which replacing its model
// or computing its drift needs (datarobot.md R21).
func active(before deployment.Subject, cmd deployment.Command) (*deployment.State, error) {
	state, err := existing(before, cmd)
	if err == nil && state.Model == nil {
		err = deployment.Reject(deployment.CodeDeploymentFailed, "",
			"deployment %q has failed and has no model: deploy it again", cmd.Name)
	}
	return state, err
}
