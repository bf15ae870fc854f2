package predict

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
)

// onnxFixture is a model that a real framework trained and what ONNX Runtime
// answers for it (onnx/testdata/fixtures.py).
type onnxFixture struct {
	Inputs []struct {
		Name, Type string
		Shape      []int
		Data       []any
	}
	Outputs []struct {
		Name    string
		Runtime []any
	}
}

// standONNX serves a fixture as the model "m".
func standONNX(t *testing.T, path string) (http.Handler, onnxFixture) {
	t.Helper()
	s := newBench(t).Server
	model, _, err := load(path+".onnx", deployment.FormatONNX)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	k := stand(s, "m", "m-1", nil)
	k.slot.swap(newVersion(deployment.ModelRef{ID: "m-1", Format: deployment.FormatONNX}, model), false)
	text, err := os.ReadFile(path + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var f onnxFixture
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return s.Handler(), f
}

var datatypes = map[string]string{"float": "FP32", "double": "FP64", "int64": "INT64", "string": "BYTES"}

// request asks for the inputs of the fixture, as JSON.
func (f *onnxFixture) request(t *testing.T) string {
	t.Helper()
	var inputs []string
	for _, in := range f.Inputs {
		data, err := json.Marshal(in.Data)
		if err != nil {
			t.Fatal(err)
		}
		shape, err := json.Marshal(in.Shape)
		if err != nil {
			t.Fatal(err)
		}
		inputs = append(inputs, fmt.Sprintf(`{"name":%q,"datatype":%q,"shape":%s,"data":%s}`, in.Name, datatypes[in.Type], shape, data))
	}
	return `{"inputs":[` + strings.Join(inputs, ",") + `]}`
}

// TestServedONNX asks for the predictions of scikit-learn pipelines, PyTorch
// and Keras networks over HTTP: labels, probabilities, texts in and out.
func TestServedONNX(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"sklearn", "torch", "keras"} {
		paths, err := filepath.Glob("onnx/testdata/" + folder + "/*.onnx")
		if err != nil || len(paths) == 0 {
			t.Fatalf("no fixtures: %v", err)
		}
		for _, path := range paths {
			t.Run(folder+"/"+filepath.Base(path), func(t *testing.T) {
				t.Parallel()
				h, f := standONNX(t, strings.TrimSuffix(path, ".onnx"))
				status, text := do(t, h, "POST", "/v2/models/m/infer", f.request(t))
				var got struct {
					Outputs []struct {
						Name string
						Data []any
					}
				}
				if err := json.Unmarshal([]byte(text), &got); err != nil || status != 200 || len(got.Outputs) != len(f.Outputs) {
					t.Fatalf("got %d %.300s: %v", status, text, err)
				}
				for i, want := range f.Outputs {
					if got.Outputs[i].Name != want.Name || len(got.Outputs[i].Data) != len(want.Runtime) {
						t.Fatalf("got output %s of %d values, want %s of %d", got.Outputs[i].Name, len(got.Outputs[i].Data), want.Name, len(want.Runtime))
					}
					for j, v := range want.Runtime {
						if !alike(got.Outputs[i].Data[j], v) && !slices.Contains(furtherAway, filepath.Base(path)) {
							t.Fatalf("output %s: value %d: got %v, want %v", want.Name, j, got.Outputs[i].Data[j], v)
						}
					}
				}
			})
		}
	}
}

// furtherAway are models for which ONNX Runtime is further from the framework than
// we are (onnx.TestFixtures).
var furtherAway = []string{"svr-linear.onnx", "svc-linear.onnx", "normalizer-max.onnx", "multinomial-nb.onnx", "one-class-svm.onnx"}

func alike(got, want any) bool {
	x, number := want.(float64)
	y, ok := got.(float64)
	return number && ok && math.Abs(x-y) <= 2e-6*max(1, math.Abs(x)) || !number && got == want
}

func TestONNXProtocol(t *testing.T) {
	t.Parallel()
	forest, _ := standONNX(t, "onnx/testdata/sklearn/forest-zipmap")
	columns, table := standONNX(t, "onnx/testdata/sklearn/columns-logistic")
	words, _ := standONNX(t, "onnx/testdata/torch/two-inputs")
	const row = `{"inputs":[{"name":"anything","shape":[1,5],"datatype":"FP64","data":[[0.1,0.2,0.3,0.4,0.5]]}]`
	const two = `{"inputs":[{"name":"x","shape":[1,7],"datatype":"FP32","data":[0,0,0,0,0,0,0]},{"name":"word","shape":[1,2],"datatype":`
	good := table.request(t)
	for _, test := range []struct {
		name   string
		h      http.Handler
		path   string
		body   string // "": GET
		status int
		want   string // part of the answer
	}{
		{
			"metadata", forest, "", "", 200, `{"inputs":[{"name":"X","datatype":"FP32","shape":[-1,5]}],"name":"m","outputs":[{"name":"output_label","datatype":"BYTES","shape":[-1]},` +
				`{"name":"output_probability","datatype":"FP32","shape":[-1,3]}],"parameters":{"labels":{"output_probability":["high","low","middle"]}},"platform":"onnx","versions":["m-1"]}`,
		},
		{"metadata of columns", columns, "", "", 200, `{"name":"children","datatype":"INT64","shape":[-1,1]},{"name":"city","datatype":"BYTES","shape":[-1,1]}`},
		{"one row without a dimension", forest, "/infer", `{"id":"7","inputs":[{"name":"X","shape":[5],"datatype":"FP32","data":[0.1,0.2,0.3,0.4,0.5]}]}`, 200, `"id":"7","outputs":[{"name":"output_label","shape":[1],"datatype":"BYTES","data":["`},
		{"one output", forest, "/infer", row + `,"outputs":[{"name":"output_probability"}]}`, 200, `"outputs":[{"name":"output_probability","shape":[1,3],"datatype":"FP32","data":[0.`},
		{"all outputs", columns, "/infer", good, 200, `"outputs":[{"name":"label","shape":[12],"datatype":"BYTES","data":["leaves","leaves",`},
		{"FP64 for whole numbers", words, "/infer", two + `"FP64","data":[1.0,2]}]}`, 200, `"datatype":"INT64","data":[`},

		{"unknown output", forest, "/infer", row + `,"outputs":[{"name":"predict"}]}`, 400, `outputs: no output \"predict\", expected output_label, output_probability`},
		{"missing input", words, "/infer", strings.Split(two, `,{"name":"word"`)[0] + `]}`, 400, `inputs: no input \"word\", expected x, word`},
		{"unknown input", words, "/infer", strings.Replace(two, `"x"`, `"y"`, 1) + `"INT64","data":[1,2]}]}`, 400, `inputs: no input \"y\" is taken, expected x, word`},
		{"input twice", words, "/infer", strings.Replace(two, `"word"`, `"x"`, 1) + `"FP32","data":[1,2]}]}`, 400, `inputs: x: stands twice`},
		{"not whole", words, "/infer", two + `"FP64","data":[1.5,2]}]}`, 400, `inputs: word: data: value 0: \"1.5\" at byte`},
		{"missing where there is none", words, "/infer", two + `"INT64","data":[null,2]}]}`, 400, `inputs: word: data: value 0: \"null\"`},
		{"beyond the embedding", words, "/infer", two + `"INT64","data":[1,99]}]}`, 400, `index 99: there are 10`},
		{"text for numbers", words, "/infer", two + `"BYTES","data":["a","b"]}]}`, 400, `inputs: word: datatype \"BYTES\": expected INT64`},
		{"numbers for text", columns, "/infer", strings.Replace(good, `"BYTES"`, `"FP32"`, 1), 400, `inputs: city: datatype \"FP32\": expected BYTES`},
		{"a number as text", columns, "/infer", strings.Replace(good, `"gold"`, `7`, 1), 400, `expected text: expected a string, got \"7\"`},
		{"wrong columns", forest, "/infer", `{"inputs":[{"name":"X","shape":[1,2],"datatype":"FP32","data":[1,2]}]}`, 400, `input X: expected shape [-1 5], got [1 2]`},
		{"wrong rank", forest, "/infer", `{"inputs":[{"name":"X","shape":[1,1,5],"datatype":"FP32","data":[1,2,3,4,5]}]}`, 400, `inputs: X: shape: 3 dimensions: expected [-1 5] (-1: any size)`},
		{"too few values", forest, "/infer", `{"inputs":[{"name":"X","shape":[1,5],"datatype":"FP32","data":[1,2]}]}`, 400, `inputs: X: data: expected the 5 values of the shape, got 2`},
		{"too many values", forest, "/infer", `{"inputs":[{"name":"X","shape":[1,5],"datatype":"FP32","data":[1,2,3,4,5,6]}]}`, 400, `expected the 5 values of the shape, got \"6\"`},
		{"crooked", forest, "/infer", `{"inputs":[{"name":"X","shape":[2,5],"datatype":"FP32","data":[[1,2,3,4],[5,6,7,8,9,10]]}]}`, 400, `expected 5 elements in dimension 1, got 4`},
		{"more values than bytes", forest, "/infer", `{"inputs":[{"name":"X","shape":[2000000000,5],"datatype":"FP32","data":[1]}]}`, 400, `expected the values of shape [2000000000 5], got fewer`},
		{"empty batch", forest, "/infer", `{"inputs":[{"name":"X","shape":[0,5],"datatype":"FP32","data":[]}]}`, 400, `no values`},
		{"out of range", forest, "/infer", `{"inputs":[{"name":"X","shape":[1,5],"datatype":"FP64","data":[1e300,0,0,0,0]}]}`, 400, `out of the range of FP32`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			method := "POST"
			if test.body == "" {
				method = "GET"
			}
			status, got := do(t, test.h, method, "/v2/models/m"+test.path, test.body)
			if status != test.status || !strings.Contains(got, test.want) {
				t.Errorf("got %d %s, want %d %s", status, got, test.status, test.want)
			}
		})
	}
}

func TestInspectONNX(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]deployment.Inspection{
		"sklearn/forest-zipmap": {Features: 5, Outputs: 3, Trees: 5, TargetTypes: []deployment.TargetType{deployment.TargetMulticlass}, Classes: 3},
		"sklearn/columns-logistic": {
			Features: 5, FeatureNames: []string{"age", "income", "children", "city", "plan"}, Outputs: 2,
			TargetTypes: []deployment.TargetType{deployment.TargetBinary}, Classes: 2,
		},
		"sklearn/lasso":    {Features: 5, Outputs: 1},
		"torch/cnn":        {Outputs: 10},
		"torch/two-inputs": {Features: 9, Outputs: 5},
	} {
		want.Format = deployment.FormatONNX
		got, err := Inspect("onnx/testdata/"+file+".onnx", deployment.Model{Format: deployment.FormatONNX})
		if err != nil {
			t.Error(err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}

// Rows are the columns of the inputs, one after the other; the answer is what says
// most.
func TestPredictRowsOfONNX(t *testing.T) {
	t.Parallel()
	model, facts, err := load("onnx/testdata/sklearn/logistic-multinomial.onnx", deployment.FormatONNX)
	if err != nil {
		t.Fatal(err)
	}
	answers := make([]float64, 2*facts.Outputs)
	if err := model.Predict(answers, make([]float64, 2*facts.Features)); err != nil {
		t.Fatal(err)
	}
	for row := range 2 {
		sum := 0.0
		for _, p := range answers[row*facts.Outputs : (row+1)*facts.Outputs] {
			sum += p
		}
		if math.Abs(sum-1) > 1e-6 {
			t.Errorf("row %d: got probabilities %v", row, answers)
		}
	}
	if err := model.Predict(answers, append(make([]float64, 9), 1e300)); err == nil {
		t.Error("a value beyond float32 was taken")
	} else if _, ok := errors.AsType[*rangeError](err); !ok {
		t.Errorf("got %v", err)
	}
	picture, _, err := load("onnx/testdata/torch/cnn.onnx", deployment.FormatONNX)
	if err != nil {
		t.Fatal(err)
	}
	if err := picture.Predict(nil, nil); err == nil {
		t.Error("a model of pictures took rows")
	}
}

// A model of named tensors ends at the deadline of its request.
func TestTensorsBeyondTheDeadline(t *testing.T) {
	t.Parallel()
	model, _, err := load("onnx/testdata/sklearn/columns-logistic.onnx", deployment.FormatONNX)
	if err != nil {
		t.Fatal(err)
	}
	g := model.(*graph)
	body := []byte(`{"inputs":[{"name":"age","shape":[1,1],"datatype":"FP32","data":[1]},{"name":"income","shape":[1,1],"datatype":"FP32","data":[2]},` +
		`{"name":"children","shape":[1,1],"datatype":"INT64","data":[1]},{"name":"city","shape":[1,1],"datatype":"BYTES","data":["x"]},` +
		`{"name":"plan","shape":[1,1],"datatype":"BYTES","data":["gold"]}]}`)
	if _, _, err := g.infer(nil, body, "m", "v", DefaultRows, time.Now().Add(time.Hour)); err != nil {
		t.Errorf("in time: %v", err)
	}
	_, _, err = g.infer(nil, body, "m", "v", DefaultRows, time.Now().Add(-time.Second))
	if want := "the deadline of the request has passed before the model had an answer"; statusOf(err) != http.StatusGatewayTimeout || err.Error() != want {
		t.Errorf("got %v, want 504 %s", err, want)
	}
}

func FuzzTensors(f *testing.F) {
	model, _, err := load("onnx/testdata/sklearn/columns-logistic.onnx", deployment.FormatONNX)
	if err != nil {
		f.Fatal(err)
	}
	g := model.(*graph)
	f.Add([]byte(`{"inputs":[{"name":"age","shape":[1,1],"datatype":"FP32","data":[[1]]},{"name":"income","shape":[1,1],"datatype":"FP32","data":[null]},` +
		`{"name":"children","shape":[1],"datatype":"INT64","data":[1]},{"name":"city","shape":[1,1],"datatype":"BYTES","data":["x"]},{"name":"plan","shape":[1,1],"datatype":"BYTES","data":["gold"]}],"outputs":[{"name":"label"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		b, _, err := g.infer(nil, body, "m", "v", DefaultRows, time.Time{})
		if err == nil && !json.Valid(b) {
			t.Errorf("got %s", b)
		}
	})
}
