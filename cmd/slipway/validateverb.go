package main

import (
	"context"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/handlers"
)

type validateCmd struct {
	Name string `arg:"" help:"Name of the deployment."`
	modelChoice
	Wait waiting `embed:"" prefix:"command-"`
}

// Run asks for a verdict on a model. A failing one ends the program with exit
// code 3, like a rejection: the replacement would be refused.
func (v *validateCmd) Run(ctx context.Context, p *program) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	choice, err := v.choice(ctx, p, c)
	if err != nil {
		return err
	}
	return p.submit(ctx, c, v.Wait, deployment.KindDeployment, v.Name, handlers.OpValidate, handlers.Validate{ModelChoice: choice})
}
