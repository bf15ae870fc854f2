package worker

import (
	"context"
	"errors"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/handlers"
)

// Contracts reads contracts where commands say that they are.
type Contracts interface {
	// Read reads the contract, pinned to what it is now, and keeps its model's
	// file. What is wrong with it is a *deployment.Rejection; any other error may
	// pass.
	Read(ctx context.Context, r deployment.Reading, progress func(string)) (deployment.Sourced, error)
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
