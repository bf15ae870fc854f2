package predict

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
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
