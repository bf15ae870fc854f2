package worker

import (
	"context"
	"errors"
	"math"
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

// lagDelay is how long a command waits for a replica to show it.
const lagDelay = 50 * time.Millisecond

// hintsKept is how many deliveries a lane holds. More would add nothing: a lane
// goes on until its deployment has no command left.
const hintsKept = 16

// Run receives deliveries (step 1 of the path) and advances what they point to,
// each deployment in a lane of its own, until ctx ends. It then takes no new
// work, lets running commands end for as long as Limits.Drain, hands over what
// is left, and returns.
func (w *Worker) Run(ctx context.Context, deliveries Deliveries, limits Limits) error {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	taking, stopTaking := context.WithCancel(ctx)
	defer stopTaking()
	w.slots = make(chan struct{}, limits.Concurrency)
	r := &run{
		Worker: w, limits: limits, ctx: working, stopping: taking, lanes: make(map[string]*lane), finished: make(map[string]uint64),
		busy: make(chan struct{}, limits.Window), held: make(chan struct{}, limits.Window),
	}
	var sweeps sync.WaitGroup
	sweeps.Go(func() { r.reconcile(taking, limits.Reconcile) })
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
	lanes    map[string]*lane  // by fence
	finished map[string]uint64 // watermarks as far as they were seen, by fence
}

// lane is the deliveries that point to one deployment or model.
type lane struct {
	who    Address
	hints  []jetstream.Delivery
	newest uint64 // sequence of the newest delivery, also of one that is not held
}

// receive puts a delivery into its lane. It blocks while too many are held. Once
// the run is to stop it gives the delivery back.
func (r *run) receive(d jetstream.Delivery) {
	select {
	case r.held <- struct{}{}:
	case <-r.stopping.Done():
	}
	if r.stopping.Err() != nil {
		if err := d.Again(0); err != nil {
			r.Log.WarnContext(r.ctx, "delivery not given back", "sequence", d.Sequence, "err", err)
		}
		return
	}
	who, _ := AddressOf(d.Subject)
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lanes[who.Fence]
	switch {
	case d.Sequence <= r.finished[who.Fence]: // the broker does not know yet
		r.running.Go(func() { r.settle(d, r.dispose(d, who, nil)) })
	case l == nil:
		l = &lane{who: who, hints: []jetstream.Delivery{d}, newest: d.Sequence}
		r.lanes[who.Fence] = l
		r.running.Go(func() { r.drive(l) })
	case len(l.hints) < hintsKept:
		l.hints, l.newest = append(l.hints, d), max(l.newest, d.Sequence)
	default: // the lane will come to it; should the process end before, it is delivered again
		l.newest = max(l.newest, d.Sequence)
		r.settle(d, d.Again(r.limits.AckWait))
	}
}

// wake starts a lane that no delivery has started, and says whether it did.
func (r *run) wake(who Address) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lanes[who.Fence] != nil {
		return false
	}
	l := &lane{who: who}
	r.lanes[who.Fence] = l
	r.running.Go(func() { r.drive(l) })
	return true
}

// wakeAfter wakes a lane again when what it waits for is due. A lane that ended
// for another reason is left to the next sweep.
func (r *run) wakeAfter(who Address, err error) {
	var due *wait
	if !errors.As(err, &due) {
		return
	}
	timer := time.NewTimer(due.delay)
	r.running.Go(func() {
		defer timer.Stop()
		select {
		case <-timer.C:
			r.wake(who)
		case <-r.stopping.Done():
		}
	})
}

// drive advances a lane until there is nothing left to do.
func (r *run) drive(l *lane) {
	defer r.keep(l)()
	var before uint64
	for first := true; ; first = false {
		r.busy <- struct{}{}
		r.mu.Lock()
		known := len(l.hints)
		r.mu.Unlock()
		watermark, err := r.advance(r.ctx, r.stopping, l.who, math.MaxUint64)
		<-r.busy
		if err == nil && !first && watermark == before { // delivered, but a replica that lags does not show it yet
			err = &wait{why: "a replica lags", delay: lagDelay}
		}
		before = watermark

		r.mu.Lock()
		// Who holds the deployment goes on with what was there when it was done;
		// what came after we had looked is perhaps for us.
		settled, left := l.hints[:known], l.hints[known:]
		if err == nil {
			r.finished[l.who.Fence] = max(watermark, r.finished[l.who.Fence])
			settled, left = nil, nil
			for _, d := range l.hints {
				if d.Sequence <= watermark {
					settled = append(settled, d)
				} else { // came in the meantime
					left = append(left, d)
				}
			}
		}
		l.hints = left
		more := err == nil && l.newest > watermark || err != nil && len(left) > 0
		if !more {
			delete(r.lanes, l.who.Fence)
		}
		r.mu.Unlock()

		if len(settled) == 0 && err != nil { // no delivery will bring it back
			r.report(l.who, err)
			r.wakeAfter(l.who, err)
		}
		for _, d := range settled {
			r.settle(d, r.dispose(d, l.who, err))
		}
		if !more {
			return
		}
	}
}

// dispose acknowledges a delivery whose command is finished, and asks for
// another one, at the right time, for one that is not.
func (r *run) dispose(d jetstream.Delivery, who Address, err error) error {
	var due *wait
	switch {
	case err == nil:
		return d.Ack()
	case errors.As(err, &due):
		r.Log.DebugContext(r.ctx, "command has to wait", "name", who.Name, "err", err)
		return d.Again(due.delay + jitter(due.delay/10+10*time.Millisecond))
	case r.stopping.Err() != nil:
		return d.Again(0)
	default:
		r.report(who, err)
		return d.Again(time.Second + jitter(time.Second))
	}
}

// report logs an error of the broker or of ours; those of commands are events.
func (r *run) report(who Address, err error) {
	var due *wait
	if r.stopping.Err() == nil && !errors.As(err, &due) {
		r.Log.ErrorContext(r.ctx, "command not carried out; it will be tried again", "kind", who.Kind, "name", who.Name, "err", err)
	}
}

func (r *run) settle(d jetstream.Delivery, err error) {
	if err != nil { // the broker will deliver it again, which does no harm
		r.Log.WarnContext(r.ctx, "delivery not settled", "sequence", d.Sequence, "err", err)
	}
	<-r.held
}

// keep renews the deliveries of a lane until stop is called, so that the broker
// does not hand them to another worker meanwhile.
func (r *run) keep(l *lane) (stop func()) {
	ticker := time.NewTicker(r.limits.AckWait / 3)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			r.mu.Lock()
			hints := append([]jetstream.Delivery(nil), l.hints...)
			r.mu.Unlock()
			for _, d := range hints {
				if err := d.Working(); err != nil {
					r.Log.WarnContext(r.ctx, "delivery not renewed", "sequence", d.Sequence, "err", err)
				}
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(done)
	}
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
