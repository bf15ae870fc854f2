package handlers

import (
	"cmp"
	"maps"

	"github.com/slipway-ml/slipway/deployment"
)

// Deploy is the data of a command that creates a deployment (datarobot.md R1,
// deeploy.md D1).
type Deploy struct {
	Label       string                `json:"label"`
	Description *string               `json:"description,omitempty"`
	Importance  deployment.Importance `json:"importance,omitempty"`                // "": MODERATE (datarobot.md T2)
	Server      string                `json:"defaultPredictionServerId,omitempty"` // datarobot.md R2
	Strict      bool                  `json:"strict,omitempty"`                    // a warning stops it
	DryRun      bool                  `json:"dryRun,omitempty"`                    // nothing changes (deeploy.md D18)
	ModelChoice
}

func (d Deploy) server() string { return d.Server }

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
	server, rejection := facts.Policy.Installation.Choose(data.Server, facts.Servers)
	if rejection != nil {
		return deployment.Decision{}, rejection
	}
	shown := deployment.NewState(cmd, data.Label, data.Description)
	shown.Importance = cmp.Or(data.Importance, deployment.ImportanceModerate)
	shown.PredictionServer, shown.DriftTracking = server, facts.Policy.DriftTracking
	if before.Deployment != nil {
		shown.Revision, shown.Generation = before.Deployment.Revision, before.Deployment.Generation
	}
	reading, err := data.unread(facts, nil)
	if err != nil {
		return deployment.Decision{}, err
	}
	if reading != nil {
		return seen(deployment.Decision{Read: reading, Shown: shown}, data.DryRun), nil
	}
	chosen, err := data.resolve(facts, nil)
	if err != nil {
		return deployment.Decision{Checks: chosen.checks}, err
	}
	checks, rejection := checkDeploy(chosen.model, facts, data.Strict || facts.Policy.Strict)
	maps.Copy(checks, chosen.checks)
	if rejection != nil {
		return deployment.Decision{Checks: checks}, rejection
	}
	rollout := rollout{chosen: chosen, before: before, facts: facts, command: cmd, dry: data.DryRun}
	return rollout.decide(deployment.Decision{
		Shown: shown.RollingOut(deployment.StatusDeploying, chosen.ref), Registered: chosen.registered, Checks: checks,
		After: deployment.Subject{Deployment: shown.Serving(cmd, chosen.ref)},
	}), nil
}

// checkDeploy makes the checks of a model that is to be deployed, and says what
// keeps it from being. What is declared comes first: that needs no file.
func checkDeploy(model deployment.Model, facts deployment.Facts, strict bool) (deployment.Checks, *deployment.Rejection) {
	checks := deployment.CheckDeployable(model)
	if r := checks.Rejection(); r != nil || !facts.Inspected() {
		return checks, r
	}
	file, refused := checkFile(model, facts)
	maps.Copy(checks, file)
	if refused == nil && strict {
		refused = checks.StrictRejection(deployment.CodeChecksFailing)
	}
	return checks, refused
}

// checkFile makes the checks of a model's file that was looked at, and says why
// it cannot be used, if so.
func checkFile(model deployment.Model, facts deployment.Facts) (deployment.Checks, *deployment.Rejection) {
	if facts.Refused != nil {
		return deployment.CheckRejected(facts.Refused), facts.Refused
	}
	checks := deployment.CheckFile(model, *facts.Inspection)
	return checks, checks.Rejection()
}
