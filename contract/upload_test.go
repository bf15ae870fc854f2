package contract_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/deployment"
)

func findingLines(found []deployment.Finding) (lines []string) {
	for _, f := range found {
		lines = append(lines, string(f.Code)+" "+f.Path+": "+f.Message)
	}
	return lines
}

// The layouts of every type (deeploy.md section 7), with the type that the files
// themselves say.
func TestUploadsAreOfTheirLayout(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		declared, recorded contract.ModelType
		files              string
		want               contract.ModelType
		findings           []string
	}{
		"joblib":                {files: "model.joblib", want: contract.ModelSKLearn},
		"pickle":                {files: "model.PICKLE", want: contract.ModelSKLearn},
		"ubj":                   {files: "model.ubj", want: contract.ModelXGBoost},
		"json":                  {files: "model.json", want: contract.ModelXGBoost},
		"pmml":                  {files: "model.pmml", want: contract.ModelPMML},
		"onnx":                  {files: "model.onnx", want: contract.ModelONNX},
		"bst, declared":         {declared: contract.ModelLightGBM, files: "model.bst", want: contract.ModelLightGBM},
		"bst, recorded":         {recorded: contract.ModelXGBoost, files: "model.bst", want: contract.ModelXGBoost},
		"file beats record":     {recorded: contract.ModelXGBoost, files: "model.onnx", want: contract.ModelONNX},
		"archive":               {files: "model-store/model.mar config/config.properties", want: contract.ModelPyTorch},
		"saved model":           {files: "1/saved_model.pb 1/variables/variables.index 1/assets/v.txt", want: contract.ModelTensorFlow},
		"triton":                {declared: contract.ModelTriton, files: "churn/config.pbtxt churn/1/model.plan", want: contract.ModelTriton},
		"onnx in a repository":  {declared: contract.ModelONNX, files: "churn/config.pbtxt churn/2/model.onnx", want: contract.ModelONNX},
		"bst":                   {files: "model.bst", findings: []string{"missing_model_type source.modelType: is required for these files"}},
		"pbtxt":                 {files: "churn/config.pbtxt churn/1/model.plan", findings: []string{"missing_model_type source.modelType: is required"}},
		"nothing known":         {files: "weights.h5", findings: []string{"missing_model_type source.modelType: is required"}},
		"two versions":          {files: "1/saved_model.pb 2/saved_model.pb", want: contract.ModelTensorFlow, findings: []string{"layout_invalid source.artifact.files[1].path: is of version 2, beside version 1: expected one"}},
		"variables alone":       {declared: contract.ModelTensorFlow, files: "1/variables/variables.index", want: contract.ModelTensorFlow, findings: []string{"layout_invalid source.artifact.files: expected a file <int>/saved_model.pb"}},
		"version 0":             {files: "0/saved_model.pb", want: contract.ModelTensorFlow, findings: []string{"layout_invalid source.artifact.files[0].path: does not belong there: expected a file in <int>/"}},
		"no configuration":      {declared: contract.ModelTriton, files: "churn/1/model.plan", want: contract.ModelTriton, findings: []string{"layout_invalid source.artifact.files: expected <name>/config.pbtxt and <name>/<int>/"}},
		"two configurations":    {declared: contract.ModelTriton, files: "a/config.pbtxt b/config.pbtxt a/1/m", want: contract.ModelTriton, findings: []string{"layout_invalid source.artifact.files[1].path: expected one config.pbtxt, in <name>/"}},
		"beside the repository": {declared: contract.ModelTriton, files: "a/config.pbtxt a/1/m b/1/m", want: contract.ModelTriton, findings: []string{"layout_invalid source.artifact.files[2].path: does not belong there: expected a file in a/<int>/"}},
		"no archive":            {declared: contract.ModelPyTorch, files: "config/config.properties", want: contract.ModelPyTorch, findings: []string{"pytorch_archive_missing source.artifact.files: expected model-store/model.mar"}},
		"archive at the root":   {files: "model.mar", want: contract.ModelPyTorch, findings: []string{"layout_invalid source.artifact.files[0].path: does not belong there", "pytorch_archive_missing source.artifact.files: "}},
		"a folder":              {declared: contract.ModelXGBoost, files: "sub/model.ubj", want: contract.ModelXGBoost, findings: []string{"layout_invalid source.artifact.files[0].path: expected the name model.ubj"}},
		"hugging face":          {declared: contract.ModelHuggingFace, files: "model.safetensors", want: contract.ModelHuggingFace, findings: []string{"unsupported_artifact source.modelType: models of type HUGGINGFACE are not taken as files: expected the route reference"}},
		"empty name":            {files: "a//b", findings: []string{`layout_invalid source.artifact.files[0].path: expected a file such as "model.onnx"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, found := contract.CheckUpload(test.declared, test.recorded, "model", strings.Fields(test.files))
			lines := findingLines(found)
			if len(lines) != len(test.findings) || got.Type != test.want {
				t.Fatalf("got type %q and %q, want %q and %q", got.Type, lines, test.want, test.findings)
			}
			for i, want := range test.findings {
				if !strings.HasPrefix(lines[i], want) {
					t.Errorf("got finding %q, want %q", lines[i], want)
				}
			}
		})
	}
}

// The configuration of TorchServe is made when it was not uploaded, and names the
// archive.
func TestTorchServeConfigurationIsMade(t *testing.T) {
	t.Parallel()
	got, found := contract.CheckUpload("", "", "churn", []string{"model-store/churn.mar"})
	if len(found) > 0 || len(got.Add) != 1 || got.Add[0].Name != "config/config.properties" {
		t.Fatalf("got %+v and %v, want a configuration", got, found)
	}
	_, snapshot, _ := strings.Cut(string(got.Add[0].Content), "\nmodel_snapshot=")
	var made struct {
		Models map[string]map[string]map[string]any `json:"models"`
	}
	if err := json.Unmarshal([]byte(snapshot), &made); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"defaultVersion": true, "marName": "churn.mar", "minWorkers": 1.0, "maxWorkers": 5.0, "batchSize": 1.0, "maxBatchDelay": 5000.0, "responseTimeout": 120.0,
	}
	if diff := cmp.Diff(want, made.Models["model"]["1.0"]); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	if own, _ := contract.CheckUpload("", "", "churn", []string{"model-store/churn.mar", "config/config.properties"}); len(own.Add) > 0 {
		t.Errorf("got %+v, want the uploaded configuration to stay", own.Add)
	}
}

// What a command gives is read in any spelling, says everything that is wrong
// with it at its own place, and is written in one form.
func TestGivenPartsAreRead(t *testing.T) {
	t.Parallel()
	ch, found := contract.ReadGiven(contract.Given{
		Model:    json.RawMessage(`{"azure_ml":{"image":"acr.io/m:1","uri":"/score","port":5001,"readiness_path":"/","livelinessPath":"/live","version":3},"blob":null}`),
		Metadata: json.RawMessage(`{"feature_labels":["age"],"problem_type":"Regression"}`),
	}, "source")
	if len(found) > 0 {
		t.Fatalf("got findings %q", findingLines(found))
	}
	if want := `{"reference":{"azureML":{"image":"acr.io/m:1","uri":"/score","port":5001,"readinessPath":"/","livenessPath":"/live","version":"3"}}}` + "\n"; string(ch.Model.Bytes()) != want {
		t.Errorf("got %s, want %s", ch.Model.Bytes(), want)
	}
	if want := `{"features":[{"name":"age"}],"problemType":"regression"}` + "\n"; string(ch.Metadata.Bytes()) != want {
		t.Errorf("got %s, want %s", ch.Metadata.Bytes(), want)
	}
	_, found = contract.ReadGiven(contract.Given{
		Model: json.RawMessage(`[]`), Explainer: json.RawMessage(`{"blob":{"url":"s3://b/e","size":3}}`),
		Transformer: json.RawMessage(`{"docker":{"image":"i"},"mlflow":{"model":"m"}}`), Metadata: json.RawMessage(`{"classes":1}`),
	}, "source")
	want := []string{
		"invalid_reference source.model: expected an object, got an array",
		"unknown_field source.explainer.blob.size: is not a known member",
		"invalid_reference source.transformer: transformer cannot come from mlflow: expected docker or blob",
		"reference_incomplete source.transformer.docker.uri: is required",
		"unknown_field source.metadata.classes: is not a known member",
	}
	if diff := cmp.Diff(want, findingLines(found)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// Whatever a command gives, reading it ends, and what is read without a finding
// can be written and read again as the same.
func FuzzGiven(f *testing.F) {
	for _, seed := range []string{
		`{"blob":{"url":"s3://b/m"}}`, `{"docker":{"image":"i","uri":"/"}}`, `{"features":[{"name":"a"}],"exampleInput":{"instances":[[1]]}}`, `{}`, `null`, `[`,
	} {
		f.Add([]byte(seed), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, model, metadata []byte) {
		ch, found := contract.ReadGiven(contract.Given{Model: model, Metadata: metadata}, "source")
		if len(found) > 0 {
			return
		}
		again := contract.Given{}
		if ch.Model != nil {
			var outer struct {
				Reference json.RawMessage `json:"reference"`
			}
			if err := json.Unmarshal(ch.Model.Bytes(), &outer); err != nil {
				t.Fatal(err)
			}
			again.Model = outer.Reference
		}
		if ch.Metadata != nil {
			again.Metadata = ch.Metadata.Bytes()
		}
		second, found := contract.ReadGiven(again, "source")
		if len(found) > 0 {
			t.Fatalf("what was read is refused: %q", findingLines(found))
		}
		if ch.Model != nil && string(second.Model.Bytes()) != string(ch.Model.Bytes()) || ch.Metadata != nil && string(second.Metadata.Bytes()) != string(ch.Metadata.Bytes()) {
			t.Errorf("got another one the second time")
		}
	})
}
