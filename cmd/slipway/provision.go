package main

import (
	"context"
	"strconv"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/jetstream"
)

type provisionCmd struct{}

// Run makes what is missing on the broker, brings the rest up to date, and shows
// what there is.
func (provisionCmd) Run(ctx context.Context, p *program) error {
	conn, js, err := p.connect(ctx, "slipway provision")
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := p.provision(ctx, js); err != nil {
		return err
	}
	return p.printInventory(ctx, js)
}

func (p *program) printInventory(ctx context.Context, js natsjs.JetStream) error {
	assets, err := jetstream.Inventory(ctx, js)
	if err != nil {
		return err
	}
	if p.output == "json" {
		return p.printJSON(assets)
	}
	rows := make([][]string, len(assets))
	for i, a := range assets {
		rows[i] = []string{a.Kind, a.Name, strconv.Itoa(a.Replicas), a.Storage, strconv.FormatUint(a.Messages, 10), strconv.FormatUint(a.Bytes, 10)}
	}
	return p.printTable("KIND NAME REPLICAS STORAGE MESSAGES BYTES", rows)
}
