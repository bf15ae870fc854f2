package handlers

import (
	"slices"
	"strings"

	"github.com/slipway-ml/slipway/deployment"
)

// Rollback is the data of a command that goes back to a model which has served
// the deployment before: by the number of a version, by the id of its model, or,
// without both, to the one before. The reason is required, as for any replacement.
type Rollback struct {
	Version    uint64            `json:"version,omitempty"` // 0: none is named
	ModelID    deployment.Name   `json:"modelId,omitempty"` // "": that of the version, or the one that served before the current one
	Reason     deployment.Reason `json:"reason"`
	ReasonText string            `json:"reasonText,omitempty"`
}

func (Rollback) compares() bool         { return true }
func (Rollback) names() deployment.Name { return "" }
func (Rollback) looksBack() bool        { return true }
func (r Rollback) locate(_ string) string {
	if r.Version > 0 {
		return "version"
	}
	return "modelId"
}

func (r Rollback) recalls(state *deployment.State, history []deployment.Served) deployment.Name {
	if r.Version > 0 {
		return recall(history, r.Version)
	}
	if r.ModelID == "" && state != nil && state.Previous != nil {
		return state.Previous.ID
	}
	return r.ModelID
}

// recall is the model of a version; "" if there is none with that number.
func recall(history []deployment.Served, version uint64) deployment.Name {
	for _, s := range history {
		if s.Version == version {
			return s.ModelID
		}
	}
	return ""
}

func rollback() Operation {
	return define(deployment.KindDeployment, "rollback",
		"Serves an earlier model of a deployment again, without interrupting predictions.",
		Rollback{Reason: deployment.ReasonErrors, ReasonText: "too many false alarms"}, decideRollback)
}

// decideRollback is a replacement by a model out of the deployment's own history
// that says so, with every check of one; a warning never stops it, for it is how
// one gets out of trouble. Label, description and settings stay (deeploy.md D4).
// Two of them without a model change between two models.
func decideRollback(before deployment.Subject, facts deployment.Facts, cmd deployment.Command, data Rollback) (deployment.Decision, error) {
	state, err := active(before, cmd)
	if err != nil {
		return deployment.Decision{}, err
	}
	chosen, err := data.earlier(state, facts)
	if err != nil {
		return deployment.Decision{}, err
	}
	r := rollout{chosen: chosen, before: before, facts: facts, command: cmd}
	return r.exchange(false, deployment.Replacement{Reason: data.Reason, ReasonText: data.ReasonText, Rollback: true})
}

// earlier is the model to go back to, if the deployment had it.
func (r Rollback) earlier(state *deployment.State, facts deployment.Facts) (chosen, error) {
	if r.Version > 0 {
		return r.atVersion(state, facts)
	}
	id := r.recalls(state, facts.History)
	switch {
	case id == "":
		return chosen{}, deployment.Reject(deployment.CodeNoEarlierModel, "",
			"deployment %q has served no model before %q: there is none to go back to", state.Name, state.Model.ID)
	case id == state.Model.ID:
		return chosen{}, deployment.Reject(deployment.CodeIsCurrentModel, "modelId",
			"model %q is the current model of deployment %q: expected an earlier one", id, state.Name)
	case !slices.ContainsFunc(facts.History, func(s deployment.Served) bool { return s.ModelID == id }):
		return chosen{}, deployment.Reject(deployment.CodeModelNeverServed, "modelId",
			"model %q has never served deployment %q: expected %s", id, state.Name, candidates(facts.History, state.Model.ID))
	case facts.Model == nil:
		return chosen{}, notRegisteredAnyMore("modelId", id)
	}
	return chosen{model: *facts.Model, ref: facts.Model.Ref().From(contractOf(facts.History, id))}, nil
}

// atVersion is the model of the version that is named. A model id beside it has
// to be that of the version.
func (r Rollback) atVersion(state *deployment.State, facts deployment.Facts) (chosen, error) {
	version, err := versionOf(state.Name, facts.History, r.Version)
	switch {
	case err != nil:
		return chosen{}, err
	case r.ModelID != "" && r.ModelID != version.ModelID:
		return chosen{}, deployment.Reject(deployment.CodeInvalidField, "modelId",
			"expected the model of version %d, which is %q, or none, got %q", r.Version, version.ModelID, r.ModelID)
	}
	return goBack(state, facts, version)
}

// goBack is the model of a version, if it is another one than the current model.
func goBack(state *deployment.State, facts deployment.Facts, version deployment.Served) (chosen, error) {
	switch {
	case version.ModelID == state.Model.ID:
		return chosen{}, deployment.Reject(deployment.CodeIsCurrentModel, "version",
			"the model of version %d, %q, is the current model of deployment %q: expected another version", version.Version, version.ModelID, state.Name)
	case facts.Model == nil:
		return chosen{}, notRegisteredAnyMore("version", version.ModelID)
	}
	return chosen{model: *facts.Model, ref: facts.Model.Ref().From(version.Contract)}, nil
}

func notRegisteredAnyMore(path string, id deployment.Name) error {
	return deployment.Reject(deployment.CodeModelNotFound, path, "model %q is not registered any more", id)
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
