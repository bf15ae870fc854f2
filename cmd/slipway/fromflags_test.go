package main

import (
	"strings"
	"testing"
)

func TestModelName(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ path, modelType, want string }{
		{"runs/42/churn.onnx", "", "model.onnx"},
		{"churn.v2.UBJ", "", "model.ubj"},
		{"churn.json", "XGBOOST", "model.json"},
		{"churn.bst", "xgboost", "model.bst"},
		{"churn.bst", "LightGBM", "model.bst"},
		{"churn.txt", "7", "model.bst"},
		{"churn.txt", "lightgbm", "model.bst"},
		{"churn.txt", "XGBOOST", "model.txt"}, // which the worker refuses
		{"churn.joblib", "", "model.joblib"},
		{"churn", "ONNX", "model"},
	} {
		if got, err := modelName(test.path, test.modelType); err != nil || got != test.want {
			t.Errorf("%s %s: got %q %v, want %q", test.path, test.modelType, got, err, test.want)
		}
	}
	for path, says := range map[string]string{"churn.txt": "LIGHTGBM", "churn.bst": "XGBOOST or LIGHTGBM", "churn": "does not say"} {
		if got, err := modelName(path, ""); err == nil || !strings.Contains(err.Error(), "--model-type: expected") || !strings.Contains(err.Error(), says) || exitCode(t.Context(), err) != exitUsage {
			t.Errorf("%s: got %q %v, want a wrong use that says %q", path, got, err, says)
		}
	}
}
