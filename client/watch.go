package client

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/jetstream"
)

// Watch says which events are watched. The zero value is all that come from now on.
type Watch struct {
	Kind deployment.Kind // "": of both kinds or, with Name, a deployment
	Name string          // of the deployment, or id of the model; "": of all
	From uint64          // sequence in the ledger to begin at; 0: what comes from now on
}

// Filter is the subject on which those events are.
func (w Watch) Filter() string {
	switch {
	case w.Name == "" && w.Kind == "":
		return jetstream.AllEvents
	case w.Name == "":
		return jetstream.EventSubject(string(w.Kind), "*", "*", "*")
	case w.Kind == "":
		return jetstream.Fence(string(deployment.KindDeployment), w.Name)
	default:
		return jetstream.Fence(string(w.Kind), w.Name)
	}
}

// Watch are the events that w says, in order: those that there are, then new ones
// as they come, until ctx ends, which is the last error. It goes on by itself when
// the connection was lost. Whoever keeps the sequence of the last event that was
// dealt with (Event.Stored.Sequence) can go on with the next one later, and misses none.
func (c *Client) Watch(ctx context.Context, w Watch) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		span := jetstream.Span{Filter: w.Filter(), From: w.From, Follow: true}
		if span.From == 0 {
			end, err := c.Ledger.End(ctx, jetstream.AllEvents)
			if err != nil {
				yield(Event{}, err)
				return
			}
			span.From = end + 1
		}
		err := c.follow(ctx, span, func(e Event) error {
			if !yield(e, nil) {
				return errStop
			}
			return nil
		})
		if !errors.Is(err, errStop) {
			yield(Event{}, err)
		}
	}
}

var errStop = errors.New("no more are wanted")

// After a failure to follow the ledger, follow begins anew: for as long as the
// broker is away, and a few times when it is there.
const (
	followPause = 250 * time.Millisecond
	followTries = 5
)

// follow calls handle for each event of the span, which has no end. Its error is
// that of handle or of ctx, or says why the ledger cannot be followed any more.
func (c *Client) follow(ctx context.Context, span jetstream.Span, handle func(Event) error) error {
	conn := c.JetStream.Conn()
	for tries := followTries; ; {
		var handled error
		err := c.Ledger.Replay(ctx, span, func(m jetstream.Message) error {
			e, err := ReadEvent(m)
			if err == nil {
				err = handle(e)
			}
			handled = err
			span.From, span.Since, tries = m.Sequence+1, time.Time{}, followTries
			return err
		})
		if conn.IsConnected() {
			tries--
		}
		if handled != nil || ctx.Err() != nil || conn.IsClosed() || tries == 0 {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(followPause):
		}
	}
}
