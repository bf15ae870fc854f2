package deployment

import (
	"cmp"
	"fmt"
	"math"
)

// Golden are inputs with the answers that whoever trained the model got for
// them, as rows or as requests. A model that answers otherwise does not serve
// (serving.md section 5).
type Golden struct {
	Rows      []GoldenRow     `json:"rows,omitempty"`
	Requests  []GoldenRequest `json:"requests,omitempty"`
	Tolerance float64         `json:"tolerance,omitempty"` // of an answer, relative to the expected one; 0: DefaultTolerance
}

// Asked is a model as golden rows and requests see it.
type Asked struct {
	Features int                                         // values per row; 0: the model does not take rows
	Outputs  int                                         // values that it answers per row
	Row      func(answer, row []float64) error           // fills in the answer; NaN is a missing value
	Request  func(GoldenRequest) ([]GoldenTensor, error) // its inputs are answered with all outputs
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

// Check asks the model for everything that is golden and says all that is not as
// expected, as a *Rejection. Nothing golden is as expected.
func (g *Golden) Check(m Asked) error {
	if g == nil {
		return nil
	}
	if n := g.values(); n > maxGoldenValues {
		return Reject(CodeGoldenRowsFailing, atGolden, "expected at most %d inputs and outputs in all golden rows and requests, got %d", maxGoldenValues, n)
	}
	var findings []Finding
	note := func(what, list string, i int, path, why string) {
		if why != "" {
			findings = append(findings, Finding{
				Code: CodeGoldenRowsFailing, Path: fmt.Sprintf("%s.%s[%d]%s", atGolden, list, i, path), Message: fmt.Sprintf("%s %d: %s", what, i, why),
			})
		}
	}
	row, answer := make([]float64, m.Features), make([]float64, m.Outputs)
	for i, r := range g.Rows {
		path, why := r.check(row, answer, g.Within(), m.Row)
		note("golden row", "rows", i, path, why)
	}
	for i, r := range g.Requests {
		path, why := r.check(g.Within(), m.Request)
		note("golden request", "requests", i, path, why)
	}
	if rejection := RejectAll("the model does not answer its golden rows as expected", findings); rejection != nil {
		return rejection
	}
	return nil
}

// check says what is wrong with the answer to one row, and where; "" for nothing.
func (r GoldenRow) check(row, answer []float64, tolerance float64, predict func(answer, row []float64) error) (path, why string) {
	if len(row) == 0 {
		return "", "the model takes named tensors that are not columns of numbers: expected golden requests in place of rows"
	}
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
		if got := answer[i]; !within(want, got, tolerance) {
			return fmt.Sprintf(".output[%d]", i), fmt.Sprintf("expected %v as output %d within %g, the model answers %v", want, i, tolerance, got)
		}
	}
	return "", ""
}

// within reports whether an answer is as expected; NaN never is.
func within(want, got, tolerance float64) bool {
	return math.Abs(got-want) <= max(tolerance*math.Abs(want), leastDifference)
}

// all says in words how many there are.
func (g *Golden) all() string {
	switch rows, requests := len(g.Rows), len(g.Requests); {
	case requests == 0:
		return fmt.Sprintf("all golden rows (%d)", rows)
	case rows == 0:
		return fmt.Sprintf("all golden requests (%d)", requests)
	default:
		return fmt.Sprintf("all golden rows (%d) and requests (%d)", rows, requests)
	}
}

func (g *Golden) values() (n int) {
	for _, r := range g.Rows {
		n += len(r.Input) + len(r.Output)
	}
	for _, r := range g.Requests {
		n += r.size()
	}
	return n
}
