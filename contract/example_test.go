package contract_test

import (
	"context"
	"fmt"
	"log"
	"testing/fstest"

	"github.com/slipway-ml/slipway/contract"
)

// A contract as older clients of Deeploy have left it, and what it says.
func ExampleRead() {
	repository := fstest.MapFS{
		"models/churn/model/reference.json": {Data: []byte(`{"reference": {"docker": null, "blob": {"url": "s3://models/churn", "credentialsId": null}}}`)},
		"models/churn/metadata.json":        {Data: []byte(`{"featureLabels": ["age"], "problemType": {}}`)},
	}
	c, err := contract.Read(context.Background(), repository, "models/churn")
	if err != nil {
		log.Fatal(err)
	}
	types, err := c.Resolve(contract.Types{Model: contract.ModelXGBoost}, contract.Types{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s from %s\n", types.Model, c.Model.Reference.Blob.URL)
	fmt.Printf("%s", c.Metadata.Bytes())
	// Output:
	// XGBOOST from s3://models/churn
	// {"features":[{"name":"age"}]}
}

// What would be written, without writing it.
func ExampleChange_Plan() {
	repository := fstest.MapFS{"models/churn/model/model.joblib": {Data: []byte("a model")}}
	change := contract.Change{Model: &contract.Reference{Blob: &contract.Blob{URL: "s3://models/churn"}}}

	_, err := change.Plan(context.Background(), repository, "models/churn")
	fmt.Println(err)

	change.Overwrite = true
	plan, err := change.Plan(context.Background(), repository, "models/churn")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(plan.Message())
	fmt.Println("remove", plan.Remove)
	for _, w := range plan.Write {
		fmt.Printf("write %s %s", w.Name, w.Content)
	}
	// Output:
	// the contract in models/churn cannot be written; models/churn/model: the folder is not empty: set overwriteContract to replace what is in it, or choose another contract path
	// Set model in models/churn
	// remove [models/churn/model/model.joblib]
	// write models/churn/model/reference.json {"reference":{"blob":{"url":"s3://models/churn"}}}
}
