package contract_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/contract"
)

func TestMetadataIsReadInEverySpelling(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, text, clean string }{
		{"git era", `{"featureLabels":["age"],"problemType":"classification","predictionClasses":{"credit worthy":true}}`, `{"features":[{"name":"age"}],"problemType":"classification","predictionClasses":{"credit worthy":true}}`},
		{"snake case", `{"feature_labels":["age"],"problem_type":"Regression","example_input":[[1]],"example_output":{"p":1}}`, `{"features":[{"name":"age"}],"problemType":"regression","exampleInput":[[1]],"exampleOutput":{"p":1}}`},
		{"both, and equal", `{"featureLabels":["age"],"features":[{"name":"age","observed_min":-1.50e2}]}`, `{"features":[{"name":"age","observedMin":-1.50e2}]}`},
		{"a tensor per row", `{"features":[{"name":"image"}],"exampleInput":{"instances":[[[1,2],[3,4]]]}}`, `{"features":[{"name":"image"}],"exampleInput":{"instances":[[[1,2],[3,4]]]}}`},
		{"rows by name", `{"features":[{"name":"a"}],"exampleInput":{"instances":[{"a":1,"b":2}]}}`, `{"features":[{"name":"a"}],"exampleInput":{"instances":[{"a":1,"b":2}]}}`},
		{"another protocol", `{"features":[{"name":"a"}],"exampleInput":{"inputs":[{"data":[1,2]}]}}`, `{"features":[{"name":"a"}],"exampleInput":{"inputs":[{"data":[1,2]}]}}`},
		{"order of classes", `{"predictionClasses":{"z":0,"a":1,"<m>":"two"}}`, `{"predictionClasses":{"z":0,"a":1,"<m>":"two"}}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := read(t, repository(map[string]string{"model/model.bst": "m", "metadata.json": test.text}), "")
			if got := string(c.Metadata.Bytes()); got != test.clean+"\n" {
				t.Errorf("got %s, want %s", got, test.clean)
			}
		})
	}
}

func TestMetadataIsChecked(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"features":{}, "featureLabels":"age"}`:            "metadata_invalid metadata.json#featureLabels: array of feature names, got a string",
		`{"features":"age"}`:                                "metadata_invalid metadata.json#features: array of features, got a string",
		`{"featureLabels":["a",1]}`:                         "metadata_invalid metadata.json#featureLabels[1]: got a number",
		`{"featureLabels":["a","a"]}`:                       "metadata_invalid metadata.json#featureLabels[1]: named twice",
		`{"featureLabels":["a"],"features":[{"name":"b"}]}`: "metadata_invalid metadata.json#featureLabels: names other features",
		`{"features":[{"name":"a","observedMin":"1"}]}`:     "metadata_invalid metadata.json#features[0].observedMin: expected a number, got a string",
		`{"problemType":7}`:                                 "metadata_invalid metadata.json#problemType: got a number",
		`{"predictionClasses":["a"]}`:                       "metadata_invalid metadata.json#predictionClasses: got an array",
		`{"exampleInput":"x"}`:                              "metadata_invalid metadata.json#exampleInput: got a string",
		`{"exampleInput":{"instances":1}}`:                  "metadata_invalid metadata.json#exampleInput.instances: array of rows",
		`{"features":[{"name":"a"},{"name":"b"}],"exampleInput":{"instances":[[1,2],[1]]}}`: "metadata_invalid metadata.json#exampleInput.instances[1]: has 1 values",
		`{"features":[{"name":"a"},{"name":"b"}],"exampleInput":[[1,2],[1,2,3]]}`:           "metadata_invalid metadata.json#exampleInput[1]: has 3 values",
		`[1]`: "metadata_invalid metadata.json#: expected an object",
		`{`:   "metadata_invalid metadata.json: not JSON",
	} {
		_, err := contract.Read(t.Context(), repository(map[string]string{"model/model.bst": "m", "metadata.json": text}), "")
		wantFindings(t, err, want)
	}
}

func TestMetadataTravelsAsJSON(t *testing.T) {
	t.Parallel()
	m := contract.Metadata{
		Features:          []contract.Feature{{Name: "age", ObservedMin: "17"}},
		PredictionClasses: contract.Classes{{Name: "no", Value: json.RawMessage("false")}, {Name: "yes", Value: json.RawMessage("true")}},
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var got contract.Metadata
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, got); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	if err := json.Unmarshal([]byte(`{"predictionClasses":{"x":{}}}`), &got); err == nil {
		t.Error("got no error for a class that is an object")
	}
}
