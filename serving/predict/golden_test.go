package predict

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway/deployment"
)

const demo = "../../cmd/slipway/demo/"

// demoGolden are golden rows of the demo: the sample, and what XGBoost itself
// answers for it by that model.
func demoGolden(tb testing.TB, model string) *deployment.Golden {
	tb.Helper()
	text, err := os.ReadFile(demo + "sample.json")
	if err != nil {
		tb.Fatal(err)
	}
	var sample struct {
		Row      []*float64
		Expected map[string]float64
	}
	if err := json.Unmarshal(text, &sample); err != nil {
		tb.Fatal(err)
	}
	return &deployment.Golden{Rows: []deployment.GoldenRow{{Input: sample.Row, Output: []float64{sample.Expected[model]}}}}
}

func TestInspectAsksForTheGoldenRows(t *testing.T) {
	t.Parallel()
	m := deployment.Model{Format: deployment.FormatXGBoost, Golden: demoGolden(t, "churn-v1")}
	if _, err := Inspect(demo+"churn-v1.ubj", m); err != nil {
		t.Errorf("the model that they are of: %v", err)
	}
	_, err := Inspect(demo+"churn-v2.ubj", m)
	rejection, ok := errors.AsType[*deployment.Rejection](err)
	if !ok || rejection.Code != deployment.CodeGoldenRowsFailing || len(rejection.Findings) != 1 ||
		rejection.Findings[0].Path != "model.golden.rows[0].output[0]" || !strings.HasPrefix(rejection.Findings[0].Message, "golden row 0: expected 0.903") {
		t.Errorf("another model: got %+v, want a rejection that names the row and what was expected", err)
	}
}

// TestGoldenRowsKeepAModelFromServing replaces a model by one that answers its
// golden rows otherwise on the servers, whatever the worker has seen.
func TestGoldenRowsKeepAModelFromServing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	files := store{}
	b.Artifacts, b.read = files, nil
	v1 := files.add(t, "churn-v1", demo+"churn-v1.ubj")
	v2 := files.add(t, "churn-v2", demo+"churn-v2.ubj")
	url := b.started(t, b.Server)
	local := b.local()
	if err := local.Apply(patience(t), "churn", deployment.Serve{Model: *v1, Golden: demoGolden(t, "churn-v1")}, 1, quiet); err != nil {
		t.Fatal(err)
	}
	before := sampleAnswer(t, url)
	err := local.Apply(patience(t), "churn", deployment.Serve{Model: *v2, Golden: demoGolden(t, "churn-v1")}, 2, quiet)
	failure, ok := errors.AsType[*deployment.Failure](err)
	if !ok || failure.Code != deployment.CodeServerFailed || !strings.Contains(failure.Message, "cannot serve model churn-v2: golden_rows_failing: the model does not answer its golden rows as expected; model.golden.rows[0].output[0]: golden row 0: expected 0.903") {
		t.Errorf("got %v, want a failure that says which row and why", err)
	}
	if after := sampleAnswer(t, url); after != before {
		t.Errorf("got %s, want %s as before", after, before)
	}
	for _, c := range b.desired.writes() {
		if c.value.Golden != nil && c.value.Target == nil {
			t.Errorf("golden rows without a model that they are of: %+v", c.value)
		}
	}
	if err := local.Apply(patience(t), "churn", deployment.Serve{Model: *v2, Golden: demoGolden(t, "churn-v2")}, 3, quiet); err != nil {
		t.Error(err)
	}
	if after := sampleAnswer(t, url); !strings.Contains(after, `"model_version":"churn-v2"`) {
		t.Errorf("got %s, want an answer of churn-v2", after)
	}
}

// TestGoldenRowsThatPanic are those of a model that breaks off.
func TestGoldenRowsThatPanic(t *testing.T) {
	t.Parallel()
	one := 1.0
	golden := &deployment.Golden{Rows: []deployment.GoldenRow{{Input: []*float64{&one}, Output: []float64{1}}}}
	err := checkGolden(&constant{features: 1, value: panics}, golden)
	if r, ok := errors.AsType[*deployment.Rejection](err); !ok || r.Code != deployment.CodePanic {
		t.Errorf("got %v, want a rejection", err)
	}
}
