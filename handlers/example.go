package handlers

import "github.com/slipway-ml/slipway/deployment"

// exampleModel is the model of the examples in documents and tests.
func exampleModel() *ModelFacts {
	return &ModelFacts{
		Format: deployment.FormatXGBoost,
		Type:   "XGBoost Classifier",
		Target: deployment.Target{Name: "churned", Type: deployment.TargetBinary, Classes: []string{"stays", "leaves"}},
		Features: []deployment.Feature{
			{Name: "tenure_months", Type: deployment.FeatureNumeric},
			{Name: "monthly_charges", Type: deployment.FeatureNumeric},
		},
		Artifact: deployment.Artifact{
			Object: "churn/v1.ubj",
			Digest: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
			Size:   48213,
		},
	}
}
