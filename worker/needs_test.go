package worker_test

import (
	"encoding/json"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/worker"
)

// What the ledger needs are the newest versions of what there is, and what was
// registered; a command that waits is seen to wait.
func TestNeeds(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	w := s.worker("w1")
	s.advanceAll(w, deployRequest("churn", "v1", 1), replaceRequest("churn", "v2", 2), replaceRequest("churn", "v3", 3), replaceRequest("churn", "v1 again", 1),
		deployRequest("gone", "v4", 4), request(deployment.KindDeployment, "gone", "delete", "bye", json.RawMessage(`{}`)))
	var n worker.Needs
	read := func() {
		t.Helper()
		if err := n.Read(t.Context(), s.ledger); err != nil {
			t.Fatal(err)
		}
	}
	read()
	digest := func(variant int) deployment.Digest { return facts(variant).Artifact.Digest }
	want := func(versions int, variants ...int) {
		t.Helper()
		got := n.Artifacts(versions)
		for _, v := range variants {
			if got[digest(v)] == "" {
				t.Errorf("%d versions: model %d is not needed", versions, v)
			}
		}
		if len(got) != len(variants) {
			t.Errorf("%d versions: got %v, want those of the models %v", versions, got, variants)
		}
	}
	want(0, 1, 3) // current and previous
	want(2, 1, 3)
	want(3, 1, 2, 3)
	want(100, 1, 2, 3)
	if at, err := n.Unfinished(t.Context(), s.commands); err != nil || !at.IsZero() {
		t.Errorf("got %v, %v, want that all commands have ended", at, err)
	}
	sequence := s.publish(replaceRequest("churn", "v5", 5))
	waiting, err := s.commands.At(t.Context(), sequence)
	if err != nil {
		t.Fatal(err)
	}
	if at, err := n.Unfinished(t.Context(), s.commands); err != nil || !at.Equal(waiting.Time) {
		t.Errorf("got %v, %v, want %v, when the command that waits was stored", at, err, waiting.Time)
	}
	s.advance(w, deployment.KindDeployment, "churn")
	read()
	want(0, 1, 5)
	if _, err := s.js.PublishMsg(t.Context(), &nats.Msg{Subject: "slipway.events.deployment.churn.replace.completed", Data: []byte("{")}); err != nil {
		t.Fatal(err)
	}
	if err := n.Read(t.Context(), s.ledger); err == nil {
		t.Error("an event that cannot be read is passed over: nobody knows what it needs")
	}
}
