package handlers

import (
	"cmp"

	"github.com/slipway-ml/slipway/deployment"
)

// Deploy is the data of a command that creates a deployment (datarobot.md R1,
// deeploy.md D1).
type Deploy struct {
	Label       string                `json:"label"`
	Description *string               `json:"description,omitempty"`
	Importance  deployment.Importance `json:"importance,omitempty"` // "": MODERATE (datarobot.md T2)
	ModelChoice
}

func deploy() Operation {
	return define(deployment.KindDeployment, "deploy",
		"Creates a deployment and serves a model from it.",
		Deploy{Label: "Churn", ModelChoice: ModelChoice{Model: exampleModel()}}, decideDeploy)
}

// decideDeploy refuses a name that is taken (deeploy.md D2). A deployment whose
// first rollout failed never served: deploying it again is a fresh try. That of a
// deleted one is free (docs/adr/0017-deleted-names-are-free.md); generation and
// revision go on, so that they never say the same twice.
func decideDeploy(before deployment.Subject, facts deployment.Facts, cmd deployment.Command, data Deploy) (deployment.Decision, error) {
	if before.Deployment.Exists() && before.Deployment.Model != nil {
		return deployment.Decision{}, deployment.Reject(deployment.CodeDeploymentExists, "",
			"deployment %q exists: replace its model, or deploy under another name", cmd.Name)
	}
	model, registered, err := data.resolve(facts)
	if err != nil {
		return deployment.Decision{}, err
	}
	shown := deployment.NewState(cmd, data.Label, data.Description, model.Ref())
	shown.Importance = cmp.Or(data.Importance, deployment.ImportanceModerate)
	if before.Deployment != nil {
		shown.Revision, shown.Generation = before.Deployment.Revision, before.Deployment.Generation
	}
	return rollOut(model, facts, shown, deployment.Decision{
		Shown: shown, Registered: registered,
		After: deployment.Subject{Deployment: shown.Serving(cmd, model.Ref())},
	})
}

// rollOut completes a decision that changes which model serves: first the
// model's file has to be looked at, then it must pass, then it has to serve.
func rollOut(model deployment.Model, facts deployment.Facts, shown *deployment.State, decision deployment.Decision) (deployment.Decision, error) {
	if facts.Inspection == nil {
		return deployment.Decision{Inspect: &model, Shown: shown}, nil
	}
	decision.Checks = deployment.CheckFile(model, *facts.Inspection)
	if rejection := decision.Checks.Rejection(); rejection != nil {
		return deployment.Decision{Checks: decision.Checks}, rejection
	}
	decision.Changed = true
	decision.Effects = []deployment.Effect{deployment.Serve{Model: model.Ref()}}
	return decision, nil
}
