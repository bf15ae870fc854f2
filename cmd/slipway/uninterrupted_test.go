package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
)

// switching is a deployment that goes from churn-v1 to churn-v2 and back again
// and again. The model of the nth switch is known, so an answer says how far the
// server is that gave it.
type switching struct {
	begun, done atomic.Int64 // switches
	stop        atomic.Bool
	answers     atomic.Int64
}

func modelAfter(switches int64) deployment.Name {
	return []deployment.Name{"churn-v1", "churn-v2"}[switches%2]
}

// ask asks on one connection until it is told to stop. Every answer is right, is
// by a model that may serve then, and never by an earlier one than the answer
// before.
func (s *switching) ask(url string, body []byte, expected map[string]float64) error {
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	seen := int64(0) // switches that the answers so far have shown
	for !s.stop.Load() {
		done := s.done.Load()
		response, err := client.Post(url, "application/json", bytes.NewReader(body))
		if err != nil {
			return err
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("got %d %s", response.StatusCode, text)
		}
		var answer inference
		if err := json.Unmarshal(text, &answer); err != nil {
			return err
		}
		want := float32(expected[answer.ModelVersion])
		if len(answer.Outputs) != 1 || len(answer.Outputs[0].Data) != 1 || float32(answer.Outputs[0].Data[0]) != want {
			return fmt.Errorf("got %s, want %v", text, want)
		}
		if seen = max(seen, done); modelAfter(seen) != deployment.Name(answer.ModelVersion) {
			seen++
		}
		if begun := s.begun.Load(); seen > begun {
			return fmt.Errorf("got %s, which is of switch %d: %d had begun, %d were done", text, seen, begun, done)
		}
		s.answers.Add(1)
	}
	return nil
}

// While a deployment is replaced, rolled back, updated, switched and refused,
// every prediction is answered, by the old model or the new one and never by the
// old one after the new one (datarobot.md R11).
func TestPredictionsAreNotInterrupted(t *testing.T) {
	t.Parallel()
	s := startUp(t, nil)
	for _, id := range []deployment.Name{"churn-v1", "churn-v2"} {
		if e := s.command(deployment.KindModel, string(id), "register", handlers.Register{ModelFacts: s.upload(id)}); e.Outcome != events.Completed {
			t.Fatalf("register %s: %s %+v", id, e.Outcome, e.Failure)
		}
	}
	unfit := s.upload("churn-v2")
	unfit.Features = unfit.Features[1:]
	do := func(op string, data any, want events.Outcome) {
		if e := s.command(deployment.KindDeployment, "churn", op, data); e.Outcome != want {
			t.Errorf("%s: got %s %+v, want %s", op, e.Outcome, e.Failure, want)
		}
	}
	do("deploy", handlers.Deploy{Label: "Churn", ModelChoice: handlers.ModelChoice{ModelID: "churn-v1"}}, events.Completed)

	demo := readSample(t)
	body, err := inferRequest([][]*float64{demo.Row})
	if err != nil {
		t.Fatal(err)
	}
	var load switching
	var clients sync.WaitGroup
	for range 3 {
		clients.Go(func() {
			if err := load.ask(s.where.Predict+"/v2/models/churn/infer", body, demo.Expected); err != nil {
				t.Error(err)
			}
		})
	}
	for round := range 12 {
		load.begun.Add(1)
		do("replace", handlers.Replace{Reason: deployment.ReasonAccuracy, ModelChoice: handlers.ModelChoice{ModelID: "churn-v2"}}, events.Completed)
		load.done.Add(1)
		label, on := fmt.Sprint("Churn ", round), round%2 == 0
		do("update", handlers.Update{Label: &label}, events.Completed)
		do("drift", handlers.Drift{TargetDriftEnabled: &on}, events.Completed)
		do("replace", handlers.Replace{Reason: deployment.ReasonOther, ModelChoice: handlers.ModelChoice{Model: &unfit}}, events.Rejected)
		load.begun.Add(1)
		do("rollback", handlers.Rollback{Reason: deployment.ReasonErrors}, events.Completed)
		load.done.Add(1)
		load.begun.Add(1)
		do("update", handlers.Update{Label: &label, ModelChoice: handlers.ModelChoice{ModelID: "churn-v2"}}, events.Completed)
		load.done.Add(1)
		do("update", handlers.Update{Label: &label, ModelChoice: handlers.ModelChoice{Model: &unfit}}, events.Rejected)
		load.begun.Add(1)
		do("update", handlers.Update{Version: 1}, events.Completed)
		load.done.Add(1)
	}
	load.stop.Store(true)
	clients.Wait()
	t.Logf("%d predictions in %d switches", load.answers.Load(), load.done.Load())
	do("deactivate", handlers.Deactivate{}, events.Completed)
	if status, answer := s.predict("churn", demo.Row); status != http.StatusForbidden || answer != `{"error":"Deployment is inactive"}` {
		t.Errorf("inactive: got %d %s", status, answer)
	}
	do("activate", handlers.Activate{}, events.Completed)
	if status, answer := s.predict("churn", demo.Row); status != http.StatusOK {
		t.Errorf("active again: got %d %s", status, answer)
	}
}
