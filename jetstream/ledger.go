package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

// Message is one stored message of a stream.
type Message struct {
	Subject  string
	Sequence uint64    // in its stream
	Time     time.Time // when the broker stored it, by the broker's clock
	Header   map[string][]string
	Body     []byte
}

// Ledger reads and extends the stream of events.
type Ledger struct {
	stream    natsjs.Stream
	committer *committer
	conn      *nats.Conn
}

// OpenLedger opens the stream of events, which Provision makes.
func OpenLedger(ctx context.Context, js natsjs.JetStream) (*Ledger, error) {
	stream, err := js.Stream(ctx, EventsStream)
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", EventsStream, err)
	}
	return &Ledger{stream: stream, committer: newCommitter(js, EventsStream), conn: js.Conn()}, nil
}

// Last returns the newest event that fence matches; its Sequence is 0 when
// there is none. On a replicated stream it may be older than the newest, which
// the next guarded write finds out.
func (l *Ledger) Last(ctx context.Context, fence string) (Message, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	raw, err := l.stream.GetLastMsgForSubject(ctx, fence)
	if errors.Is(err, natsjs.ErrMsgNotFound) {
		return Message{}, nil
	}
	if err != nil {
		return Message{}, fmt.Errorf("last event of %s: %w", fence, err)
	}
	return message(raw), nil
}

// ErrTooLarge says that the broker takes no message of that size. Nothing is stored.
var ErrTooLarge = errors.New("larger than the broker takes")

// Write is an event to be appended to the ledger.
type Write struct {
	Subject string
	Header  map[string][]string
	Body    []byte
	Fence   string // matches all events about the same thing
	Last    uint64 // sequence of the newest of them; 0: there is none
}

// Append stores the event if the newest event that its fence matches is still
// Last. It returns the sequence of the event; appended is false when something
// else was stored first, and then nothing is. Any other error is an unknown
// outcome: the event may have been stored. While many events are to be appended
// at a time, they travel together.
func (l *Ledger) Append(ctx context.Context, w Write) (sequence uint64, appended bool, err error) {
	result := l.committer.commit(ctx, guarded{subject: w.Subject, header: w.Header, body: w.Body, fence: w.Fence, last: w.Last})
	if result.err != nil {
		return 0, false, fmt.Errorf("append %s: %w", w.Subject, result.err)
	}
	return result.sequence, result.kept, nil
}

// At is the event with this sequence.
func (l *Ledger) At(ctx context.Context, sequence uint64) (Message, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	raw, err := l.stream.GetMsg(ctx, sequence)
	if err != nil {
		return Message{}, fmt.Errorf("event %d: %w", sequence, err)
	}
	return message(raw), nil
}

// Now is the time by the broker's clock, against which the times of events can
// be compared whatever the clocks of workers say.
func (l *Ledger) Now(ctx context.Context) (time.Time, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	info, err := l.stream.Info(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("time of the broker: %w", err)
	}
	return info.TimeStamp, nil
}

// Epoch changes whenever the connection to the broker is made anew: it may have
// stopped meanwhile, and not cleanly.
func (l *Ledger) Epoch() uint64 { return l.conn.Stats().Reconnects }

// Follow calls handle for each event that filter matches, in order: those from
// sequence from on (0: only new ones), then new ones as they come, until ctx
// ends or handle returns an error. ready is called once nothing that is
// published from then on can be missed; it may be nil.
func (l *Ledger) Follow(ctx context.Context, filter string, from uint64, ready func(), handle func(Message) error) error {
	config := natsjs.OrderedConsumerConfig{FilterSubjects: []string{filter}, DeliverPolicy: natsjs.DeliverNewPolicy}
	if from > 0 {
		config.DeliverPolicy, config.OptStartSeq = natsjs.DeliverByStartSequencePolicy, from
	}
	return follow(ctx, l.stream, config, ready, handle)
}

// Events calls handle for each event that filter matches and that is stored
// now, in order, and returns.
func (l *Ledger) Events(ctx context.Context, filter string, from uint64, handle func(Message) error) error {
	return l.Replay(ctx, Span{Filter: filter, From: from}, handle)
}

var errEnough = errors.New("enough")

func follow(ctx context.Context, stream natsjs.Stream, config natsjs.OrderedConsumerConfig, ready func(), handle func(Message) error) error {
	lasting, cancel := undated(ctx)
	defer cancel()
	consumer, err := stream.OrderedConsumer(lasting, config)
	if err != nil {
		return fmt.Errorf("follow %s: %w", stream.CachedInfo().Config.Name, err)
	}
	messages, err := consumer.Messages(natsjs.PullMaxMessages(replayWindow))
	if err != nil {
		return fmt.Errorf("follow %s: %w", stream.CachedInfo().Config.Name, err)
	}
	defer context.AfterFunc(ctx, messages.Stop)()
	defer messages.Stop()
	if ready != nil {
		ready()
	}
	for {
		msg, err := messages.Next()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("follow %s: %w", stream.CachedInfo().Config.Name, err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("follow %s: %w", stream.CachedInfo().Config.Name, err)
		}
		err = handle(Message{Subject: msg.Subject(), Sequence: meta.Sequence.Stream, Time: meta.Timestamp, Header: msg.Headers(), Body: msg.Data()})
		if errors.Is(err, errEnough) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func message(raw *natsjs.RawStreamMsg) Message {
	return Message{Subject: raw.Subject, Sequence: raw.Sequence, Time: raw.Time, Header: raw.Header, Body: raw.Data}
}
