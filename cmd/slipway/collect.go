package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/artifacts"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/serving"
	"github.com/slipway-ml/slipway/worker"
)

// unfinishedFor is how long nothing was added to what is taken for the rest of
// somebody who died, at least.
const unfinishedFor = time.Hour

// collector finds artifacts that no version needs any more, and removes them.
type collector struct {
	ledger   *jetstream.Ledger
	commands *jetstream.Commands
	objects  *jetstream.Objects // nil: only files are collected
	desired  *jetstream.Bucket[serving.Desired]
	store    *artifacts.Store
	needs    worker.Needs

	versions int           // of each deployment that are kept
	grace    time.Duration // before the oldest command that is not finished, or before now
	dryRun   bool
}

// collected is something that was looked at.
type collected struct {
	Kind    string            `json:"kind"` // object, file or chunks
	Name    string            `json:"name,omitempty"`
	Digest  deployment.Digest `json:"digest,omitempty"`
	Bytes   int64             `json:"bytes"`
	UsedAt  time.Time         `json:"usedAt"` // stored then, or used last
	Removed bool              `json:"removed"`
	Why     string            `json:"why"`
}

// collection is what a run comes to.
type collection struct {
	DryRun       bool        `json:"dryRun"`
	Since        time.Time   `json:"since"` // what is younger is kept, by the broker's clock
	Removed      int         `json:"removed"`
	RemovedBytes int64       `json:"removedBytes"`
	Kept         int         `json:"kept"`
	KeptBytes    int64       `json:"keptBytes"`
	Items        []collected `json:"items"`
}

// newCollector opens what a collector needs.
func newCollector(ctx context.Context, c Config, js natsjs.JetStream, store *artifacts.Store) (*collector, error) {
	b := opener{ctx: ctx, js: js}
	objects, err := jetstream.OpenObjects(ctx, js)
	b.note(err)
	ledger, err := jetstream.OpenLedger(ctx, js)
	b.note(err)
	commands, err := jetstream.OpenCommands(ctx, js)
	b.note(err)
	return &collector{
		ledger: ledger, commands: commands, objects: objects, store: store,
		desired:  open[serving.Desired](&b, jetstream.ServingBucket),
		versions: c.CollectVersions, grace: c.CollectGrace,
	}, b.err
}

// run looks at everything that is kept, once. The order is what makes it safe
// while commands go on:
//
//  1. What there is is listed. Whoever uses an object from then on renews it, and
//     then it is not removed (jetstream.Objects.Discard).
//  2. The oldest command without an outcome is looked for. What commands that are
//     not finished have used is younger than they are.
//  3. What the ledger needs is read. A command that has ended by step 2 is in it.
func (c *collector) run(ctx context.Context) (*collection, error) {
	now, err := c.ledger.Now(ctx)
	if err != nil {
		return nil, err
	}
	here := time.Now()
	objects, orphans, files, err := c.list(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.needs.Read(ctx, c.ledger); err != nil {
		return nil, err
	}
	since := now
	if oldest, err := c.needs.Unfinished(ctx, c.commands); err != nil {
		return nil, err
	} else if !oldest.IsZero() && oldest.Before(since) {
		since = oldest
	}
	needed, err := c.needed(ctx)
	if err != nil {
		return nil, err
	}
	since = since.Add(-c.grace)
	r := &collection{DryRun: c.dryRun, Since: since, Items: []collected{}}
	var faults []error
	for _, o := range objects {
		item := collected{Kind: "object", Name: o.Name, Bytes: o.Size, UsedAt: o.At, Why: "its sender has named it"}
		if digest, ours := artifacts.DigestOfObject(o.Name); ours {
			item.Digest = digest
			fate := artifacts.Judge(digest, o.At, needed, since)
			faults = append(faults, r.end(c, item, fate, func() (bool, error) { return c.objects.Discard(ctx, o) }))
			continue
		}
		faults = append(faults, r.end(c, item, artifacts.Fate{Why: item.Why}, nil))
	}
	for _, o := range orphans {
		fate := artifacts.Judge("", o.At, nil, earlier(since, now.Add(-unfinishedFor)))
		fate.Why = "of no object"
		faults = append(faults, r.end(c, collected{Kind: "chunks", Bytes: o.Size, UsedAt: o.At}, fate, func() (bool, error) {
			return true, c.objects.DiscardOrphan(ctx, o)
		}))
	}
	sinceHere := here.Add(since.Sub(now))
	for _, f := range files {
		fate := artifacts.Judge(f.Digest, f.At, needed, sinceHere)
		if f.Digest == "" {
			fate = artifacts.Judge("", f.At, nil, earlier(sinceHere, here.Add(-unfinishedFor)))
			fate.Why = "was never finished"
		}
		faults = append(faults, r.end(c, collected{Kind: "file", Name: f.Name, Digest: f.Digest, Bytes: f.Size, UsedAt: f.At.UTC()}, fate, func() (bool, error) {
			return c.store.Forget(f)
		}))
	}
	slices.SortFunc(r.Items, func(a, b collected) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), a.UsedAt.Compare(b.UsedAt))
	})
	return r, errors.Join(faults...)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (c *collector) list(ctx context.Context) (objects []jetstream.Kept, orphans []jetstream.Orphan, files []artifacts.File, err error) {
	if c.objects != nil {
		if objects, err = c.objects.All(ctx); err != nil {
			return nil, nil, nil, err
		}
		if orphans, err = c.objects.Orphans(ctx); err != nil {
			return nil, nil, nil, err
		}
	}
	files, err = c.store.Files()
	return objects, orphans, files, err
}

// needed is what the ledger needs now, and what prediction servers are to serve.
func (c *collector) needed(ctx context.Context) (map[deployment.Digest]string, error) {
	if err := c.needs.Read(ctx, c.ledger); err != nil {
		return nil, err
	}
	desired, err := c.desired.List(ctx, serving.DesiredPrefix)
	if err != nil {
		return nil, err
	}
	needed := c.needs.Artifacts(c.versions)
	for _, d := range desired {
		for _, ref := range []*deployment.ModelRef{d.Active, d.Target} {
			if ref != nil {
				needed[ref.Digest] = "served by " + string(d.Deployment)
			}
		}
	}
	return needed, nil
}

// end makes the fate of an item true, and notes it.
func (r *collection) end(c *collector, item collected, fate artifacts.Fate, remove func() (bool, error)) (err error) {
	item.Why, item.Removed = fate.Why, fate.Remove
	if item.Removed && !c.dryRun {
		if item.Removed, err = remove(); err != nil {
			item.Why = err.Error()
		} else if !item.Removed {
			item.Why = "used meanwhile"
		}
	}
	if item.Removed {
		r.Removed++
		r.RemovedBytes += item.Bytes
	} else {
		r.Kept++
		r.KeptBytes += item.Bytes
	}
	r.Items = append(r.Items, item)
	return err
}

// startCollecting collects on the interval of the configuration, if there is one,
// until stop is called. objects says whether the object store is collected too,
// and not only the files of this machine.
func startCollecting(ctx context.Context, c Config, js natsjs.JetStream, objects bool, log *slog.Logger) (stop func(), err error) {
	if c.CollectInterval <= 0 {
		return func() {}, nil
	}
	store, err := newArtifacts(ctx, c, js)
	if err != nil {
		return nil, err
	}
	collector, err := newCollector(ctx, c, js, store)
	if err != nil {
		return nil, err
	}
	if !objects {
		collector.objects = nil
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(c.CollectInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				collector.report(ctx, log)
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}, nil
}

// report runs once and logs what it came to.
func (c *collector) report(ctx context.Context, log *slog.Logger) {
	r, err := c.run(ctx)
	if err != nil && ctx.Err() == nil {
		log.WarnContext(ctx, "artifacts not all collected; the next time again", "err", err)
	}
	if r != nil && r.Removed > 0 {
		log.InfoContext(ctx, "artifacts collected", "removed", r.Removed, "removed_bytes", r.RemovedBytes, "kept", r.Kept, "kept_bytes", r.KeptBytes)
	}
}
