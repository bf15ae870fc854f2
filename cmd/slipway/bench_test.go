package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/slipway-ml/slipway/client"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
)

// BenchmarkDeploy is the time from publishing a deploy, with the artifact in the
// object store, to its completed event, on an idle system that writes to disk
// before it acknowledges.
func BenchmarkDeploy(b *testing.B) {
	s := startUp(b, map[string]string{"SLIPWAY_SYNC": "always"})
	facts := s.upload("churn-v1")
	outcomes, stop := s.follow()
	defer stop()
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		name := fmt.Sprint("bench-", i)
		msg := deployMessage(b, name, facts)
		began := time.Now()
		s.publish(msg)
		if e := <-outcomes; e.Outcome != events.Completed || e.Subject != name {
			b.Fatalf("got %s of %s: %s, want completed of %s", e.Outcome, e.Subject, e.detail(), name)
		}
		took = append(took, time.Since(began))
	}
	reportQuantiles(b, took)
}

// BenchmarkUpReady is the time from starting the program to its being ready, in
// an empty data directory and in one with 100 deployments.
func BenchmarkUpReady(b *testing.B) {
	binary := build(b)
	for _, deployments := range []int{0, 100} {
		b.Run(fmt.Sprint("deployments=", deployments), func(b *testing.B) {
			dir := b.TempDir()
			if deployments > 0 {
				p := start(b, binary, dir)
				p.deploy(b, deployments)
				p.stop(b)
			}
			var took []time.Duration
			for b.Loop() {
				if deployments == 0 {
					dir = b.TempDir()
				}
				began := time.Now()
				p := start(b, binary, dir)
				took = append(took, time.Since(began))
				p.stop(b)
			}
			reportQuantiles(b, took)
		})
	}
}

// BenchmarkMemory is the resident memory of the program when idle, and with 100
// small models deployed.
func BenchmarkMemory(b *testing.B) {
	binary := build(b)
	for b.Loop() {
		p := start(b, binary, b.TempDir())
		b.ReportMetric(p.resident(b), "idle-MiB")
		p.deploy(b, 100)
		b.ReportMetric(p.resident(b), "100-models-MiB")
		p.stop(b)
	}
}

func reportQuantiles(b *testing.B, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	for name, q := range map[string]int{"p50-ms": 50, "p99-ms": 99} {
		b.ReportMetric(float64(took[(len(took)-1)*q/100].Microseconds())/1000, name)
	}
	b.ReportMetric(0, "ns/op") // the mean says nothing that the quantiles do not
}

func deployMessage(tb testing.TB, name string, facts handlers.ModelFacts) *nats.Msg {
	tb.Helper()
	r := events.Request{
		Type: events.Type{Kind: string(deployment.KindDeployment), Op: "deploy"}, Source: "/bench", ID: nats.NewInbox(),
		Subject: name, Time: time.Now(), Data: handlers.Deploy{Label: name, ModelChoice: handlers.ModelChoice{Model: &facts}},
	}
	e, err := r.Event()
	if err != nil {
		tb.Fatal(err)
	}
	_, body, err := events.Encode(e)
	if err != nil {
		tb.Fatal(err)
	}
	return &nats.Msg{Subject: jetstream.CommandSubject(r.Type.Kind, name, "deploy"), Data: body}
}

// follow is the terminal events from now on, until stop is called.
func (s *system) follow() (outcomes chan entry, stop func()) {
	s.tb.Helper()
	ready, ended := make(chan struct{}), make(chan struct{})
	outcomes = make(chan entry, 1024)
	ctx, cancel := context.WithCancel(s.tb.Context())
	go func() {
		defer close(ended)
		err := s.Ledger.Follow(ctx, jetstream.AllEvents, 0, func() { close(ready) }, func(m jetstream.Message) error {
			e, err := readEntry(m)
			if err == nil && e.Outcome.Terminal() {
				outcomes <- e
			}
			return err
		})
		if err != nil && !errors.Is(err, context.Canceled) {
			s.tb.Error(err)
		}
	}()
	<-ready
	return outcomes, func() {
		cancel()
		<-ended
	}
}

// build builds the program as a user does.
func build(tb testing.TB) (path string) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), "slipway")
	if out, err := exec.CommandContext(tb.Context(), "go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		tb.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// upProcess is a program that runs apart from the benchmark.
type upProcess struct {
	*exec.Cmd
	dir   string
	ended chan struct{}
}

// start starts "up" and returns once it is ready.
func start(tb testing.TB, binary, dir string) *upProcess {
	tb.Helper()
	p := &upProcess{Cmd: exec.Command(binary, "up"), dir: dir, ended: make(chan struct{})} //nolint:noctx // stopped by a signal
	p.Env = append(os.Environ(), "SLIPWAY_DATA_DIR="+dir, "SLIPWAY_NATS_PORT=0", "SLIPWAY_PREDICT_ADDR=127.0.0.1:0", "SLIPWAY_LOG_LEVEL=error")
	out := newConsole()
	p.Stdout, p.Stderr = out, out
	if err := p.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.Wait() // stop looks at what it says
	}()
	if err := out.await("Slipway is ready", p.ended); err != nil {
		tb.Fatal(err)
	}
	return p
}

func (p *upProcess) stop(tb testing.TB) {
	tb.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		tb.Fatal(err)
	}
	<-p.ended
	if code := p.ProcessState.ExitCode(); code != 0 {
		tb.Fatalf("up ended with %d", code)
	}
}

// connect is clients of the program.
func (p *upProcess) connect(tb testing.TB) *system {
	tb.Helper()
	where, err := readEndpoints(p.dir)
	if err != nil {
		tb.Fatal(err)
	}
	s := &system{tb: tb, dir: p.dir, where: where}
	if s.conn, err = nats.Connect(where.NATS); err != nil {
		tb.Fatal(err)
	}
	js, err := jetstream.Open(tb.Context(), s.conn)
	if err != nil {
		tb.Fatal(err)
	}
	if s.Client, err = client.Over(tb.Context(), js, "/test"); err != nil {
		tb.Fatal(err)
	}
	return s
}

// deploy deploys the two models of the demo under many names.
func (p *upProcess) deploy(tb testing.TB, deployments int) {
	tb.Helper()
	s := p.connect(tb)
	defer s.conn.Close()
	facts := []handlers.ModelFacts{s.upload("churn-v1"), s.upload("churn-v2")}
	outcomes, stop := s.follow()
	defer stop()
	for i := range deployments {
		s.publish(deployMessage(tb, fmt.Sprint("bench-", i), facts[i%len(facts)]))
	}
	for range deployments {
		if e := <-outcomes; e.Outcome != events.Completed {
			tb.Fatalf("got %s of %s: %s, want completed", e.Outcome, e.Subject, e.detail())
		}
	}
}

// resident is the resident memory in MiB, as Linux has it.
func (p *upProcess) resident(tb testing.TB) float64 {
	tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmRSS:" {
			kib, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				tb.Fatal(err)
			}
			return kib / 1024
		}
	}
	tb.Fatal("no VmRSS in the status of the process")
	return 0
}
