package main

import (
	"context"
	"fmt"

	"github.com/slipway-ml/slipway/jetstream"
)

type eventsCmd struct {
	Name   string `arg:"" optional:"" help:"Only of this deployment (or model, with --kind model)."`
	Kind   string `default:"" enum:",deployment,model" help:"Only of this kind: deployment or model."`
	From   uint64 `default:"1" help:"Sequence in the ledger to begin at."`
	Follow bool   `short:"f" help:"Go on with new events as they come, until interrupted."`
}

// Run prints the events of the ledger.
func (e *eventsCmd) Run(ctx context.Context, p *program) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	filter, err := ledgerFilter(e.Kind, e.Name)
	if err != nil {
		return err
	}
	if p.output != "json" {
		fmt.Fprintf(p.stdout, eventLine, "SEQUENCE", "TIME", "KIND", "NAME", "OPERATION", "OUTCOME", "DETAIL")
	}
	printed := func(m jetstream.Message) error {
		e, err := readEntry(m)
		if err != nil {
			return err
		}
		return p.printLine(e)
	}
	if e.Follow {
		return c.Ledger.Follow(ctx, filter, max(e.From, 1), nil, printed)
	}
	return c.Ledger.Events(ctx, filter, max(e.From, 1), printed)
}

const eventLine = "%-8v  %-12s  %-10s  %-16s  %-9s  %-9s  %s\n"

// printLine writes one event in one line, as it comes: columns cannot wait for
// the widest value.
func (p *program) printLine(e entry) error {
	if p.output == "json" {
		return p.printEvent(e)
	}
	_, err := fmt.Fprintf(p.stdout, eventLine, e.Stored.Sequence, e.Stored.Time.Local().Format("15:04:05.000"),
		e.Kind, e.Subject, e.Op, e.Outcome, e.detail())
	return err
}
