package jetstream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

// Commands reads and publishes commands.
type Commands struct {
	js      natsjs.JetStream
	stream  natsjs.Stream
	absence *absence
}

// OpenCommands opens the stream of commands, which Provision makes.
func OpenCommands(ctx context.Context, js natsjs.JetStream) (*Commands, error) {
	stream, err := js.Stream(ctx, CommandsStream)
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", CommandsStream, err)
	}
	return &Commands{js: js, stream: stream, absence: newAbsence(js, CommandsStream)}, nil
}

// None reports whether there is certainly no command on subject whose sequence is
// at least from. It is cheaper than Next, and may also say no because of others
// who ask at the same time.
func (c *Commands) None(ctx context.Context, subject string, from uint64) bool {
	return c.absence.certain(ctx, subject, from)
}

// Next returns the oldest command that filter matches whose sequence is at
// least from; its Sequence is 0 when there is none. filter is a CommandFilter or
// the subject of a command: a wildcard that is not its end stands for itself, as
// commands may have been published on subjects that contain one.
func (c *Commands) Next(ctx context.Context, filter string, from uint64) (Message, error) {
	for {
		asking, cancel := bounded(ctx)
		raw, err := c.stream.GetMsg(asking, from, natsjs.WithGetMsgSubject(brokerFilter(filter)))
		cancel()
		if errors.Is(err, natsjs.ErrMsgNotFound) {
			return Message{}, nil
		}
		if err != nil {
			return Message{}, fmt.Errorf("next command of %s from %d: %w", filter, from, err)
		}
		if matches(filter, raw.Subject) {
			return message(raw), nil
		}
		from = raw.Sequence + 1
	}
}

// brokerFilter is a filter that the broker takes and that matches at least what
// filter matches: to the broker, ">" can only be the end of one.
func brokerFilter(filter string) string {
	if before, _, inside := strings.Cut(filter, ".>"); inside {
		return before + ".>"
	}
	return filter
}

// matches reports whether subject is the filter, with any one token for "*" at
// its end.
func matches(filter, subject string) bool {
	before, open := strings.CutSuffix(filter, "*")
	last, found := strings.CutPrefix(subject, before)
	return subject == filter || open && found && !strings.Contains(last, ".")
}

// Last returns the newest command that filter matches; its Sequence is 0 when
// there is none.
func (c *Commands) Last(ctx context.Context, filter string) (Message, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	raw, err := c.stream.GetLastMsgForSubject(ctx, filter)
	if errors.Is(err, natsjs.ErrMsgNotFound) {
		return Message{}, nil
	}
	if err != nil {
		return Message{}, fmt.Errorf("last command of %s: %w", filter, err)
	}
	return message(raw), nil
}

// Subjects are the subjects on which there are commands, in no order.
func (c *Commands) Subjects(ctx context.Context) ([]string, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	info, err := c.stream.Info(ctx, natsjs.WithSubjectFilter(AllCommands))
	if err != nil {
		return nil, fmt.Errorf("subjects of %s: %w", CommandsStream, err)
	}
	return slices.Collect(maps.Keys(info.State.Subjects)), nil
}

// Publish stores a command and returns its sequence. id is the command's token:
// publishing it again within the stream's duplicate window stores nothing and
// returns the sequence of the first one.
func (c *Commands) Publish(ctx context.Context, subject, id string, header map[string][]string, body []byte) (sequence uint64, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	ack, err := c.js.PublishMsg(ctx, &nats.Msg{Subject: subject, Header: header, Data: body},
		natsjs.WithExpectStream(CommandsStream), natsjs.WithMsgID(id))
	if err != nil {
		return 0, fmt.Errorf("publish %s: %w", subject, err)
	}
	return ack.Sequence, nil
}

// Delivery is a hint that a thing has a command to be carried out.
type Delivery struct {
	Subject  string
	Sequence uint64
	Time     time.Time // when the broker stored the command, by the broker's clock
	msg      natsjs.Msg
}

// Message is the command itself.
func (d Delivery) Message() Message {
	return Message{Subject: d.Subject, Sequence: d.Sequence, Time: d.Time, Header: d.msg.Headers(), Body: d.msg.Data()}
}

// Ack tells the broker that the command is finished. Should that be lost, it is
// delivered again, which does no harm: nothing waits until the broker knows.
func (d Delivery) Ack() error { return d.msg.Ack() }

// Working keeps the broker from delivering the command again for another AckWait.
func (d Delivery) Working() error { return d.msg.InProgress() }

// Again asks the broker to deliver the command again after delay.
func (d Delivery) Again(delay time.Duration) error { return d.msg.NakWithDelay(delay) }

// pullWindow is how many deliveries may wait in this process for handle.
const pullWindow = 64

// lookAgain is after how long without a delivery the client is made to look, once,
// whether it has asked for more. It does not look while it is still sending what
// it asked before, and may then have nothing left that would make it look: nats.go
// 1.55 notices that when two heartbeats are missing, after 30 s. (Whoever never
// waits longer than this would not notice at all that heartbeats are missing.)
const lookAgain = 100 * time.Millisecond

// Consume calls handle for each delivery of the consumer that all workers
// share, one after the other, until ctx ends.
func (c *Commands) Consume(ctx context.Context, handle func(Delivery)) error {
	consumer, err := c.js.Consumer(ctx, CommandsStream, WorkersConsumer)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open consumer %s: %w", WorkersConsumer, err)
	}
	messages, err := consumer.Messages(natsjs.PullMaxMessages(pullWindow))
	if err != nil {
		return fmt.Errorf("consume %s: %w", WorkersConsumer, err)
	}
	defer context.AfterFunc(ctx, messages.Stop)()
	defer messages.Stop()
	soon := []natsjs.NextOpt{natsjs.NextMaxWait(lookAgain)}
	for wait := soon; ; {
		msg, err := messages.Next(wait...)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, nats.ErrTimeout) {
			wait = nil
			continue
		}
		if errors.Is(err, natsjs.ErrNoHeartbeat) { // the broker is away: the iterator goes on
			continue
		}
		if err != nil {
			return fmt.Errorf("consume %s: %w", WorkersConsumer, err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("consume %s: %w", WorkersConsumer, err)
		}
		handle(Delivery{Subject: msg.Subject(), Sequence: meta.Sequence.Stream, Time: meta.Timestamp, msg: msg})
		wait = soon
	}
}
