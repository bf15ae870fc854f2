// Package jetstreamtest starts a real, provisioned NATS server for a test.
package jetstreamtest

import (
	"log/slog"
	"testing"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/jetstream/embedded"
)

// Start starts a server in a directory of the test's own, provisions it, and
// stops it when the test ends.
func Start(tb testing.TB) natsjs.JetStream {
	tb.Helper()
	_, js := StartIn(tb, embedded.Options{Dir: tb.TempDir(), Port: -1, SyncInterval: time.Minute})
	return js
}

// StartIn is Start with options. The server may be stopped earlier.
func StartIn(tb testing.TB, o embedded.Options) (*embedded.Server, natsjs.JetStream) {
	tb.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s, err := embedded.Start(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Stop(); err != nil {
			tb.Error(err)
		}
	})
	conn, err := jetstream.Connect(jetstream.Settings{URL: "nats://in-process"}, tb.Name(), o.Log, s.InProcess())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(conn.Close)
	js, err := jetstream.Open(tb.Context(), conn)
	if err != nil {
		tb.Fatal(err)
	}
	if err := jetstream.Provision(tb.Context(), js, 1, 2*time.Second); err != nil {
		tb.Fatal(err)
	}
	return s, js
}
