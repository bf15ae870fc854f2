// Package client is Slipway for programs in Go, such as training pipelines: it
// publishes commands, waits for what they come to, and reads what there is. All
// that it does can be done with any NATS client as well (docs/events.md).
//
// A command is carried out by workers elsewhere, exactly once in effect, whether
// or not anybody waits for it. So publishing and waiting are two calls:
//
//	pending, err := c.Deploy(ctx, client.Command{Name: "churn", ID: "run-4711"}, handlers.Deploy{Label: "Churn", ...})
//	outcome, err := c.Wait(ctx, pending)
//
// To publish a command again under the same id is harmless, and comes to the
// same outcome. The examples show the rest.
package client

import (
	"context"
	"log/slog"
	"os"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/jetstream"
)

// Client publishes commands and reads what became of them. It may be used by
// many goroutines at a time.
type Client struct {
	// Source is the CloudEvents source of commands that name no other. Together
	// with the id it says which command is which.
	Source string

	// SeedFile has the seed of a NATS user, alone or in credentials: commands are
	// signed with it. It is read for each one. "": they are not signed.
	SeedFile string

	// What the client works with, for those who need more than it does.
	JetStream natsjs.JetStream
	Ledger    *jetstream.Ledger
	Commands  *jetstream.Commands
}

// FromEnvironment are the settings in NATS_URL, NATS_CREDS, NATS_NKEY and
// NATS_CONTEXT, as the nats CLI has them.
func FromEnvironment() jetstream.Settings {
	return jetstream.Settings{
		URL: os.Getenv("NATS_URL"), Creds: os.Getenv("NATS_CREDS"),
		NKey: os.Getenv("NATS_NKEY"), Context: os.Getenv("NATS_CONTEXT"),
	}
}

// Connect connects to the broker of a Slipway. source is the CloudEvents source
// of the commands, e.g. "/pipelines/churn". If the settings have a seed or
// credentials, commands are signed with them.
func Connect(ctx context.Context, s jetstream.Settings, source string) (*Client, error) {
	conn, err := jetstream.Connect(s, source, slog.Default())
	if err != nil {
		return nil, err
	}
	c, err := New(ctx, conn, source)
	if err == nil {
		c.SeedFile, err = s.SeedFile()
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// New is Connect over a connection that there is.
func New(ctx context.Context, conn *nats.Conn, source string) (*Client, error) {
	js, err := jetstream.Open(ctx, conn)
	if err != nil {
		return nil, err
	}
	return Over(ctx, js, source)
}

// Over is New over a connection that was seen to be one to a JetStream that is
// new enough (jetstream.Open).
func Over(ctx context.Context, js natsjs.JetStream, source string) (c *Client, err error) {
	c = &Client{Source: source, JetStream: js}
	if c.Ledger, err = jetstream.OpenLedger(ctx, js); err != nil {
		return nil, err
	}
	if c.Commands, err = jetstream.OpenCommands(ctx, js); err != nil {
		return nil, err
	}
	return c, nil
}

// Close closes the connection, also one that was given to New. Who needs that
// connection for something else does not call it.
func (c *Client) Close() { c.JetStream.Conn().Close() }
