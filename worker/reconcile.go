package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/jetstream"
)

// Backlog is what the reconciler needs to know of all commands.
type Backlog interface {
	// Subjects are the subjects on which there are commands.
	Subjects(ctx context.Context) ([]string, error)
	// Last is the newest command that filter matches; its Sequence is 0 when there is none.
	Last(ctx context.Context, filter string) (jetstream.Message, error)
}

// Mended counts what a sweep put right.
type Mended struct {
	Commands    int // unfinished commands that nobody held: their deployments were taken up
	Projections int // deployments and models whose views lagged the ledger
	Serving     int // deployments of which something else was desired than the ledger says
}

func (m Mended) any() bool { return m != Mended{} }

// sweepShare is how much of its time a worker may spend on sweeps: one part in so many.
const sweepShare = 10

// reconcile sweeps at the start and then every interval until ctx ends, less
// often when a sweep takes long. It is what makes deliveries mere hints: should
// the broker forget one, the sweep finds the command. Sweeps of several workers
// do no harm to each other.
func (r *run) reconcile(ctx context.Context, interval time.Duration) {
	for {
		began := time.Now()
		mended, err := r.sweep(ctx)
		pause := time.NewTimer(max(interval, (sweepShare-1)*time.Since(began)))
		r.mended.Commands += mended.Commands
		r.mended.Projections += mended.Projections
		r.mended.Serving += mended.Serving
		if err != nil && ctx.Err() == nil {
			r.Log.WarnContext(ctx, "sweep not finished; the next one begins anew", "err", err)
		}
		if mended.any() {
			r.Log.InfoContext(ctx, "sweep has mended", "commands", mended.Commands, "projections", mended.Projections, "serving", mended.Serving,
				"commands_total", r.mended.Commands, "projections_total", r.mended.Projections, "serving_total", r.mended.Serving)
		}
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

// sweep looks once at everything that there are commands for.
func (r *run) sweep(ctx context.Context) (mended Mended, err error) {
	subjects, err := r.Backlog.Subjects(ctx)
	if err != nil {
		return mended, err
	}
	seen := make(map[string]bool, len(subjects))
	var faults []error
	for _, subject := range subjects {
		who, _ := AddressOf(subject)
		if seen[who.Fence] {
			continue
		}
		seen[who.Fence] = true
		if err := r.mend(ctx, who, &mended); err != nil {
			if ctx.Err() != nil {
				return mended, ctx.Err()
			}
			faults = append(faults, fmt.Errorf("sweep %s: %w", who.Name, err))
		}
	}
	return mended, errors.Join(faults...)
}

// mend looks at one deployment or model. One that this process is working on is
// left alone.
func (r *run) mend(ctx context.Context, who Address, mended *Mended) error {
	unlock, free := r.locks.try(who.Fence)
	if !free {
		return nil
	}
	defer unlock()
	rec, err := r.newest(ctx, who)
	if err != nil {
		return err
	}
	repaired, err := r.Views.Repair(ctx, rec.view())
	if err != nil {
		return err
	}
	if repaired {
		mended.Projections++
	}
	newest, err := r.Backlog.Last(ctx, who.Filter)
	if err != nil {
		return err
	}
	if newest.Sequence > rec.Watermark {
		var due *wait
		if err := r.mayTake(ctx, &rec); err != nil && !errors.As(err, &due) {
			return err
		}
		if due == nil && r.wake(who, everything) {
			mended.Commands++
		}
		return nil // what is to serve may be about to change
	}
	if who.Kind != deployment.KindDeployment || rec.Sequence == 0 {
		return nil
	}
	converged, err := r.Target.Converge(ctx, deployment.Name(who.Name), rec.Subject.Deployment.Effect(), rec.Sequence)
	if converged {
		mended.Serving++
	}
	return err
}
