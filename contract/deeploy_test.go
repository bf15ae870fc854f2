package contract_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/contract"
)

// The tests of this file are named after the defects of the original that
// deeploy.md section 11 lists, and show that ours does right what it says.

func TestU1BothSpellingsOfOptionsWork(t *testing.T) {
	t.Parallel()
	want := contract.Change{
		Model:       &contract.Reference{Blob: &contract.Blob{URL: "s3://deeploy-examples/pytorch/agenet/model"}},
		Explainer:   &contract.Reference{AzureML: &contract.AzureML{Image: "i:1", URI: "/", Port: 5001, ReadinessPath: "/r", LivenessPath: "/l"}},
		Transformer: &contract.Reference{Docker: &contract.Docker{Image: "t:1", URI: "/"}},
		Metadata: &contract.Metadata{
			Features: []contract.Feature{{Name: "age"}}, ProblemType: contract.Classification,
			PredictionClasses: contract.Classes{{Name: "credit worthy", Value: json.RawMessage("true")}},
			ExampleInput:      json.RawMessage(`{"instances":[[39]]}`),
		},
	}
	for name, options := range map[string]string{
		"camel": `{"name":"n","modelServerless":true,
			"modelBlobConfig":{"url":"s3://deeploy-examples/pytorch/agenet/model"},
			"explainerAzureMLConfig":{"image":"i:1","uri":"/","port":5001,"readinessPath":"/r","livenessPath":"/l"},
			"transformerDockerConfig":{"image":"t:1","uri":"/"},
			"featureLabels":["age"],"problemType":"classification","predictionClasses":{"credit worthy":true},"exampleInput":{"instances":[[39]]}}`,
		"snake": `{"name":"n","model_serverless":true,
			"model_blob_config":{"url":"s3://deeploy-examples/pytorch/agenet/model","region":null},"model_docker_config":null,
			"explainer_azure_ml_config":{"image":"i:1","uri":"/","port":5001,"readiness_path":"/r","liveness_path":"/l"},
			"transformer_docker_config":{"image":"t:1","uri":"/"},
			"feature_labels":["age"],"problem_type":"classification","prediction_classes":{"credit worthy":true},"example_input":{"instances":[[39]]}}`,
	} {
		got, err := contract.ReadOptions([]byte(options), "name", "modelServerless")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	_, err := contract.ReadOptions([]byte(`{"modelBlobConfg":{},"model_blob_config":{"url":"https://u:s3cret@h/m","zone":"x"},"explainerDockerConfig":{"uri":"/"},"transformerBlobConfig":{"url":"s3://b/t"},"exampleInput":7}`), "name")
	wantFindings(t, err,
		"invalid_field model_blob_config.zone: not a known member",
		"url_invalid modelBlobConfig.url: user or password",
		"reference_incomplete explainerDockerConfig.image: is required",
		"transformer_docker_config_missing transformer: needs a docker image",
		"metadata_invalid exampleInput: got a number",
		"unknown_field modelBlobConfg: is not a known member",
	)
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("message %q leaks the secret", err)
	}
	for _, text := range []string{"[]", "{", "7"} {
		if _, err := contract.ReadOptions([]byte(text)); err == nil {
			t.Errorf("%s: got no error", text)
		}
	}
	if ch, err := contract.ReadOptions([]byte(`{"name":"n"}`), "name"); err != nil || ch != (contract.Change{}) {
		t.Errorf("got %+v and %v, want nothing to write", ch, err)
	}
}

func TestU6OtherContractsStayAsTheyAre(t *testing.T) {
	t.Parallel()
	dir := directory(t, map[string]string{
		"model/reference.json": `{ "reference": {"blob": {"url": "s3://root"}} }`, "metadata.json": `{"featureLabels":["root"]}`,
		"sub_1/model/model.pkl": "m", "sub_1/metadata.json": `{"featureLabels":["sub"]}`,
	})
	before := onDisk(t, dir)
	f := &contract.Folder{Dir: dir}
	if _, err := f.Write(t.Context(), "sub_1", contract.Change{Model: blob, Metadata: labels, Overwrite: true, OverwriteMetadata: true}); err != nil {
		t.Fatal(err)
	}
	after := onDisk(t, dir)
	for _, name := range []string{"model/reference.json", "metadata.json"} {
		if after[name] != before[name] {
			t.Errorf("%s: got %q, want it as it was", name, after[name])
		}
	}
	if _, err := f.Write(t.Context(), "", contract.Change{Model: docker, Overwrite: true}); err != nil {
		t.Fatal(err)
	}
	if got := onDisk(t, dir); got["sub_1/model/reference.json"] != after["sub_1/model/reference.json"] {
		t.Errorf("the contract below the root was changed with it")
	}
}

func TestU10NothingOfAzureMLIsLost(t *testing.T) {
	t.Parallel()
	text := `{"reference":{"azureML":{"image":"acr.io/m:1","uri":"/score","port":5001,"readinessPath":"/ready","livenessPath":"/live","model":"m","version":"3"}}}`
	for _, spelled := range []string{text, strings.Replace(text, "livenessPath", "livelinessPath", 1), strings.NewReplacer("azureML", "azure_ml", "readinessPath", "readiness_path", "livenessPath", "liveliness_path").Replace(text)} {
		c := read(t, repository(map[string]string{"model/reference.json": spelled, "explainer/reference.json": strings.Replace(spelled, "/score", "/explain", 1)}), "")
		if got := string(c.Model.Reference.Bytes()); got != text+"\n" {
			t.Errorf("got %s, want %s", got, text)
		}
		if got := c.Explainer.Reference.AzureML.URI; got != "/explain" {
			t.Errorf("explainer: got uri %s, want its own", got)
		}
	}
	// An explainer without a type is one, not nothing.
	image := contract.Part{Reference: docker}
	types, err := contract.Contract{Model: image, Explainer: &image}.Resolve(contract.Types{}, contract.Types{})
	if err != nil || types.Explainer != contract.ExplainerCustom {
		t.Errorf("got %+v and %v", types, err)
	}
	_, err = contract.Contract{Model: image, Explainer: &contract.Part{Reference: blob}}.Resolve(contract.Types{}, contract.Types{})
	wantFindings(t, err, "missing_explainer_type explainer.type: is required")
}

func TestU13EverythingIsFoundBeforeAnythingIsWritten(t *testing.T) {
	t.Parallel()
	dir := directory(t, map[string]string{"model/model.pkl": "m", "explainer/wrong.txt": "", "metadata.json": `{"problemType":"guess"}`})
	before := onDisk(t, dir)
	_, err := (&contract.Folder{Dir: dir}).Write(t.Context(), "", contract.Change{Model: &contract.Reference{Blob: &contract.Blob{}}, Transformer: blob})
	wantFindings(t, err,
		"reference_incomplete model/reference.json#reference.blob.url: is required",
		"folder_not_empty model: the folder is not empty",
		"layout_invalid explainer/wrong.txt: does not belong there",
		"transformer_docker_config_missing transformer/reference.json#reference: needs a docker image",
		"metadata_invalid metadata.json#problemType: expected classification or regression",
	)
	if diff := cmp.Diff(before, onDisk(t, dir)); diff != "" {
		t.Errorf("files (-before +after):\n%s", diff)
	}
}

func TestU15NullIsAbsentAndAnImageNeedsNoType(t *testing.T) {
	t.Parallel()
	c := read(t, repository(map[string]string{"model/reference.json": `{"reference":{"docker":{"image":"i:1","uri":"/","port":null,"credentialsId":null},"blob":null}}`}), "")
	types, err := c.Resolve(contract.Types{}, contract.Types{})
	if err != nil || types.Model != contract.ModelCustom {
		t.Errorf("got %+v and %v", types, err)
	}
	if got, want := string(c.Model.Reference.Bytes()), `{"reference":{"docker":{"image":"i:1","uri":"/"}}}`+"\n"; got != want {
		t.Errorf("written: got %s, want %s", got, want)
	}
}

func TestU16WrongEmptiesAreReadAndNeverWritten(t *testing.T) {
	t.Parallel()
	c := read(t, repository(map[string]string{
		"model/reference.json": blobReference,
		"metadata.json":        `{"featureLabels":["age"],"problemType":{},"predictionClasses":"","exampleInput":[],"exampleOutput":{}}`,
	}), "")
	if got, want := string(c.Metadata.Bytes()), `{"features":[{"name":"age"}]}`+"\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	c = read(t, repository(map[string]string{"model/reference.json": blobReference, "metadata.json": `{"featureLabels":"","problemType":{},"predictionClasses":""}`}), "")
	if c.Metadata != nil {
		t.Errorf("got %+v, want no metadata", c.Metadata)
	}
}

func TestU17BareModelIsAccepted(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"model.joblib", "model.pkl", "model.bst", "model.ubj", "model.onnx", "model.tar.gz", "model.JSON"} {
		if c := read(t, repository(map[string]string{"model/" + name: "m"}), ""); c.Model.Kind() != contract.KindFile {
			t.Errorf("%s: got a model from %s", name, c.Model.Kind())
		}
	}
}

func TestU18TransformerInTheRepositoryIsUsable(t *testing.T) {
	t.Parallel()
	c := read(t, repository(map[string]string{"model/reference.json": dockerReference, "transformer/reference.json": dockerReference}), "")
	for _, declared := range []contract.TransformerType{"", contract.TransformerCustom} {
		types, err := c.Resolve(contract.Types{Transformer: declared}, contract.Types{})
		if err != nil || types.Transformer != contract.TransformerCustom {
			t.Errorf("declared %q: got %+v and %v", declared, types, err)
		}
	}
}

func TestU19MissingExplainerIsSaid(t *testing.T) {
	t.Parallel()
	c := read(t, repository(map[string]string{"model/reference.json": dockerReference, "explainer/.gitkeep": ""}), "")
	_, err := c.Resolve(contract.Types{Explainer: contract.ExplainerSHAPKernel}, contract.Types{})
	wantFindings(t, err, "explainer_config_missing explainer.type: no configuration has been found for explainer SHAP_KERNEL")
}
