package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ml/slipway/client"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/worker"
)

type verifyCmd struct{}

// findings are what verify and rebuild print as JSON.
type findings struct {
	Events      int                 `json:"events"`
	Keys        int                 `json:"keys"`
	Position    uint64              `json:"position"`   // sequence of the newest event that was read
	Unfinished  int                 `json:"unfinished"` // commands without an outcome so far
	Differences []worker.Difference `json:"differences"`
	Violations  []worker.Violation  `json:"violations"`
	Mended      *bool               `json:"mended,omitempty"` // rebuild only
}

// Run recomputes every projection from the ledger and shows what differs.
func (verifyCmd) Run(ctx context.Context, p *program) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	a, missing, err := newAudit(ctx, c)
	if err != nil {
		return err
	}
	if err := a.Run(ctx); err != nil {
		return err
	}
	if err := p.printAudit(a, nil); err != nil {
		return err
	}
	for _, bucket := range missing {
		fmt.Fprintf(p.stderr, "there is no bucket %s\n", bucket)
	}
	if len(a.Differences)+len(missing) > 0 {
		fmt.Fprintln(p.stderr, "\"slipway rebuild\" rewrites what differs.")
	}
	if len(a.Differences)+len(a.Violations)+len(missing) > 0 {
		return &exitError{exitFailed, errSaid}
	}
	return nil
}

type rebuildCmd struct {
	DryRun bool `help:"Only show what would be rewritten."`
}

// Run rewrites what differs from the ledger.
func (r *rebuildCmd) Run(ctx context.Context, p *program) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	a, missing, err := newAudit(ctx, c)
	if err != nil {
		return err
	}
	if len(missing) > 0 && !r.DryRun {
		// As many copies as the ledger has: what SLIPWAY_REPLICAS says here may
		// not be what it says where the workers run.
		if err := jetstream.Provision(ctx, c.JetStream, c.Ledger.Replicas(), p.ackWait()); err != nil {
			return err
		}
		fmt.Fprintf(p.stderr, "made bucket %s\n", strings.Join(missing, " and "))
		if a, _, err = newAudit(ctx, c); err != nil {
			return err
		}
	}
	if err := a.Run(ctx); err != nil {
		return err
	}
	mended := !r.DryRun
	if mended {
		written, err := a.Mend(ctx)
		if err != nil {
			return err
		}
		a.Differences = written
	}
	return p.printAudit(a, &mended)
}

// newAudit is an audit that has not begun, and the buckets that do not exist.
func newAudit(ctx context.Context, c *client.Client) (a *worker.Audit, missing []string, err error) {
	a = &worker.Audit{
		Ledger: c.Ledger, Commands: c.Commands, Settle: 250 * time.Millisecond, Buckets: make(map[string]*jetstream.RawBucket),
	}
	for _, name := range worker.Projected() {
		bucket, err := jetstream.OpenRawBucket(ctx, c.JetStream, name)
		switch {
		case errors.Is(err, jetstream.ErrNoBucket):
			missing = append(missing, name)
		case err != nil:
			return nil, nil, err
		default:
			a.Buckets[name] = bucket
		}
	}
	return a, missing, nil
}

// printAudit writes what an audit has found; mended is nil for verify.
func (p *program) printAudit(a *worker.Audit, mended *bool) error {
	if p.output == "json" {
		return p.printJSON(findings{
			Events: a.Events, Keys: a.Keys, Position: a.Position, Unfinished: a.Unfinished,
			Differences: append([]worker.Difference{}, a.Differences...), Violations: append([]worker.Violation{}, a.Violations...), Mended: mended,
		})
	}
	if len(a.Differences) > 0 {
		rows := make([][]string, len(a.Differences))
		for i, d := range a.Differences {
			rows[i] = []string{d.Bucket, d.Key, string(d.Kind), showFields(d.Fields)}
		}
		if err := p.printTable("BUCKET KEY DIFFERENCE FIELDS", rows); err != nil {
			return err
		}
	}
	if len(a.Violations) > 0 {
		rows := make([][]string, len(a.Violations))
		for i, v := range a.Violations {
			rows[i] = []string{strconv.FormatUint(v.Sequence, 10), v.Kind, v.Name, string(v.Rule), v.Message}
		}
		if err := p.printTable("EVENT KIND NAME RULE VIOLATION", rows); err != nil {
			return err
		}
	}
	result := "no difference"
	if n := len(a.Differences); n > 0 {
		result = fmt.Sprintf("%d differ", n)
		if mended != nil && *mended {
			result = fmt.Sprintf("%d rewritten", n)
		}
	}
	if n := len(a.Violations); n > 0 {
		result += fmt.Sprintf("; the ledger is violated %d times", n)
	}
	fmt.Fprintf(p.stdout, "%d events, %d keys: %s\n", a.Events, a.Keys, result)
	return nil
}

// fieldsShown is how many members of a value a table shows.
const fieldsShown = 4

func showFields(fields []worker.Field) string {
	var shown []string
	for i, f := range fields {
		if i == fieldsShown {
			shown = append(shown, fmt.Sprintf("and %d more", len(fields)-i))
			break
		}
		if f.Path == "" {
			shown = append(shown, fmt.Sprintf("not as JSON: %s", orDash(f.From)))
			continue
		}
		shown = append(shown, fmt.Sprintf("%s: %s -> %s", f.Path, orDash(f.From), orDash(f.To)))
	}
	return strings.Join(shown, ", ")
}

func orDash(value []byte) string {
	const most = 60
	switch {
	case len(value) == 0:
		return "-"
	case len(value) > most:
		return strings.ToValidUTF8(string(value[:most]), "") + "..."
	default:
		return string(value)
	}
}
