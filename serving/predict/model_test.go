package predict

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway/deployment"
)

func TestInspect(t *testing.T) {
	t.Parallel()
	got, err := Inspect("xgboost/testdata/3.2.0/feature-names.ubj", deployment.Model{Format: deployment.FormatXGBoost})
	if err != nil {
		t.Fatal(err)
	}
	if got.Format != deployment.FormatXGBoost || got.Features == 0 || len(got.FeatureNames) != got.Features ||
		got.Outputs == 0 || got.Trees == 0 || got.Objective == "" {
		t.Errorf("got %+v, want every fact", got)
	}
}

func TestInspectRejects(t *testing.T) {
	t.Parallel()
	good, err := os.ReadFile("xgboost/testdata/3.2.0/feature-names.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		file   string
		format deployment.Format
		code   deployment.Code
		says   string
	}{
		{"text", "not a model", deployment.FormatXGBoost, deployment.CodeArtifactInvalid, "artifact is not an xgboost model: expected JSON or UBJSON"},
		{"nothing", "", deployment.FormatXGBoost, deployment.CodeArtifactInvalid, "artifact is not an xgboost model"},
		{"pickle", "\x80\x04\x95", deployment.FormatXGBoost, deployment.CodeArtifactInvalid, "artifact is not an xgboost model"},
		{"other JSON", `{"trees":[]}`, deployment.FormatXGBoost, deployment.CodeArtifactInvalid, "artifact is not a valid xgboost model"},
		{"cut", string(good[:len(good)/2]), deployment.FormatXGBoost, deployment.CodeArtifactInvalid, "artifact is not a valid xgboost model"},
		{"a format without a runtime", string(good), "pickle", deployment.CodeUnsupportedArtifact, `format "pickle" cannot be served here: expected lightgbm`},
		{"a model as JSON", `{"name":"tree"}`, deployment.FormatLightGBM, deployment.CodeUnsupportedArtifact, "artifact cannot be served: lightgbm model: a model as JSON (dump_model) is not supported: save the model with"},
		{"no LightGBM text", "trees", deployment.FormatLightGBM, deployment.CodeArtifactInvalid, "artifact is not a valid lightgbm model: expected the line tree"},
		{"LightGBM as XGBoost", "tree\nversion=v4\n", deployment.FormatXGBoost, deployment.CodeArtifactInvalid, "artifact is not an xgboost model"},
		{"another objective", strings.ReplaceAll(string(good), "reg:squarederror", "reg:mystery"), deployment.FormatXGBoost, deployment.CodeUnsupportedArtifact, "reg:mystery is not supported"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "model")
			if err := os.WriteFile(path, []byte(test.file), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Inspect(path, deployment.Model{Format: test.format})
			r, ok := errors.AsType[*deployment.Rejection](err)
			if !ok || r.Code != test.code || !strings.Contains(r.Message, test.says) {
				t.Errorf("got %v, want %s: %s", err, test.code, test.says)
			}
		})
	}
}

func TestInspectOfAMissingFileMayPass(t *testing.T) {
	t.Parallel()
	_, err := Inspect(filepath.Join(t.TempDir(), "gone"), deployment.Model{Format: deployment.FormatXGBoost})
	if _, rejected := errors.AsType[*deployment.Rejection](err); err == nil || rejected {
		t.Errorf("got %v, want an error that is no rejection", err)
	}
}

func TestWarm(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		model *constant
		says  string
	}{
		{"finite", &constant{features: 3, value: 1}, ""},
		{"NaN", &constant{features: 3, outputs: 2, value: nan}, "model answers a row of 3 missing values with NaN as output 1 of 2"},
		{"infinite", &constant{features: 3, value: math.Inf(1)}, "with +Inf as output 1 of 1"},
		{"error", &constant{features: 3, err: errors.New("deliberate")}, "model cannot predict a row of 3 missing values: deliberate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := warm(test.model)
			if test.says == "" {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			r, ok := errors.AsType[*deployment.Rejection](err)
			if !ok || r.Code != deployment.CodeModelCannotPredict || !strings.Contains(r.Message, test.says) {
				t.Errorf("got %v, want model_cannot_predict: %s", err, test.says)
			}
		})
	}
}

// A file that is in order and whose model has no finite answer is refused before it
// serves: here the exponential of 1000.
func TestInspectWarmsUp(t *testing.T) {
	t.Parallel()
	const model = "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=0\nobjective=poisson\n" +
		"feature_names=a\nfeature_infos=none\n\nTree=0\nnum_leaves=1\nnum_cat=0\nleaf_value=1000\nshrinkage=1\n\nend of trees\n"
	for leaf, want := range map[string]deployment.Code{"1000": deployment.CodeModelCannotPredict, "1": ""} {
		path := filepath.Join(t.TempDir(), "model.txt")
		if err := os.WriteFile(path, []byte(strings.Replace(model, "1000", leaf, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Inspect(path, deployment.Model{Format: deployment.FormatLightGBM})
		r, rejected := errors.AsType[*deployment.Rejection](err)
		if want == "" && err != nil || want != "" && (!rejected || r.Code != want || !strings.Contains(r.Message, "+Inf as output 1 of 1")) {
			t.Errorf("leaf %s: got %v, want %q", leaf, err, want)
		}
	}
}

// So is a graph that cannot run: here one that makes a vector of 3 of rows of 2.
func TestInspectRunsGraphs(t *testing.T) {
	t.Parallel()
	block := func(number byte, parts ...string) string {
		text := strings.Join(parts, "")
		return string([]byte{number<<3 | 2, byte(len(text))}) + text // all are below 128 bytes
	}
	value := func(name string, dims ...string) string {
		return block(1, name) + block(2, block(1, "\x08\x01", block(2, dims...)))
	}
	for size, want := range map[string]deployment.Code{"\x03": deployment.CodeModelCannotPredict, "\x02": ""} {
		graph := block(1, block(1, "x"), block(1, "s"), block(2, "y"), block(4, "Reshape")) +
			block(5, "\x08\x01\x10\x07\x38", size, block(8, "s")) +
			block(11, value("x", block(1, block(2, "n")), block(1, "\x08\x02"))) +
			block(12, value("y", block(1, block(2, "m"))))
		path := filepath.Join(t.TempDir(), "model.onnx")
		if err := os.WriteFile(path, []byte("\x08\x08"+block(7, graph)+block(8, "\x10\x15")), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Inspect(path, deployment.Model{Format: deployment.FormatONNX})
		r, rejected := errors.AsType[*deployment.Rejection](err)
		if want == "" && err != nil || want != "" && (!rejected || r.Code != want || !strings.Contains(r.Message, "model cannot predict zeros: ")) {
			t.Errorf("shape [%d]: got %v, want %q", size[0], err, want)
		}
	}
}

// What a model is for is read from its objective.
func TestInspectPurpose(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]struct {
		types   []deployment.TargetType
		classes int
	}{
		"binary-logistic":  {[]deployment.TargetType{deployment.TargetBinary}, 2},
		"binary-hinge":     {[]deployment.TargetType{deployment.TargetBinary}, 2},
		"reg-logistic":     {[]deployment.TargetType{deployment.TargetRegression, deployment.TargetBinary}, 0},
		"reg-squarederror": {[]deployment.TargetType{deployment.TargetRegression}, 0},
		"count-poisson":    {[]deployment.TargetType{deployment.TargetRegression}, 0},
		"multi-softprob":   {[]deployment.TargetType{deployment.TargetMulticlass}, 4},
		"multi-softmax":    {[]deployment.TargetType{deployment.TargetMulticlass}, 0},
	} {
		got, err := Inspect("xgboost/testdata/3.2.0/"+file+".ubj", deployment.Model{Format: deployment.FormatXGBoost})
		if err != nil {
			t.Error(err)
			continue
		}
		if !slices.Equal(got.TargetTypes, want.types) || got.Classes != want.classes {
			t.Errorf("%s: got %v with %d classes, want %v with %d", file, got.TargetTypes, got.Classes, want.types, want.classes)
		}
	}
}
