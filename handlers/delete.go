package handlers

import "github.com/slipway-ml/slipway/deployment"

// Delete is the data of a command that ends a deployment: there is none.
type Delete struct{}

func (Delete) names() deployment.Name    { return "" }
func (Delete) locate(path string) string { return path }

func remove() Operation {
	return define(deployment.KindDeployment, "delete",
		"Ends a deployment; a tombstone and its history stay, and its name is free.",
		Delete{}, decideDelete)
}

// decideDelete leaves a tombstone (datarobot.md R7). It is possible in every
// status but deleted; what never served has nothing to stop.
func decideDelete(before deployment.Subject, _ deployment.Facts, cmd deployment.Command, _ Delete) (deployment.Decision, error) {
	state, err := existing(before, cmd)
	if err != nil {
		return deployment.Decision{}, err
	}
	decision := deployment.Decision{After: deployment.Subject{Deployment: state.Tombstone(cmd)}, Changed: true}
	if state.Model != nil {
		decision.Shown = state.Going(deployment.StatusDeleting)
		decision.Effects = []deployment.Effect{deployment.Stop{}}
	}
	return decision, nil
}
