package main

import (
	"context"
	"errors"
	"time"

	"github.com/slipway-ml/slipway/client"
	"github.com/slipway-ml/slipway/deployment"
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
	defer c.Close()
	served, err := c.History(ctx, h.Name)
	if _, none := errors.AsType[*client.Error](err); none {
		return p.neverBeen(h.Name)
	}
	if err != nil {
		return err
	}
	return p.printHistory(served)
}

func (p *program) printHistory(served []deployment.Served) error {
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
