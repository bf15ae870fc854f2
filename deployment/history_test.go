package deployment_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
)

func TestHistory(t *testing.T) {
	t.Parallel()
	var h deployment.History
	at := func(hour int) time.Time { return created.Add(time.Duration(hour) * time.Hour) }
	by := func(hour int) deployment.Command {
		cmd := command()
		cmd.At, cmd.By = at(hour), "/people/ada"
		return cmd
	}
	first := deployment.NewState(by(1), "Churn", nil).RollingOut(deployment.StatusDeploying, ref("churn-v1")).Serving(by(1), ref("churn-v1"))
	h.Add(deployment.Completed{EventID: "e1", After: nil}) // of a command that came to nothing
	h.Add(deployment.Completed{EventID: "e2", After: first})
	labelled, _ := first.Changed(by(2), func(s *deployment.State) { s.Label = "x" })
	h.Add(deployment.Completed{EventID: "e3", After: labelled})
	second := labelled.Serving(by(3), ref("churn-v2"))
	h.Add(deployment.Completed{
		EventID: "e4", Actor: "/people/bob", After: second,
		Replacement: &deployment.Replacement{OldModel: "churn-v1", NewModel: "churn-v2", Reason: deployment.ReasonDataDrift, ReasonText: "spring"},
	})
	h.Add(deployment.Completed{EventID: "e5", After: second.Stopped(by(4))})
	gone := second.Tombstone(by(5))
	h.Add(deployment.Completed{EventID: "e6", After: gone})
	if len(h.Life()) != 0 {
		t.Errorf("of a deleted deployment: got %+v, want none that one can go back to", h.Life())
	}
	h.Add(deployment.Completed{EventID: "e7", After: gone})
	anew := deployment.NewState(by(6), "Churn", nil)
	anew.Generation = gone.Generation
	h.Add(deployment.Completed{EventID: "e8", After: anew.Serving(by(6), ref("churn-v1"))})

	three, five, ada, drift := at(3), at(5), "/people/ada", deployment.ReasonDataDrift
	kind, digest := churn().Type, churn().Artifact.Digest
	want := []deployment.Served{
		{
			Version: 1, ModelID: "churn-v1", ModelType: kind, Digest: digest, DeployedAt: at(1), DeployedBy: ada, ReplacedAt: &three, ReplacedBy: &ada,
			Reason: &drift, ReasonText: "spring", EventID: "e2",
		},
		{
			Version: 2, ModelID: "churn-v2", ModelType: kind, Digest: digest, DeployedAt: at(3), DeployedBy: ada, Actor: "/people/bob",
			ReplacedAt: &five, ReplacedBy: &ada, EventID: "e4",
		},
		{Version: 4, ModelID: "churn-v1", ModelType: kind, Digest: digest, DeployedAt: at(6), DeployedBy: ada, EventID: "e8"},
	}
	if diff := cmp.Diff(want, h.Served); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[2:], h.Life()); diff != "" {
		t.Errorf("of the deployment that has the name now (-want +got):\n%s", diff)
	}
}

// What is not known is said as null (datarobot.md section 9, shapes).
func TestServedOnTheWire(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(deployment.Served{Version: 7, ModelID: "churn-v1", ModelType: "XGBoost Classifier", Digest: "sha256:0", DeployedAt: created, DeployedBy: "/people/ada", EventID: "e"})
	const want = `{"version":7,"modelId":"churn-v1","modelType":"XGBoost Classifier","digest":"sha256:0","deployedAt":"2026-03-01T08:00:00Z","deployedBy":"/people/ada",` +
		`"replacedAt":null,"replacedBy":null,"reason":null,"eventId":"e"}`
	if err != nil || string(text) != want {
		t.Errorf("got %s, %v, want %s", text, err, want)
	}
}
