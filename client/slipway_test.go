package client_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-ml/slipway/client"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
)

// patience is how long a test waits for what is to happen soon.
const patience = 60 * time.Second

// program is the path of the slipway that the tests run, and shared one that is up
// for all of them; NATS_URL and PREDICT_URL say where.
var program string //nolint:gochecknoglobals // set once, by TestMain

// TestMain runs the tests and examples beside a real slipway: a process of its
// own, with a broker, a worker and a prediction server.
func TestMain(m *testing.M) { os.Exit(runAll(m)) }

func runAll(m *testing.M) int {
	dir, err := os.MkdirTemp("", "slipway-client")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = filepath.Join(dir, "slipway")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", program, "../cmd/slipway")
	if said, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, said)
		return 1
	}
	up, err := start(filepath.Join(dir, "data"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer up.stop()
	if err := errors.Join(os.Setenv("NATS_URL", up.NATS), os.Setenv("PREDICT_URL", up.Predict)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// slipway is a "slipway up" in a process of its own.
type slipway struct {
	NATS    string `json:"nats"`
	Predict string `json:"predict"`
	stop    func()
}

// start starts one in a data directory and returns once it is ready.
func start(dir string, environment ...string) (s slipway, err error) {
	cmd := exec.Command(program, "up")
	cmd.Env = append([]string{
		"HOME=" + dir, "SLIPWAY_DATA_DIR=" + dir, "SLIPWAY_NATS_PORT=0", "SLIPWAY_PREDICT_ADDR=127.0.0.1:0",
		"SLIPWAY_SYNC=1m", "SLIPWAY_LOG_LEVEL=error", "GORACE=atexit_sleep_ms=0",
	}, environment...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return s, err
	}
	if err := cmd.Start(); err != nil {
		return s, err
	}
	s.stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		_, _ = io.Copy(io.Discard, stdout)
		_ = cmd.Wait()
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "Slipway is ready") {
			text, err := os.ReadFile(filepath.Join(dir, "endpoints.json"))
			if err != nil {
				return s, err
			}
			return s, json.Unmarshal(text, &s)
		}
	}
	s.stop()
	return s, fmt.Errorf("slipway up: %s", stderr.String())
}

// startUp is start for one test.
func startUp(tb testing.TB, environment ...string) slipway {
	tb.Helper()
	s, err := start(tb.TempDir(), environment...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.stop)
	return s
}

// connect is a client of a slipway; "": of the shared one.
func connect(tb testing.TB, url string) *client.Client {
	tb.Helper()
	settings := client.FromEnvironment()
	if url != "" {
		settings = jetstream.Settings{URL: url}
	}
	c, err := client.Connect(tb.Context(), settings, "/test/"+tb.Name())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

// completed waits for the outcome of a command that is to complete.
func completed(tb testing.TB, c *client.Client) func(client.Pending, error) client.Event {
	tb.Helper()
	return func(p client.Pending, err error) client.Event {
		tb.Helper()
		ctx, cancel := context.WithTimeout(tb.Context(), patience)
		defer cancel()
		var e client.Event
		if err == nil {
			e, err = c.Wait(ctx, p)
		}
		if err != nil {
			tb.Fatal(err)
		}
		return e
	}
}

// churn are the facts of a model of the demo, whose file is uploaded.
func churn(ctx context.Context, c *client.Client, version string) (facts handlers.ModelFacts, err error) {
	file, err := os.Open("../cmd/slipway/demo/churn-" + version + ".ubj")
	if err != nil {
		return facts, err
	}
	defer file.Close()
	artifact, err := c.Upload(ctx, file, nil)
	facts = handlers.ModelFacts{
		Format:   deployment.FormatXGBoost,
		Type:     "XGBoost Classifier",
		Target:   deployment.Target{Name: "churned", Type: deployment.TargetBinary, Classes: []string{"stays", "leaves"}},
		Artifact: artifact,
	}
	for _, name := range []string{"tenure_months", "monthly_charges", "support_tickets", "contract_months", "late_payments", "data_usage_gb"} {
		facts.Features = append(facts.Features, deployment.Feature{Name: name, Type: deployment.FeatureNumeric})
	}
	return facts, err
}

// register registers both models of the demo, unless that is done.
func register(tb testing.TB, c *client.Client) {
	tb.Helper()
	for _, version := range []string{"v1", "v2"} {
		facts, err := churn(tb.Context(), c, version)
		if err != nil {
			tb.Fatal(err)
		}
		completed(tb, c)(c.Register(tb.Context(), client.Command{Name: "churn-" + version}, facts))
	}
}

func deploy(label string, model deployment.Name) handlers.Deploy {
	return handlers.Deploy{Label: label, ModelChoice: handlers.ModelChoice{ModelID: model}}
}

func replace(model deployment.Name) handlers.Replace {
	return handlers.Replace{Reason: deployment.ReasonAccuracy, ModelChoice: handlers.ModelChoice{ModelID: model}}
}
