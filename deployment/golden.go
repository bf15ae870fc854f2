package deployment

import (
	"cmp"
	"fmt"
	"math"
)

// Golden are rows of inputs with the answers that whoever trained the model got
// for them. A model that answers otherwise does not serve (serving.md section 5).
type Golden struct {
	Rows      []GoldenRow `json:"rows"`
	Tolerance float64     `json:"tolerance,omitempty"` // of an answer, relative to the expected one; 0: DefaultTolerance
}

// GoldenRow is one row with its answer. Input is in the order of the features,
// nil for a missing value; Output is all that the model answers for it.
type GoldenRow struct {
	Input  []*float64 `json:"input"`
	Output []float64  `json:"output"`
}

// What golden rows are held to.
const (
	DefaultTolerance = 1e-5
	leastDifference  = 1e-9  // is never a difference, whatever the expected value is
	maxGoldenValues  = 10000 // inputs and outputs, so that events about the model fit into a message
)

const atGolden = "model.golden"

// Within is the tolerance that holds.
func (g *Golden) Within() float64 { return cmp.Or(g.Tolerance, DefaultTolerance) }

// Check asks predict for the answer to each row and says everything that is not
// as expected, as a *Rejection. features and outputs are those of the model per
// row; predict gets NaN for a missing value and fills in the answer. No golden
// rows are as expected.
func (g *Golden) Check(features, outputs int, predict func(answer, row []float64) error) error {
	if g == nil {
		return nil
	}
	if n := g.values(); n > maxGoldenValues {
		return Reject(CodeGoldenRowsFailing, atGolden, "expected at most %d inputs and outputs in all golden rows, got %d", maxGoldenValues, n)
	}
	var findings []Finding
	row, answer := make([]float64, features), make([]float64, outputs)
	for i, golden := range g.Rows {
		if path, why := golden.check(row, answer, g.Within(), predict); why != "" {
			findings = append(findings, Finding{Code: CodeGoldenRowsFailing, Path: fmt.Sprintf("%s.rows[%d]%s", atGolden, i, path), Message: fmt.Sprintf("golden row %d: %s", i, why)})
		}
	}
	if rejection := RejectAll("the model does not answer its golden rows as expected", findings); rejection != nil {
		return rejection
	}
	return nil
}

// check says what is wrong with the answer to one row, and where; "" for nothing.
func (r GoldenRow) check(row, answer []float64, tolerance float64, predict func(answer, row []float64) error) (path, why string) {
	if len(r.Input) != len(row) {
		return ".input", fmt.Sprintf("expected the %d values that the model takes, got %d", len(row), len(r.Input))
	}
	if len(r.Output) != len(answer) {
		return ".output", fmt.Sprintf("expected the %d values that the model answers, got %d", len(answer), len(r.Output))
	}
	for i, v := range r.Input {
		row[i] = math.NaN()
		if v != nil {
			row[i] = *v
		}
	}
	if err := predict(answer, row); err != nil {
		return "", fmt.Sprintf("the model cannot predict it: %v", err)
	}
	for i, want := range r.Output {
		if got := answer[i]; !(math.Abs(got-want) <= max(tolerance*math.Abs(want), leastDifference)) { // also for NaN
			return fmt.Sprintf(".output[%d]", i), fmt.Sprintf("expected %v as output %d within %g, the model answers %v", want, i, tolerance, got)
		}
	}
	return "", ""
}

func (g *Golden) values() (n int) {
	for _, r := range g.Rows {
		n += len(r.Input) + len(r.Output)
	}
	return n
}
