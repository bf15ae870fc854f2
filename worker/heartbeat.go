package worker

import (
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
func (a *attempt) heartbeat(ctx context.Context) (_ context.Context, stop func()) {
	running, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { a.watchCancel(running, cancel) })
	watching.Go(func() {
		ticker := time.NewTicker(max(a.Lease/3, time.Millisecond))
		defer ticker.Stop()
		for {
			select {
			case <-running.Done():
				return
			case <-ticker.C:
			}
			switch err := a.renew(context.WithoutCancel(ctx)); {
			case errors.Is(err, errSuperseded):
				cancel(err)
			case err != nil:
				a.Log.WarnContext(ctx, "claim not renewed", "name", a.rec.Who.Name, "err", err)
			}
		}
	})
	return running, func() {
		cancel(nil)
		watching.Wait()
	}
}

// renew publishes what the effect said last.
func (a *attempt) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, a.Lease)
	defer cancel()
	a.mu.Lock()
	message := a.message
	a.mu.Unlock()
	_, err := a.publish(ctx, events.Progress, Data{Message: message})
	return err
}
