package worker

import (
	"context"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
)

// readBatch is how many events are decoded at a time.
const readBatch = 1024

// decoded calls add for each event of the ledger that is stored now, in order,
// with what it says, or why it cannot be read.
func decoded(ctx context.Context, ledger *jetstream.Ledger, from uint64, add func(m jetstream.Message, typ events.Type, data Data, unreadable error)) error {
	type readEvent struct {
		typ  events.Type
		data Data
		err  error
	}
	batch, read := make([]jetstream.Message, 0, readBatch), make([]readEvent, readBatch)
	flush := func() {
		var decoding errgroup.Group
		parts := runtime.GOMAXPROCS(0)
		for part := range parts {
			decoding.Go(func() error {
				for i := part; i < len(batch); i += parts {
					r := &read[i]
					r.typ, r.data, r.err = ReadEvent(batch[i])
				}
				return nil
			})
		}
		_ = decoding.Wait() // no part returns an error
		for i, m := range batch {
			add(m, read[i].typ, read[i].data, read[i].err)
		}
		batch = batch[:0]
	}
	err := ledger.Replay(ctx, jetstream.Span{Filter: jetstream.AllEvents, From: from}, func(m jetstream.Message) error {
		if batch = append(batch, m); len(batch) == readBatch {
			flush()
		}
		return nil
	})
	flush()
	return err
}
