package jetstream_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/jetstream/embedded"
	"github.com/slipway-ml/slipway/jetstream/jetstreamtest"
)

// A broker that was started again knows nothing of the watches that there were.
// They are begun anew at once.
func TestWatchGoesOnAfterTheBrokerWasRestarted(t *testing.T) {
	t.Parallel()
	options := embedded.Options{Dir: t.TempDir(), SyncInterval: time.Minute, Log: slog.New(slog.DiscardHandler)}
	first, js := startOnPort(t, options)
	bucket, err := jetstream.OpenBucket[string](t.Context(), js, jetstream.ServingBucket)
	if err != nil {
		t.Fatal(err)
	}
	if err := bucket.Put(t.Context(), "desired.old", "before"); err != nil {
		t.Fatal(err)
	}
	type change struct{ key, value string }
	changes := make(chan change, 16)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- bucket.Watch(ctx, "desired.", func(key string, value *string) {
			if value == nil {
				changes <- change{key, "-"}
			} else {
				changes <- change{key, *value}
			}
		})
	}()
	next := func(count int) (got []change) {
		t.Helper()
		late := time.After(8 * time.Second) // by itself, the client would look after ten
		for range count {
			select {
			case c := <-changes:
				got = append(got, c)
			case <-late:
				t.Fatalf("nothing after %v", got)
			}
		}
		return got
	}
	if got, want := next(2), []change{{"desired.old", "before"}, {"", "-"}}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(first.URL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	if options.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	_, again := jetstreamtest.StartIn(t, options)
	other, err := jetstream.OpenBucket[string](t.Context(), again, jetstream.ServingBucket)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Put(t.Context(), "desired.new", "after"); err != nil {
		t.Fatal(err)
	}
	for seen := false; !seen; {
		seen = next(1)[0] == change{"desired.new", "after"}
	}
	if epoch := openLedger(t, js).Epoch(); epoch == 0 {
		t.Errorf("the epoch after the broker was restarted is %d, want another than at first", epoch)
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the watch ended with %v", err)
	}
}

// The answer of a broker that is killed never comes. The deadline of a command
// is far away; a request does not wait for that.
func TestRequestsDoNotWaitForAnAnswerThatNeverComes(t *testing.T) {
	t.Parallel()
	server, js := startOnPort(t, embedded.Options{Dir: t.TempDir(), SyncInterval: time.Minute, Log: slog.New(slog.DiscardHandler)})
	bucket, err := jetstream.OpenBucket[string](t.Context(), js, jetstream.ServingBucket)
	if err != nil {
		t.Fatal(err)
	}
	ledger, err := jetstream.OpenLedger(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	commands, err := jetstream.OpenCommands(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := jetstream.OpenObjects(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	var requests sync.WaitGroup
	for name, request := range map[string]func(context.Context) error{
		"load":  func(ctx context.Context) error { _, _, err := bucket.Load(ctx, "key"); return err },
		"swap":  func(ctx context.Context) error { _, err := bucket.Swap(ctx, "key", "value", 1); return err },
		"watch": func(ctx context.Context) error { return bucket.Watch(ctx, "", func(string, *string) {}) },
		"last":  func(ctx context.Context) error { _, err := ledger.Last(ctx, jetstream.AllEvents); return err },
		"append": func(ctx context.Context) error {
			_, _, err := ledger.Append(ctx, jetstream.Write{Subject: "slipway.events.a.b.c.d", Fence: jetstream.Fence("a", "b")})
			return err
		},
		"now": func(ctx context.Context) error { _, err := ledger.Now(ctx); return err },
		"next": func(ctx context.Context) error {
			_, err := commands.Next(ctx, jetstream.CommandFilter("a", "b"), 1)
			return err
		},
		"size": func(ctx context.Context) error { _, err := objects.Size(ctx, "object"); return err },
		"get":  func(ctx context.Context) error { _, err := objects.Get(ctx, "object"); return err },
	} {
		requests.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := request(ctx); err == nil || ctx.Err() != nil {
				t.Errorf("%s: got %v, want an error long before the deadline", name, err)
			}
		})
	}
	requests.Wait()
}

// startOnPort is a server that listens, and a connection to it that comes back.
func startOnPort(tb testing.TB, o embedded.Options) (*embedded.Server, natsjs.JetStream) {
	tb.Helper()
	server, _ := jetstreamtest.StartIn(tb, o)
	conn, err := jetstream.Connect(jetstream.Settings{URL: server.URL()}, tb.Name(), o.Log)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(conn.Close)
	js, err := jetstream.Open(tb.Context(), conn)
	if err != nil {
		tb.Fatal(err)
	}
	return server, js
}
