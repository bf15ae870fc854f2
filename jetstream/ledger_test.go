package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/jetstream/embedded"
	"github.com/slipway-ml/slipway/jetstream/jetstreamtest"
)

// patience is how long a test waits for what is to happen at once.
const patience = 20 * time.Second

func options(dir string) embedded.Options {
	return embedded.Options{Dir: dir, Port: -1, SyncInterval: time.Minute, Log: slog.New(slog.DiscardHandler)}
}

func openLedger(tb testing.TB, js natsjs.JetStream) *jetstream.Ledger {
	tb.Helper()
	ledger, err := jetstream.OpenLedger(tb.Context(), js)
	if err != nil {
		tb.Fatal(err)
	}
	return ledger
}

// event is a write about the named deployment that follows last.
func event(name, outcome string, last uint64, body string) jetstream.Write {
	return jetstream.Write{
		Subject: jetstream.EventSubject("deployment", name, "deploy", outcome),
		Header:  map[string][]string{"Content-Type": {"text/plain"}},
		Body:    []byte(body), Fence: jetstream.Fence("deployment", name), Last: last,
	}
}

func mustAppend(tb testing.TB, ledger *jetstream.Ledger, w jetstream.Write) uint64 {
	tb.Helper()
	sequence, appended, err := ledger.Append(tb.Context(), w)
	if err != nil || !appended {
		tb.Fatalf("append %s after %d: got %d %t %v, want it appended", w.Subject, w.Last, sequence, appended, err)
	}
	return sequence
}

func mustConflict(tb testing.TB, ledger *jetstream.Ledger, w jetstream.Write) {
	tb.Helper()
	if sequence, appended, err := ledger.Append(tb.Context(), w); appended || err != nil || sequence != 0 {
		tb.Errorf("append %s after %d: got %d %t %v, want a conflict", w.Subject, w.Last, sequence, appended, err)
	}
}

// stored are the bodies of the events that filter matches, from a sequence on.
func stored(tb testing.TB, ledger *jetstream.Ledger, filter string, from uint64) (bodies []string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	if err := ledger.Events(ctx, filter, from, func(m jetstream.Message) error {
		bodies = append(bodies, string(m.Body))
		return nil
	}); err != nil {
		tb.Fatalf("events of %s from %d: %v", filter, from, err)
	}
	return bodies
}

func TestAppendKeepsTheFence(t *testing.T) {
	t.Parallel()
	ledger := openLedger(t, jetstreamtest.Start(t))
	first := mustAppend(t, ledger, event("churn", "started", 0, "1"))
	other := mustAppend(t, ledger, event("fraud", "started", 0, "2"))

	// Somebody else's event between ours is no conflict; the fence is of churn.
	second := mustAppend(t, ledger, event("churn", "completed", first, "3"))
	// The newest event about churn has another subject than the one that is written.
	mustConflict(t, ledger, event("churn", "started", first, "lost"))
	mustConflict(t, ledger, event("churn", "started", 0, "lost"))
	mustConflict(t, ledger, event("churn", "started", second+10, "lost"))
	mustConflict(t, ledger, event("fraud", "completed", 0, "lost"))
	// A name that another one starts with is not the same name.
	mustAppend(t, ledger, event("churn-eu", "started", 0, "4"))
	mustAppend(t, ledger, event("fraud", "completed", other, "5"))

	if diff := cmp.Diff([]string{"1", "2", "3", "4", "5"}, stored(t, ledger, jetstream.AllEvents, 1)); diff != "" {
		t.Errorf("ledger (-want +got):\n%s", diff)
	}
	last, err := ledger.Last(t.Context(), jetstream.Fence("deployment", "churn"))
	if err != nil {
		t.Fatal(err)
	}
	if last.Sequence != second || last.Subject != "slipway.events.deployment.churn.deploy.completed" || string(last.Body) != "3" ||
		last.Header["Content-Type"][0] != "text/plain" || last.Time.IsZero() {
		t.Errorf("got last event %+v, want event %d as it was written", last, second)
	}
	if none, err := ledger.Last(t.Context(), jetstream.Fence("deployment", "nobody")); err != nil || none.Sequence != 0 {
		t.Errorf("got %+v %v, want nothing for a deployment without events", none, err)
	}
	if now, err := ledger.Now(t.Context()); err != nil || now.Before(last.Time) {
		t.Errorf("got %s %v, want the time of the broker, after %s", now, err, last.Time)
	}
}

func TestAppendFailsOffTheLedger(t *testing.T) {
	t.Parallel()
	ledger := openLedger(t, jetstreamtest.Start(t))
	w := event("churn", "started", 0, "1")
	w.Subject = jetstream.CommandSubject("deployment", "churn", "deploy") // another stream's
	if _, appended, err := ledger.Append(t.Context(), w); appended || err == nil {
		t.Errorf("got %t %v, want an error for a subject of another stream", appended, err)
	}
	w = event("churn", "started", 0, strings.Repeat("x", 2<<20))
	if _, appended, err := ledger.Append(t.Context(), w); appended || err == nil {
		t.Errorf("got %t %v, want an error for a message over the server's limit", appended, err)
	}
}

func TestOneOfManyAppendersWins(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t)
	ledger := openLedger(t, js)
	const rounds, writers = 30, 8
	var last uint64
	for round := range rounds {
		var won atomic.Int64
		var next atomic.Uint64
		var group errgroup.Group
		for writer := range writers {
			group.Go(func() error {
				// Each writes another subject of the same fence.
				sequence, appended, err := ledger.Append(t.Context(), event("churn", fmt.Sprintf("outcome%d", writer), last, fmt.Sprint(round)))
				if appended {
					won.Add(1)
					next.Store(sequence)
				}
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		if won.Load() != 1 {
			t.Fatalf("round %d: %d appended, want 1", round, won.Load())
		}
		last = next.Load()
	}
	if got := stored(t, ledger, jetstream.AllEvents, 1); len(got) != rounds {
		t.Errorf("got %d events, want %d: those that lost are stored too", len(got), rounds)
	}
}

func TestEventsEnds(t *testing.T) {
	t.Parallel()
	ledger := openLedger(t, jetstreamtest.Start(t))
	churn, all := jetstream.Fence("deployment", "churn"), jetstream.AllEvents
	expect := func(filter string, from uint64, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, stored(t, ledger, filter, from)); diff != "" {
			t.Errorf("events of %s from %d (-want +got):\n%s", filter, from, diff)
		}
	}
	expect(all, 0)
	expect(all, 1)
	expect(all, 5)
	mustAppend(t, ledger, event("churn", "started", 0, "1"))
	mustAppend(t, ledger, event("fraud", "started", 0, "2"))
	mustAppend(t, ledger, event("churn", "completed", 1, "3"))
	mustAppend(t, ledger, event("fraud", "completed", 2, "4"))
	expect(all, 0, "1", "2", "3", "4")
	expect(all, 3, "3", "4")
	expect(all, 4, "4")
	expect(all, 5)
	expect(all, 1000)
	expect(churn, 1, "1", "3")
	expect(churn, 2, "3")
	expect(churn, 4) // there is more after it, but not of churn
	expect(jetstream.Fence("deployment", "nobody"), 1)
	expect("slipway.events.deployment.*.*.completed", 1, "3", "4")

	wrong := errors.New("wrong")
	var seen int
	if err := ledger.Events(t.Context(), all, 1, func(jetstream.Message) error {
		seen++
		return wrong
	}); !errors.Is(err, wrong) || seen != 1 {
		t.Errorf("got %v after %d events, want the error of handle after 1", err, seen)
	}
}

// What is published after ready is never missed, however soon.
func TestFollowMissesNothingAfterReady(t *testing.T) {
	t.Parallel()
	ledger := openLedger(t, jetstreamtest.Start(t))
	var last uint64
	for i := range 20 {
		last = mustAppend(t, ledger, event("churn", "started", last, "old"))
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		want, published := fmt.Sprint("new ", i), make(chan uint64, 1)
		var got []string
		err := ledger.Follow(ctx, jetstream.Fence("deployment", "churn"), 0, func() {
			published <- mustAppend(t, ledger, event("churn", "started", last, want))
		}, func(m jetstream.Message) error {
			got = append(got, string(m.Body))
			return errEnough
		})
		cancel()
		if !errors.Is(err, errEnough) {
			t.Fatalf("follow: %v", err)
		}
		if diff := cmp.Diff([]string{want}, got); diff != "" {
			t.Fatalf("new events (-want +got):\n%s", diff)
		}
		last = <-published
	}
}

var errEnough = errors.New("enough for the test")

func TestFollowFromASequence(t *testing.T) {
	t.Parallel()
	ledger := openLedger(t, jetstreamtest.Start(t))
	var last uint64
	for i := range 5 {
		last = mustAppend(t, ledger, event("churn", "progress", last, fmt.Sprint(i+1)))
	}
	var got []string
	err := ledger.Follow(t.Context(), jetstream.AllEvents, 3, nil, func(m jetstream.Message) error {
		got = append(got, fmt.Sprint(m.Sequence, " ", m.Subject, " ", string(m.Body), " ", m.Header["Content-Type"][0]))
		switch m.Sequence {
		case 5: // then come new ones
			mustAppend(t, ledger, event("churn", "completed", last, "6"))
		case 6:
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Errorf("got %v, want the error of handle", err)
	}
	want := []string{
		"3 slipway.events.deployment.churn.deploy.progress 3 text/plain", "4 slipway.events.deployment.churn.deploy.progress 4 text/plain",
		"5 slipway.events.deployment.churn.deploy.progress 5 text/plain", "6 slipway.events.deployment.churn.deploy.completed 6 text/plain",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("followed (-want +got):\n%s", diff)
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ledger := openLedger(t, jetstreamtest.Start(t))
	ctx, cancel := context.WithCancel(t.Context())
	err := ledger.Follow(ctx, jetstream.AllEvents, 0, cancel, func(jetstream.Message) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	// Also one that has ended already.
	if err := ledger.Follow(ctx, jetstream.AllEvents, 1, nil, func(jetstream.Message) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// A connection that was closed for good is an error: nothing more will come.
func TestFollowEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t)
	ledger := openLedger(t, js)
	ended := make(chan error, 1)
	ready := make(chan struct{})
	go func() {
		ended <- ledger.Follow(t.Context(), jetstream.AllEvents, 0, func() { close(ready) }, func(jetstream.Message) error { return nil })
	}()
	<-ready
	js.Conn().Close()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("follow ended without an error")
		}
	case <-time.After(patience):
		t.Error("follow did not end")
	}
}

func TestOpenNeedsProvision(t *testing.T) {
	t.Parallel()
	server, err := embedded.Start(options(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	conn, err := jetstream.Connect(jetstream.Settings{URL: "nats://in-process"}, t.Name(), slog.New(slog.DiscardHandler), server.InProcess())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.Open(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jetstream.OpenLedger(t.Context(), js); !errors.Is(err, natsjs.ErrStreamNotFound) {
		t.Errorf("ledger: got %v", err)
	}
	if _, err := jetstream.OpenCommands(t.Context(), js); !errors.Is(err, natsjs.ErrStreamNotFound) {
		t.Errorf("commands: got %v", err)
	}
	if _, err := jetstream.OpenObjects(t.Context(), js); err == nil || !strings.Contains(err.Error(), "artifacts") {
		t.Errorf("objects: got %v", err)
	}
	if _, err := jetstream.OpenBucket[string](t.Context(), js, "models"); err == nil || !strings.Contains(err.Error(), "models") {
		t.Errorf("bucket: got %v", err)
	}
}
