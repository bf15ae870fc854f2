package predict

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
)

// TestServedLightGBM asks for the predictions of model files that real LightGBM
// wrote, over HTTP, and compares them with its own: 64 bits go in and come out.
func TestServedLightGBM(t *testing.T) {
	t.Parallel()
	s := newBench(t).Server
	h := s.Handler()
	paths, err := filepath.Glob("lightgbm/testdata/*/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "2.2.3/rf.txt") { // answered with a warning: lightgbm.TestForestOfV2
			continue
		}
		text, err := os.ReadFile(strings.TrimSuffix(path, ".txt") + ".expected.json")
		if err != nil {
			t.Fatal(err)
		}
		var expected struct {
			Features int
			Rows     [][]any
			Predict  []any
		}
		if err := json.Unmarshal(text, &expected); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		model, facts, err := load(path, deployment.FormatLightGBM)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		stand(s, "m", "m-1", model)
		rows, want := saidInJSON(expected.Rows, expected.Predict, facts.Outputs)
		data, err := json.Marshal(rows)
		if err != nil {
			t.Fatal(err)
		}
		status, answer := do(t, h, "POST", "/v2/models/m/infer", fmt.Sprintf(
			`{"inputs":[{"name":"input-0","datatype":"FP64","data":%s,"shape":[%d,%d]}]}`, data, len(rows), expected.Features))
		var got struct {
			Outputs []struct {
				Datatype string
				Data     []float64
			}
		}
		if err := json.Unmarshal([]byte(answer), &got); err != nil || status != 200 || got.Outputs[0].Datatype != "FP64" || len(got.Outputs[0].Data) != len(want) {
			t.Errorf("%s: got %d %.300s: %v", path, status, answer, err)
			continue
		}
		for i, v := range got.Outputs[0].Data {
			if math.Abs(v-want[i]) > 1e-12*max(1, math.Abs(want[i])) {
				t.Errorf("%s: value %d: got %v, want %v", path, i, v, want[i])
			}
		}
	}
}

// saidInJSON leaves out the rows with infinite values, which JSON cannot say.
func saidInJSON(rows [][]any, predict []any, outputs int) (kept [][]any, want []float64) {
	for i, row := range rows {
		if slices.ContainsFunc(row, func(v any) bool { _, infinite := v.(string); return infinite }) {
			continue
		}
		kept = append(kept, row)
		for _, v := range predict[i*outputs : (i+1)*outputs] {
			want = append(want, v.(float64))
		}
	}
	return kept, want
}

func TestMetadataOfLightGBM(t *testing.T) {
	t.Parallel()
	s := newBench(t).Server
	model, _, err := load("lightgbm/testdata/4.7.0/multiclass.txt", deployment.FormatLightGBM)
	if err != nil {
		t.Fatal(err)
	}
	k := stand(s, "m", "m-1", nil)
	k.slot.swap(newVersion(deployment.ModelRef{ID: "m-1", Format: deployment.FormatLightGBM}, model), false)
	_, text := do(t, s.Handler(), "GET", "/v2/models/m", "")
	const want = `{"inputs":[{"name":"input-0","datatype":"FP64","shape":[-1,5]}],"name":"m","outputs":[{"name":"predict","datatype":"FP64","shape":[-1,4]}],` +
		`"parameters":{"feature_names":["Column_0","Column_1","Column_2","Column_3","Column_4"]},"platform":"lightgbm","versions":["m-1"]}`
	if strings.TrimSpace(text) != want {
		t.Errorf("got %s, want %s", text, want)
	}
}

// What a model is for is read from its objective, and everything it says is passed on.
func TestInspectLightGBM(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]struct {
		types   []deployment.TargetType
		classes int
	}{
		"binary":        {[]deployment.TargetType{deployment.TargetBinary}, 2},
		"multiclass":    {[]deployment.TargetType{deployment.TargetMulticlass}, 4},
		"multiclassova": {[]deployment.TargetType{deployment.TargetMulticlass}, 4},
		"cross-entropy": {[]deployment.TargetType{deployment.TargetRegression, deployment.TargetBinary}, 0},
		"poisson":       {[]deployment.TargetType{deployment.TargetRegression}, 0},
		"lambdarank":    {[]deployment.TargetType{deployment.TargetRegression}, 0},
		"custom":        {nil, 0},
	} {
		got, err := Inspect("lightgbm/testdata/4.7.0/"+file+".txt", deployment.Model{Format: deployment.FormatLightGBM})
		if err != nil {
			t.Error(err)
			continue
		}
		if !slices.Equal(got.TargetTypes, want.types) || got.Classes != want.classes {
			t.Errorf("%s: got %v with %d classes, want %v with %d", file, got.TargetTypes, got.Classes, want.types, want.classes)
		}
	}
	got, err := Inspect("lightgbm/testdata/4.7.0/pandas-categorical.txt", deployment.Model{Format: deployment.FormatLightGBM})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Warnings) != 1 {
		t.Errorf("got warnings %q", got.Warnings)
	}
	got.Warnings = nil
	if diff := cmp.Diff(deployment.Inspection{
		Format: deployment.FormatLightGBM, Objective: "regression", Features: 4, FeatureNames: []string{"colour", "a", "b", "c"},
		Outputs: 1, Trees: 2, TargetTypes: []deployment.TargetType{deployment.TargetRegression},
	}, got); diff != "" {
		t.Errorf("facts: %s", diff)
	}
}
