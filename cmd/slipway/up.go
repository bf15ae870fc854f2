package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/jetstream/embedded"
)

type upCmd struct {
	Demo bool `help:"Also register, deploy, ask and replace a model that comes with slipway."`
}

// Run starts everything in one process and stops it, in the reverse order, when
// ctx ends.
func (u *upCmd) Run(ctx context.Context, p *program) (err error) {
	began := time.Now()
	log := p.logger(p.stderr)
	listener, err := listen(p.PredictAddr, "SLIPWAY_PREDICT_ADDR")
	if err != nil {
		return err
	}
	defer listener.Close()
	sync, err := p.syncInterval()
	if err != nil {
		return err
	}
	server, err := embedded.Start(embedded.Options{Dir: p.DataDir, Host: p.NATSHost, Port: p.NATSPort, SyncInterval: sync, MaxStore: p.MaxStore, Log: log})
	if err != nil {
		return fmt.Errorf("%w (SLIPWAY_DATA_DIR, SLIPWAY_NATS_HOST and SLIPWAY_NATS_PORT say where)", err)
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	conn, err := jetstream.Connect(jetstream.Settings{URL: server.URL()}, "slipway up", log, server.InProcess())
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.Open(ctx, conn)
	if err != nil {
		return err
	}
	if err := p.provision(ctx, js); err != nil {
		return err
	}
	where := endpoints{NATS: server.URL(), Predict: localURL(listener)}
	gate, gateListener, err := p.upGateway(ctx, js, log)
	if err != nil {
		return err
	}
	var more []part
	if gate != nil {
		defer gateListener.Close()
		where.Gateway = localURL(gateListener)
		more = append(more, func(ctx context.Context) error { return gate.Run(ctx, gateListener) })
	}
	return runParts(ctx, p, js, listener, where, log, more, func(ctx context.Context) error {
		u.greet(p, where, time.Since(began))
		if u.Demo {
			return demo(ctx, p, js, where)
		}
		return nil
	})
}

func (u *upCmd) greet(p *program, where endpoints, took time.Duration) {
	fmt.Fprintf(p.stdout, `Slipway is ready after %s.
  NATS         %s
  predictions  %s
  data         %s
`, took.Round(time.Millisecond), where.NATS, where.Predict, p.DataDir)
	if where.Gateway != "" {
		fmt.Fprintf(p.stdout, "  gateway      %s\n", where.Gateway)
	}
	if !u.Demo {
		fmt.Fprintf(p.stdout, `
Try next, in another terminal:
  slipway deploy churn --label Churn --file model.ubj --target churned --target-type Binary
  slipway events --follow
`)
	}
}

// part is something else that runs until its context ends.
type part func(context.Context) error

// runParts runs a worker, a prediction server and more until ctx ends: the
// prediction server stops last, so that what the worker is doing can end. ready is
// called once all run.
func runParts(ctx context.Context, p *program, js natsjs.JetStream, listener net.Listener, where endpoints, log *slog.Logger, more []part, ready func(context.Context) error) error {
	w, commands, err := newWorker(ctx, p.Config, js, log)
	if err != nil {
		return err
	}
	loaded := make(chan struct{})
	server, err := newPredictServer(ctx, p.Config, js, where.Predict, log, func() { close(loaded) })
	if err != nil {
		return err
	}
	parts, failed := errgroup.WithContext(context.WithoutCancel(ctx))
	working, stopWorking := merge(ctx, failed)
	defer stopWorking()
	serving, stopServing := context.WithCancel(failed)
	defer stopServing()

	parts.Go(func() error { return server.Run(serving, listener) })
	parts.Go(func() error {
		defer stopServing()
		return work(working, p.Config, js, w, commands)
	})
	for _, run := range more {
		parts.Go(func() error { return run(working) })
	}
	parts.Go(func() error {
		select {
		case <-loaded:
		case <-working.Done():
			return nil
		}
		remove, err := where.write(p.DataDir)
		if err != nil {
			return err
		}
		err = ready(working)
		if err == nil {
			<-working.Done()
			fmt.Fprintln(p.stderr, "Stopping: running commands may end first. Interrupt again to stop at once.")
		} else if working.Err() != nil {
			err = nil
		}
		return errors.Join(err, remove())
	})
	return parts.Wait()
}

// merge is a context that ends when either does.
func merge(a, b context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(a)
	stop := context.AfterFunc(b, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}
