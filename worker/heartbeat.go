package worker

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/slipway-ml/slipway/events"
)

// say notes what an effect is at; the next heartbeat publishes it.
func (a *attempt) say(message string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.message = message
}

// heartbeat renews the claim with `progress` events until stop is called. The
// context that it returns ends with errSuperseded once the claim is lost, and
// with errCancelled once another command asks for the end of this one. A
// renewal that is under way when stop is called is waited for, not cut off:
// whether it was stored would not be known, and the next write would miss.
//
// It begins after a while: most commands are over by then.
func (a *attempt) heartbeat(ctx context.Context) (_ context.Context, stop func()) {
	running, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Add(1)
	begin := time.AfterFunc(a.heartbeatAfter(), func() {
		defer watching.Done()
		watching.Go(func() { a.watchCancel(running, cancel) })
		a.keepClaim(running, context.WithoutCancel(ctx), cancel)
	})
	return running, func() {
		cancel(nil)
		if begin.Stop() {
			watching.Done()
		}
		watching.Wait()
	}
}

// heartbeatAfter is well before the claim has to be renewed for the first time.
func (a *attempt) heartbeatAfter() time.Duration { return min(a.Lease/12, 50*time.Millisecond) }

// keepClaim renews the claim until ctx ends, and has the views show the command
// once it takes longer than most do: what is over at once is not shown first.
// What it writes, it writes with writing.
func (a *attempt) keepClaim(ctx, writing context.Context, cancel context.CancelCauseFunc) {
	ticker := time.NewTicker(max(a.Lease/3, time.Millisecond))
	defer ticker.Stop()
	var late <-chan time.Time
	if a.ShowAfter > 0 {
		late = time.After(a.ShowAfter - a.heartbeatAfter())
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-late:
			if err := a.showStarted(writing); err != nil { // the outcome will be shown
				a.Log.WarnContext(ctx, "attempt not shown", "name", a.rec.Who.Name, "err", err)
			}
		case <-ticker.C:
			switch err := a.renew(writing); {
			case errors.Is(err, errSuperseded):
				cancel(err)
			case err != nil:
				a.Log.WarnContext(ctx, "claim not renewed", "name", a.rec.Who.Name, "err", err)
			}
		}
	}
}

// renew publishes what the effect said last; it need not have said anything yet.
func (a *attempt) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, a.Lease)
	defer cancel()
	a.mu.Lock()
	message := cmp.Or(a.message, "begun")
	a.mu.Unlock()
	_, err := a.publish(ctx, events.Progress, Data{Message: message})
	return err
}
