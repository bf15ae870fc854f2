package handlers

import "github.com/slipway-ml/slipway/deployment"

// Activate is the data of a command that makes an inactive deployment answer
// predictions: there is none (datarobot.md T1).
type Activate struct{}

// Deactivate is the data of a command that makes a deployment answer no
// predictions: there is none.
type Deactivate struct{}

func (Activate) names() deployment.Name      { return "" }
func (Activate) locate(path string) string   { return path }
func (Deactivate) names() deployment.Name    { return "" }
func (Deactivate) locate(path string) string { return path }

func deactivate() Operation {
	return define(deployment.KindDeployment, "deactivate",
		"Answers no predictions any more, until the deployment is activated.",
		Deactivate{}, decideDeactivate)
}

func activate() Operation {
	return define(deployment.KindDeployment, "activate",
		"Answers predictions again, with the model that the deployment had.",
		Activate{}, decideActivate)
}

func decideDeactivate(before deployment.Subject, _ deployment.Facts, cmd deployment.Command, _ Deactivate) (deployment.Decision, error) {
	state, err := switchable(before, cmd, deployment.StatusInactive)
	if err != nil {
		return deployment.Decision{}, err
	}
	return deployment.Decision{
		Shown: state.Going(deployment.StatusStopping), Changed: true,
		After:   deployment.Subject{Deployment: state.Stopped(cmd)},
		Effects: []deployment.Effect{deployment.Stop{Inactive: true}},
	}, nil
}

func decideActivate(before deployment.Subject, _ deployment.Facts, cmd deployment.Command, _ Activate) (deployment.Decision, error) {
	state, err := switchable(before, cmd, deployment.StatusActive)
	if err != nil {
		return deployment.Decision{}, err
	}
	return deployment.Decision{
		Shown: state.Going(deployment.StatusLaunching), Changed: true,
		After:   deployment.Subject{Deployment: state.Serving(cmd, *state.Model)},
		Effects: []deployment.Effect{deployment.Serve{Model: state.Model.From(nil)}},
	}, nil
}

// switchable is the deployment if it has a model and the other status than the
// one that is asked for. The text is the known one (datarobot.md section 6); no
// change is ever in process here, since commands wait for each other.
func switchable(before deployment.Subject, cmd deployment.Command, to deployment.Status) (*deployment.State, error) {
	state, err := withModel(before, cmd)
	if err != nil {
		return nil, err
	}
	if is := state.Status == deployment.StatusInactive; is == (to == deployment.StatusInactive) {
		return nil, deployment.Reject(deployment.CodeAlreadyInStatus, "",
			"Deployment is already in process of status change or already in requested status")
	}
	return state, nil
}
