package embedded

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

// childDir is the variable that makes the test binary the publisher below.
const childDir = "SLIPWAY_TEST_PUBLISH_IN"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := publish(context.Background(), dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// publish publishes to a server of this process for ever, and says of each
// message that it is stored only when the server has said so.
func publish(ctx context.Context, dir string) error {
	s, err := Start(Options{Dir: dir, Port: -1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	conn, err := nats.Connect("", s.InProcess())
	if err != nil {
		return err
	}
	js, err := natsjs.New(conn)
	if err != nil {
		return err
	}
	if _, err := js.CreateOrUpdateStream(ctx, natsjs.StreamConfig{Name: "S", Subjects: []string{"s"}, Storage: natsjs.FileStorage, AllowDirect: true}); err != nil {
		return err
	}
	for i := 1; ; i++ {
		ack, err := js.Publish(ctx, "s", fmt.Appendf(nil, "%d %d", os.Getpid(), i))
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(os.Stdout, ack.Sequence, os.Getpid(), i); err != nil {
			return err
		}
	}
}

// A process that is killed at any moment has lost nothing that it acknowledged,
// and the next one gets its directory.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	acknowledged := make(map[uint64]string)
	for _, count := range []int{1, 60, 333} {
		for sequence, body := range killedAfter(t, dir, count) {
			acknowledged[sequence] = body
		}
	}
	s, js := begin(t, Options{Dir: dir, Port: -1})
	stream, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	if len(acknowledged) < 1+60+333 {
		t.Errorf("got %d acknowledged messages, want one for each sequence: two processes were given the same", len(acknowledged))
	}
	for sequence, body := range acknowledged {
		msg, err := stream.GetMsg(t.Context(), sequence)
		if err != nil || string(msg.Data) != body {
			t.Errorf("message %d was acknowledged and is lost: %v", sequence, err)
		}
	}
	stop(t, s)
}

// killedAfter runs a publisher in dir, kills it when it has said of count
// messages that they are stored, and returns all of which it has.
func killedAfter(tb testing.TB, dir string, count int) map[uint64]string {
	tb.Helper()
	binary, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	child := exec.CommandContext(tb.Context(), binary)
	child.Env = append(os.Environ(), childDir+"="+dir)
	var stderr strings.Builder
	child.Stderr = &stderr
	stdout, err := child.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := child.Start(); err != nil {
		tb.Fatal(err)
	}
	acknowledged := make(map[uint64]string)
	for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
		first, body, _ := strings.Cut(scanner.Text(), " ")
		sequence, err := strconv.ParseUint(first, 10, 64)
		if err != nil { // the last line may be half a line
			break
		}
		if strings.Count(body, " ") != 1 {
			break
		}
		acknowledged[sequence] = body
		if len(acknowledged) == count {
			if err := child.Process.Signal(syscall.SIGKILL); err != nil {
				tb.Fatal(err)
			}
		}
	}
	if err := child.Wait(); child.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		tb.Fatalf("the publisher ended by itself: %v\n%s", err, &stderr)
	}
	return acknowledged
}
