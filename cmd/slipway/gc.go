package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"
)

type gcCmd struct {
	DryRun   bool           `help:"Only show what would be removed."`
	Grace    *time.Duration `help:"How long something that nothing needs is kept. Default: SLIPWAY_GC_GRACE." placeholder:"24h"`
	Versions *int           `help:"How many versions of each deployment are kept. Default: SLIPWAY_GC_VERSIONS." placeholder:"N"`
}

// Run removes artifacts that no version needs, from the object store and from the
// data directory of this machine.
func (g *gcCmd) Run(ctx context.Context, p *program) error {
	if g.Grace != nil {
		p.CollectGrace = *g.Grace
	}
	if g.Versions != nil {
		p.CollectVersions = *g.Versions
	}
	if p.CollectGrace < 0 || p.CollectVersions < 0 {
		return exitf(exitUsage, "expected --grace and --versions of 0 or more")
	}
	client, err := p.client(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	store, err := newArtifacts(ctx, p.Config, client.JetStream)
	if err != nil {
		return err
	}
	c, err := newCollector(ctx, p.Config, client.JetStream, store)
	if err != nil {
		return err
	}
	c.dryRun = g.DryRun
	r, err := c.run(ctx)
	if r == nil {
		return err
	}
	return cmp.Or(p.printCollection(r), err)
}

func (p *program) printCollection(r *collection) error {
	if p.output == "json" {
		return p.printJSON(r)
	}
	rows := make([][]string, len(r.Items))
	for i, item := range r.Items {
		fate := "kept"
		if item.Removed {
			fate = map[bool]string{false: "removed", true: "would go"}[r.DryRun]
		}
		rows[i] = []string{item.Kind, cmp.Or(item.Name, "-"), strconv.FormatInt(item.Bytes, 10), item.UsedAt.UTC().Format(time.RFC3339), fate, item.Why}
	}
	if len(rows) > 0 {
		if err := p.printTable("KIND NAME BYTES USED FATE WHY", rows); err != nil {
			return err
		}
	}
	removed := "removed"
	if r.DryRun {
		removed = "would be removed"
	}
	fmt.Fprintf(p.stdout, "%d %s (%d bytes), %d kept (%d bytes)\n", r.Removed, removed, r.RemovedBytes, r.Kept, r.KeptBytes)
	return nil
}
