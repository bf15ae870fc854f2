package handlers

import "github.com/slipway-ml/slipway/deployment"

// ModelChoice names the model of a command: by the id of a registered model or
// by giving its facts inline. Exactly one of the two is set.
type ModelChoice struct {
	ModelID deployment.Name `json:"modelId,omitempty"`
	Model   *ModelFacts     `json:"model,omitempty"`
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
	if c.Model == nil {
		return c.path()
	}
	return path
}

// path is the member that names the model.
func (c ModelChoice) path() string {
	if c.Model != nil {
		return "model"
	}
	return "modelId"
}

// resolve is the model of the choice. An inline model gets the id of its
// content and is registered by the same command.
func (c ModelChoice) resolve(facts deployment.Facts) (model deployment.Model, registered *deployment.Model, err error) {
	if c.Model != nil {
		model = c.Model.Named("")
		model.ID = model.ContentID()
		return model, &model, nil
	}
	if facts.Model == nil {
		return model, nil, deployment.Reject(deployment.CodeModelNotFound, c.path(),
			"model %q is not registered: register it first, or give the model inline", c.ModelID)
	}
	return *facts.Model, nil, nil
}
