package handlers

import (
	"errors"
	"strings"

	"github.com/slipway-ml/slipway/deployment"
)

// Update is the data of a command that changes what people know a deployment by,
// its model, or both at once. What is absent stays; a description of null or ""
// is cleared (datarobot.md R8, deeploy.md D3). At most one of the choice, Version
// and Commit names a model; without one, no file is looked at.
type Update struct {
	Label       *string                `json:"label,omitempty"`
	Description OptionalText           `json:"description,omitzero"`
	Importance  *deployment.Importance `json:"importance,omitempty"`
	Version     uint64                 `json:"version,omitempty"` // of the deployment; 0: none is named
	Commit      string                 `json:"commit,omitempty"`  // of the repository that the current model is from
	Strict      bool                   `json:"strict,omitempty"`  // a warning stops it
	DryRun      bool                   `json:"dryRun,omitempty"`  // nothing changes (deeploy.md D18)
	ModelChoice
}

func (u Update) changesModel() bool {
	return u.ModelChoice != ModelChoice{} || u.Version > 0 || u.Commit != ""
}

func (u Update) compares() bool  { return u.changesModel() }
func (u Update) looksBack() bool { return u.Version > 0 }

func (u Update) recalls(_ *deployment.State, history []deployment.Served) deployment.Name {
	return recall(history, u.Version)
}

func (u Update) locate(path string) string {
	switch {
	case u.Version > 0:
		return "version"
	case u.Commit != "":
		return "commit"
	default:
		return u.ModelChoice.locate(path)
	}
}

func update() Operation {
	label, importance := "Customer churn", deployment.ImportanceHigh
	return define(deployment.KindDeployment, "update",
		"Changes label, description, importance or model; what is absent stays.",
		Update{Label: &label, Description: OptionalText{Given: true}, Importance: &importance, ModelChoice: ModelChoice{ModelID: "churn-v2"}}, decideUpdate)
}

// decideUpdate changes what is given and nothing else. Without a model it is
// possible in every status but deleted (datarobot.md R21).
func decideUpdate(before deployment.Subject, facts deployment.Facts, cmd deployment.Command, data Update) (deployment.Decision, error) {
	if data.changesModel() {
		return decideUpdateOfModel(before, facts, cmd, data)
	}
	state, err := existing(before, cmd)
	if err != nil {
		return deployment.Decision{}, err
	}
	after, changed := state.Changed(cmd, data.describe)
	if !changed || data.DryRun {
		return deployment.Decision{After: before}, nil
	}
	return deployment.Decision{After: deployment.Subject{Deployment: after}, Changed: true}, nil
}

// decideUpdateOfModel is a replacement for which nobody has to say why: its reason
// is OTHER. Everything that is given is so in the same moment, or nothing of it
// (deeploy.md U9).
func decideUpdateOfModel(before deployment.Subject, facts deployment.Facts, cmd deployment.Command, data Update) (deployment.Decision, error) {
	state, err := active(before, cmd)
	if err != nil {
		return deployment.Decision{}, err
	}
	choice, err := data.choice(state)
	if err != nil {
		return deployment.Decision{}, err
	}
	r := rollout{before: before, facts: facts, command: cmd, dry: data.DryRun}
	if reading, err := choice.unread(facts, state.Model); reading != nil || err != nil {
		return r.read(reading, err)
	}
	if r.chosen, err = data.to(state, facts, choice); err != nil {
		return deployment.Decision{Checks: r.chosen.checks}, data.relocate(err)
	}
	decision, err := r.exchange(data.Strict || facts.Policy.Strict, deployment.Replacement{
		Reason: deployment.ReasonOther, Rollback: data.Version > 0,
	})
	if decision.Changed {
		data.describe(decision.After.Deployment)
	}
	return decision, err
}

// describe changes what people know the deployment by.
func (u Update) describe(s *deployment.State) {
	if u.Label != nil {
		s.Label = *u.Label
	}
	if u.Description.Given {
		s.Description = notEmpty(u.Description.Value)
	}
	if u.Importance != nil {
		s.Importance = *u.Importance
	}
}

// choice is the model that is chosen; of a commit, that of the contract which the
// current model was deployed from.
func (u Update) choice(state *deployment.State) (ModelChoice, error) {
	if u.Commit == "" {
		return u.ModelChoice, nil
	}
	source := state.Model.Contract.At(u.Commit)
	if source == nil {
		return ModelChoice{}, deployment.Reject(deployment.CodeNoContract, "commit",
			"model %q of deployment %q was deployed from no repository: expected source, modelId or model", state.Model.ID, state.Name)
	}
	return ModelChoice{Source: source}, nil
}

// to is the model that is to serve.
func (u Update) to(state *deployment.State, facts deployment.Facts, choice ModelChoice) (chosen, error) {
	if u.Version == 0 {
		return choice.resolve(facts, state.Model)
	}
	version, err := versionOf(state.Name, facts.History, u.Version)
	if err != nil {
		return chosen{}, err
	}
	return goBack(state, facts, version)
}

// relocate has what is wrong with the source that a commit stands for where the
// command says the commit.
func (u Update) relocate(err error) error {
	r, ok := errors.AsType[*deployment.Rejection](err)
	if !ok || u.Commit == "" {
		return err
	}
	located := *r
	located.Findings = append([]deployment.Finding{}, r.Findings...)
	for i, finding := range located.Findings {
		if finding.Path == "source" || strings.HasPrefix(finding.Path, "source.") {
			located.Findings[i].Path = "commit"
		}
	}
	return &located
}

// notEmpty is the text, or nil when there is nothing in it.
func notEmpty(text *string) *string {
	if text == nil || *text == "" {
		return nil
	}
	return text
}
