package worker

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/slipway-ml/slipway/jetstream"
)

// Deliveries are hints that there is work.
type Deliveries interface {
	// Consume calls handle for each delivery, one after the other, until ctx ends.
	Consume(ctx context.Context, handle func(jetstream.Delivery)) error
}

// Limits bound what one process takes on at a time.
type Limits struct {
	Concurrency int           // commands whose effects run at a time
	Window      int           // deliveries held at a time, and deployments and models looked at
	AckWait     time.Duration // of the consumer: how often a held delivery has to be renewed
	Drain       time.Duration // how long running commands may go on once Run is told to stop
	Reconcile   time.Duration // between sweeps for what deliveries do not tell
}

// Run receives deliveries (step 1 of the path) and advances what they point to,
// each deployment in a lane of its own, until ctx ends. It then takes no new
// work, lets running commands end for as long as Limits.Drain, hands over what
// is left, and returns.
func (w *Worker) Run(ctx context.Context, deliveries Deliveries, limits Limits) error {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	taking, stopTaking := context.WithCancel(ctx)
	defer stopTaking()
	w.slots = newSlots(limits.Concurrency)
	r := &run{
		Worker: w, limits: limits, ctx: working, stopping: taking, lanes: make(map[string]*lane), finished: make(map[string]uint64),
		returned: make(map[string]uint64), unlooked: make(map[string]unlooked),
		busy: make(chan struct{}, limits.Window), held: make(chan struct{}, limits.Window),
	}
	var sweeps, beside sync.WaitGroup
	sweeps.Go(func() { r.reconcile(taking, limits.Reconcile) })
	sweeps.Go(func() { r.lookLater(taking) })
	all, stopAll := context.WithCancel(context.WithoutCancel(ctx))
	beside.Go(func() { r.renew(all) })
	defer beside.Wait()
	defer stopAll()
	err := deliveries.Consume(ctx, r.receive)
	stopTaking()
	sweeps.Wait()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.running.Wait()
	}()
	drained := time.NewTimer(limits.Drain)
	defer drained.Stop()
	select {
	case <-ended:
	case <-drained.C:
		stop()
		<-ended
	}
	return err
}

type run struct {
	*Worker
	limits   Limits
	ctx      context.Context //nolint:containedctx // lives exactly as long as the run
	stopping context.Context //nolint:containedctx // ends when no new work is to be taken
	busy     chan struct{}   // one token for each lane that advances
	held     chan struct{}   // one token for each delivery that is not settled
	running  sync.WaitGroup
	mended   Mended // since the start; the reconciler's own

	mu       sync.Mutex
	lanes    map[string]*lane    // by fence
	finished map[string]uint64   // watermarks as far as they were seen, by fence
	returned map[string]uint64   // sequence of the newest unfinished delivery that was given back, by fence
	unlooked map[string]unlooked // lanes that ended without a look, by fence
	seen     stretch
	pace     time.Duration // how long lanes last, of late
}

// Backoff is the time before the attempt after the given one, from 1: base,
// doubled each time, half of it by chance, up to limit.
func Backoff(base, limit time.Duration) func(attempt int) time.Duration {
	return func(attempt int) time.Duration {
		delay := limit
		if shift := attempt - 1; shift < 32 && base<<shift < limit && base<<shift > 0 {
			delay = base << shift
		}
		return delay/2 + jitter(delay/2)
	}
}

func jitter(most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	return rand.N(most) //nolint:gosec // no secret depends on it
}
