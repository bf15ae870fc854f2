package predict

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway/deployment"
)

// goldenRequest is a fixture as a golden request: what the real framework was asked,
// and what ONNX Runtime answers.
func goldenRequest(tb testing.TB, path string) *deployment.Golden {
	tb.Helper()
	text, err := os.ReadFile(path + ".json")
	if err != nil {
		tb.Fatal(err)
	}
	var f struct {
		Inputs []struct {
			Name, Type string
			Shape      []int
			Data       json.RawMessage
		}
		Outputs []struct {
			Name, Type string
			Shape      []int
			Runtime    json.RawMessage
		}
	}
	if err := json.Unmarshal(text, &f); err != nil {
		tb.Fatal(err)
	}
	var r deployment.GoldenRequest
	for _, in := range f.Inputs {
		r.Inputs = append(r.Inputs, deployment.GoldenTensor{Name: in.Name, Shape: in.Shape, Datatype: datatypes[in.Type], Data: in.Data})
	}
	for _, out := range f.Outputs {
		r.Outputs = append(r.Outputs, deployment.GoldenTensor{Name: out.Name, Shape: out.Shape, Datatype: datatypes[out.Type], Data: out.Runtime})
	}
	return &deployment.Golden{Requests: []deployment.GoldenRequest{r}}
}

// TestInspectAsksForTheGoldenRequests asks models of texts, pictures and several inputs.
func TestInspectAsksForTheGoldenRequests(t *testing.T) {
	t.Parallel()
	inspect := func(path string, golden *deployment.Golden) error {
		_, err := Inspect(path+".onnx", deployment.Model{Format: deployment.FormatONNX, Golden: golden})
		return err
	}
	const columns, cnn = "onnx/testdata/sklearn/columns-logistic", "onnx/testdata/torch/cnn"
	for _, path := range []string{columns, cnn, "onnx/testdata/torch/two-inputs", "onnx/testdata/sklearn/forest-zipmap"} {
		if err := inspect(path, goldenRequest(t, path)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	one := 1.0
	for name, test := range map[string]struct {
		path   string
		change func(g *deployment.Golden)
		at     string // below model.golden
		says   string
	}{
		"a label": {columns, func(g *deployment.Golden) {
			out := &g.Requests[0].Outputs[0]
			out.Data = []byte(strings.Replace(string(out.Data), `"leaves"`, `"stays"`, 1))
		}, ".requests[0].outputs[0].data", "golden request 0: output label: expected stays as value 0 within 1e-05, the model answers leaves"},
		"a probability": {columns, func(g *deployment.Golden) {
			out := &g.Requests[0].Outputs[1]
			out.Data = []byte(strings.Replace(string(out.Data), "0.", "0.1", 1))
		}, ".requests[0].outputs[1].data", "within 1e-05, the model answers 0."},
		"another datatype": {columns, func(g *deployment.Golden) { g.Requests[0].Outputs[1].Datatype = "FP64" }, ".requests[0].outputs[1].datatype", "expected FP64, the model answers FP32"},
		"another shape":    {cnn, func(g *deployment.Golden) { g.Requests[0].Outputs[0].Shape = []int{10} }, ".requests[0].outputs[0].shape", "expected shape [10], the model answers ["},
		"no such output":   {cnn, func(g *deployment.Golden) { g.Requests[0].Outputs[0].Name = "z" }, ".requests[0].outputs[0].name", `expected output "z", the model answers `},
		"no such input":    {columns, func(g *deployment.Golden) { g.Requests[0].Inputs[0].Name = "z" }, ".requests[0]", `the model cannot answer it: inputs: no input "z" is taken, expected age,`},
		"too few values":   {cnn, func(g *deployment.Golden) { g.Requests[0].Outputs[0].Data = []byte("[1]") }, ".requests[0].outputs[0].data", "values of the shape, got 1"},
		"not an array":     {cnn, func(g *deployment.Golden) { g.Requests[0].Outputs[0].Data = []byte(`[{"a":1}]`) }, ".requests[0].outputs[0].data", "expected an array of numbers, texts or truths, got {"},
		"rows": {cnn, func(g *deployment.Golden) {
			g.Rows = []deployment.GoldenRow{{Input: []*float64{&one}, Output: []float64{1}}}
		}, ".rows[0]", "golden row 0: the model takes named tensors that are not columns of numbers: expected golden requests in place of rows"},
		"rows of texts": {columns, func(g *deployment.Golden) {
			g.Rows = []deployment.GoldenRow{{Input: []*float64{&one, &one, &one, &one, &one}, Output: []float64{1, 1}}}
		}, ".rows[0]", "expected golden requests in place of rows"},
		"too many": {cnn, func(g *deployment.Golden) {
			for range 40 {
				g.Requests = append(g.Requests, g.Requests[0])
			}
		}, "", "expected at most 10000 inputs and outputs in all golden rows and requests, got "},
	} {
		golden := goldenRequest(t, test.path)
		test.change(golden)
		err := inspect(test.path, golden)
		rejection, ok := errors.AsType[*deployment.Rejection](err)
		if !ok || rejection.Code != deployment.CodeGoldenRowsFailing || len(rejection.Findings) != 1 ||
			rejection.Findings[0].Path != "model.golden"+test.at || !strings.Contains(rejection.Findings[0].Message, test.says) {
			t.Errorf("%s: got %+v, want a rejection of %s that says %q", name, err, test.at, test.says)
		}
	}
}

// Models of rows take golden requests as well, by names of features or as rows.
func TestGoldenRequestsOfRows(t *testing.T) {
	t.Parallel()
	row := demoGolden(t, "churn-v1").Rows[0]
	input, err := json.Marshal(row.Input)
	if err != nil {
		t.Fatal(err)
	}
	r := deployment.GoldenRequest{
		Inputs:  []deployment.GoldenTensor{{Name: "x", Shape: []int{1, len(row.Input)}, Datatype: "FP64", Data: input}},
		Outputs: []deployment.GoldenTensor{{Name: "predict", Shape: []int{1}, Datatype: "FP32", Data: []byte(fmt.Sprint("[", row.Output[0], "]"))}},
	}
	m := deployment.Model{Format: deployment.FormatXGBoost, Golden: &deployment.Golden{Requests: []deployment.GoldenRequest{r}}}
	if _, err := Inspect(demo+"churn-v1.ubj", m); err != nil {
		t.Error(err)
	}
	if _, err := Inspect(demo+"churn-v2.ubj", m); err == nil || !strings.Contains(err.Error(), "model.golden.requests[0].outputs[0].data: golden request 0: output predict: expected 0.903") {
		t.Errorf("another model: got %v", err)
	}
}

// TestGoldenRequestsKeepAModelFromServing replaces a model of named tensors on the
// servers, by one that answers otherwise.
func TestGoldenRequestsKeepAModelFromServing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	files := store{}
	b.Artifacts, b.read = files, nil
	const columns, cnn = "onnx/testdata/sklearn/columns-logistic", "onnx/testdata/torch/cnn"
	first, second := files.add(t, "m-1", columns+".onnx"), files.add(t, "m-2", cnn+".onnx")
	first.Format, second.Format = deployment.FormatONNX, deployment.FormatONNX
	b.started(t, b.Server)
	local := b.local()
	if err := local.Apply(patience(t), "churn", deployment.Serve{Model: *first, Golden: goldenRequest(t, columns)}, 1, quiet); err != nil {
		t.Fatal(err)
	}
	err := local.Apply(patience(t), "churn", deployment.Serve{Model: *second, Golden: goldenRequest(t, columns)}, 2, quiet)
	failure, ok := errors.AsType[*deployment.Failure](err)
	if !ok || failure.Code != deployment.CodeServerFailed || !strings.Contains(failure.Message, "model.golden.requests[0]: golden request 0: the model cannot answer it") {
		t.Errorf("got %v, want a failure that says which request and why", err)
	}
	if status, body := do(t, b.Handler(), "POST", "/v2/models/churn/infer", goldenBody(t, columns)); status != 200 || !strings.Contains(body, `"model_version":"m-1"`) {
		t.Errorf("got %d %s, want the first model as before", status, body)
	}
	if err := local.Apply(patience(t), "churn", deployment.Serve{Model: *second, Golden: goldenRequest(t, cnn)}, 3, quiet); err != nil {
		t.Error(err)
	}
}

// goldenBody is the body of a fixture's request.
func goldenBody(tb testing.TB, path string) string {
	tb.Helper()
	text, err := json.Marshal(map[string]any{"inputs": goldenRequest(tb, path).Requests[0].Inputs})
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}
