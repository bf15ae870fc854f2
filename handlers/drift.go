package handlers

import "github.com/slipway-ml/slipway/deployment"

// Drift is the data of a command that switches the computing of drift on or
// off. What is absent stays (datarobot.md R19).
type Drift struct {
	TargetDriftEnabled  *bool `json:"targetDriftEnabled,omitempty"`
	FeatureDriftEnabled *bool `json:"featureDriftEnabled,omitempty"`
}

func (Drift) names() deployment.Name    { return "" }
func (Drift) locate(path string) string { return path }

func drift() Operation {
	enabled := true
	return define(deployment.KindDeployment, "drift",
		"Switches the computing of target drift or feature drift on or off; what is absent stays.",
		Drift{TargetDriftEnabled: &enabled}, decideDrift)
}

// decideDrift says what was and what is, also when that is the same. It needs a
// deployment that answers predictions (datarobot.md R21).
func decideDrift(before deployment.Subject, _ deployment.Facts, cmd deployment.Command, data Drift) (deployment.Decision, error) {
	state, err := active(before, cmd)
	if err != nil {
		return deployment.Decision{}, err
	}
	after, changed := state.Changed(cmd, func(s *deployment.State) {
		if data.TargetDriftEnabled != nil {
			s.DriftTracking.TargetDrift.Enabled = *data.TargetDriftEnabled
		}
		if data.FeatureDriftEnabled != nil {
			s.DriftTracking.FeatureDrift.Enabled = *data.FeatureDriftEnabled
		}
	})
	decision := deployment.Decision{After: before, Drift: &deployment.DriftChange{Before: state.DriftTracking, After: after.DriftTracking}}
	if changed {
		decision.After, decision.Changed = deployment.Subject{Deployment: after}, true
	}
	return decision, nil
}
