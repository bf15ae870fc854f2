package deployment_test

import (
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
)

// halves answers a row of two with their sum and half of it; a missing value
// counts 100, and -1 is refused.
func halves(answer, row []float64) error {
	sum := 0.0
	for _, v := range row {
		switch {
		case v == -1:
			return errors.New("deliberate")
		case v != v:
			v = 100
		}
		sum += v
	}
	answer[0], answer[1] = sum, sum/2
	return nil
}

func goldenRow(output []float64, input ...float64) deployment.GoldenRow {
	row := deployment.GoldenRow{Output: output}
	for _, v := range input {
		if math.IsNaN(v) {
			row.Input = append(row.Input, nil)
		} else {
			row.Input = append(row.Input, &v)
		}
	}
	return row
}

func TestGoldenCheck(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	many := make([]float64, 9999)
	for name, test := range map[string]struct {
		golden *deployment.Golden
		want   map[string]string // message by path; none: as expected
	}{
		"none":            {nil, nil},
		"as expected":     {&deployment.Golden{Rows: []deployment.GoldenRow{goldenRow([]float64{3, 1.5}, 1, 2), goldenRow([]float64{101, 50.5}, 1, nan)}}, nil},
		"within":          {&deployment.Golden{Rows: []deployment.GoldenRow{goldenRow([]float64{3.00002, 1.5}, 1, 2)}}, nil},
		"within its own":  {&deployment.Golden{Tolerance: 0.2, Rows: []deployment.GoldenRow{goldenRow([]float64{3.5, 1.3}, 1, 2)}}, nil},
		"zero, nearly":    {&deployment.Golden{Rows: []deployment.GoldenRow{goldenRow([]float64{0, 0}, 1e-10, 0)}}, nil},
		"not within":      {&deployment.Golden{Rows: []deployment.GoldenRow{goldenRow([]float64{3.0001, 1.5}, 1, 2)}}, map[string]string{"model.golden.rows[0].output[0]": "golden row 0: expected 3.0001 as output 0 within 1e-05, the model answers 3"}},
		"not, of a small": {&deployment.Golden{Rows: []deployment.GoldenRow{goldenRow([]float64{2e-6, 1e-6}, 1e-6, 0)}}, map[string]string{"model.golden.rows[0].output[0]": "golden row 0: expected 2e-06 as output 0 within 1e-05, the model answers 1e-06"}},
		"every row is said": {&deployment.Golden{Tolerance: 0.01, Rows: []deployment.GoldenRow{
			goldenRow([]float64{3, 2}, 1, 2), goldenRow([]float64{3, 1.5}, 1, 2), goldenRow([]float64{3}, 1, 2), goldenRow([]float64{3, 1.5}, 1), goldenRow([]float64{3, 1.5}, -1, 2),
		}}, map[string]string{
			"model.golden.rows[0].output[1]": "golden row 0: expected 2 as output 1 within 0.01, the model answers 1.5",
			"model.golden.rows[2].output":    "golden row 2: expected the 2 values that the model answers, got 1",
			"model.golden.rows[3].input":     "golden row 3: expected the 2 values that the model takes, got 1",
			"model.golden.rows[4]":           "golden row 4: the model cannot predict it: deliberate",
		}},
		"too many": {
			&deployment.Golden{Rows: []deployment.GoldenRow{goldenRow([]float64{1, 2}, many...)}},
			map[string]string{"model.golden": "expected at most 10000 inputs and outputs in all golden rows and requests, got 10001"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := test.golden.Check(deployment.Asked{Features: 2, Outputs: 2, Row: halves})
			var got map[string]string
			if rejection, ok := errors.AsType[*deployment.Rejection](err); ok {
				got = map[string]string{}
				for _, f := range rejection.Findings {
					got[f.Path] = f.Message
					if f.Code != deployment.CodeGoldenRowsFailing || rejection.Code != f.Code {
						t.Errorf("got code %s of %s, want %s", f.Code, rejection.Code, deployment.CodeGoldenRowsFailing)
					}
				}
			} else if err != nil {
				t.Fatalf("got %v, want a rejection", err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
	answersNaN := func(answer, _ []float64) error { answer[0] = nan; return nil }
	if err := (&deployment.Golden{Rows: []deployment.GoldenRow{goldenRow([]float64{1}, 1)}}).Check(deployment.Asked{Features: 1, Outputs: 1, Row: answersNaN}); err == nil {
		t.Error("NaN is as expected")
	}
}

func TestGoldenRowsAreACheck(t *testing.T) {
	t.Parallel()
	m := churn()
	m.Golden = &deployment.Golden{Rows: []deployment.GoldenRow{goldenRow([]float64{1}, 1, 2)}}
	passed := deployment.CheckFile(m, churnFile())
	if want := (deployment.Check{Status: deployment.Passing, Message: "The answers to all golden rows (1) are as expected, within 1e-05."}); passed[deployment.CheckGoldenRows] != want {
		t.Errorf("got %+v, want %+v", passed[deployment.CheckGoldenRows], want)
	}
	failed := deployment.CheckRejected(deployment.Reject(deployment.CodeGoldenRowsFailing, "model.golden.rows[0]", "why"))
	if len(failed) != 4 || failed[deployment.CheckGoldenRows] != (deployment.Check{Status: deployment.Failing, Message: "why"}) || failed[deployment.CheckPrediction].Status != deployment.Passing {
		t.Errorf("got %+v, want the golden rows failing and what comes before passing", failed)
	}
	if findings := failed.Rejection().Findings; len(findings) != 1 || findings[0].Path != "model.golden" {
		t.Errorf("got %+v, want one finding at model.golden", findings)
	}
	if plain := churn(); plain.Digest() == m.Digest() {
		t.Error("a model with golden rows is the same as one without")
	}
}
