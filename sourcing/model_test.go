package sourcing

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/deployment"
)

// read is a contract with this metadata.
func read(tb testing.TB, metadata string) contract.Contract {
	tb.Helper()
	c, err := contract.Read(tb.Context(), fstest.MapFS{
		"model/model.ubj": {Data: []byte("m")}, "metadata.json": {Data: []byte(metadata)},
	}, "")
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// What metadata.json says of the target counts; what it leaves open the file
// decides.
func TestTarget(t *testing.T) {
	t.Parallel()
	binary, many, number := deployment.TargetBinary, deployment.TargetMulticlass, deployment.TargetRegression
	for _, c := range []struct {
		name, metadata string
		file           []deployment.TargetType
		want           string // "": refused
	}{
		{"nothing is said", `{}`, []deployment.TargetType{binary}, "Binary []"},
		{"nobody says", `{}`, nil, ""},
		{"regression", `{"problemType":"regression"}`, nil, "Regression []"},
		{"classification of a file for two", `{"problemType":"classification"}`, []deployment.TargetType{number, binary}, "Binary []"},
		{"classification of any file", `{"problemType":"classification"}`, nil, ""},
		{"two classes", `{"predictionClasses":{"yes":true,"no":false}}`, nil, "Binary [no yes]"},
		{"three classes", `{"predictionClasses":{"c":10,"a":0,"b":9}}`, nil, "Multiclass [a b c]"},
		{"classes that are texts", `{"predictionClasses":{"c":"x","a":"z","b":"y"}}`, nil, "Multiclass [c a b]"},
		{"one class", `{"problemType":"classification","predictionClasses":{"yes":true}}`, []deployment.TargetType{binary}, "Binary []"},
		{"against the file", `{"problemType":"regression"}`, []deployment.TargetType{many}, "Regression []"},
		{"two classes against the file", `{"predictionClasses":{"yes":true,"no":false}}`, []deployment.TargetType{many}, "Binary [no yes]"},
		{"classes of a regression", `{"problemType":"regression","predictionClasses":{"yes":true,"no":false}}`, nil, "Regression []"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := described{contract: read(t, c.metadata), target: "churned"}.declares(deployment.Inspection{TargetTypes: c.file})
			rejection, refused := errors.AsType[*deployment.Rejection](err)
			switch {
			case c.want == "" && (!refused || rejection.Code != deployment.CodeMetadataInvalid || rejection.Findings[0].Path != "metadata.json#problemType"):
				t.Errorf("got %+v, %v, want a rejection of metadata.json", got, err)
			case c.want != "" && (err != nil || fmt.Sprint(got.Type, " ", got.Classes) != c.want || got.Name != "churned"):
				t.Errorf("got %+v, %v, want %s", got, err, c.want)
			}
		})
	}
}

func TestFeatures(t *testing.T) {
	t.Parallel()
	file := deployment.Inspection{Features: 3, FeatureNames: []string{"x", "y"}}
	for metadata, want := range map[string]string{
		`{}`: "[{x numeric} {y numeric} {f2 numeric}]",
		`{"features":[{"name":"b","observedMin":1},{"name":"a"}]}`: "[{b numeric} {a numeric}]",
		`{"featureLabels":["b","a"]}`:                              "[{b numeric} {a numeric}]",
	} {
		if got := fmt.Sprint(described{contract: read(t, metadata)}.features(file)); got != want {
			t.Errorf("%s: got %s, want %s", metadata, got, want)
		}
	}
}

// Every format that is served has a type of Deeploy's.
func TestEveryFormatHasAType(t *testing.T) {
	t.Parallel()
	typed := map[deployment.Format]bool{}
	for _, f := range formats() {
		typed[f] = true
	}
	for _, f := range deployment.Formats() {
		if !typed[f] {
			t.Errorf("no model type has the format %s", f)
		}
	}
}

// Examples that can be compared are golden; those that do not go together are refused.
func TestExamplesAreGolden(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, metadata string
		want           string // as JSON; "": none
		refused        string // "": it is not
	}{
		{"no answer", `{"exampleInput":{"instances":[[1,2]]}}`, "", ""},
		{"rows", `{"exampleInput":{"instances":[[1,null],[3,4]]},"exampleOutput":{"predictions":[0.5,[0.25]]}}`, `{"rows":[{"input":[1,null],"output":[0.5]},{"input":[3,4],"output":[0.25]}]}`, ""},
		{"bare rows", `{"exampleInput":[[1,2]],"exampleOutput":[[0.1,0.9]]}`, `{"rows":[{"input":[1,2],"output":[0.1,0.9]}]}`, ""},
		{"inputs", `{"exampleInput":{"inputs":[[1,2]]},"exampleOutput":{"predictions":[7]}}`, `{"rows":[{"input":[1,2],"output":[7]}]}`, ""},
		{
			"rows by name", `{"features":[{"name":"b"},{"name":"a"}],"exampleInput":{"instances":[{"a":1,"b":2}]},"exampleOutput":{"predictions":[7]}}`,
			`{"rows":[{"input":[2,1],"output":[7]}]}`, "",
		},
		{"other names", `{"features":[{"name":"b"},{"name":"c"}],"exampleInput":{"instances":[{"a":1,"b":2}]},"exampleOutput":{"predictions":[7]}}`, "", ""},
		{"labels", `{"exampleInput":[[1,2]],"exampleOutput":{"predictions":["yes"]}}`, "", ""},
		{"truths", `{"exampleInput":[[1,2]],"exampleOutput":[true]}`, "", ""},
		{"texts", `{"exampleInput":[["a"]],"exampleOutput":[1]}`, "", ""},
		{"nothing", `{"exampleInput":[[1]],"exampleOutput":{"score":1}}`, "", ""},
		{
			"tensors", `{"exampleInput":{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[[1,2]]}]},"exampleOutput":{"model_name":"m","outputs":[{"name":"y","shape":[1],"datatype":"BYTES","data":["a"]}]}}`,
			`{"requests":[{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[[1,2]]}],"outputs":[{"name":"y","shape":[1],"datatype":"BYTES","data":["a"]}]}]}`, "",
		},
		{"fewer answers", `{"exampleInput":[[1],[2]],"exampleOutput":[1]}`, "", "has 1 predictions: expected one for each of the 2 rows of exampleInput"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			golden, err := described{contract: read(t, c.metadata)}.golden()
			if c.refused != "" {
				rejection, refused := errors.AsType[*deployment.Rejection](err)
				if !refused || rejection.Findings[0].Path != "metadata.json#exampleOutput" || rejection.Findings[0].Message != c.refused {
					t.Errorf("got %v, want %s", err, c.refused)
				}
				return
			}
			got := ""
			if golden != nil {
				text, err := json.Marshal(golden)
				if err != nil {
					t.Fatal(err)
				}
				got = string(text)
			}
			if err != nil || got != c.want {
				t.Errorf("got %s, %v, want %s", got, err, c.want)
			}
		})
	}
}
