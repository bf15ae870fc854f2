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
)

// bareLoop does what a worker does on the broker to replace a model, one
// operation after the other, and nothing else (jetstream.md section 9): it pulls
// a command, reads the last event of the deployment, the next command, the
// record of the command's token and a command that cancels it; it writes three
// events under the fence, the deployment and the record; it acknowledges.
type bareLoop struct {
	*system
	effect time.Duration
	sizes  map[events.Outcome]int // bytes of the events
	slots  chan struct{}

	commands, events        natsjs.Stream
	deployments, operations natsjs.KeyValue

	lanes *bareLanes // of all workers
}

type bareLanes struct {
	mu    sync.Mutex
	named map[string]*bareLane
}

type bareLane struct {
	mu       sync.Mutex
	revision uint64
}

// bareBody is what events are made of.
var bareBody = bytes.Repeat([]byte("x"), 1<<16)

func (b *bareLoop) start() {
	b.tb.Helper()
	ctx := b.tb.Context()
	var err error
	note := func(e error) { err = errors.Join(err, e) }
	var e error
	b.commands, e = b.js.Stream(ctx, jetstream.CommandsStream)
	note(e)
	b.events, e = b.js.Stream(ctx, jetstream.EventsStream)
	note(e)
	b.deployments, e = b.js.KeyValue(ctx, jetstream.DeploymentsBucket)
	note(e)
	b.operations, e = b.js.KeyValue(ctx, jetstream.OperationsBucket)
	note(e)
	consumer, e := b.js.Consumer(ctx, jetstream.CommandsStream, jetstream.WorkersConsumer)
	note(e)
	if err != nil {
		b.tb.Fatal(err)
	}
	messages, err := consumer.Messages(natsjs.PullMaxMessages(64))
	if err != nil {
		b.tb.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			msg, err := messages.Next(natsjs.NextMaxWait(100 * time.Millisecond)) // as long as Commands.Consume waits
			if errors.Is(err, nats.ErrTimeout) {
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

func (l *bareLanes) lane(name string) *bareLane {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.named[name] == nil {
		l.named[name] = &bareLane{}
	}
	return l.named[name]
}

func (b *bareLoop) carryOut(ctx context.Context, msg natsjs.Msg) error {
	name := strings.Split(msg.Subject(), ".")[3]
	meta, err := msg.Metadata()
	if err != nil {
		return err
	}
	l := b.lanes.lane(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	b.slots <- struct{}{}
	defer func() { <-b.slots }()
	fence := jetstream.Fence("deployment", name)
	var last uint64
	switch raw, err := b.events.GetLastMsgForSubject(ctx, fence); {
	case err == nil:
		last = raw.Sequence
	case !errors.Is(err, natsjs.ErrMsgNotFound):
		return err
	}
	if _, err := b.commands.GetMsg(ctx, meta.Sequence.Stream, natsjs.WithGetMsgSubject(jetstream.CommandFilter("deployment", name))); err != nil {
		return err
	}
	token := fmt.Sprintf("%026d", meta.Sequence.Stream)
	if _, err := b.operations.Get(ctx, token); !errors.Is(err, natsjs.ErrKeyNotFound) {
		return fmt.Errorf("record of %s: %w", token, err)
	}
	cancels := natsjs.WithGetMsgSubject(jetstream.CommandSubject("deployment", name, "cancel"))
	if _, err := b.commands.GetMsg(ctx, meta.Sequence.Stream+1, cancels); !errors.Is(err, natsjs.ErrMsgNotFound) {
		return fmt.Errorf("cancel of %s: %w", token, err)
	}
	for _, outcome := range []events.Outcome{events.Started, events.Validated, events.Completed} {
		if outcome == events.Completed && b.effect > 0 {
			if err := pause(b.effect)(ctx, "", deployment.ModelRef{}, 0); err != nil {
				return err
			}
		}
		ack, err := b.js.PublishMsg(ctx, &nats.Msg{Subject: jetstream.EventSubject("deployment", name, "replace", string(outcome)), Data: bareBody[:b.sizes[outcome]]},
			natsjs.WithExpectLastSequenceForSubject(last, fence))
		if err != nil {
			return err
		}
		last = ack.Sequence
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
	return msg.DoubleAck(ctx)
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

// publishAsync publishes a command and does not wait for it to be stored.
func (s *system) publishAsync(r events.Request) {
	s.tb.Helper()
	e, err := r.Event()
	if err != nil {
		s.tb.Fatal(err)
	}
	header, body, err := events.Encode(e)
	if err != nil {
		s.tb.Fatal(err)
	}
	if _, err := s.js.PublishMsgAsync(natsMsg(jetstream.CommandSubject(r.Type.Kind, r.Subject, r.Type.Op), header, body), natsjs.WithStallWait(patience)); err != nil {
		s.tb.Fatal(err)
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

// newSystemAt is a system on the server at url.
func newSystemAt(tb testing.TB, url string) *system {
	tb.Helper()
	conn, err := jetstream.Connect(jetstream.Settings{URL: url}, tb.Name(), slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(conn.Close)
	js, err := jetstream.Open(tb.Context(), conn)
	if err != nil {
		tb.Fatal(err)
	}
	if err := jetstream.Provision(tb.Context(), js, 1, 30*time.Second); err != nil {
		tb.Fatal(err)
	}
	s := &system{tb: tb, js: js, target: &target{serving: map[deployment.Name]deployment.Name{}}}
	s.open()
	return s
}
