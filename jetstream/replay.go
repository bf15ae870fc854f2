package jetstream

import (
	"context"
	"fmt"
	"strings"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"
)

// Span is a part of the ledger.
type Span struct {
	Filter string    // AllEvents, a Fence, or an EventSubject with wildcards
	From   uint64    // sequence to begin at; 0 is the beginning
	Since  time.Time // time to begin at, by the broker's clock; zero: From says where
	Follow bool      // go on with new events as they come
}

// A replay asks the broker for this much at a time. Fewer, larger requests are
// what makes it fast; the rest of a window is asked for again when half is used.
const replayWindow = 4096 // messages

// Replay calls handle for each event of the span, in order. It returns when it
// has come to the newest event that there was when it was called; with Follow,
// only when ctx ends. An error of handle ends it too.
func (l *Ledger) Replay(ctx context.Context, span Span, handle func(Message) error) error {
	config := natsjs.OrderedConsumerConfig{
		FilterSubjects: []string{span.Filter},
		DeliverPolicy:  natsjs.DeliverByStartSequencePolicy, OptStartSeq: max(span.From, 1),
	}
	if !span.Since.IsZero() {
		config.DeliverPolicy, config.OptStartSeq, config.OptStartTime = natsjs.DeliverByStartTimePolicy, 0, &span.Since
	}
	if span.Follow {
		return follow(ctx, l.stream, config, nil, handle)
	}
	end, stored, err := l.end(ctx, span.Filter)
	if err != nil || end < max(span.From, 1) || stored.Before(span.Since) {
		return err
	}
	return follow(ctx, l.stream, config, nil, func(m Message) error {
		if err := handle(m); err != nil {
			return err
		}
		if m.Sequence >= end {
			return errEnough
		}
		return nil
	})
}

// End is the sequence of the newest event that filter matches; 0: there is none.
// With AllEvents, every event that anybody has seen is at or before it: it is the
// leader that says so, and not a replica that lags.
func (l *Ledger) End(ctx context.Context, filter string) (sequence uint64, err error) {
	sequence, _, err = l.end(ctx, filter)
	return sequence, err
}

// end is the newest event that filter matches, and when it was stored.
func (l *Ledger) end(ctx context.Context, filter string) (sequence uint64, stored time.Time, err error) {
	if filter != AllEvents {
		last, err := l.Last(ctx, filter)
		return last.Sequence, last.Time, err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	info, err := l.stream.Info(ctx)
	if err != nil {
		return 0, stored, fmt.Errorf("end of %s: %w", EventsStream, err)
	}
	if info.State.Msgs == 0 {
		return 0, stored, nil
	}
	return info.State.LastSeq, info.State.LastTime, nil
}

// ParseEventSubject reads what EventSubject writes.
func ParseEventSubject(subject string) (kind, name, op, outcome string, ok bool) {
	rest, ok := strings.CutPrefix(subject, eventsPrefix)
	tokens := strings.Split(rest, ".")
	if !ok || len(tokens) != 4 {
		return "", "", "", "", false
	}
	return tokens[0], tokens[1], tokens[2], tokens[3], true
}

// Each calls handle for each command that is stored now, in order.
func (c *Commands) Each(ctx context.Context, handle func(subject string, sequence uint64)) error {
	asking, cancel := bounded(ctx)
	defer cancel()
	info, err := c.stream.Info(asking)
	if err != nil {
		return fmt.Errorf("end of %s: %w", CommandsStream, err)
	}
	if info.State.Msgs == 0 {
		return nil
	}
	config := natsjs.OrderedConsumerConfig{DeliverPolicy: natsjs.DeliverAllPolicy, HeadersOnly: true}
	return follow(ctx, c.stream, config, nil, func(m Message) error {
		handle(m.Subject, m.Sequence)
		if m.Sequence >= info.State.LastSeq {
			return errEnough
		}
		return nil
	})
}
