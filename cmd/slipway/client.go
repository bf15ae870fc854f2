package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/worker"
)

// client is what the verbs that ask for something or look at something need.
type client struct {
	js       natsjs.JetStream
	ledger   *jetstream.Ledger
	commands *jetstream.Commands
	close    func()
}

func (p *program) client(ctx context.Context) (*client, error) {
	conn, js, err := p.connect(ctx, "slipway")
	if err != nil {
		return nil, err
	}
	c, err := newClient(ctx, conn, js)
	if err != nil {
		conn.Close()
		if errors.Is(err, natsjs.ErrStreamNotFound) {
			err = fmt.Errorf("%w: no slipway has run on this server yet; start one with \"slipway up\"", err)
		}
		return nil, err
	}
	return c, nil
}

func newClient(ctx context.Context, conn *nats.Conn, js natsjs.JetStream) (c *client, err error) {
	c = &client{js: js, close: conn.Close}
	if c.ledger, err = jetstream.OpenLedger(ctx, js); err != nil {
		return nil, err
	}
	c.commands, err = jetstream.OpenCommands(ctx, js)
	return c, err
}

// waiting are the flags of the verbs that publish a command.
type waiting struct {
	ID      string        `help:"Id of the command; the same id is the same command, however often it is published. Default: a new one."`
	Source  string        `help:"CloudEvents source of the command." placeholder:"URI"`
	Actor   string        `help:"For whom the command is sent, if not for its source (CloudEvents authid)."`
	Async   bool          `help:"Do not wait for the outcome."`
	Timeout time.Duration `default:"15m" help:"How long to wait for the outcome. The command goes on after that."`
}

// submit publishes a command and, unless told otherwise, waits for its outcome
// and prints it. What the wait is for is the command itself, never the state
// that it is to lead to.
func (p *program) submit(ctx context.Context, c *client, w waiting, kind deployment.Kind, name, op string, data any) error {
	return p.send(ctx, c, w, events.Request{Type: events.Type{Kind: string(kind), Op: op}, Subject: name, Data: data})
}

// send is submit for a request that lacks only its time, source and id.
func (p *program) send(ctx context.Context, c *client, w waiting, request events.Request) error {
	request.Time, request.Source, request.ID = time.Now(), cmp.Or(w.Source, p.source()), cmp.Or(w.ID, strings.ToLower(rand.Text()))
	if w.Actor != "" {
		request.AuthType, request.AuthID = "user", w.Actor
	}
	fmt.Fprintf(p.stderr, "command %s: %s %s %s\n", request.ID, request.Type.Op, request.Type.Kind, request.Subject)
	if w.Async {
		_, err := c.publish(ctx, request)
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, w.Timeout, errWaitedLongEnough)
	defer cancel()
	e, err := c.await(ctx, request, func(e entry) {
		if !e.Outcome.Terminal() {
			fmt.Fprintf(p.stderr, "  %-9s %s\n", e.Outcome, e.detail())
		}
	})
	if err != nil {
		if errors.Is(context.Cause(ctx), errWaitedLongEnough) {
			return exitf(exitTimeout, "no outcome after %s; the command goes on: see \"slipway events %s\"", w.Timeout, request.Subject)
		}
		return err
	}
	return p.printOutcome(e)
}

// source is the CloudEvents source of commands from this program.
func (p *program) source() string {
	return "/slipway/cli/" + cmp.Or(p.environment["USER"], "anonymous")
}

var errWaitedLongEnough = errors.New("waited long enough")

// publish publishes the command.
func (c *client) publish(ctx context.Context, r events.Request) (sequence uint64, err error) {
	e, err := r.Event()
	if err != nil {
		return 0, exitf(exitUsage, "command: %w", err)
	}
	header, body, err := events.Encode(e)
	if err != nil {
		return 0, err
	}
	return c.commands.Publish(ctx, jetstream.CommandSubject(r.Type.Kind, r.Subject, r.Type.Op), events.Token(r.Source, r.ID), header, body)
}

// shownTime is how long a client waits for the buckets to show an outcome that
// it knows of already.
const shownTime = 5 * time.Second

// await publishes the command, calls seen for each event about it up to the
// terminal one, and returns that once the buckets show what it led to.
func (c *client) await(ctx context.Context, r events.Request, seen func(entry)) (entry, error) {
	e, err := c.awaitOutcome(ctx, r, seen)
	if err != nil || !worker.Recorded(e.Outcome, e.Data) {
		return e, err
	}
	bucket, err := jetstream.OpenBucket[worker.OperationView](ctx, c.js, jetstream.OperationsBucket)
	if err != nil {
		return e, err
	}
	ctx, cancel := context.WithTimeout(ctx, shownTime)
	defer cancel()
	// The outcome stands, whether or not it is shown in time.
	_ = bucket.Await(ctx, e.Command.Token, func(v worker.OperationView) bool { return v.Done && v.LedgerSequence >= e.Stored.Sequence })
	return e, nil
}

// awaitOutcome subscribes before it publishes, so that it cannot miss the
// outcome; an outcome that was there already is read from the record of the
// command.
func (c *client) awaitOutcome(ctx context.Context, r events.Request, seen func(entry)) (outcome entry, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	published := make(chan uint64, 1)
	var sequence uint64
	err = c.ledger.Follow(ctx, jetstream.Fence(r.Type.Kind, r.Subject), 0, func() {
		go func() {
			n, err := c.publish(ctx, r)
			if err == nil {
				outcome, err = c.outcome(ctx, events.Token(r.Source, r.ID), n)
			}
			if err == nil && outcome.Stored.Sequence > 0 {
				err = errKnown
			}
			if err != nil {
				cancel(err)
				return
			}
			published <- n
		}()
	}, func(m jetstream.Message) error {
		e, err := readEntry(m)
		if err != nil {
			return err
		}
		if e.Command.Token != events.Token(r.Source, r.ID) {
			return nil
		}
		if sequence == 0 {
			select {
			case sequence = <-published:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if e.Command.Sequence != sequence {
			return nil
		}
		seen(e)
		if e.Outcome.Terminal() {
			outcome = e
			return errKnown
		}
		return nil
	})
	if errors.Is(err, errKnown) || errors.Is(context.Cause(ctx), errKnown) {
		return outcome, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return outcome, err
}

var errKnown = errors.New("the outcome is known")

// outcome is the terminal event of the command with this token, if it is
// finished and was published as the given sequence.
func (c *client) outcome(ctx context.Context, token string, sequence uint64) (e entry, err error) {
	bucket, err := jetstream.OpenBucket[worker.OperationView](ctx, c.js, jetstream.OperationsBucket)
	if err != nil {
		return e, err
	}
	view, revision, err := bucket.Load(ctx, token)
	if err != nil || revision == 0 || !view.Done || view.Sequence != sequence {
		return e, err
	}
	err = c.ledger.Events(ctx, jetstream.Fence(string(view.Kind), view.Name), view.LedgerSequence, func(m jetstream.Message) error {
		if m.Sequence == view.LedgerSequence {
			e, err = readEntry(m)
		}
		return err
	})
	return e, err
}

// entry is an event of the ledger.
type entry struct {
	events.Type
	worker.Data
	Stored  jetstream.Message
	Subject string
}

func readEntry(m jetstream.Message) (e entry, err error) {
	e.Stored = m
	if e.Type, e.Data, err = worker.ReadEvent(m); err != nil {
		return e, err
	}
	ce, err := events.Decode(m.Header, m.Body)
	e.Subject = ce.Subject()
	return e, err
}

// detail says in one line what the event is about.
func (e entry) detail() string {
	switch e.Outcome {
	case events.Started:
		return fmt.Sprintf("attempt %d by %s", e.Attempt, e.Worker)
	case events.Validated:
		return fmt.Sprintf("%s: %s", e.Status, e.Message)
	case events.Progress:
		return e.Message
	case events.Retrying:
		return fmt.Sprintf("%s; next attempt at %s", e.Failure.Message, e.NextAt.Format(time.RFC3339))
	case events.Completed:
		return e.completed()
	case events.Rejected, events.Failed:
		return fmt.Sprintf("%s: %s", e.Failure.Code, e.Failure.Message)
	case events.Duplicate:
		return fmt.Sprintf("of command %d, which ended as %s", e.Original.Sequence, e.Original.Outcome)
	case events.Cancelled:
		return fmt.Sprintf("by command %s", e.CancelledBy.ID)
	case events.Expired:
		return "at " + e.ExpiredAt.Format(time.RFC3339)
	case events.Requested:
	}
	return ""
}
