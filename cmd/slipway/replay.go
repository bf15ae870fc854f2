package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/slipway-ml/slipway/client"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/jetstream"
)

type replayCmd struct {
	Name         string `arg:"" optional:"" help:"Only of this deployment (or model, with --kind model)."`
	Kind         string `default:"" enum:",deployment,model" help:"Only of this kind: deployment or model."`
	FromSequence uint64 `help:"Sequence in the ledger to begin at. Default: the beginning." placeholder:"N" xor:"from"`
	FromTime     string `help:"Time to begin at: as in RFC 3339, or a duration such as 2h for that long ago." placeholder:"TIME" xor:"from"`
	Follow       bool   `short:"f" help:"Go on with new events as they come, until interrupted."`
	To           string `help:"Publish the events to PREFIX.<kind>.<name>.<operation>.<outcome> instead of writing them." placeholder:"PREFIX"`
}

// Run writes or publishes a part of the ledger.
func (r *replayCmd) Run(ctx context.Context, p *program) error {
	if r.To != "" {
		if err := jetstream.CheckPrefix(r.To); err != nil {
			return exitf(exitUsage, "--to: %w", err)
		}
	}
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	span := jetstream.Span{From: r.FromSequence, Follow: r.Follow}
	if span.Filter, err = ledgerFilter(r.Kind, r.Name); err != nil {
		return err
	}
	if r.FromTime != "" {
		if span.Since, err = parseTime(ctx, c.Ledger, r.FromTime); err != nil {
			return exitf(exitUsage, "--from-time %q: %w", r.FromTime, err)
		}
	}
	if r.To != "" {
		return p.republish(ctx, c, span, r.To)
	}
	out := bufio.NewWriterSize(p.stdout, 256<<10)
	var newest uint64 // an event after it is written at once
	if r.Follow {
		if newest, err = c.Ledger.End(ctx, span.Filter); err != nil {
			return err
		}
	}
	return p.replay(ctx, c, span, func(m jetstream.Message) error {
		if err := writeLine(out, m.Body); err != nil || !r.Follow || m.Sequence < newest && out.Available() > 0 {
			return err
		}
		return out.Flush()
	}, out.Flush)
}

// writeLine writes an event exactly as it is stored. Slipway stores each in one
// line; should one have several, they become one.
func writeLine(out *bufio.Writer, event []byte) error {
	if bytes.IndexByte(event, '\n') >= 0 {
		var line bytes.Buffer
		if err := json.Compact(&line, event); err != nil {
			return fmt.Errorf("write event: %w", err)
		}
		event = line.Bytes()
	}
	if _, err := out.Write(event); err != nil {
		return err
	}
	return out.WriteByte('\n')
}

// republish publishes the events of the span below a prefix.
func (p *program) republish(ctx context.Context, c *client.Client, span jetstream.Span, prefix string) error {
	again, err := jetstream.NewRepublisher(ctx, c.JetStream, prefix, span.Filter)
	if err != nil {
		return err
	}
	if again.Stream == "" {
		fmt.Fprintf(p.stderr, "no stream stores %s.>: only those who listen now get the events\n", prefix)
	}
	err = p.replay(ctx, c, span, again.Publish, func() error { return again.Close(context.WithoutCancel(ctx)) })
	if again.Stream != "" {
		fmt.Fprintf(p.stderr, "stream %s had %d of them already\n", again.Stream, again.Duplicates)
	}
	return err
}

// replay calls handle for each event of the span and then finish, whatever
// happened, and says on stderr how far it is.
func (p *program) replay(ctx context.Context, c *client.Client, span jetstream.Span, handle func(jetstream.Message) error, finish func() error) error {
	var count, sequence atomic.Uint64
	began := time.Now()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				fmt.Fprintf(p.stderr, "%d events, up to sequence %d\n", count.Load(), sequence.Load())
			}
		}
	}()
	err := c.Ledger.Replay(ctx, span, func(m jetstream.Message) error {
		err := handle(m)
		if err == nil {
			count.Add(1)
			sequence.Store(m.Sequence)
		}
		return err
	})
	finished := finish()
	close(done)
	<-ended
	took := time.Since(began)
	fmt.Fprintf(p.stderr, "%d events in %s, %.0f per second\n", count.Load(), took.Round(time.Millisecond), float64(count.Load())/took.Seconds())
	if finished != nil { // says more than the error that it led to
		return finished
	}
	return err
}

// ledgerFilter matches the events of one deployment or model, of one kind, or all.
func ledgerFilter(kind, name string) (string, error) {
	if name != "" {
		if _, err := deployment.ParseName(name); err != nil {
			return "", exitf(exitUsage, "%w", err)
		}
	}
	return client.Watch{Kind: deployment.Kind(kind), Name: name}.Filter(), nil
}

// parseTime reads a time, or how long ago it was by the broker's clock.
func parseTime(ctx context.Context, ledger *jetstream.Ledger, s string) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		return at, nil
	}
	ago, err := time.ParseDuration(s)
	if err != nil || ago < 0 {
		return time.Time{}, fmt.Errorf("expected a time such as %s, or a duration such as 2h", time.Now().UTC().Format(time.RFC3339))
	}
	now, err := ledger.Now(ctx)
	return now.Add(-ago), err
}

// parsePlace reads a sequence in the ledger, or a time.
func parsePlace(ctx context.Context, ledger *jetstream.Ledger, s string) (sequence uint64, at time.Time, err error) {
	if sequence, err = strconv.ParseUint(s, 10, 64); err == nil {
		return sequence, at, nil
	}
	at, err = parseTime(ctx, ledger, s)
	return 0, at, err
}
