package worker

import (
	"context"

	"github.com/slipway-ml/slipway/deployment"
)

// modelAsOf is the model with this id as it was when the command with the given
// sequence was published: an earlier, unfinished command of that model is
// finished first, and what a later one did is not seen.
func (w *Worker) modelAsOf(ctx context.Context, id deployment.Name, sequence uint64) (*deployment.Model, error) {
	who := NewAddress(deployment.KindModel, string(id))
	earlier, err := w.unfinishedBefore(ctx, who, sequence)
	if err != nil {
		return nil, err
	}
	if earlier > 0 {
		if _, err := w.Advance(ctx, who, earlier); err != nil {
			return nil, err
		}
	}
	return w.knownModel(ctx, who, sequence)
}

// knownModel is the model that a command older than sequence has registered.
func (w *Worker) knownModel(ctx context.Context, who Address, sequence uint64) (*deployment.Model, error) {
	rec, err := w.newest(ctx, who)
	if err != nil {
		return nil, err
	}
	if rec.Subject.Model != nil && rec.RegisteredBy < sequence {
		return rec.Subject.Model, nil
	}
	// Not registered on its own: a command that gave it inline may have brought it in.
	return w.Views.Model(ctx, deployment.Name(who.Name), sequence)
}

// unfinishedBefore is the sequence of the newest unfinished command of who that
// is older than sequence; 0 if there is none.
func (w *Worker) unfinishedBefore(ctx context.Context, who Address, sequence uint64) (newest uint64, err error) {
	rec, err := w.newest(ctx, who)
	if err == nil {
		rec, err = w.repair(ctx, rec)
	}
	if err != nil {
		return 0, err
	}
	for from := rec.Watermark + 1; ; from = newest + 1 {
		msg, err := w.lookUp(ctx, who, from)
		if err != nil || msg.Sequence == 0 || msg.Sequence >= sequence {
			return newest, err
		}
		newest = msg.Sequence
	}
}
