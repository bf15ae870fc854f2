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
func Start(t testing.TB) natsjs.JetStream {
	t.Helper()
	_, js := StartIn(t, embedded.Options{Dir: t.TempDir(), Port: -1, SyncInterval: time.Minute})
	return js
}

// StartIn is Start with options. The server may be stopped earlier.
func StartIn(t testing.TB, o embedded.Options) (*embedded.Server, natsjs.JetStream) {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s, err := embedded.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	conn, err := jetstream.Connect(jetstream.Settings{URL: "nats://in-process"}, t.Name(), o.Log, s.InProcess())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.Open(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	if err := jetstream.Provision(t.Context(), js, 1, 2*time.Second); err != nil {
		t.Fatal(err)
	}
	return s, js
}
