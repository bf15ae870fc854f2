package main

import (
	"cmp"
	"context"

	"github.com/slipway-ml/slipway/client"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/handlers"
)

type registerCmd struct {
	ID    string    `arg:"" help:"Id of the model, e.g. churn-v2."`
	Model modelFile `embed:""`
	Wait  waiting   `embed:"" prefix:"command-"`
}

// Run registers a model.
func (r *registerCmd) Run(ctx context.Context, p *program) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	facts, err := r.Model.facts(ctx, p, c)
	if err != nil {
		return err
	}
	if facts == nil {
		return exitf(exitUsage, "expected --file or --facts: what is the model?")
	}
	return p.submit(ctx, c, r.Wait, deployment.KindModel, r.ID, "register", handlers.Register{ModelFacts: *facts})
}

type deployCmd struct {
	Name        string                `arg:"" help:"Name of the deployment, e.g. churn."`
	Label       string                `required:"" help:"Name for people."`
	Description *string               `help:"Free text."`
	Importance  deployment.Importance `help:"How much depends on it: CRITICAL, HIGH, MODERATE or LOW. Default: MODERATE."`
	Server      string                `name:"prediction-server" help:"Id of the prediction server that clients are to ask; only where SLIPWAY_INSTALLATION is cloud." placeholder:"ID"`
	Strict      bool                  `help:"Let a warning of a check stop it."`
	DryRun      bool                  `help:"Say what would be checked and written, and change nothing."`
	modelChoice
	Wait waiting `embed:"" prefix:"command-"`
}

// Run creates a deployment.
func (d *deployCmd) Run(ctx context.Context, p *program) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	choice, err := d.choice(ctx, p, c)
	if err != nil {
		return err
	}
	return p.submit(ctx, c, d.Wait, deployment.KindDeployment, d.Name, "deploy",
		handlers.Deploy{
			Label: d.Label, Description: d.Description, Importance: d.Importance, Server: d.Server, Strict: d.Strict, DryRun: d.DryRun, ModelChoice: choice,
		})
}

type replaceCmd struct {
	Name       string            `arg:"" help:"Name of the deployment."`
	Reason     deployment.Reason `required:"" help:"Why: ACCURACY, DATA_DRIFT, ERRORS, SCHEDULED_REFRESH, SCORING_SPEED, DEPRECATION or OTHER."`
	ReasonText string            `help:"Why, in your own words."`
	Strict     bool              `help:"Let a warning of a check stop it."`
	DryRun     bool              `help:"Say what would be checked and written, and change nothing."`
	modelChoice
	Wait waiting `embed:"" prefix:"command-"`
}

// Run replaces the model of a deployment.
func (r *replaceCmd) Run(ctx context.Context, p *program) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	choice, err := r.choice(ctx, p, c)
	if err != nil {
		return err
	}
	return p.submit(ctx, c, r.Wait, deployment.KindDeployment, r.Name, "replace",
		handlers.Replace{Reason: r.Reason, ReasonText: r.ReasonText, Strict: r.Strict, DryRun: r.DryRun, ModelChoice: choice})
}

type cancelCmd struct {
	Name     string  `arg:"" help:"Name of the deployment."`
	ID       string  `arg:"" help:"Id of the command to end."`
	SourceOf string  `help:"CloudEvents source of the command to end. Default: that of commands published from here." placeholder:"URI"`
	Wait     waiting `embed:"" prefix:"command-"`
}

// Run ends a command that is queued or running.
func (c *cancelCmd) Run(ctx context.Context, p *program) error {
	to, err := p.client(ctx)
	if err != nil {
		return err
	}
	defer to.Close()
	return p.submit(ctx, to, c.Wait, deployment.KindDeployment, c.Name, handlers.OpCancel,
		handlers.Cancel{Source: cmp.Or(c.SourceOf, p.source()), ID: c.ID})
}

// modelChoice are the flags that name a model: a registered one, that of a
// contract, or one that is given inline.
type modelChoice struct {
	Model  string        `help:"Id of a registered model." placeholder:"ID"`
	Source contractFlags `embed:""`
	Inline modelFile     `embed:""`
}

// given reports whether a flag names a model.
func (m *modelChoice) given() bool {
	return m.Model != "" || m.Source.given() || m.Inline.File != "" || m.Inline.Facts != ""
}

func (m *modelChoice) choice(ctx context.Context, p *program, c *client.Client) (handlers.ModelChoice, error) {
	if m.Source.given() {
		source, err := m.source(ctx, p, c)
		return handlers.ModelChoice{Source: source}, err
	}
	if err := m.Source.check(); err != nil {
		return handlers.ModelChoice{}, err
	}
	facts, err := m.Inline.facts(ctx, p, c)
	if err != nil {
		return handlers.ModelChoice{}, err
	}
	if (facts == nil) == (m.Model == "") {
		return handlers.ModelChoice{}, exitf(exitUsage, "expected --model, for a registered model, --from, --repository or --model-url, for a contract, or --file or --facts")
	}
	return handlers.ModelChoice{ModelID: deployment.Name(m.Model), Model: facts}, nil
}
