package worker

import (
	"context"
	"time"

	"github.com/slipway-ml/slipway/jetstream"
)

// hints are what deliveries tell.
type hints interface {
	// oldest is the oldest command whose sequence is at least from, if sure.
	oldest(from uint64) (msg jetstream.Message, sure bool)
	// expected reports whether there is something to look up: else there is probably none.
	expected(from uint64) bool
	// othersTake reports whether another worker is about to take a command that was
	// found, and that was perhaps stored after the outcome before it.
	othersTake(msg jetstream.Message, after time.Time) bool
}

// next is the next command whose turn it is; its Sequence is 0 when there is none
// to be taken.
func (w *Worker) next(ctx context.Context, rec *record, known hints) (jetstream.Message, error) {
	from := rec.Watermark + 1
	if known == nil {
		return w.lookUp(ctx, rec.Who, from)
	}
	msg, sure := known.oldest(from)
	if sure {
		return msg, nil
	}
	if !known.expected(from) {
		last, err := w.Backlog.Last(ctx, rec.Who.Filter) // sooner found than the oldest one
		if err != nil || last.Sequence < from || known.othersTake(last, rec.Time) {
			return jetstream.Message{}, err
		}
	}
	msg, err := w.lookUp(ctx, rec.Who, from)
	if err != nil || msg.Sequence > 0 && known.othersTake(msg, rec.Time) {
		return jetstream.Message{}, err
	}
	return msg, nil
}

// lookUp is the oldest command of who whose sequence is at least from; its
// Sequence is 0 when there is none. A subject that names nothing may look like a
// wildcard to the broker: what only matches it is not of who.
func (w *Worker) lookUp(ctx context.Context, who Address, from uint64) (jetstream.Message, error) {
	for {
		msg, err := w.Commands.Next(ctx, who.Filter, from)
		if err != nil || msg.Sequence == 0 {
			return msg, err
		}
		if addressed, _ := AddressOf(msg.Subject); addressed.Fence == who.Fence {
			return msg, nil
		}
		from = msg.Sequence + 1
	}
}
