package contract_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/contract"
)

func TestTypesAreNamesOrIntegers(t *testing.T) {
	t.Parallel()
	for i, want := range contract.ModelTypes() {
		wantType(t, i, want)
	}
	for i, want := range contract.ExplainerTypes() {
		wantType(t, i, want)
	}
	for i, want := range contract.TransformerTypes() {
		wantType(t, i, want)
	}
	for in, says := range map[string]string{
		`"JAX"`: `model type: expected TENSORFLOW, PYTORCH, SKLEARN, XGBOOST, ONNX, TRITON, CUSTOM, LIGHTGBM, PMML, HUGGINGFACE or CATBOOST, or a number from 0 to 10, got "JAX"`,
		`11`:    "got 11", `-1`: "got -1", `1.0`: "got 1.0", `1e0`: "got 1e0", `"1"`: `got "1"`, `true`: "got true or false", `{}`: "got an object",
	} {
		var got contract.ModelType
		if err := json.Unmarshal([]byte(in), &got); err == nil || !strings.Contains(err.Error(), says) || got != "" {
			t.Errorf("%s: got %q and %v, want an error that says %q", in, got, err, says)
		}
	}
}

func wantType[T ~string](t *testing.T, i int, want T) {
	t.Helper()
	name, err := json.Marshal(string(want))
	if err != nil {
		t.Fatal(err)
	}
	number, err := json.Marshal(i)
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range []string{string(name), strings.ToLower(string(name)), string(number)} {
		var got T
		if err := json.Unmarshal([]byte(in), &got); err != nil || got != want {
			t.Errorf("%s: got %q and %v, want %q", in, got, err, want)
		}
		if out, err := json.Marshal(got); err != nil || string(out) != string(name) {
			t.Errorf("%s: written as %s, want %s", in, out, name)
		}
	}
}

func TestU12TheIntegersAreThoseOfToday(t *testing.T) {
	t.Parallel()
	var got struct {
		Model       []contract.ModelType
		Explainer   []contract.ExplainerType
		Transformer []contract.TransformerType
	}
	if err := json.Unmarshal([]byte(`{"model":[1,6,10],"explainer":[0,4,7,11],"transformer":[0,1,null]}`), &got); err != nil {
		t.Fatal(err)
	}
	want := got
	want.Model = []contract.ModelType{"PYTORCH", "CUSTOM", "CATBOOST"}
	want.Explainer = []contract.ExplainerType{"NO_EXPLAINER", "SHAP_KERNEL", "CUSTOM", "ATTENTION"}
	want.Transformer = []contract.TransformerType{"NO_TRANSFORMER", "CUSTOM", ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
}

func TestTypesAreResolved(t *testing.T) {
	t.Parallel()
	file := func(name string) contract.Part { return contract.Part{File: &contract.File{Name: "model/" + name}} }
	ref := func(r contract.Reference) contract.Part { return contract.Part{Reference: &r} }
	image := ref(*docker)
	azure := ref(contract.Reference{AzureML: &contract.AzureML{}})
	hub := ref(contract.Reference{HuggingFace: &contract.HuggingFace{}})
	bucket, mlflow := ref(*blob), ref(contract.Reference{MLflow: &contract.MLflow{}})
	dill := file("explainer.dill")
	none := contract.Types{Explainer: contract.NoExplainer, Transformer: contract.NoTransformer}
	type types = contract.Types
	for _, test := range []struct {
		name               string
		contract           contract.Contract
		declared, recorded types
		want               types
		wrong              []string
	}{
		{"declared", contract.Contract{Model: bucket}, types{Model: "PYTORCH"}, types{}, types{Model: "PYTORCH"}, nil},
		{"an image is CUSTOM", contract.Contract{Model: image}, types{}, types{}, types{Model: "CUSTOM"}, nil},
		{"so is azureML", contract.Contract{Model: azure}, types{Model: "CUSTOM"}, types{}, types{Model: "CUSTOM"}, nil},
		{"the hub is HUGGINGFACE", contract.Contract{Model: hub}, types{}, types{}, types{Model: "HUGGINGFACE"}, nil},
		{"a bucket says nothing", contract.Contract{Model: bucket}, types{}, types{}, types{}, []string{"missing_model_type model.type: required for a model from blob"}},
		{"nor does mlflow", contract.Contract{Model: mlflow}, types{}, types{}, types{}, []string{"missing_model_type model.type: from mlflow"}},
		{"an image is nothing else", contract.Contract{Model: image}, types{Model: "SKLEARN"}, types{}, types{}, []string{"model_type_mismatch model.type: expected CUSTOM for a model from docker, got SKLEARN"}},
		{"CUSTOM is an image", contract.Contract{Model: bucket}, types{Model: "CUSTOM"}, types{}, types{}, []string{"model_type_mismatch model.type: CUSTOM is a docker image"}},
		{"a file is of its type", contract.Contract{Model: file("model.joblib")}, types{}, types{}, types{Model: "SKLEARN"}, nil},
		{"a file of two types", contract.Contract{Model: file("model.bst")}, types{}, types{}, types{}, []string{"missing_model_type model.type: from model.bst"}},
		{"one of the two", contract.Contract{Model: file("model.bst")}, types{Model: "LIGHTGBM"}, types{}, types{Model: "LIGHTGBM"}, nil},
		{"a file is not of another", contract.Contract{Model: file("model.pmml")}, types{Model: "ONNX"}, types{}, types{}, []string{"model_type_mismatch model.type: expected PMML for a model from model.pmml, got ONNX"}},
		{"a file nobody knows", contract.Contract{Model: file("model.bin")}, types{Model: "TRITON"}, types{}, types{Model: "TRITON"}, nil},
		{"a file is no image", contract.Contract{Model: file("model.bin")}, types{Model: "CUSTOM"}, types{}, types{}, []string{"model_type_mismatch model.type: the model comes from model.bin"}},
		{"recorded is kept", contract.Contract{Model: bucket}, types{}, types{Model: "PYTORCH"}, types{Model: "PYTORCH"}, nil},
		{"recorded CUSTOM is not", contract.Contract{Model: bucket}, types{}, types{Model: "CUSTOM"}, types{}, []string{"missing_model_type model.type: "}},
		{"recorded HUGGINGFACE is not", contract.Contract{Model: mlflow}, types{}, types{Model: "HUGGINGFACE"}, types{}, []string{"missing_model_type model.type: "}},
		{"recorded does not fit", contract.Contract{Model: file("model.bst")}, types{}, types{Model: "SKLEARN"}, types{}, []string{"missing_model_type model.type: "}},
		{"the contract goes before the record", contract.Contract{Model: image}, types{}, types{Model: "SKLEARN"}, types{Model: "CUSTOM"}, nil},

		{"explainer from an image", contract.Contract{Model: image, Explainer: &image}, types{}, types{}, types{Model: "CUSTOM", Explainer: "CUSTOM"}, nil},
		{"explainer needs a type", contract.Contract{Model: image, Explainer: &dill}, types{}, types{}, types{}, []string{"missing_explainer_type explainer.type: from explainer.dill"}},
		{"explainer declared", contract.Contract{Model: image, Explainer: &dill}, types{Explainer: "SHAP_KERNEL"}, types{}, types{Model: "CUSTOM", Explainer: "SHAP_KERNEL"}, nil},
		{"explainer recorded", contract.Contract{Model: image, Explainer: &dill}, types{}, types{Explainer: "SHAP_TREE"}, types{Model: "CUSTOM", Explainer: "SHAP_TREE"}, nil},
		{"explainer recorded CUSTOM", contract.Contract{Model: image, Explainer: &bucket}, types{}, types{Explainer: "CUSTOM"}, types{}, []string{"missing_explainer_type explainer.type: from blob"}},
		{"explainer not wanted", contract.Contract{Model: image, Explainer: &dill}, types{Explainer: "NO_EXPLAINER"}, types{Explainer: "SHAP_TREE"}, types{Model: "CUSTOM"}, nil},
		{"explainer is no image", contract.Contract{Model: image, Explainer: &dill}, types{Explainer: "CUSTOM"}, types{}, types{}, []string{"explainer_type_mismatch explainer.type: CUSTOM does not fit"}},
		{"explainer is an image", contract.Contract{Model: image, Explainer: &image}, types{Explainer: "SALIENCY"}, types{}, types{}, []string{"explainer_type_mismatch explainer.type: SALIENCY does not fit"}},
		{"explainer gone", contract.Contract{Model: image}, types{}, types{Explainer: "SHAP_TREE"}, types{}, []string{"explainer_config_missing explainer.type: no configuration has been found for explainer SHAP_TREE"}},

		{"transformer not wanted", contract.Contract{Model: image, Transformer: &image}, types{Transformer: "NO_TRANSFORMER"}, types{}, types{Model: "CUSTOM"}, nil},
		{"transformer missing", contract.Contract{Model: image}, types{Transformer: "CUSTOM"}, types{}, types{}, []string{"transformer_docker_config_missing transformer.type: expected transformer/reference.json"}},
		{
			"all at once",
			contract.Contract{Model: bucket},
			types{Explainer: "SALIENCY", Transformer: "CUSTOM"},
			types{},
			types{},
			[]string{"missing_model_type model.type: ", "explainer_config_missing explainer.type: ", "transformer_docker_config_missing transformer.type: "},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := test.contract.Resolve(test.declared, test.recorded)
			if test.wrong != nil {
				wantFindings(t, err, test.wrong...)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := test.want
			if want.Explainer == "" {
				want.Explainer = none.Explainer
			}
			if want.Transformer == "" {
				want.Transformer = none.Transformer
			}
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}
