package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/gateway"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/worker"
)

// gatewayAddr is where `slipway gateway` answers if nothing is said.
const gatewayAddr = "127.0.0.1:8082"

type gatewayCmd struct{}

// Run takes files and commands over HTTP until ctx ends.
func (gatewayCmd) Run(ctx context.Context, p *program) error {
	log := p.logger(p.stderr)
	token, err := p.gatewayToken()
	if err != nil {
		return err
	}
	conn, js, err := p.connect(ctx, "slipway gateway")
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := jetstream.Provision(ctx, js, p.Replicas, p.ackWait()); err != nil {
		return err
	}
	server, err := newGateway(ctx, p.Config, js, token, log)
	if err != nil {
		return err
	}
	listener, err := listen(cmp.Or(p.GatewayAddr, gatewayAddr), "SLIPWAY_GATEWAY_ADDR")
	if err != nil {
		return err
	}
	defer listener.Close()
	url := localURL(listener)
	remove, err := endpoints{NATS: jetstream.ServerURL(conn), Gateway: url, Health: url + "/healthz"}.write(p.DataDir)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "Gateway answers at %s.\n", url)
	return errors.Join(server.Run(ctx, listener), remove())
}

// gatewayToken is the token that the gateway asks for; "": none.
func (p *program) gatewayToken() (string, error) {
	if p.GatewayTokenFile == "" {
		return "", nil
	}
	token, err := gateway.ReadToken(p.GatewayTokenFile)
	if err != nil {
		return "", exitf(exitUsage, "SLIPWAY_GATEWAY_TOKEN_FILE: %w", err)
	}
	return token, nil
}

// upGateway is the gateway of `slipway up`, and where it listens; nil: there is to
// be none.
func (p *program) upGateway(ctx context.Context, js natsjs.JetStream, log *slog.Logger) (*gateway.Server, net.Listener, error) {
	if p.GatewayAddr == "" {
		return nil, nil, nil
	}
	token, err := p.gatewayToken()
	if err != nil {
		return nil, nil, err
	}
	server, err := newGateway(ctx, p.Config, js, token, log)
	if err != nil {
		return nil, nil, err
	}
	listener, err := listen(p.GatewayAddr, "SLIPWAY_GATEWAY_ADDR")
	return server, listener, err
}

func newGateway(ctx context.Context, c Config, js natsjs.JetStream, token string, log *slog.Logger) (*gateway.Server, error) {
	b := opener{ctx: ctx, js: js}
	objects, err := jetstream.OpenObjects(ctx, js)
	b.note(err)
	commands, err := jetstream.OpenCommands(ctx, js)
	b.note(err)
	return &gateway.Server{
		Objects: objects, Commands: commands, Operations: open[worker.OperationView](&b, jetstream.OperationsBucket),
		Connected: js.Conn().IsConnected, Log: log,
		Token: token, MaxObject: c.MaxArtifactBytes, MaxCommand: c.MaxCommandBytes, Grace: c.DrainTimeout,
	}, b.err
}
