package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/handlers"
)

// run makes the decision true: it reads the contract, looks at the model's file,
// decides again with what they say, publishes the verdict, writes the contract if
// it is to be, and carries out the effects, all while the heartbeat keeps the claim. A panic counts as a try that failed.
func (a *attempt) run(ctx context.Context, asked handlers.Asked, facts deployment.Facts, decision *deployment.Decision) error {
	ctx, stop := a.heartbeat(ctx)
	defer stop()
	if err := a.takeFirstSlot(ctx); err != nil {
		return err
	}
	defer a.endWork()
	if err := a.setDeadline(ctx); err != nil {
		return err
	}
	err := a.guard(func() error { return a.carry(ctx, asked, &facts, decision) })
	if cause := context.Cause(ctx); err != nil && (errors.Is(cause, errSuperseded) || errors.Is(cause, errCancelled)) {
		return cause
	}
	return err
}

// setDeadline finds out how long the command may still take.
func (a *attempt) setDeadline(ctx context.Context) error {
	left := a.Deadline(a.op)
	if a.begun > 0 {
		began, err := a.Ledger.At(ctx, a.begun)
		if err != nil {
			return err
		}
		now, err := a.Ledger.Now(ctx)
		if err != nil {
			return err
		}
		left -= now.Sub(began.Time)
	}
	a.deadline = time.Now().Add(left)
	return nil
}

// tooLate is the failure of a command that took longer than it may.
func (a *attempt) tooLate(last error) *deployment.Failure {
	return &deployment.Failure{
		Code:    deployment.CodeDeadlineExceeded,
		Message: fmt.Sprintf("not done %s after it began: %v", a.Deadline(a.op), last), Retryable: true,
	}
}

// within calls f with a context that ends with the deadline.
func (a *attempt) within(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithDeadlineCause(ctx, a.deadline, errDeadline)
	defer cancel()
	err := f(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errDeadline) {
		return a.tooLate(err)
	}
	return err
}

// carry is run without its safeguards.
func (a *attempt) carry(ctx context.Context, asked handlers.Asked, facts *deployment.Facts, decision *deployment.Decision) error {
	err := a.within(ctx, func(ctx context.Context) error { return a.judge(ctx, asked, facts, decision) })
	if err != nil || decision.Write == nil && len(decision.Effects) == 0 {
		return err
	}
	if err := a.takeSlotAgain(ctx); err != nil {
		return err
	}
	return a.within(ctx, func(ctx context.Context) (err error) {
		if decision.Write != nil {
			if *decision, err = a.commitContract(ctx, asked, facts, *decision.Write); err != nil {
				return err
			}
		}
		for _, effect := range decision.Effects {
			if err := a.bring(ctx, effect); err != nil {
				return asEffectError(err, deployment.CodeServerUnavailable)
			}
		}
		return nil
	})
}

// judge makes the decision with what the contract and the model's file say, and
// publishes the verdict that it rests on. Meanwhile, another command has the slot.
func (a *attempt) judge(ctx context.Context, asked handlers.Asked, facts *deployment.Facts, decision *deployment.Decision) (err error) {
	if a.number > 1 { // the first time, this was looked at in the queue
		if err := a.notCancelled(ctx); err != nil {
			return err
		}
	}
	if decision.Read != nil {
		if *decision, err = a.read(ctx, asked, facts, *decision.Read); err != nil {
			return err
		}
	}
	if decision.Inspect == nil {
		return nil
	}
	if err := a.look(ctx, *decision.Inspect, a.say, facts); err != nil {
		return err
	}
	*decision, err = asked.Decide(a.rec.Subject, *facts, a.command())
	a.freeSlot()
	return cmp.Or(a.validated(ctx, *decision), err)
}

// bring makes the effect true.
func (a *attempt) bring(ctx context.Context, effect deployment.Effect) error {
	name := deployment.Name(a.rec.Who.Name)
	switch effect := effect.(type) {
	case deployment.Serve:
		return a.Target.Apply(ctx, name, effect, a.claimed.Sequence, a.say)
	case deployment.Stop:
		return a.Target.Stop(ctx, name, effect.Inactive, a.claimed.Sequence, a.say)
	}
	return nil
}
