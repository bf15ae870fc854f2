package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/client"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
)

// The demo's models, trained by demo/train.py, and a row with what XGBoost
// itself predicts for it.
//
//go:embed demo/churn-v1.ubj demo/churn-v2.ubj demo/sample.json
var demoFiles embed.FS

const demoName = "churn"

// demoRun is what the steps of the demo share.
type demoRun struct {
	*program
	*client.Client
	where  endpoints
	sample struct {
		Features []string           `json:"features"`
		Row      []*float64         `json:"row"`
		Expected map[string]float64 `json:"expected"`
	}
}

// demo registers two models, deploys one, asks it, replaces it, asks again, and
// prints each event as it happens. On a data directory that has the deployment
// already it replaces the model that serves by the other one.
func demo(ctx context.Context, p *program, js natsjs.JetStream, where endpoints) error {
	c, err := client.Over(ctx, js, "/slipway/demo")
	if err != nil {
		return err
	}
	if p.ActorsFile != "" {
		if err := p.signs(c); err != nil {
			return err
		}
	}
	d := &demoRun{program: p, Client: c, where: where}
	text, err := demoFiles.ReadFile("demo/sample.json")
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &d.sample); err != nil {
		return fmt.Errorf("read demo/sample.json: %w", err)
	}
	for _, id := range []deployment.Name{"churn-v1", "churn-v2"} {
		facts, err := d.upload(ctx, id)
		if err != nil {
			return err
		}
		if _, err := d.command(ctx, deployment.KindModel, string(id), "register", handlers.Register{ModelFacts: facts}); err != nil {
			return err
		}
	}
	serving, err := d.deploy(ctx)
	if err != nil {
		return err
	}
	if err := d.ask(ctx, serving); err != nil {
		return err
	}
	next := deployment.Name("churn-v2")
	if serving == next {
		next = "churn-v1"
	}
	if _, err := d.command(ctx, deployment.KindDeployment, demoName, "replace", handlers.Replace{
		Reason: deployment.ReasonAccuracy, ReasonText: "more trees", ModelChoice: handlers.ModelChoice{ModelID: next},
	}); err != nil {
		return err
	}
	if err := d.ask(ctx, next); err != nil {
		return err
	}
	return d.farewell()
}

// upload puts a model file into the object store, as a training pipeline would.
func (d *demoRun) upload(ctx context.Context, id deployment.Name) (facts handlers.ModelFacts, err error) {
	file, err := demoFiles.ReadFile("demo/" + string(id) + ".ubj")
	if err != nil {
		return facts, err
	}
	facts = handlers.ModelFacts{
		Format: deployment.FormatXGBoost, Type: "XGBoost Classifier",
		Target: deployment.Target{Name: "churned", Type: deployment.TargetBinary, Classes: []string{"stays", "leaves"}},
	}
	for _, name := range d.sample.Features {
		facts.Features = append(facts.Features, deployment.Feature{Name: name, Type: deployment.FeatureNumeric})
	}
	facts.Artifact, err = d.Upload(ctx, bytes.NewReader(file), nil)
	return facts, err
}

// deploy makes the deployment if it is missing and returns the model it serves.
func (d *demoRun) deploy(ctx context.Context) (deployment.Name, error) {
	view, err := d.Get(ctx, demoName)
	if _, none := errors.AsType[*client.Error](err); err != nil && !none {
		return "", err
	}
	if view.Model != nil {
		fmt.Fprintf(d.stdout, "\n%s is deployed already, from an earlier run in this data directory.\n", demoName)
		return view.Model.ID, nil
	}
	e, err := d.command(ctx, deployment.KindDeployment, demoName, "deploy", handlers.Deploy{
		Label: "Customer churn", ModelChoice: handlers.ModelChoice{ModelID: "churn-v1"},
	})
	if err != nil {
		return "", err
	}
	return e.Deployment.Model.ID, nil
}

// command publishes a command and prints its events up to the outcome.
func (d *demoRun) command(ctx context.Context, kind deployment.Kind, name, op string, data any) (entry, error) {
	fmt.Fprintf(d.stdout, "\n%s\n", jetstream.CommandSubject(string(kind), name, op))
	pending, err := d.Publish(ctx, kind, op, client.Command{Name: name}, data)
	if err != nil {
		return entry{}, err
	}
	e, err := d.Await(ctx, pending, func(e client.Event) {
		fmt.Fprintf(d.stdout, "  %s  %s\n", jetstream.EventSubject(e.Kind, e.Subject, e.Op, string(e.Outcome)), entry{e}.detail())
	})
	if err == nil {
		err = e.Err()
	}
	if err != nil {
		err = fmt.Errorf("demo: %w", err)
	}
	return entry{e}, err
}

// ask gets a prediction for the sample row and holds it against XGBoost's own.
func (d *demoRun) ask(ctx context.Context, id deployment.Name) error {
	body, err := inferRequest([][]*float64{d.sample.Row})
	if err != nil {
		return err
	}
	answer, err := infer(ctx, d.where.Predict, demoName, body)
	if err != nil {
		return err
	}
	var i inference
	if err := json.Unmarshal(answer, &i); err != nil {
		return fmt.Errorf("demo: read predictions: %w", err)
	}
	if len(i.Outputs) == 0 || len(i.Outputs[0].Data) == 0 {
		return errors.New("demo: the answer has no prediction")
	}
	fmt.Fprintf(d.stdout, "\nPOST %s/v2/models/%s/infer\n  %s predicts %.7f; XGBoost itself predicts %.7f\n",
		d.where.Predict, demoName, i.ModelVersion, i.Outputs[0].Data[0], d.sample.Expected[string(id)])
	return nil
}

func (d *demoRun) farewell() error {
	row := make([]string, len(d.sample.Row))
	for i, v := range d.sample.Row {
		row[i] = fmt.Sprint(*v)
	}
	_, err := fmt.Fprintf(d.stdout, `
Everything stays up until you interrupt it. Try next, in another terminal:
  go run ./cmd/slipway get %[1]s
  go run ./cmd/slipway predict %[1]s --row %[2]s
  go run ./cmd/slipway events --follow
`, demoName, strings.Join(row, ","))
	return err
}
