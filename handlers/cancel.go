package handlers

import "github.com/slipway-ml/slipway/deployment"

// OpCancel is the operation that workers look ahead for: a command that is
// queued or running ends as `cancelled` once one of these names it.
const OpCancel = "cancel"

// Cancel is the data of a command that ends another command of the same
// deployment, which it names by CloudEvents source and id.
type Cancel struct {
	Source string `json:"source"`
	ID     string `json:"id"`
}

func (Cancel) names() deployment.Name       { return "" }
func (Cancel) locate(path string) string    { return path }
func (c Cancel) about() (source, id string) { return c.Source, c.ID }

func cancel() Operation {
	return define(deployment.KindDeployment, OpCancel,
		"Ends a command that is queued or running; what served before serves.",
		Cancel{Source: "/pipelines/churn", ID: "run-4711"}, decideCancel)
}

// decideCancel says what came of it. When it is this command's turn the other
// one, being older, has ended: as cancelled, or before it could be.
func decideCancel(before deployment.Subject, facts deployment.Facts, _ deployment.Command, data Cancel) (deployment.Decision, error) {
	switch facts.Outcome {
	case "":
		return deployment.Decision{}, deployment.Reject(deployment.CodeCommandNotFound, "id",
			"command %q from %q: there is none of this deployment before this one", data.ID, data.Source)
	case "cancelled":
		return deployment.Decision{After: before, Changed: true}, nil
	default:
		return deployment.Decision{}, deployment.Reject(deployment.CodeCommandFinished, "id",
			"command %q from %q is %s: it can no longer be cancelled", data.ID, data.Source, facts.Outcome)
	}
}
