package predict

import (
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/serving/predict/lightgbm"
)

// readLightGBM is the runtime of deployment.FormatLightGBM.
func readLightGBM(file []byte) (Model, deployment.Inspection, error) {
	m, err := lightgbm.Read(file)
	if err != nil {
		return nil, deployment.Inspection{}, rejected[*lightgbm.UnsupportedError](err)
	}
	return double{m}, deployment.Inspection{
		Objective: m.Objective(), Trees: m.NumTrees(), Warnings: m.Warnings(),
		TargetTypes: purposeOfLightGBM(m), Classes: m.NumClasses(),
	}, nil
}

// double is a model that calculates in float64.
type double struct{ *lightgbm.Model }

func (double) Datatype() string { return fp64 }

// purposeOfLightGBM is what the objective of the model is for; nothing if it was
// one of the program that trained.
func purposeOfLightGBM(m *lightgbm.Model) []deployment.TargetType {
	switch m.Objective() {
	case "binary":
		return []deployment.TargetType{deployment.TargetBinary}
	case "multiclass", "multiclassova":
		return []deployment.TargetType{deployment.TargetMulticlass}
	case "cross_entropy": // fits shares as well as two classes
		return []deployment.TargetType{deployment.TargetRegression, deployment.TargetBinary}
	case "custom":
		return nil
	default: // regression, ranking
		return []deployment.TargetType{deployment.TargetRegression}
	}
}
