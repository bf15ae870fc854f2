package predict

import (
	"fmt"
	"math"
	"os"

	"github.com/slipway-ml/slipway/deployment"
)

// Model is a loaded model. Predict takes rows of NumFeatures values, row after
// row, NaN for a missing value, and fills dst with NumOutputs values per row. A
// Model is safe for concurrent use.
type Model interface {
	NumFeatures() int
	NumOutputs() int
	FeatureNames() []string // in row order; empty when the file has none
	Datatype() string       // in which it calculates and answers: FP32 or FP64
	NumNodes() int          // of its trees or its graph
	MemoryBytes() int64     // about how much it occupies
	Predict(dst, rows []float64) error
}

// The datatypes that models calculate in, in the words of the protocol.
const (
	fp32 = "FP32"
	fp64 = "FP64"
)

// Inspect loads the file as the format of m, asks it for predictions, and for
// those of the golden rows of m, and returns what it says of itself. A file that
// cannot be read as that format, cannot predict or answers a golden row otherwise
// is a *deployment.Rejection; every other error may pass.
func Inspect(path string, m deployment.Model) (deployment.Inspection, error) {
	return Limits{}.Inspect(path, m)
}

// load reads the model file, checks that it predicts, and returns it with what
// it says of itself.
func load(path string, format deployment.Format) (Model, deployment.Inspection, error) {
	read := runtimes()[format]
	if read == nil {
		return nil, deployment.Inspection{}, deployment.Reject(deployment.CodeUnsupportedArtifact, "model.format",
			"format %q cannot be served here: expected %s", format, list(formats()))
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, deployment.Inspection{}, fmt.Errorf("read model: %w", err)
	}
	m, facts, err := read(file)
	if err != nil {
		return nil, deployment.Inspection{}, err
	}
	if g, ok := m.(*graph); ok {
		err = g.warm()
	} else {
		err = warm(m)
	}
	if err != nil {
		return nil, deployment.Inspection{}, err
	}
	facts.Format, facts.Features, facts.Outputs, facts.FeatureNames = format, m.NumFeatures(), m.NumOutputs(), m.FeatureNames()
	return m, facts, nil
}

// atArtifact is the member of a command's data that findings about the file point to.
const atArtifact = "model.artifact"

// warm asks the model for predictions of three rows and rejects it when it has
// no finite answer for one.
func warm(m Model) error {
	rows := []struct {
		name  string
		value float64
	}{
		{"missing values", math.NaN()},
		{"zeros", 0},
		{"ones", 1},
	}
	row, answer := make([]float64, m.NumFeatures()), make([]float64, m.NumOutputs())
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
func notFinite(values []float64) (index int, found bool) {
	for i, v := range values {
		if v-v != 0 {
			return i, true
		}
	}
	return 0, false
}
