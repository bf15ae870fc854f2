package worker

import (
	"context"
	"errors"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
)

// Contracts reads contracts where commands say that they are, and writes them
// there. What is wrong with a command or a contract is a *deployment.Rejection;
// any other error may pass.
type Contracts interface {
	// Read reads the contract, pinned to what it is now, or plans what would be
	// written, and keeps its model's file.
	Read(ctx context.Context, r deployment.Reading, progress func(string)) (deployment.Sourced, error)
	// Write makes the contract say what was planned. Twice is the same as once. If
	// the contract would come to anything else by now, it writes nothing, and the
	// error may pass. hold is asked right before what cannot be taken back, and its
	// error ends the write.
	Write(ctx context.Context, w deployment.Writing, hold func(context.Context) error, progress func(string)) (deployment.ContractChange, error)
}

// read has the contract read. That it cannot be used is a fact like others.
func (w *Worker) read(ctx context.Context, reading deployment.Reading, progress func(string), facts *deployment.Facts) error {
	if w.Contracts == nil {
		return deployment.Reject(deployment.CodeInvalidField, "source", "this worker reads no contracts: expected modelId or model")
	}
	sourced, err := w.Contracts.Read(ctx, reading, progress)
	if refused, ok := errors.AsType[*deployment.Rejection](err); ok {
		sourced = deployment.Sourced{Refused: refused}
	} else if err != nil {
		return asEffectError(err, deployment.CodeStoreUnavailable)
	}
	facts.Sourced = &sourced
	return nil
}

// read has the contract read and decides again with what it comes to. What is
// refused then is published with its checks, like a model's file that is.
func (a *attempt) read(ctx context.Context, asked handlers.Asked, facts *deployment.Facts, reading deployment.Reading) (decision deployment.Decision, err error) {
	if err := a.Worker.read(ctx, reading, a.say, facts); err != nil {
		return decision, err
	}
	decision, err = asked.Decide(a.rec.Subject, *facts, a.command())
	if err != nil {
		if err := a.validated(ctx, decision); err != nil {
			return decision, err
		}
		return decision, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.shown = decision.Shown // what is being rolled out is known now
	return decision, nil
}

// hold makes sure that the claim still holds, and that nobody has cancelled the
// command. Who takes over later finds what is written then, or prevents it by
// writing first: the branch moves once.
func (a *attempt) hold(ctx context.Context) error {
	if err := a.notCancelled(ctx); err != nil {
		return err
	}
	_, err := a.publish(ctx, events.Progress, Data{Message: "pushing the contract"})
	return err
}

// commitContract has the contract written and decides again with what that came to.
func (a *attempt) commitContract(ctx context.Context, asked handlers.Asked, facts *deployment.Facts, writing deployment.Writing) (decision deployment.Decision, err error) {
	written, err := a.Contracts.Write(ctx, writing, a.hold, a.say)
	if err != nil {
		return decision, asEffectError(err, deployment.CodeStoreUnavailable)
	}
	facts.Written = &written
	if decision, err = asked.Decide(a.rec.Subject, *facts, a.command()); err != nil {
		return decision, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.shown = decision.Shown // its contract has a commit now
	return decision, nil
}
