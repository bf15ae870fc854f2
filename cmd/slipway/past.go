package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/slipway-ml/slipway/client"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/worker"
)

// pastView is a deployment as it was, and the event that says so.
type pastView struct {
	worker.DeploymentView
	At    time.Time `json:"at"`    // when that event was stored
	Event string    `json:"event"` // its type
}

var errPast = errors.New("past it")

// past shows the deployment as the newest event at or before g.At has it. Only
// the events of this deployment are read.
func (g *getCmd) past(ctx context.Context, p *program, c *client.Client) error {
	sequence, at, err := parsePlace(ctx, c.Ledger, g.At)
	if err != nil {
		return exitf(exitUsage, "--at %q: %w, or a sequence in the ledger", g.At, err)
	}
	var last jetstream.Message
	fence := jetstream.Fence(string(deployment.KindDeployment), g.Name)
	err = c.Ledger.Replay(ctx, jetstream.Span{Filter: fence}, func(m jetstream.Message) error {
		if at.IsZero() && m.Sequence > sequence || !at.IsZero() && m.Time.After(at) {
			return errPast
		}
		last = m
		return nil
	})
	if err != nil && !errors.Is(err, errPast) {
		return err
	}
	var typ events.Type
	var data worker.Data
	if last.Sequence > 0 {
		if typ, data, err = worker.ReadEvent(last); err != nil {
			return err
		}
	}
	if !data.Deployment.Exists() {
		return exitf(exitNotFound, "deployment %q did not exist at %s", g.Name, g.At)
	}
	view := pastView{worker.DeploymentView{State: *data.Deployment, LedgerSequence: last.Sequence}, last.Time.UTC(), typ.String()}
	if p.output == "json" {
		return p.printJSON(view)
	}
	return p.printFields(append(deploymentFields(view.DeploymentView),
		[2]string{"as of", view.At.Format(time.RFC3339Nano)},
		[2]string{"by event", strconv.FormatUint(last.Sequence, 10) + ", " + view.Event}))
}
