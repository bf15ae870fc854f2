package handlers

import (
	"strings"

	"github.com/slipway-ml/slipway/deployment"
)

// Register is the data of a command that makes a model known under the id that
// the command's subject names. The facts of a model never change.
type Register struct{ ModelFacts }

func (Register) names() deployment.Name { return "" }

func (Register) locate(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, "model"), ".")
}

func register() Operation {
	return define(deployment.KindModel, "register",
		"Makes a model known by its facts; its artifact is fetched, verified and kept.",
		Register{*exampleModel()}, decideRegister)
}

// decideRegister: the same content twice is the same model, other content under
// the same id is refused, and an id that belongs to a content belongs to it alone.
func decideRegister(before deployment.Subject, facts deployment.Facts, cmd deployment.Command, data Register) (deployment.Decision, error) {
	model := data.Named(cmd.Name)
	if before.Model != nil {
		if before.Model.SameContent(model) {
			return deployment.Decision{After: before}, nil
		}
		return deployment.Decision{}, deployment.Reject(deployment.CodeModelExists, "",
			"model %q is registered with other content (%s, this is %s): register it under another id",
			cmd.Name, before.Model.Digest(), model.Digest())
	}
	if deployment.IsContentID(cmd.Name) && cmd.Name != model.ContentID() {
		return deployment.Decision{}, deployment.Reject(deployment.CodeInvalidName, "",
			"model %q: ids of this form belong to one content; expected %q or an id of another form", cmd.Name, model.ContentID())
	}
	if !facts.Inspected() {
		return deployment.Decision{Inspect: &model}, nil
	}
	checks, rejection := checkFile(model, facts)
	if rejection != nil {
		return deployment.Decision{Checks: checks}, rejection
	}
	return deployment.Decision{After: deployment.Subject{Model: &model}, Changed: true, Checks: checks, Registered: &model}, nil
}
