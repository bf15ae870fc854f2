package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

func begin(tb testing.TB, o Options) (*Server, natsjs.JetStream) {
	tb.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s, err := Start(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Stop(); err != nil {
			tb.Error(err)
		}
	})
	conn, err := nats.Connect("", s.InProcess())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(conn.Close)
	js, err := natsjs.New(conn)
	if err != nil {
		tb.Fatal(err)
	}
	return s, js
}

func stop(tb testing.TB, s *Server) {
	tb.Helper()
	if err := s.Stop(); err != nil {
		tb.Errorf("stop: %v", err)
	}
}

// fill publishes bodies to a stream, which it makes.
func fill(tb testing.TB, js natsjs.JetStream, bodies ...string) {
	tb.Helper()
	if _, err := js.CreateOrUpdateStream(tb.Context(), natsjs.StreamConfig{Name: "S", Subjects: []string{"s"}, Storage: natsjs.FileStorage, AllowDirect: true}); err != nil {
		tb.Fatal(err)
	}
	for _, body := range bodies {
		if _, err := js.Publish(tb.Context(), "s", []byte(body)); err != nil {
			tb.Fatal(err)
		}
	}
}

func expectStored(tb testing.TB, js natsjs.JetStream, want ...string) {
	tb.Helper()
	stream, err := js.Stream(tb.Context(), "S")
	if err != nil {
		tb.Fatal(err)
	}
	if got := stream.CachedInfo().State.Msgs; got != uint64(len(want)) {
		tb.Errorf("got %d messages, want %d", got, len(want))
	}
	for i, body := range want {
		msg, err := stream.GetMsg(tb.Context(), uint64(i+1)) //nolint:gosec // never negative
		if err != nil || string(msg.Data) != body {
			tb.Errorf("message %d: got %v %v, want %q", i+1, msg, err, body)
		}
	}
}

func TestRestartKeepsTheData(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b") // is created
	for _, sync := range []time.Duration{0, time.Minute} {
		first, js := begin(t, Options{Dir: dir, Port: -1, SyncInterval: sync})
		fill(t, js, "one", "two")
		stop(t, first)
		second, js := begin(t, Options{Dir: dir, Port: -1, SyncInterval: sync})
		expectStored(t, js, "one", "two")
		if err := js.DeleteStream(t.Context(), "S"); err != nil {
			t.Fatal(err)
		}
		stop(t, second)
		stop(t, second) // again does nothing
	}
}

func TestOneServerPerDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, js := begin(t, Options{Dir: dir})
	fill(t, js, "one")
	second, err := Start(Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, ErrDirTaken) {
		t.Fatalf("got %v %v, want %v", second, err, ErrDirTaken)
	}
	for _, part := range []string{dir, "another process uses it", "stop it, or choose another directory"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %q, want %q in it", err, part)
		}
	}
	fill(t, js, "two") // the first goes on
	expectStored(t, js, "one", "two")
	stop(t, first)
	_, js = begin(t, Options{Dir: dir}) // and leaves the directory to others
	expectStored(t, js, "one", "two")
}

// A start that does not succeed leaves the directory to others too.
func TestFailedStartReleasesTheDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	_, err = Start(Options{Dir: dir, Port: port, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		t.Fatal("started on a port that is taken")
	}
	for _, part := range []string{fmt.Sprint("127.0.0.1:", port), "address already in use", "stop what uses it, or choose another port"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %q, want %q in it", err, part)
		}
	}
	s, _ := begin(t, Options{Dir: dir})
	stop(t, s)
}

func TestStartSaysWhyNot(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	lockIsDir, storeIsFile := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(lockIsDir, "lock"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(storeIsFile, "jetstream"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		options Options
		want    string
	}{
		"below a file":            {Options{Dir: filepath.Join(file, "data")}, "create data directory " + file},
		"not writable":            {Options{Dir: lockIsDir}, "lock data directory " + lockIsDir},
		"no place for the store":  {Options{Dir: storeIsFile}, "start NATS server: "},
		"no such host":            {Options{Dir: t.TempDir(), Host: "no such host"}, "start NATS server: "},
		"no such host for a port": {Options{Dir: t.TempDir(), Host: "no such host", Port: 4222}, "listen on no such host:4222"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.options.Log = slog.New(slog.DiscardHandler)
			s, err := Start(test.options)
			if err == nil {
				stop(t, s)
				t.Fatal("started")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, want %q in it", err, test.want)
			}
		})
	}
}

func TestWhereItListens(t *testing.T) {
	t.Parallel()
	quiet, js := begin(t, Options{Dir: t.TempDir(), Port: -1})
	if quiet.URL() != "" || quiet.nats.Addr() != nil {
		t.Errorf("got url %q and address %v, want none", quiet.URL(), quiet.nats.Addr())
	}
	fill(t, js, "one") // in-process clients need none
	expectStored(t, js, "one")

	loopback, js := begin(t, Options{Dir: t.TempDir()})
	address, ok := loopback.nats.Addr().(*net.TCPAddr)
	if !ok || !address.IP.IsLoopback() || address.Port == 0 || address.Port == 4222 {
		t.Errorf("got address %v, want a free port of the loopback interface", loopback.nats.Addr())
	}
	fill(t, js, "one")
	conn, err := nats.Connect(loopback.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	over, err := natsjs.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	expectStored(t, over, "one")
}

func TestSyncModes(t *testing.T) {
	t.Parallel()
	for _, interval := range []time.Duration{0, 250 * time.Millisecond} {
		s, _ := begin(t, Options{Dir: t.TempDir(), Port: -1, SyncInterval: interval})
		config := s.nats.JetStreamConfig()
		if always := interval == 0; config.SyncAlways != always {
			t.Errorf("interval %s: got sync always %t", interval, config.SyncAlways)
		}
		if interval > 0 && config.SyncInterval != interval {
			t.Errorf("got interval %s, want %s", config.SyncInterval, interval)
		}
	}
}

// What the server warns about is in the log; its notices only for who debugs.
func TestServerLog(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	l := &logger{log: slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelInfo})), fatal: make(chan string, 1)}
	l.Noticef("notice %d", 1)
	l.Debugf("debug")
	l.Tracef("trace")
	l.Warnf("warn %s", "x")
	l.Errorf("error %s", "y")
	l.Fatalf("fatal %s", "z")
	l.Fatalf("fatal again") // nobody reads it, and nobody waits
	for want, there := range map[string]bool{"notice": false, "debug": false, "trace": false, "level=WARN msg=nats-server text=\"warn x\"": true, "level=ERROR msg=nats-server text=\"error y\"": true, "fatal z": true} {
		if strings.Contains(text.String(), want) != there {
			t.Errorf("%q in the log: want %t:\n%s", want, there, text.String())
		}
	}
	if got := <-l.fatal; got != "fatal z" {
		t.Errorf("got %q, want the first fatal error", got)
	}
}
