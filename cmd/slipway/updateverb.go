package main

import (
	"context"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/handlers"
)

type updateCmd struct {
	Name        string                 `arg:"" help:"Name of the deployment."`
	Label       *string                `help:"New name for people."`
	Description *string                `help:"New free text; an empty one clears it."`
	Importance  *deployment.Importance `help:"How much depends on it: CRITICAL, HIGH, MODERATE or LOW."`
	Version     uint64                 `help:"Number of a version whose model is to serve again." placeholder:"N"`
	Strict      bool                   `help:"Let a warning of a check of the model stop it."`
	DryRun      bool                   `help:"Say what would be checked and written, and change nothing."`
	modelChoice
	Wait waiting `embed:"" prefix:"command-"`
}

// Run changes label, description, importance or model.
func (u *updateCmd) Run(ctx context.Context, p *program) error {
	if err := u.check(); err != nil {
		return err
	}
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	data := handlers.Update{
		Label: u.Label, Description: handlers.OptionalText{Given: u.Description != nil, Value: u.Description}, Importance: u.Importance,
		Version: u.Version, Strict: u.Strict, DryRun: u.DryRun,
	}
	if !u.given() {
		data.Commit = u.Source.Commit // of the repository that is recorded
	} else if data.ModelChoice, err = u.choice(ctx, p, c); err != nil {
		return err
	}
	return p.submit(ctx, c, u.Wait, deployment.KindDeployment, u.Name, "update", data)
}

// check refuses flags that say nothing, or nothing that can be done.
func (u *updateCmd) check() error {
	switch described := u.Label != nil || u.Description != nil || u.Importance != nil; {
	case u.given():
		return nil
	case u.Source != contractFlags{Commit: u.Source.Commit}:
		return exitf(exitUsage, "expected --repository: of which repository are the branch, the folder and the types?")
	case !described && u.Version == 0 && u.Source.Commit == "":
		return exitf(exitUsage, "expected --label, --description, --importance or a model: what is to change?")
	default:
		return nil
	}
}
