package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

// SequenceHeader says, in an event that was published again, which event of the
// ledger it is.
const SequenceHeader = "Slipway-Sequence"

// republishWindow is how many published events may wait for their
// acknowledgement. ackTimeout is how long each may.
const (
	republishWindow = 1024
	ackTimeout      = 30 * time.Second
)

// CheckPrefix says why events cannot be published below prefix; nil: they can.
func CheckPrefix(prefix string) error {
	for token := range strings.SplitSeq(prefix, ".") {
		if token == "" || strings.ContainsAny(token, "*> \t\r\n") {
			return fmt.Errorf("subject prefix %q: expected tokens separated by dots, without wildcards and spaces", prefix)
		}
	}
	if strings.HasPrefix(prefix, "$") || strings.HasPrefix(prefix, "_") {
		return fmt.Errorf("subject prefix %q: what starts with $ or _ belongs to NATS", prefix)
	}
	for _, ours := range []string{commandsPrefix, eventsPrefix} {
		if below := prefix + "."; strings.HasPrefix(below, ours) || strings.HasPrefix(ours, below) {
			return fmt.Errorf("subject prefix %q overlaps %s>: expected another one, such as replay", prefix, ours)
		}
	}
	return nil
}

// Republisher publishes events of the ledger again, below another prefix.
type Republisher struct {
	Stream     string // that stores what is published; "": none does
	Duplicates int    // events that the stream had already; known once Close has returned

	prefix  string
	conn    *nats.Conn
	js      natsjs.JetStream
	waiting chan natsjs.PubAckFuture
	settled chan error
	failed  chan struct{} // closed once an acknowledgement says no
}

// NewRepublisher is a republisher for events that filter matches. If a stream
// captures what it will publish, each event is acknowledged by it; if one
// captures only a part, that is an error.
func NewRepublisher(ctx context.Context, js natsjs.JetStream, prefix, filter string) (*Republisher, error) {
	if err := CheckPrefix(prefix); err != nil {
		return nil, err
	}
	r := &Republisher{prefix: prefix, conn: js.Conn()}
	subjects := r.subject(strings.Replace(filter, ".>", ".*.*", 1)) // of a fence
	if filter == AllEvents {
		subjects = prefix + ".*.*.*.*"
	}
	streams := js.ListStreams(ctx, natsjs.WithStreamListSubject(subjects))
	for info := range streams.Info() {
		for _, pattern := range info.Config.Subjects {
			if covers(pattern, subjects) {
				r.Stream = info.Config.Name
			}
		}
		if r.Stream != info.Config.Name {
			return nil, fmt.Errorf("stream %s stores only some of %s: give it the subject %s.>, or choose another prefix", info.Config.Name, subjects, prefix)
		}
	}
	if err := streams.Err(); err != nil {
		return nil, fmt.Errorf("find the stream of %s: %w", subjects, err)
	}
	if r.Stream == "" {
		return r, nil
	}
	var err error
	if r.js, err = natsjs.New(r.conn, natsjs.WithPublishAsyncMaxPending(republishWindow), natsjs.WithPublishAsyncTimeout(ackTimeout)); err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	r.waiting, r.settled, r.failed = make(chan natsjs.PubAckFuture, republishWindow), make(chan error, 1), make(chan struct{})
	go func() { r.settled <- r.settle() }()
	return r, nil
}

// Publish publishes the event. With a stream, it returns before the event is
// acknowledged; Close says whether all were.
func (r *Republisher) Publish(m Message) error {
	again := nats.NewMsg(r.subject(m.Subject))
	again.Data = m.Body
	sequence := strconv.FormatUint(m.Sequence, 10)
	if contentType, ok := m.Header["Content-Type"]; ok {
		again.Header["Content-Type"] = contentType
	}
	again.Header[SequenceHeader] = []string{sequence}
	again.Header[natsjs.MsgIDHeader] = []string{EventsStream + "." + sequence}
	if r.Stream == "" {
		return r.wrap(r.conn.PublishMsg(again))
	}
	select {
	case <-r.failed:
		return errNotStored
	default:
	}
	future, err := r.js.PublishMsgAsync(again, natsjs.WithExpectStream(r.Stream), natsjs.WithStallWait(ackTimeout))
	if err != nil {
		return r.wrap(err)
	}
	r.waiting <- future
	return nil
}

var errNotStored = errors.New("an event was not stored")

// Close returns once the broker has everything that was published.
func (r *Republisher) Close(ctx context.Context) error {
	if r.Stream == "" {
		ctx, cancel := context.WithTimeout(ctx, ackTimeout)
		defer cancel()
		return r.wrap(r.conn.FlushWithContext(ctx))
	}
	close(r.waiting)
	return r.wrap(<-r.settled)
}

// settle waits for each acknowledgement and returns the first error.
func (r *Republisher) settle() (first error) {
	for future := range r.waiting {
		select {
		case ack := <-future.Ok():
			if ack.Duplicate {
				r.Duplicates++
			}
		case err := <-future.Err():
			if first == nil {
				first = err
				close(r.failed)
			}
		}
	}
	return first
}

func (r *Republisher) wrap(err error) error {
	if err != nil {
		return fmt.Errorf("publish events below %s: %w", r.prefix, err)
	}
	return nil
}

// subject is where an event with this subject is published again.
func (r *Republisher) subject(event string) string {
	return r.prefix + "." + strings.TrimPrefix(event, eventsPrefix)
}

// covers reports whether a stream with the subject pattern stores everything
// that filter matches. filter does not end with ">".
func covers(pattern, filter string) bool {
	have, want := strings.Split(pattern, "."), strings.Split(filter, ".")
	for i, token := range have {
		switch {
		case i >= len(want):
			return false
		case token == ">":
			return true
		case token != "*" && token != want[i]:
			return false
		}
	}
	return len(have) == len(want)
}
