package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

// requestInfo is the header in which a NATS server says who has sent a message
// that comes from another account.
const requestInfo = "Nats-Request-Info"

// accounts lets users of TEAM publish commands into the account of Slipway, and
// say who they are.
const accounts = `
listen: "127.0.0.1:-1"
jetstream: {store_dir: %q}
accounts {
  SLIPWAY {
    jetstream: enabled
    users: [{user: slipway, password: x}]
    exports: [{service: "slipway.commands.>"}, {service: "plain.>"}]
  }
  TEAM {
    users: [{user: ada, password: x}]
    imports: [
      {service: {account: SLIPWAY, subject: "slipway.commands.>"}, share: true}
      {service: {account: SLIPWAY, subject: "plain.>"}, share: true}
    ]
  }
}
`

// A server does say who has sent a message from another account, but not in what
// a stream stores: the actor of a command can be checked by a worker only if the
// command is signed (ADR 0023). Should a later server say it, this test fails.
func TestBrokerDoesNotStoreWhoPublished(t *testing.T) {
	t.Parallel()
	broker := startBroker(t, accounts)
	slipway, ada := connectAs(t, broker, "slipway"), connectAs(t, broker, "ada")
	js, err := natsjs.New(slipway)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.CreateStream(t.Context(), natsjs.StreamConfig{Name: "SLIPWAY_COMMANDS", Subjects: []string{"slipway.commands.>"}})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := slipway.SubscribeSync("plain.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := slipway.Flush(); err != nil {
		t.Fatal(err)
	}

	// A subscriber is told who it was, also if the sender says something else.
	forged := func(subject string) *nats.Msg {
		return &nats.Msg{Subject: subject, Header: nats.Header{requestInfo: {`{"user":"eve"}`}, "ce-authid": {"user:ada"}}, Data: []byte("{}")}
	}
	if err := ada.PublishMsg(forged("plain.x")); err != nil {
		t.Fatal(err)
	}
	msg, err := plain.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	var who struct{ User, Account string }
	if err := json.Unmarshal([]byte(msg.Header.Get(requestInfo)), &who); err != nil || who.User != "ada" {
		t.Errorf("a subscriber is told %q, want that it was ada", msg.Header.Get(requestInfo))
	}

	// The stream stores what the sender says of itself, and nothing else.
	if _, err := ada.RequestMsg(forged("slipway.commands.deployment.churn.deploy"), patience); err != nil {
		t.Fatal(err)
	}
	stored, err := stream.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if got := stored.Header.Get(requestInfo); got != "" || stored.Header.Get("ce-authid") != "user:ada" {
		t.Errorf("the stream stores %v, want nothing of who has sent it", stored.Header)
	}
}

// startBroker starts a NATS server with a configuration that leaves its store open.
func startBroker(tb testing.TB, configuration string) *server.Server {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "nats.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, configuration, tb.TempDir()), 0o600); err != nil {
		tb.Fatal(err)
	}
	options, err := server.ProcessConfigFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	options.NoSigs, options.NoLog = true, true
	broker, err := server.NewServer(options)
	if err != nil {
		tb.Fatal(err)
	}
	broker.Start()
	tb.Cleanup(func() {
		broker.Shutdown()
		broker.WaitForShutdown()
	})
	if !broker.ReadyForConnections(patience) {
		tb.Fatal("the server is not ready")
	}
	return broker
}

func connectAs(tb testing.TB, broker *server.Server, user string) *nats.Conn {
	tb.Helper()
	conn, err := nats.Connect(broker.ClientURL(), nats.UserInfo(user, "x"), nats.Timeout(10*time.Second))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(conn.Close)
	return conn
}
