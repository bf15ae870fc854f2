package handlers

import "github.com/slipway-ml/slipway/deployment"

// ModelChoice names the model of a command: by the id of a registered model, by
// giving its facts inline, or by the contract that describes it. Exactly one of
// the three is set.
type ModelChoice struct {
	ModelID deployment.Name    `json:"modelId,omitempty"`
	Model   *ModelFacts        `json:"model,omitempty"`
	Source  *deployment.Source `json:"source,omitempty"`
}

// ModelFacts are the facts of a model that has no id yet.
type ModelFacts struct {
	Format   deployment.Format    `json:"format"`
	Type     string               `json:"type,omitempty"`
	Target   deployment.Target    `json:"target"`
	Features []deployment.Feature `json:"features"`
	Artifact deployment.Artifact  `json:"artifact"`

	SeriesType deployment.SeriesType `json:"seriesType,omitempty"`
	Golden     *deployment.Golden    `json:"golden,omitempty"`
	deployment.Lifecycle
}

// Named is the model that these facts describe, under id.
func (f ModelFacts) Named(id deployment.Name) deployment.Model {
	return deployment.Model{
		ID: id, Format: f.Format, Type: f.Type, Target: f.Target, Features: f.Features, Artifact: f.Artifact,
		SeriesType: f.SeriesType, Golden: f.Golden, Lifecycle: f.Lifecycle,
	}
}

func (c ModelChoice) names() deployment.Name { return c.ModelID }

func (c ModelChoice) locate(path string) string {
	switch {
	case c.Source != nil:
		return sourcePath(*c.Source, path)
	case c.Model == nil:
		return c.path()
	default:
		return path
	}
}

// path is the member that names the model.
func (c ModelChoice) path() string {
	if c.Model != nil {
		return "model"
	}
	return "modelId"
}

// resolve is the model of the choice, whose contract was read if it has one. An
// inline model, like that of a contract, gets the id of its content and is
// registered by the same command. current is the model that serves, nil if there
// is none.
func (c ModelChoice) resolve(facts deployment.Facts, current *deployment.ModelRef) (chosen, error) {
	switch {
	case c.Source != nil:
		return c.sourced(facts, current)
	case c.Model != nil:
		model := c.Model.Named("")
		model.ID = model.ContentID()
		return chosen{model: model, ref: model.Ref(), registered: &model}, nil
	case facts.Model == nil:
		return chosen{}, deployment.Reject(deployment.CodeModelNotFound, c.path(),
			"model %q is not registered: register it first, or give the model inline", c.ModelID)
	}
	return chosen{model: *facts.Model, ref: facts.Model.Ref()}, nil
}
