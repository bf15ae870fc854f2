package worker

import (
	"context"

	"github.com/slipway-ml/slipway/deployment"
)

// claimsForSlot is how many commands a process may have claimed for each one that
// it may work for at a time: while some wait for the ledger, others work.
const claimsForSlot = 2

// begin waits until this process may claim one more command, and claims it.
func (a *attempt) begin(ctx, stopping context.Context, decision deployment.Decision) error {
	select {
	case a.claims <- struct{}{}:
	default:
		if a.claims == nil {
			break
		}
		select {
		case a.claims <- struct{}{}:
		case <-stopping.Done():
			return stopping.Err()
		}
		if err := a.notCancelledInQueue(ctx); err != nil { // it has waited
			a.end()
			return err
		}
	}
	err := a.claim(ctx, decision)
	if err != nil {
		a.end()
	}
	return err
}

// end lets another command begin.
func (a *attempt) end() {
	if a.claims != nil {
		<-a.claims
	}
}

// takeSlot waits until this process may work for one more command. Its deadline
// does not count yet.
func (a *attempt) takeSlot(ctx context.Context) error {
	if a.slots == nil {
		return nil
	}
	select {
	case a.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// freeSlot lets this process work for another command.
func (a *attempt) freeSlot() {
	if a.slots != nil {
		<-a.slots
	}
}
