package worker

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/slipway-ml/slipway/jetstream"
)

// lane is the deliveries that point to one deployment or model.
type lane struct {
	who    Address
	hints  []jetstream.Delivery
	known  int    // so many hints were there when it was advanced
	newest uint64 // sequence of the newest delivery, also of one that is not held
	look   uint64 // commands up to this sequence are taken even if they were not delivered here
	later  uint64 // up to which sequence such commands are to be looked for later; 0: none
	began  time.Time
}

// lagDelay is how long a command waits for a replica to show it.
const lagDelay = 50 * time.Millisecond

// hintsKept is how many deliveries of unfinished commands a lane holds. It goes on
// until its deployment has no command left, whatever it holds. Limits.Window is
// as many for each command that is worked for: as long as fewer deployments than
// that are slow, what waits behind them keeps no delivery from any other one.
const hintsKept = 16

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
	epoch := r.Ledger.Epoch()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen.add(d.Sequence, epoch) {
		r.standing.clear()
	}
	l := r.lanes[who.Fence]
	switch {
	case d.Sequence <= r.finished[who.Fence]: // the broker does not know yet
		r.settle(d, d.Ack())
	case l == nil:
		if r.unlooked[who.Fence].up == everything {
			delete(r.unlooked, who.Fence)
		}
		r.begin(&lane{who: who, hints: []jetstream.Delivery{d}, newest: d.Sequence})
	case len(l.hints) < hintsKept:
		l.hints, l.newest = append(l.hints, d), max(l.newest, d.Sequence)
	default: // the lane will come to it; should the process end before, it is delivered again
		l.newest = max(l.newest, d.Sequence)
		r.giveBack(who, d.Sequence)
		r.settle(d, d.Again(r.limits.AckWait))
	}
}

// begin starts a lane. The caller holds the lock.
func (r *run) begin(l *lane) {
	r.lanes[l.who.Fence], l.began = l, time.Now()
	r.running.Go(func() { r.drive(l) })
}

// giveBack notes that an unfinished command is not held any more.
func (r *run) giveBack(who Address, sequence uint64) {
	r.returned[who.Fence] = max(sequence, r.returned[who.Fence])
}

// everything is all commands, as sequences go.
const everything = math.MaxUint64

// wake starts a lane that no delivery has started, and says whether it did. It
// looks for commands up to the sequence look: none of them may ever be delivered here.
func (r *run) wake(who Address, look uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.lanes[who.Fence]; l != nil {
		if look < everything { // somebody answers for that command
			l.look = max(l.look, look)
		}
		return false
	}
	r.begin(&lane{who: who, look: look})
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
			r.wake(who, everything)
		case <-r.stopping.Done():
		}
	})
}

// drive advances a lane until there is nothing left to do.
func (r *run) drive(l *lane) {
	var before uint64
	for first := true; ; first = false {
		r.busy <- struct{}{}
		r.mu.Lock()
		l.known = len(l.hints)
		r.mu.Unlock()
		watermark, err := r.advance(r.ctx, r.stopping, l.who, everything, told{r, l})
		<-r.busy
		if err == nil && !first && watermark == before { // delivered, but a replica that lags does not show it yet
			err = &wait{why: "a replica lags", delay: lagDelay}
		}
		before = watermark
		settled, more := r.sort(l, watermark, err)
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

// sort takes from a lane the deliveries that are done with, and says whether
// there is more to do; if not, the lane has ended.
func (r *run) sort(l *lane, watermark uint64, err error) (settled []jetstream.Delivery, more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// Who holds the deployment goes on with what was there when it was done; what
	// came after we had looked is perhaps for us.
	settled, left := l.hints[:l.known], l.hints[l.known:]
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
	if err != nil {
		for _, d := range settled {
			r.giveBack(l.who, d.Sequence)
		}
	}
	if err == nil && l.newest > watermark || err != nil && len(left) > 0 {
		return settled, true
	}
	delete(r.lanes, l.who.Fence)
	r.pace += (time.Since(l.began) - r.pace) / 32
	if l.later > 0 {
		u, ok := r.unlooked[l.who.Fence]
		if !ok { // else no later than it was to be
			u = unlooked{who: l.who, due: time.Now().Add(max(lookAfter, min(4*r.pace, lookLatest)))}
		}
		u.up = max(u.up, l.later)
		r.unlooked[l.who.Fence] = u
	}
	return settled, false
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

// renew renews the deliveries that are held until ctx ends, so that the broker
// does not hand them to another worker meanwhile.
func (r *run) renew(ctx context.Context) {
	ticker := time.NewTicker(r.limits.AckWait / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		var hints []jetstream.Delivery
		r.mu.Lock()
		for _, l := range r.lanes {
			hints = append(hints, l.hints...)
		}
		r.mu.Unlock()
		for _, d := range hints {
			if err := d.Working(); err != nil {
				r.Log.WarnContext(ctx, "delivery not renewed", "sequence", d.Sequence, "err", err)
			}
		}
	}
}
