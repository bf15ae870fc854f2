package main

import (
	"context"
	"slices"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/worker"
)

type historyCmd struct {
	Name string `arg:"" help:"Name of the deployment; it may be deleted."`
}

// Run shows which models have served, from the ledger, the newest first.
func (h *historyCmd) Run(ctx context.Context, p *program) error {
	if _, err := deployment.ParseName(h.Name); err != nil {
		return exitf(exitUsage, "%w", err)
	}
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	history, err := worker.ReadHistory(ctx, c.ledger, h.Name)
	if err != nil {
		return err
	}
	if len(history.Served) == 0 {
		return c.noHistory(ctx, p, h.Name)
	}
	return p.printHistory(history.Served)
}

// noHistory tells a deployment that never served from one that never was.
func (c *client) noHistory(ctx context.Context, p *program, name string) error {
	last, err := c.ledger.Last(ctx, jetstream.Fence(string(deployment.KindDeployment), name))
	if err != nil {
		return err
	}
	var data worker.Data
	if last.Sequence > 0 {
		if _, data, err = worker.ReadEvent(last); err != nil {
			return err
		}
	}
	if data.Deployment == nil {
		return exitf(exitNotFound, "deployment %q has never been; \"slipway list\" and \"slipway list --deleted\" show those that are and were", name)
	}
	return p.printHistory(nil)
}

func (p *program) printHistory(served []deployment.Served) error {
	served = append([]deployment.Served{}, served...)
	slices.Reverse(served)
	if p.output == "json" {
		return p.printJSON(served)
	}
	rows := make([][]string, len(served))
	for i, s := range served {
		until, by, reason := "-", "-", "-"
		if s.ReplacedAt != nil {
			until, by = s.ReplacedAt.Format(time.RFC3339), *s.ReplacedBy
		}
		if s.Reason != nil {
			reason = string(*s.Reason)
		}
		if s.ReasonText != "" {
			reason += ": " + s.ReasonText
		}
		rows[i] = []string{string(s.ModelID), s.DeployedAt.Format(time.RFC3339), s.DeployedBy, until, by, reason}
	}
	return p.printTable("MODEL DEPLOYED BY REPLACED BY REASON", rows)
}
