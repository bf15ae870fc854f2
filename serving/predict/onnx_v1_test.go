package predict

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway/deployment"
)

// Rows of numbers are given to an ONNX model by v1, too: as answers its most
// telling output, here the probabilities.
func TestServedONNXOverV1(t *testing.T) {
	t.Parallel()
	h, f := standONNX(t, "onnx/testdata/sklearn/forest")
	in, out := f.Inputs[0], f.Outputs[len(f.Outputs)-1]
	var rows []string
	for i := range in.Shape[0] {
		row, err := json.Marshal(in.Data[i*in.Shape[1] : (i+1)*in.Shape[1]])
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, string(row))
	}
	status, text := do(t, h, "POST", "/v1/models/m:predict", `{"instances":[`+strings.Join(rows, ",")+`]}`)
	var got struct{ Predictions [][]float64 }
	unmarshal(t, text, &got)
	if status != 200 || len(got.Predictions) != len(rows) {
		t.Fatalf("got %d %.300s", status, text)
	}
	for i, row := range got.Predictions {
		for j, v := range row {
			if want := out.Runtime[i*len(row)+j]; !alike(v, want) {
				t.Errorf("row %d, output %d: got %v, want %v", i, j, v, want)
			}
		}
	}
}

func TestONNXRequests(t *testing.T) {
	t.Parallel()
	h, f := standONNX(t, "onnx/testdata/sklearn/columns-logistic") // numbers and texts
	request := strings.Replace(f.request(t), `{"inputs"`, `{"id":"42","parameters":{"a":1},"inputs"`, 1)
	if status, text := do(t, h, "POST", "/v2/models/m/infer", request); status != 200 || !strings.Contains(text, `"id":"42","parameters":{"a":1},"outputs"`) {
		t.Errorf("got %d %.300s, want id and parameters", status, text)
	}
	status, text := do(t, h, "POST", "/v1/models/m:predict", `{"instances":[[1,2,3,4,5]]}`)
	if status != 400 || !strings.Contains(text, "takes named inputs that are not columns of numbers: expected a request to /v2/models/m/infer") {
		t.Errorf("got %d %s, want 400", status, text)
	}
	s := newBench(t).Server
	s.Limits.Rows = 1
	model, _, err := load("onnx/testdata/sklearn/forest.onnx", "onnx")
	if err != nil {
		t.Fatal(err)
	}
	stand(s, "m", "m-1", model)
	features := model.NumFeatures()
	body := fmt.Sprintf(`{"inputs":[{"name":"x","shape":[2,%d],"datatype":"FP32","data":[%s]}]}`, features, strings.TrimSuffix(strings.Repeat("1,", 2*features), ","))
	if status, text := do(t, s.Handler(), "POST", "/v2/models/m/infer", body); status != 413 || !strings.Contains(text, "2 rows are more than 1") {
		t.Errorf("got %d %s, want 413", status, text)
	}
	wantMetrics(t, s, map[string]string{`errors_total{deployment="m",status="413",version="m-1"}`: "1"})
}

// A value that is missing where a model has no answer without it is the fault of the
// request, which is told which value that is.
func TestMissingValuesWithoutAnswer(t *testing.T) {
	t.Parallel()
	picture, _ := standONNX(t, "onnx/testdata/torch/cnn")
	rows, _ := standONNX(t, "onnx/testdata/torch/mlp")
	zeros := strings.Repeat("0,", 143)
	for name, c := range map[string]struct {
		h          http.Handler
		path, body string
		want       string
	}{
		"v2":           {picture, "/v2/models/m/infer", `{"inputs":[{"name":"x","shape":[1,1,12,12],"datatype":"FP32","data":[null,` + zeros[:2*142] + `0]}]}`, "inputs: x: data: value 0 is missing: expected a number, as the model has no answer without it (output linear: value 0 is NaN)"},
		"v2, many":     {rows, "/v2/models/m/infer", `{"inputs":[{"name":"x","shape":[2,8],"datatype":"FP32","data":[` + zeros[:18] + `null,0,0,0,0,0,0]}]}`, "inputs: x: data: value 9 is missing: expected a number"},
		"v1":           {rows, "/v1/models/m:predict", `{"instances":[[0,0,0,0,0,0,0,0],[0,0,0,null,0,0,0,0]]}`, "input instances: data: row 1, value 3 is missing: expected a number, as the model has no answer without it (output predict: value 0 is NaN)"},
		"out of range": {rows, "/v1/models/m:predict", `{"instances":[[0,0,0,1e39,0,0,0,0]]}`, "input instances: data: value 3: 1e+39 is out of the range of FP32"},
		"two inputs":   {picture, "/v2/models/m/infer", `{"inputs":[{"name":"a","shape":[1],"datatype":"FP32","data":[1]},{"name":"b","shape":[1],"datatype":"FP32","data":[1]}]}`, "inputs: a: shape: 1 dimensions"},
		"beside":       {rows, "/v2/models/m/infer", `{"inputs":[{"name":"a","shape":[8],"datatype":"FP32","data":[0,0,0,0,0,0,0,0]},{"name":"b","shape":[8],"datatype":"FP32","data":[0,0,0,0,0,0,0,0]}]}`, `inputs: no input \"b\" is taken beside another one, expected x`},
		"large shape":  {rows, "/v2/models/m/infer", `{"inputs":[{"name":"x","shape":[1099511627776,8],"datatype":"FP32","data":[]}]}`, "expected whole numbers up to 2147483647"},
	} {
		if status, got := do(t, c.h, "POST", c.path, c.body); status != 400 || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %d %s, want 400 %s", name, status, got, c.want)
		}
	}
}

// Every fixture that takes rows answers them over v1, whatever its file says of the
// shape of its outputs.
func TestEveryModelOfRowsAnswersV1(t *testing.T) {
	t.Parallel()
	count := 0
	for _, folder := range []string{"sklearn", "torch", "keras", "runtime"} {
		paths, err := filepath.Glob("onnx/testdata/" + folder + "/*.onnx")
		if err != nil || len(paths) == 0 {
			t.Fatalf("no fixtures: %v", err)
		}
		for _, path := range paths {
			model, _, err := load(path, deployment.FormatONNX)
			if err != nil {
				t.Fatal(err)
			}
			if !model.(*graph).takesRows() {
				continue
			}
			count++
			s := newBench(t).Server
			stand(s, "m", "m-1", model)
			row := strings.TrimSuffix(strings.Repeat("1,", model.NumFeatures()), ",")
			if status, got := do(t, s.Handler(), "POST", "/v1/models/m:predict", `{"instances":[[`+row+`]]}`); status != 200 {
				t.Errorf("%s: got %d %s", path, status, got)
			}
		}
	}
	if count < 20 {
		t.Errorf("%d fixtures take rows", count)
	}
}
