package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
)

// When the store is full, commands are refused and whoever publishes one is told
// why; what was accepted before, running or queued, stays unfinished and what
// serves goes on to. When there is room again, all of it is carried out.
func TestFullStore(t *testing.T) {
	t.Parallel()
	s := startUp(t, map[string]string{"SLIPWAY_MAX_STORE_BYTES": "4000000", "SLIPWAY_SYNC": "always"})
	first := s.upload("churn-v1")
	if e := s.command(deployment.KindDeployment, "churn", "deploy", handlers.Deploy{Label: "Churn", ModelChoice: handlers.ModelChoice{Model: &first}}); e.Outcome != events.Completed {
		t.Fatalf("deploy: got %s: %s, want completed", e.Outcome, e.detail())
	}

	// One command is running, as long as its file does not come, and some wait behind it.
	file := readDemo(t, "churn-v2.ubj")
	asked, answer := make(chan struct{}, 16), make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-answer
		_, _ = w.Write(file)
	}))
	defer web.Close()
	slow := first
	slow.Artifact = deployment.Artifact{URL: web.URL + "/churn-v2.ubj", Digest: deployment.Digest(fmt.Sprintf("sha256:%x", sha256.Sum256(file))), Size: int64(len(file))}
	accepted := []uint64{s.replaceWith(slow)}
	select {
	case <-asked:
	case <-time.After(patience):
		t.Fatalf("nobody asks for the model file\n%s", s.stderr)
	}
	for i := range 4 {
		accepted = append(accepted, s.replaceWith([]handlers.ModelFacts{first, slow}[i%2]))
	}

	fill := s.fillStore()
	before := len(s.outcomes())
	code, _, stderr := runVerb(t, map[string]string{"NATS_URL": s.where.NATS}, "cancel", "churn", "nobody")
	if code == exitOK || !strings.Contains(stderr, "insufficient resources") {
		t.Errorf("publish a command: got exit code %d and %q, want that the broker has insufficient resources", code, stderr)
	}
	if _, err := s.JetStream.PublishMsg(t.Context(), s.replaceMessage(first)); !refusedAsFull(err) {
		t.Errorf("publish a command: got %v, want that the broker has insufficient resources", err)
	}
	close(answer) // the worker goes on, and cannot say so
	if err := s.stderr.await("insufficient resources", nil); err != nil {
		t.Error(err)
	}
	if got := len(s.outcomes()); got != before {
		t.Errorf("got %d outcomes, want the %d from before the store was full", got, before)
	}
	if status, text := s.predict("churn", readSample(t).Row); status != http.StatusOK || !strings.Contains(text, string(first.Named("").ContentID())) {
		t.Errorf("got %d %s, want a prediction by the model that was deployed", status, text)
	}

	if err := s.JetStream.DeleteStream(t.Context(), fill); err != nil {
		t.Fatal(err)
	}
	for _, sequence := range accepted {
		if e := s.outcomeOf(sequence); e.Outcome != events.Completed {
			t.Errorf("command %d: got %s: %s, want completed", sequence, e.Outcome, e.detail())
		}
	}
	if e := s.outcomeOf(s.replaceWith(first)); e.Outcome != events.Completed {
		t.Errorf("a command after that: got %s: %s, want completed", e.Outcome, e.detail())
	}
	for sequence, count := range s.outcomes() {
		if count != 1 {
			t.Errorf("command %d has %d outcomes, want one", sequence, count)
		}
	}
	if code, stdout, stderr := runVerb(t, map[string]string{"NATS_URL": s.where.NATS}, "verify"); code != exitOK {
		t.Errorf("slipway verify: exit code %d: %s%s", code, stdout, stderr)
	}
}

func (s *system) replaceMessage(facts handlers.ModelFacts) *nats.Msg {
	s.tb.Helper()
	data, err := json.Marshal(handlers.Replace{Reason: deployment.ReasonOther, ModelChoice: handlers.ModelChoice{Model: &facts}})
	if err != nil {
		s.tb.Fatal(err)
	}
	return &nats.Msg{
		Subject: jetstream.CommandSubject("deployment", "churn", "replace"),
		Data:    structured(deployment.KindDeployment, "churn", "replace", nats.NewInbox(), string(data)),
	}
}

func (s *system) replaceWith(facts handlers.ModelFacts) (sequence uint64) {
	s.tb.Helper()
	return s.publish(s.replaceMessage(facts))
}

// fillStore stores messages in a stream of their own until nothing fits in any more.
func (s *system) fillStore() (stream string) {
	s.tb.Helper()
	const name = "FILL"
	if _, err := s.JetStream.CreateStream(s.tb.Context(), natsjs.StreamConfig{Name: name, Subjects: []string{"fill"}}); err != nil {
		s.tb.Fatal(err)
	}
	for size := 512 << 10; size > 0; size /= 2 {
		for {
			_, err := s.JetStream.Publish(s.tb.Context(), "fill", make([]byte, size))
			if refusedAsFull(err) {
				break
			}
			if err != nil {
				s.tb.Fatal(err)
			}
		}
	}
	return name
}

func refusedAsFull(err error) bool {
	var refused *natsjs.APIError
	return errors.As(err, &refused) && refused.ErrorCode == 10023 // insufficient resources
}
