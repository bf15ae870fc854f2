package client

import (
	"context"
	"errors"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/worker"
)

// DefaultWait is how long Wait waits when its context has no deadline
// (datarobot.md R10).
const DefaultWait = 600 * time.Second

// Wait returns the terminal event of the command, once the buckets show what it
// led to; whoever reads then, reads that. Of a command that was published before,
// it is the event of the first publication. Its error is
//
//   - an *Error when the command did not complete; the event says the same;
//   - an *UnknownOutcomeError when ctx, or DefaultWait if ctx has no deadline, ends
//     first, or the broker is out of reach for good: wait again, or later.
func (c *Client) Wait(ctx context.Context, p Pending) (Event, error) {
	if _, dated := ctx.Deadline(); !dated {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, DefaultWait)
		defer cancel()
	}
	e, err := c.Await(ctx, p, nil)
	if err == nil && e.Outcome == events.Duplicate {
		e, err = c.recorded(ctx, p)
	}
	if err != nil {
		return Event{}, err
	}
	return e, e.Err()
}

// Await is Wait that calls seen, unless it is nil, for each event of this
// publication of the command up to the terminal one, which it returns whatever it
// is: duplicate, for what was published before. Its error is an *Error only when
// the id is that of another command.
func (c *Client) Await(ctx context.Context, p Pending, seen func(Event)) (e Event, err error) {
	if p.Sequence == 0 {
		e, err = c.recorded(ctx, p)
	} else {
		e, err = c.outcome(ctx, p, seen)
	}
	if _, known := errors.AsType[*Error](err); known {
		return e, err
	}
	if err != nil {
		return e, &UnknownOutcomeError{Pending: p, Err: err}
	}
	c.settle(ctx, e)
	return e, nil
}

// skew is how far apart the clocks of two servers of the broker may be. The events
// of a command are stored after it, by these clocks.
const skew = time.Minute

var errKnown = errors.New("the outcome is known")

// outcome reads the ledger from where the command was stored. So it does not
// matter when it is called, nor whether the event was there already.
func (c *Client) outcome(ctx context.Context, p Pending, seen func(Event)) (outcome Event, err error) {
	stored, err := c.Commands.At(ctx, p.Sequence)
	if err != nil {
		return outcome, err
	}
	if err := p.sameAs(stored); err != nil {
		return outcome, err
	}
	span := jetstream.Span{Filter: jetstream.Fence(string(p.Kind), p.Name), Since: stored.Time.Add(-skew), Follow: true}
	err = c.follow(ctx, span, func(e Event) error {
		if e.Command.Sequence != p.Sequence {
			return nil
		}
		if seen != nil {
			seen(e)
		}
		if e.Outcome.Terminal() {
			outcome = e
			return errKnown
		}
		return nil
	})
	if errors.Is(err, errKnown) {
		err = nil
	}
	return outcome, err
}

// sameAs reports that what is stored under the sequence that the broker gave is
// another command: for a while, the broker stores nothing that is published under
// an id that it has seen, whatever it says.
func (p Pending) sameAs(stored jetstream.Message) error {
	cmd, _ := events.ReadCommand(stored.Header, stored.Body) // of what could be read
	same := stored.Subject == jetstream.CommandSubject(string(p.Kind), p.Name, p.Op) && (p.Digest == "" || p.Digest == cmd.Digest())
	if same {
		return nil
	}
	return p.refused(deployment.Reject(deployment.CodeIDReused, "",
		"command %q from %q was published before with other content (sequence %d): expected a new id", p.ID, p.Source, p.Sequence))
}

// recorded waits until the record of the command's token shows an outcome, and
// returns the event of that.
func (c *Client) recorded(ctx context.Context, p Pending) (e Event, err error) {
	bucket, err := jetstream.OpenBucket[worker.OperationView](ctx, c.JetStream, jetstream.OperationsBucket)
	if err != nil {
		return e, err
	}
	var view worker.OperationView
	err = bucket.Await(ctx, p.Token(), func(v worker.OperationView) bool {
		view = v
		return v.Done
	})
	if err != nil {
		return e, err
	}
	m, err := c.Ledger.At(ctx, view.LedgerSequence)
	if err != nil {
		return e, err
	}
	return ReadEvent(m)
}

// shownTime is how long a client waits for the buckets to show an outcome that
// it knows of already.
const shownTime = 5 * time.Second

// settle waits until the buckets show the event, which stands whether or not
// they do in time.
func (c *Client) settle(ctx context.Context, e Event) {
	if !worker.Recorded(e.Outcome, e.Data) {
		return
	}
	bucket, err := jetstream.OpenBucket[worker.OperationView](ctx, c.JetStream, jetstream.OperationsBucket)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, shownTime)
	defer cancel()
	_ = bucket.Await(ctx, e.Command.Token, func(v worker.OperationView) bool { return v.Done && v.LedgerSequence >= e.Stored.Sequence })
}
