package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/slipway-ml/slipway/client"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
)

// predict asks the prediction server, as any HTTP client does.
func predict(name string, row ...float64) {
	body, err := json.Marshal(map[string]any{"inputs": []any{
		map[string]any{"name": "input-0", "shape": []int{1, len(row)}, "datatype": "FP64", "data": row},
	}})
	must(err)
	response, err := http.Post(os.Getenv("PREDICT_URL")+"/v2/models/"+name+"/infer", "application/json", bytes.NewReader(body))
	must(err)
	defer response.Body.Close()
	var answer struct {
		ModelVersion string `json:"model_version"`
		Outputs      []struct {
			Data []float64 `json:"data"`
		} `json:"outputs"`
	}
	must(json.NewDecoder(response.Body).Decode(&answer))
	if len(answer.Outputs) == 0 {
		fmt.Println(response.Status)
		return
	}
	fmt.Printf("%s: %.7f\n", answer.ModelVersion, answer.Outputs[0].Data[0])
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// pipeline is a client with both models of the demo, and a deployment of the first.
func pipeline(name string) *client.Client {
	ctx := context.Background()
	c, err := client.Connect(ctx, client.FromEnvironment(), "/pipelines/churn")
	must(err)
	for _, version := range []string{"v1", "v2"} {
		facts, err := churn(ctx, c, version)
		must(err)
		p, err := c.Register(ctx, client.Command{Name: "churn-" + version}, facts)
		must(err)
		_, err = c.Wait(ctx, p)
		must(err)
	}
	p, err := c.Deploy(ctx, client.Command{Name: name}, deploy("Churn", "churn-v1"))
	must(err)
	_, err = c.Wait(ctx, p)
	must(err)
	return c
}

// A pipeline uploads what it has trained, registers it, and serves it.
func Example() {
	ctx := context.Background()
	c, err := client.Connect(ctx, client.FromEnvironment(), "/pipelines/churn")
	must(err)
	defer c.Close()

	file, err := os.Open("../cmd/slipway/demo/churn-v1.ubj")
	must(err)
	defer file.Close()
	artifact, err := c.Upload(ctx, file, nil)
	must(err)
	model := handlers.ModelFacts{
		Format:   deployment.FormatXGBoost,
		Type:     "XGBoost Classifier",
		Target:   deployment.Target{Name: "churned", Type: deployment.TargetBinary, Classes: []string{"stays", "leaves"}},
		Artifact: artifact,
	}
	for _, feature := range []string{"tenure_months", "monthly_charges", "support_tickets", "contract_months", "late_payments", "data_usage_gb"} {
		model.Features = append(model.Features, deployment.Feature{Name: feature, Type: deployment.FeatureNumeric})
	}

	// Registered and deployed back to back: the second command waits for the first.
	_, err = c.Register(ctx, client.Command{Name: "churn-v1"}, model)
	must(err)
	pending, err := c.Deploy(ctx, client.Command{Name: "churn", ID: "run-4711"}, handlers.Deploy{
		Label: "Customer churn", ModelChoice: handlers.ModelChoice{ModelID: "churn-v1"},
	})
	must(err)
	outcome, err := c.Wait(ctx, pending)
	must(err)
	fmt.Println(outcome.Subject, outcome.Outcome, outcome.Deployment.Status, outcome.Deployment.Model.ID)

	predict("churn", 4, 96.5, 5, 1, 2, 31.5)
	// Output:
	// churn completed active churn-v1
	// churn-v1: 0.9032710
}

// The files of a model are put where a worker finds them. What is there already is
// not sent again.
func ExampleClient_UploadPath() {
	ctx := context.Background()
	c, err := client.Connect(ctx, client.FromEnvironment(), "/pipelines/churn")
	must(err)
	defer c.Close()

	for range 2 {
		sent := int64(0)
		files, err := c.UploadPath(ctx, "../cmd/slipway/demo/churn-v1.ubj", "run-4711", func(done, total int64) { sent = done })
		must(err)
		for _, file := range files {
			fmt.Println(file.Path, file.Object, file.Digest[:15], file.Size, "bytes,", sent, "sent")
		}
	}
	// Output:
	// churn-v1.ubj run-4711/churn-v1.ubj sha256:0328f18c 12366 bytes, 12366 sent
	// churn-v1.ubj run-4711/churn-v1.ubj sha256:0328f18c 12366 bytes, 0 sent
}

// To replace a model and wait takes as long as it takes, up to DefaultWait or what
// the context says.
func ExampleClient_ReplaceAndWait() {
	c := pipeline("replaced")
	defer c.Close()

	e, err := c.ReplaceAndWait(context.Background(), client.Command{Name: "replaced", Actor: "ada"}, handlers.Replace{
		Reason: deployment.ReasonAccuracy, ReasonText: "more trees", ModelChoice: handlers.ModelChoice{ModelID: "churn-v2"},
	})
	must(err)
	fmt.Printf("%s -> %s (%s: %s), by %s\n", e.Replacement.OldModel, e.Replacement.NewModel, e.Replacement.Reason, e.Replacement.ReasonText, e.Command.Actor)
	fmt.Println(e.Validation.Status, len(e.Checks), "checks")
	predict("replaced", 4, 96.5, 5, 1, 2, 31.5)
	// Output:
	// churn-v1 -> churn-v2 (ACCURACY: more trees), by ada
	// passing 16 checks
	// churn-v2: 0.9605257
}

// A wait that is over too early says so, and nothing else: the command goes on. What
// is pending can be kept, and waited for later, also by another program.
func ExampleUnknownOutcomeError() {
	ctx := context.Background()
	c := pipeline("patience")
	defer c.Close()

	pending, err := c.Replace(ctx, client.Command{Name: "patience", ID: "run-4713"}, replace("churn-v2"))
	must(err)
	hurried, cancel := context.WithTimeout(ctx, time.Nanosecond)
	defer cancel()
	_, err = c.Wait(hurried, pending)
	if unknown, ok := errors.AsType[*client.UnknownOutcomeError](err); ok {
		fmt.Println("no outcome yet of", unknown.Pending.ID)
	}

	later := client.Pending{Source: "/pipelines/churn", ID: "run-4713"} // this much is enough
	outcome, err := c.Wait(ctx, later)
	must(err)
	fmt.Println(outcome.Outcome, outcome.Deployment.Model.ID)
	// Output:
	// no outcome yet of run-4713
	// completed churn-v2
}

// An id makes it safe to publish a command again, for example when the pipeline
// is run again from the beginning.
func ExampleCommand() {
	ctx := context.Background()
	c := pipeline("retried")
	defer c.Close()

	for range 3 {
		e, err := c.ReplaceAndWait(ctx, client.Command{Name: "retried", ID: "run-4712"}, replace("churn-v2"))
		must(err)
		fmt.Println(e.Outcome, e.Replacement.OldModel, "->", e.Replacement.NewModel, "generation", e.Deployment.Generation)
	}
	// Output:
	// completed churn-v1 -> churn-v2 generation 2
	// completed churn-v1 -> churn-v2 generation 2
	// completed churn-v1 -> churn-v2 generation 2
}

// What is wrong with a command is said in its error.
func ExampleError() {
	ctx := context.Background()
	c := pipeline("refused")
	defer c.Close()

	_, err := c.ReplaceAndWait(ctx, client.Command{Name: "refused"}, replace("churn-v1"))
	refused, _ := errors.AsType[*client.Error](err)
	fmt.Println(refused.Outcome, refused.Class, refused.Code)
	fmt.Println(refused.Checks[deployment.CheckNotCurrentModel].Status)

	_, err = c.ReplaceAndWait(ctx, client.Command{Name: "refused"}, handlers.Replace{Reason: "WHIM", ModelChoice: handlers.ModelChoice{ModelID: "churn-v2"}})
	refused, _ = errors.AsType[*client.Error](err)
	fmt.Println(refused.Class, refused.Code, refused.Retryable)
	fmt.Println(refused.Errors["reason"])
	// Output:
	// rejected conflict is_current_model
	// failing
	// invalid unknown_enum false
	// expected one of ACCURACY, DATA_DRIFT, ERRORS, SCHEDULED_REFRESH, SCORING_SPEED, DEPRECATION, OTHER, got "WHIM"
}

// Whether a model can replace the current one is answered without a command.
func ExampleClient_Validate() {
	ctx := context.Background()
	c := pipeline("asked")
	defer c.Close()

	ask := func(change func(*handlers.ModelFacts)) {
		candidate, err := churn(ctx, c, "v2")
		must(err)
		change(&candidate)
		verdict, err := c.Validate(ctx, client.Command{Name: "asked"}, handlers.Validate{ModelChoice: handlers.ModelChoice{Model: &candidate}})
		must(err)
		fmt.Println(verdict.Status, verdict.Message)
		for _, name := range slices.Sorted(maps.Keys(verdict.Checks)) {
			if check := verdict.Checks[name]; check.Status != deployment.Passing {
				fmt.Println(" ", name, check.Status, check.Message)
			}
		}
	}
	ask(func(*handlers.ModelFacts) {})
	ask(func(m *handlers.ModelFacts) { m.Target.Name = "upgraded" })
	// Output:
	// passing Model can be used to replace the current model of the deployment.
	// failing Model cannot be used to replace the current model of the deployment.
	//   target failing expected target "churned" as of the current model, got "upgraded"
}

// Events can be watched from the beginning, from where one was before, or from now on.
func ExampleClient_Watch() {
	ctx := context.Background()
	c := pipeline("watched")
	defer c.Close()

	var last uint64 // to be kept by who must not miss anything
	for e, err := range c.Watch(ctx, client.Watch{Name: "watched", From: 1}) {
		must(err)
		fmt.Println(e.Op, e.Outcome)
		last = e.Stored.Sequence
		if e.Outcome.Terminal() {
			break
		}
	}

	_, err := c.Delete(ctx, client.Command{Name: "watched"})
	must(err)
	for e, err := range c.Watch(ctx, client.Watch{Name: "watched", From: last + 1}) {
		must(err)
		if e.Outcome == events.Completed {
			fmt.Println(e.Op, e.Outcome, e.Deployment.Status)
			break
		}
	}
	// Output:
	// deploy started
	// deploy validated
	// deploy completed
	// delete completed deleted
}

// Which models have served, and why each was replaced, is known for ever.
func ExampleClient_History() {
	ctx := context.Background()
	c := pipeline("remembered")
	defer c.Close()

	_, err := c.ReplaceAndWait(ctx, client.Command{Name: "remembered"}, replace("churn-v2"))
	must(err)
	pending, err := c.Rollback(ctx, client.Command{Name: "remembered"}, handlers.Rollback{Reason: deployment.ReasonErrors})
	must(err)
	_, err = c.Wait(ctx, pending)
	must(err)

	served, err := c.History(ctx, "remembered")
	must(err)
	for _, s := range served {
		if s.Reason == nil {
			fmt.Println(s.ModelID, "serves")
		} else {
			fmt.Println(s.ModelID, "was replaced:", *s.Reason)
		}
	}
	// Output:
	// churn-v1 serves
	// churn-v2 was replaced: ERRORS
	// churn-v1 was replaced: ACCURACY
}

// A version has a number for ever. An update may go back to one, and change the
// description at the same time.
func ExampleClient_Versions() {
	ctx := context.Background()
	c := pipeline("numbered")
	defer c.Close()

	name, description := "before the sale", "the second one"
	_, err := c.Rename(ctx, client.Command{Name: "numbered"}, handlers.Rename{Version: 1, Name: &name})
	must(err)
	for _, data := range []handlers.Update{
		{Description: handlers.OptionalText{Given: true, Value: &description}, ModelChoice: handlers.ModelChoice{ModelID: "churn-v2"}},
		{Version: 1},
	} {
		pending, err := c.Update(ctx, client.Command{Name: "numbered"}, data)
		must(err)
		_, err = c.Wait(ctx, pending)
		must(err)
	}

	versions, err := c.Versions(ctx, "numbered")
	must(err)
	for _, v := range versions {
		fmt.Printf("%d %s %s %q\n", v.Number, v.Status, v.ModelID, v.Name)
	}
	d, err := c.Get(ctx, "numbered")
	must(err)
	fmt.Println(*d.Description)
	// Output:
	// 3 current churn-v1 ""
	// 2 served churn-v2 ""
	// 1 served churn-v1 "before the sale"
	// the second one
}

// What is not given stays as it is.
func ExampleClient_Update() {
	ctx := context.Background()
	c := pipeline("described")
	defer c.Close()

	description, on := "Who leaves?", true
	_, err := c.Update(ctx, client.Command{Name: "described"}, handlers.Update{
		Description: handlers.OptionalText{Given: true, Value: &description},
	})
	must(err)
	_, err = c.Drift(ctx, client.Command{Name: "described"}, handlers.Drift{FeatureDriftEnabled: &on})
	must(err)
	pending, err := c.Deactivate(ctx, client.Command{Name: "described"}) // one after the other, in this order
	must(err)
	_, err = c.Wait(ctx, pending)
	must(err)

	d, err := c.Get(ctx, "described")
	must(err)
	fmt.Println(d.Label, *d.Description, d.Status)
	fmt.Println(d.DriftTracking.TargetDrift.Enabled, d.DriftTracking.FeatureDrift.Enabled)
	predict("described", 4, 96.5, 5, 1, 2, 31.5)

	page, err := c.List(ctx, client.Query{Search: "leaves", Status: []deployment.Status{deployment.StatusInactive}})
	must(err)
	fmt.Println(page.TotalCount, page.Data[0].Name)
	// Output:
	// Churn Who leaves? inactive
	// false true
	// 403 Forbidden
	// 1 described
}
