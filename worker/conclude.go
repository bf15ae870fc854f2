package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
)

var (
	// errSuperseded: something else was written about the same thing. Load again.
	errSuperseded = errors.New("superseded")
	// errDuplicate: the same command was carried out before.
	errDuplicate = errors.New("duplicate")
	// errCancelled: another command asks for the end of this one.
	errCancelled = errors.New("cancelled")
	// errDeadline: the command has taken longer than it may.
	errDeadline = errors.New("deadline exceeded")
	// errExpired: the command's expirytime has passed.
	errExpired = errors.New("expired")
)

// wait is the error of a command that cannot go on before some time has passed.
type wait struct {
	why   string
	delay time.Duration
}

func (w *wait) Error() string { return fmt.Sprintf("%s: wait %s", w.why, w.delay) }

// effectError is what keeps an effect from succeeding now; it may succeed later.
type effectError struct {
	err  error
	code deployment.Code
}

func (e *effectError) Error() string { return e.err.Error() }
func (e *effectError) Unwrap() error { return e.err }

// asEffectError leaves final errors as they are and marks the others as transient.
func asEffectError(err error, code deployment.Code) error {
	var failure *deployment.Failure
	var rejection *deployment.Rejection
	if errors.As(err, &failure) || errors.As(err, &rejection) {
		return err
	}
	return &effectError{err, code}
}

// concludeTime is how long it may take to write down what a try came to. A
// worker that is told to stop still does that.
const concludeTime = 10 * time.Second

// conclude is the one place where what a try came to becomes what happens next:
//
//	nil            completed
//	*Rejection     rejected; nothing has changed
//	*Failure       failed; what served before serves
//	*effectError   retrying, or failed when there were enough tries
//	errCancelled   cancelled; what served before serves
//	errDuplicate, errExpired
//	anything else  nothing is said: the try is repeated
func (a *attempt) conclude(ctx context.Context, decision deployment.Decision, err error) error {
	var (
		rejection *deployment.Rejection
		failure   *deployment.Failure
		transient *effectError
	)
	stopping := ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), concludeTime)
	defer cancel()
	if err == nil {
		err = a.commit(ctx, events.Completed, decision.After, Data{
			Changed: &decision.Changed, Checks: decision.Checks, Contract: decision.Contract,
			Registered: decision.Registered, Replacement: decision.Replacement, Drift: decision.Drift, Validation: decision.Validation, Renamed: decision.Renamed,
		})
		if !errors.Is(err, jetstream.ErrTooLarge) {
			return err
		}
	}
	switch {
	case errors.Is(err, errSuperseded):
		return err
	case errors.Is(err, errDuplicate):
		return a.commit(ctx, events.Duplicate, a.rec.Subject, Data{Original: &Original{a.first.Outcome, a.first.Sequence}})
	case errors.Is(err, errExpired):
		return a.commit(ctx, events.Expired, a.rec.Subject, Data{ExpiredAt: &a.cmd.Expires})
	case errors.Is(err, errCancelled):
		if err := a.restore(ctx); err != nil {
			return err
		}
		return a.commit(ctx, events.Cancelled, a.rec.Subject, Data{CancelledBy: a.cancel})
	case errors.As(err, &rejection):
		if err := a.restore(ctx); err != nil {
			return err
		}
		return a.commit(ctx, events.Rejected, a.rec.Subject, Data{
			Failure: Refusal(rejection), Checks: decision.Checks, Validation: decision.Validation, Raw: a.raw,
		})
	case errors.As(err, &failure):
		return a.fail(ctx, decision, failure)
	case errors.Is(err, jetstream.ErrTooLarge):
		return a.fail(ctx, decision, &deployment.Failure{Code: deployment.CodeTooLarge, Message: "an event about the command is larger than the broker takes"})
	case stopping && a.claimed != nil:
		return a.handOver(ctx)
	case errors.As(err, &transient):
		if a.counted() >= a.MaxAttempts {
			return a.fail(ctx, decision, &deployment.Failure{
				Code: transient.code, Message: fmt.Sprintf("%d attempts, the last one: %s", a.number, transient), Retryable: true,
			})
		}
		delay := a.Backoff(a.counted())
		if !a.deadline.IsZero() && time.Now().Add(delay).After(a.deadline) {
			return a.fail(ctx, decision, a.tooLate(transient))
		}
		return a.retry(ctx, delay, &Failure{
			Code: transient.code, Class: transient.code.Class(), Message: transient.Error(), Retryable: true,
		})
	default:
		return err
	}
}

// fail commits `failed`. What served before serves again, before it is said.
func (a *attempt) fail(ctx context.Context, decision deployment.Decision, failure *deployment.Failure) error {
	if err := a.restore(ctx); err != nil {
		return err
	}
	after := a.rec.Subject
	after.Deployment = deployment.AfterFailure(a.rec.Subject.Deployment, a.shown, a.command(), failure.Code, clip(failure.Message))
	return a.commit(ctx, events.Failed, after, Data{Replacement: decision.Replacement, Failure: &Failure{
		Code: failure.Code, Class: failure.Code.Class(), Message: failure.Message, Retryable: failure.Retryable,
	}})
}

// restore takes back what effects of this command, in this or an earlier try,
// may have begun.
func (a *attempt) restore(ctx context.Context) error {
	if a.claimed == nil || a.rec.Who.Kind != deployment.KindDeployment {
		return nil
	}
	return a.Target.Restore(ctx, deployment.Name(a.rec.Who.Name), a.rec.Subject.Deployment.Effect(), a.claimed.Sequence)
}

// handOver gives the command back: any worker may take it at once, and the try
// does not count.
func (a *attempt) handOver(ctx context.Context) error {
	a.handedOver++
	err := a.retry(ctx, 0, &Failure{
		Code: deployment.CodeWorkerStopped, Class: deployment.CodeWorkerStopped.Class(), Message: "the worker was told to stop", Retryable: true,
	})
	var due *wait
	if errors.As(err, &due) {
		return context.Canceled
	}
	return err
}

// retry publishes `retrying` and says when the next try is due.
func (a *attempt) retry(ctx context.Context, delay time.Duration, failure *Failure) error {
	now, err := a.Ledger.Now(ctx)
	if err != nil {
		return err
	}
	next, begun := now.Add(delay).UTC(), a.begun
	if begun == 0 && a.claimed != nil {
		begun = a.claimed.Sequence
	}
	a.claimed = nil
	data := Data{Failure: failure, NextAt: &next}
	data.Ledger.Retry = &Retry{Token: a.token, Attempt: a.number, HandedOver: a.handedOver, First: begun, NextAt: next}
	sequence, err := a.publish(ctx, events.Retrying, data)
	if err != nil {
		return err
	}
	a.Log.WarnContext(ctx, "attempt did not succeed", "name", a.rec.Who.Name, "op", a.op, "attempt", a.number, "next", delay, "err", failure.Message)
	if err := a.Views.Project(ctx, a.view(events.Retrying, sequence, data)); err != nil {
		return err
	}
	return &wait{why: failure.Message, delay: delay}
}

// commit publishes the terminal event with the state that the command results
// in and the new watermark, and projects both. It is the only commit point.
func (a *attempt) commit(ctx context.Context, outcome events.Outcome, after deployment.Subject, data Data) error {
	data.Deployment, data.Model = after.Deployment, after.Model
	data.Ledger.Watermark = a.msg.Sequence
	data.Ledger.Recent = a.rec.Recent
	data.Ledger.RegisteredBy = a.rec.RegisteredBy
	if a.rec.Subject.Model == nil && after.Model != nil {
		data.Ledger.RegisteredBy = a.msg.Sequence
	}
	if a.first == nil && a.digest != "" {
		data.Ledger.Recent = a.rec.with(done{a.token, outcome, a.digest, a.msg.Sequence})
	}
	if err := a.rec.showing.insist(ctx); err != nil { // first the outcome before this one
		return err
	}
	began := time.Now()
	sequence, err := a.publish(ctx, outcome, data)
	if err != nil {
		return err
	}
	a.logOutcome(ctx, outcome, data)
	a.after = record{Who: a.rec.Who, Sequence: sequence, Time: began, Subject: after, Outcome: outcome, Data: data, Thread: data.Ledger}
	a.after.showing = show(ctx, a.Views, a.view(outcome, sequence, data))
	return nil
}

func (a *attempt) logOutcome(ctx context.Context, outcome events.Outcome, data Data) {
	level, said := slog.LevelInfo, []slog.Attr{
		slog.Any("kind", a.rec.Who.Kind), slog.String("name", a.rec.Who.Name), slog.String("op", a.op),
		slog.Any("outcome", outcome), slog.String("command", a.token),
	}
	if data.Failure != nil {
		level, said = slog.LevelWarn, append(said, slog.Any("code", data.Failure.Code), slog.String("err", data.Failure.Message))
	}
	a.Log.LogAttrs(ctx, level, "command finished", said...)
}
