package handlers

import "github.com/slipway-ml/slipway/deployment"

// Update is the data of a command that changes what people know a deployment
// by. What is absent stays; a description of null or "" is cleared
// (datarobot.md R8).
type Update struct {
	Label       *string                `json:"label,omitempty"`
	Description OptionalText           `json:"description,omitzero"`
	Importance  *deployment.Importance `json:"importance,omitempty"`
}

func (Update) names() deployment.Name    { return "" }
func (Update) locate(path string) string { return path }

func update() Operation {
	label, importance := "Customer churn", deployment.ImportanceHigh
	return define(deployment.KindDeployment, "update",
		"Changes label, description or importance; what is absent stays.",
		Update{Label: &label, Description: OptionalText{Given: true}, Importance: &importance}, decideUpdate)
}

// decideUpdate changes what is given and nothing else. It is possible in every
// status but deleted (datarobot.md R21).
func decideUpdate(before deployment.Subject, _ deployment.Facts, cmd deployment.Command, data Update) (deployment.Decision, error) {
	state, err := existing(before, cmd)
	if err != nil {
		return deployment.Decision{}, err
	}
	after, changed := state.Changed(cmd, func(s *deployment.State) {
		if data.Label != nil {
			s.Label = *data.Label
		}
		if data.Description.Given {
			s.Description = notEmpty(data.Description.Value)
		}
		if data.Importance != nil {
			s.Importance = *data.Importance
		}
	})
	if !changed {
		return deployment.Decision{After: before}, nil
	}
	return deployment.Decision{After: deployment.Subject{Deployment: after}, Changed: true}, nil
}

// notEmpty is the text, or nil when there is nothing in it.
func notEmpty(text *string) *string {
	if text == nil || *text == "" {
		return nil
	}
	return text
}
