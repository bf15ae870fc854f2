package handlers

import (
	"slices"
	"strings"

	"github.com/slipway-ml/slipway/deployment"
)

// Rollback is the data of a command that goes back to a model which has served
// the deployment before. The reason is required, as for any replacement.
type Rollback struct {
	ModelID    deployment.Name   `json:"modelId,omitempty"` // "": the one that served before the current one
	Reason     deployment.Reason `json:"reason"`
	ReasonText string            `json:"reasonText,omitempty"`
}

func (Rollback) compares()              {}
func (Rollback) names() deployment.Name { return "" }
func (Rollback) locate(_ string) string { return "modelId" }

// recalls is the model to go back to; "" if there is none before the current one.
func (r Rollback) recalls(state *deployment.State) deployment.Name {
	if r.ModelID == "" && state != nil && state.Previous != nil {
		return state.Previous.ID
	}
	return r.ModelID
}

func rollback() Operation {
	return define(deployment.KindDeployment, "rollback",
		"Serves an earlier model of a deployment again, without interrupting predictions.",
		Rollback{Reason: deployment.ReasonErrors, ReasonText: "too many false alarms"}, decideRollback)
}

// decideRollback is a replacement by a model out of the deployment's own history
// that says so, with every check of one; a warning never stops it, for it is how
// one gets out of trouble. Two of them without a model change between two models.
func decideRollback(before deployment.Subject, facts deployment.Facts, cmd deployment.Command, data Rollback) (deployment.Decision, error) {
	state, err := active(before, cmd)
	if err != nil {
		return deployment.Decision{}, err
	}
	model, err := data.earlier(state, facts)
	if err != nil {
		return deployment.Decision{}, err
	}
	verdict, rejection := checkReplace(deployment.Candidate{Model: *model, State: state, Command: cmd, Facts: facts}, false)
	if rejection != nil {
		return verdict, rejection
	}
	ref := model.Ref().From(contractOf(facts.History, model.ID))
	rollout := rollout{chosen: chosen{model: *model, ref: ref}, before: before, facts: facts, command: cmd}
	return rollout.decide(deployment.Decision{
		Shown:  state.RollingOut(deployment.StatusReplacing, ref),
		After:  deployment.Subject{Deployment: state.Serving(cmd, ref)},
		Checks: verdict.Checks, Validation: verdict.Validation,
		Replacement: &deployment.Replacement{
			OldModel: state.Model.ID, NewModel: model.ID, Reason: data.Reason, ReasonText: data.ReasonText, Rollback: true,
		},
	}), nil
}

// earlier is the model to go back to, if the deployment had it.
func (r Rollback) earlier(state *deployment.State, facts deployment.Facts) (*deployment.Model, error) {
	id := r.recalls(state)
	switch {
	case id == "":
		return nil, deployment.Reject(deployment.CodeNoEarlierModel, "",
			"deployment %q has served no model before %q: there is none to go back to", state.Name, state.Model.ID)
	case id == state.Model.ID:
		return nil, deployment.Reject(deployment.CodeIsCurrentModel, "modelId",
			"model %q is the current model of deployment %q: expected an earlier one", id, state.Name)
	case !slices.ContainsFunc(facts.History, func(s deployment.Served) bool { return s.ModelID == id }):
		return nil, deployment.Reject(deployment.CodeModelNeverServed, "modelId",
			"model %q has never served deployment %q: expected %s", id, state.Name, candidates(facts.History, state.Model.ID))
	case facts.Model == nil:
		return nil, deployment.Reject(deployment.CodeModelNotFound, "modelId", "model %q is not registered any more", id)
	}
	return facts.Model, nil
}

// contractOf is the contract that a model was deployed from the last time, if any.
func contractOf(history []deployment.Served, id deployment.Name) *deployment.Contract {
	for _, s := range slices.Backward(history) {
		if s.ModelID == id {
			return s.Contract
		}
	}
	return nil
}

// candidatesShown is how many models a refusal names.
const candidatesShown = 10

// candidates are the models that one can go back to, the newest first.
func candidates(history []deployment.Served, current deployment.Name) string {
	var names []string
	for _, s := range slices.Backward(history) {
		if name := string(s.ModelID); s.ModelID != current && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	switch {
	case len(names) == 0:
		return "a model that has, and there is none but the current one"
	case len(names) > candidatesShown:
		return "one of " + strings.Join(names[:candidatesShown], ", ") + ", ..."
	default:
		return "one of " + strings.Join(names, ", ")
	}
}
