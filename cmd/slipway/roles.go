package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/jetstream"
)

type workerCmd struct{}

// Run carries out commands until ctx ends.
func (workerCmd) Run(ctx context.Context, p *program) (err error) {
	log := p.logger(p.stderr)
	conn, js, err := p.connect(ctx, "slipway worker")
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := p.provision(ctx, js); err != nil {
		return err
	}
	w, commands, err := newWorker(ctx, p.Config, js, log)
	if err != nil {
		return err
	}
	listener, err := listen(p.HealthAddr, "SLIPWAY_HEALTH_ADDR")
	if err != nil {
		return err
	}
	defer listener.Close()
	go serveHealth(listener, conn)
	remove, err := endpoints{NATS: jetstream.ServerURL(conn), Health: localURL(listener) + "/healthz"}.write(p.DataDir)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "Worker %s takes commands from %s.\n", w.ID, jetstream.ServerURL(conn))
	return errors.Join(work(ctx, p.Config, js, w, commands), remove())
}

// serveHealth answers 200 while there is a connection to the broker, else 503.
func serveHealth(listener net.Listener, conn *nats.Conn) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if !conn.IsConnected() {
			http.Error(w, "no connection to NATS", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	_ = server.Serve(listener) // ends when the listener is closed
}

type predictServerCmd struct{}

// Run serves predictions until ctx ends.
func (predictServerCmd) Run(ctx context.Context, p *program) error {
	log := p.logger(p.stderr)
	conn, js, err := p.connect(ctx, "slipway predict-server")
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := jetstream.Provision(ctx, js, p.Replicas, p.ackWait()); err != nil {
		return err
	}
	listener, err := listen(p.PredictAddr, "SLIPWAY_PREDICT_ADDR")
	if err != nil {
		return err
	}
	defer listener.Close()
	where := endpoints{NATS: jetstream.ServerURL(conn), Predict: localURL(listener)}
	loaded := make(chan struct{})
	server, err := newPredictServer(ctx, p.Config, js, where.Predict, log, func() { close(loaded) })
	if err != nil {
		return err
	}
	stopCollecting, err := startCollecting(ctx, p.Config, js, false, log)
	if err != nil {
		return err
	}
	defer stopCollecting()
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, listener) }()
	select {
	case err := <-ended:
		return err
	case <-loaded:
	}
	remove, err := where.write(p.DataDir)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "Prediction server %s answers at %s.\n", server.ID, where.Predict)
	return errors.Join(<-ended, remove())
}

// connect connects to the NATS server that the environment names.
func (p *program) connect(ctx context.Context, name string) (*nats.Conn, natsjs.JetStream, error) {
	conn, err := jetstream.Connect(p.broker(), name, p.logger(p.stderr))
	if wrong, ok := errors.AsType[*jetstream.SettingsError](err); ok {
		return nil, nil, exitf(exitUsage, "NATS_%s: %w", strings.ToUpper(wrong.Setting), err)
	}
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.Open(ctx, conn)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, js, nil
}
