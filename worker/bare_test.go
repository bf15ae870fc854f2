package worker_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/jetstream/embedded"
	"github.com/slipway-ml/slipway/worker"
)

// bareLoop does what a worker does on the broker to replace a model, one
// operation after the other, and nothing else (jetstream.md section 9): it pulls
// a command, asks whether there is a record of the command's token and a command
// that cancels it, with one request for all that ask at a time; it writes three
// events under the fence, the deployment and the record; it acknowledges. As a
// worker that gets all deliveries, it reads the last event of a deployment once.
type bareLoop struct {
	*system
	effect time.Duration
	slots  chan struct{}

	events                  natsjs.Stream
	deployments, operations natsjs.KeyValue
	records                 *jetstream.Bucket[worker.OperationView]

	mu    sync.Mutex
	lanes map[string]*bareLane
}

type bareLane struct {
	mu       sync.Mutex
	last     uint64 // event; 0: not known
	revision uint64
}

// bareBody is as long as an event is.
var bareBody = bytes.Repeat([]byte("x"), 1800)

func (b *bareLoop) start() {
	b.tb.Helper()
	ctx := b.tb.Context()
	var err error
	note := func(e error) { err = errors.Join(err, e) }
	var e error
	b.events, e = b.js.Stream(ctx, jetstream.EventsStream)
	note(e)
	b.deployments, e = b.js.KeyValue(ctx, jetstream.DeploymentsBucket)
	note(e)
	b.operations, e = b.js.KeyValue(ctx, jetstream.OperationsBucket)
	note(e)
	b.records = bucket[worker.OperationView](b.system, jetstream.OperationsBucket)
	consumer, e := b.js.Consumer(ctx, jetstream.CommandsStream, jetstream.WorkersConsumer)
	note(e)
	if err != nil {
		b.tb.Fatal(err)
	}
	messages, err := consumer.Messages(natsjs.PullMaxMessages(64))
	if err != nil {
		b.tb.Fatal(err)
	}
	b.lanes = make(map[string]*bareLane)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			msg, err := messages.Next()
			if errors.Is(err, natsjs.ErrNoHeartbeat) {
				continue
			}
			if err != nil {
				return
			}
			running.Go(func() {
				if err := b.carryOut(ctx, msg); err != nil && ctx.Err() == nil {
					b.tb.Error(err)
				}
			})
		}
	})
	b.tb.Cleanup(func() {
		messages.Stop()
		running.Wait()
	})
}

func (b *bareLoop) lane(name string) *bareLane {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lanes[name]
	if l == nil {
		l = &bareLane{}
		b.lanes[name] = l
	}
	return l
}

func (b *bareLoop) carryOut(ctx context.Context, msg natsjs.Msg) error {
	name := strings.Split(msg.Subject(), ".")[3]
	meta, err := msg.Metadata()
	if err != nil {
		return err
	}
	l := b.lane(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	b.slots <- struct{}{}
	defer func() { <-b.slots }()
	fence := jetstream.Fence("deployment", name)
	if l.last == 0 {
		raw, err := b.events.GetLastMsgForSubject(ctx, fence)
		if err != nil {
			return err
		}
		l.last = raw.Sequence
	}
	token := fmt.Sprintf("%026d", meta.Sequence.Stream)
	if _, revision, err := b.records.Find(ctx, token); err != nil || revision > 0 {
		return fmt.Errorf("record %d of %s: %w", revision, token, err)
	}
	if !b.commands.None(ctx, jetstream.CommandSubject("deployment", name, "cancel"), meta.Sequence.Stream+1) {
		return fmt.Errorf("cancel of %s: not certain that there is none", token)
	}
	for _, outcome := range []events.Outcome{events.Started, events.Validated, events.Completed} {
		if outcome == events.Completed && b.effect > 0 {
			if err := pause(b.effect)(ctx, "", deployment.ModelRef{}, 0); err != nil {
				return err
			}
		}
		ack, err := b.js.PublishMsg(ctx, &nats.Msg{Subject: jetstream.EventSubject("deployment", name, "replace", string(outcome)), Data: bareBody},
			natsjs.WithExpectLastSequenceForSubject(l.last, fence))
		if err != nil {
			return err
		}
		l.last = ack.Sequence
	}
	if l.revision == 0 {
		l.revision, err = b.deployments.Put(ctx, name, bareBody[:700])
	} else {
		l.revision, err = b.deployments.Update(ctx, name, bareBody[:700], l.revision)
	}
	if err != nil {
		return err
	}
	if _, err := b.operations.Create(ctx, token, bareBody[:500]); err != nil {
		return err
	}
	return msg.Ack()
}

// pause is an effect that takes so long.
func pause(effect time.Duration) func(context.Context, deployment.Name, deployment.ModelRef, uint64) error {
	return func(ctx context.Context, _ deployment.Name, _ deployment.ModelRef, _ uint64) error {
		timer := time.NewTimer(effect)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return nil
		}
	}
}

// serverArgs is the variable that makes the test binary a server: its directory
// and sync interval.
const serverArgs = "SLIPWAY_TEST_SERVER"

func TestMain(m *testing.M) {
	if args := os.Getenv(serverArgs); args != "" {
		dir, every, _ := strings.Cut(args, "|")
		nanoseconds, err := strconv.ParseInt(every, 10, 64)
		if err == nil {
			err = serve(embedded.Options{Dir: dir, SyncInterval: time.Duration(nanoseconds), Log: slog.New(slog.DiscardHandler)})
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// serve runs a server and says where, until standard input ends.
func serve(o embedded.Options) error {
	s, err := embedded.Start(o)
	if err != nil {
		return err
	}
	if _, err := fmt.Println(s.URL()); err != nil {
		return err
	}
	_, _ = bufio.NewReader(os.Stdin).ReadByte()
	return s.Stop()
}

// separateServer starts a server in a process of its own, and returns its url.
func separateServer(tb testing.TB, o embedded.Options) string {
	tb.Helper()
	binary, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	server := exec.CommandContext(tb.Context(), binary)
	server.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%d", serverArgs, o.Dir, o.SyncInterval))
	server.Stderr = os.Stderr
	stdin, err := server.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := server.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = stdin.Close()
		_ = server.Wait()
	})
	url, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSpace(url)
}
