package main

import (
	"context"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/handlers"
)

// change publishes a command about a deployment that needs nothing but its data.
func (p *program) change(ctx context.Context, w waiting, name, op string, data any) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return p.submit(ctx, c, w, deployment.KindDeployment, name, op, data)
}

type driftCmd struct {
	Name    string  `arg:"" help:"Name of the deployment."`
	Target  *bool   `negatable:"" help:"Compute drift of what the model predicts."`
	Feature *bool   `negatable:"" help:"Compute drift of what it is given."`
	Wait    waiting `embed:"" prefix:"command-"`
}

// Run switches the computing of drift on or off.
func (d *driftCmd) Run(ctx context.Context, p *program) error {
	if d.Target == nil && d.Feature == nil {
		return exitf(exitUsage, "expected --target, --no-target, --feature or --no-feature: what is to change?")
	}
	return p.change(ctx, d.Wait, d.Name, "drift", handlers.Drift{TargetDriftEnabled: d.Target, FeatureDriftEnabled: d.Feature})
}

type activateCmd struct {
	Name string  `arg:"" help:"Name of the deployment."`
	Wait waiting `embed:"" prefix:"command-"`
}

// Run makes an inactive deployment answer predictions.
func (a *activateCmd) Run(ctx context.Context, p *program) error {
	return p.change(ctx, a.Wait, a.Name, "activate", handlers.Activate{})
}

type deactivateCmd struct {
	Name string  `arg:"" help:"Name of the deployment."`
	Wait waiting `embed:"" prefix:"command-"`
}

// Run makes a deployment answer no predictions.
func (d *deactivateCmd) Run(ctx context.Context, p *program) error {
	return p.change(ctx, d.Wait, d.Name, "deactivate", handlers.Deactivate{})
}

type deleteCmd struct {
	Name string  `arg:"" help:"Name of the deployment."`
	Wait waiting `embed:"" prefix:"command-"`
}

// Run ends a deployment.
func (d *deleteCmd) Run(ctx context.Context, p *program) error {
	return p.change(ctx, d.Wait, d.Name, "delete", handlers.Delete{})
}
