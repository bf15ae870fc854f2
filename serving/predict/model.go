package predict

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/serving/predict/xgboost"
)

// Model is a loaded model. Predict takes rows of NumFeatures values, row after
// row, NaN for a missing value, and fills dst with NumOutputs values per row. A
// Model is safe for concurrent use.
type Model interface {
	NumFeatures() int
	NumOutputs() int
	FeatureNames() []string // in row order; empty when the file has none
	Predict(dst, rows []float32) error
}

// Inspect loads the file as the format of m, asks it for predictions and returns
// what it says of itself. A file that cannot be read as that format or cannot
// predict is a *deployment.Rejection; every other error may pass.
func Inspect(path string, m deployment.Model) (deployment.Inspection, error) {
	_, facts, err := load(path, m.Format)
	return facts, err
}

// load reads the model file, checks that it predicts, and returns it with what
// it says of itself.
func load(path string, format deployment.Format) (Model, deployment.Inspection, error) {
	if format != deployment.FormatXGBoost {
		return nil, deployment.Inspection{}, deployment.Reject(deployment.CodeUnsupportedArtifact, "model.format",
			"format %q cannot be served here: expected %s", format, deployment.FormatXGBoost)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, deployment.Inspection{}, fmt.Errorf("read model: %w", err)
	}
	if start := bytes.TrimLeft(file[:min(len(file), 1024)], " \t\r\n"); !bytes.HasPrefix(start, []byte("{")) {
		return nil, deployment.Inspection{}, deployment.Reject(deployment.CodeArtifactInvalid, atArtifact,
			"artifact is not an %s model: expected JSON or UBJSON as Booster.save_model writes it; save a model of the old binary format again as .ubj, with an XGBoost before 3.1", format)
	}
	m, err := xgboost.Read(file)
	if unsupported, ok := errors.AsType[*xgboost.UnsupportedError](err); ok {
		return nil, deployment.Inspection{}, deployment.Reject(deployment.CodeUnsupportedArtifact, atArtifact, "artifact is an %v", unsupported)
	}
	if err != nil {
		return nil, deployment.Inspection{}, deployment.Reject(deployment.CodeArtifactInvalid, atArtifact, "artifact is not a valid %v", err)
	}
	if err := warm(m); err != nil {
		return nil, deployment.Inspection{}, err
	}
	facts := deployment.Inspection{
		Format: format, Objective: m.Objective(),
		Features: m.NumFeatures(), FeatureNames: m.FeatureNames(),
		Outputs: m.NumOutputs(), Trees: m.NumTrees(), Warnings: m.Warnings(),
	}
	facts.TargetTypes, facts.Classes = purpose(m)
	return m, facts, nil
}

// purpose is what the objective of an XGBoost model is for, and how many classes
// it tells apart, 0 if the file does not say: multi:softmax answers one of them.
func purpose(m *xgboost.Model) (types []deployment.TargetType, classes int) {
	objective := m.Objective()
	switch family, _, _ := strings.Cut(objective, ":"); {
	case objective == "reg:logistic": // fits shares as well as two classes
		return []deployment.TargetType{deployment.TargetRegression, deployment.TargetBinary}, 0
	case family == "binary" && m.NumOutputs() > 1: // one yes or no for each of several labels
		return []deployment.TargetType{deployment.TargetMulticlass}, m.NumOutputs()
	case family == "binary":
		return []deployment.TargetType{deployment.TargetBinary}, 2
	case objective == "multi:softprob":
		return []deployment.TargetType{deployment.TargetMulticlass}, m.NumOutputs()
	case family == "multi":
		return []deployment.TargetType{deployment.TargetMulticlass}, 0
	default: // reg, count, survival, rank
		return []deployment.TargetType{deployment.TargetRegression}, 0
	}
}

// atArtifact is the member of a command's data that findings about the file point to.
const atArtifact = "model.artifact"

// warm asks the model for predictions of three rows and rejects it when it has
// no finite answer for one.
func warm(m Model) error {
	rows := []struct {
		name  string
		value float32
	}{
		{"missing values", float32(math.NaN())},
		{"zeros", 0},
		{"ones", 1},
	}
	row, answer := make([]float32, m.NumFeatures()), make([]float32, m.NumOutputs())
	for _, r := range rows {
		for i := range row {
			row[i] = r.value
		}
		if err := m.Predict(answer, row); err != nil {
			return deployment.Reject(deployment.CodeModelCannotPredict, atArtifact, "model cannot predict a row of %d %s: %v", len(row), r.name, err)
		}
		if i, ok := notFinite(answer); ok {
			return deployment.Reject(deployment.CodeModelCannotPredict, atArtifact, "model answers a row of %d %s with %v as output %d of %d",
				len(row), r.name, answer[i], i+1, len(answer))
		}
	}
	return nil
}

// notFinite finds the first value that is NaN or infinite.
func notFinite(values []float32) (index int, found bool) {
	for i, v := range values {
		if v-v != 0 {
			return i, true
		}
	}
	return 0, false
}
