package worker_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
)

func natsMsg(subject string, header events.Header, body []byte) *nats.Msg {
	return &nats.Msg{Subject: subject, Header: nats.Header(header), Data: body}
}

func outcomes(all []event, sequence uint64) (list []events.Outcome) {
	for _, e := range all {
		if e.Command.Sequence == sequence {
			list = append(list, e.Outcome)
		}
	}
	return list
}

func TestDeployReplaceInOrder(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	// Published back to back before any worker runs.
	registered := s.publish(request(deployment.KindModel, "churn-v2", "register", "1", handlers.Register{ModelFacts: facts(2)}))
	deployed := s.publish(request(deployment.KindDeployment, "churn", "deploy", "2", handlers.Deploy{Label: "Churn", ModelChoice: inline(1)}))
	replaced := s.publish(request(deployment.KindDeployment, "churn", "replace", "3",
		handlers.Replace{Reason: deployment.ReasonAccuracy, ModelChoice: handlers.ModelChoice{ModelID: "churn-v2"}}))
	stop := s.run(s.worker("w1"))

	for _, sequence := range []uint64{registered, deployed, replaced} {
		if got := s.outcomeOf(sequence); got.Outcome != events.Completed {
			t.Errorf("command %d: got %s %+v, want completed", sequence, got.Outcome, got.Failure)
		}
	}
	last := s.outcomeOf(replaced)
	want := &deployment.Replacement{OldModel: contentID(1), NewModel: "churn-v2", Reason: deployment.ReasonAccuracy}
	if diff := cmp.Diff(want, last.Replacement); diff != "" {
		t.Errorf("replacement (-want +got):\n%s", diff)
	}
	if got := s.target.serves("churn"); got != "churn-v2" {
		t.Errorf("target serves %q, want churn-v2", got)
	}
	stop() // everything is projected
	view, _ := s.deployment("churn")
	if diff := cmp.Diff(*last.Deployment, view.State); diff != "" {
		t.Errorf("deployments bucket (-event +bucket):\n%s", diff)
	}
	if view.Status != deployment.StatusActive || view.Previous.ID != contentID(1) || view.Revision != 2 {
		t.Errorf("got %+v, want an active deployment at revision 2 that served %s before", view.State, contentID(1))
	}
	want1 := []events.Outcome{events.Started, events.Validated, events.Completed}
	if diff := cmp.Diff(want1, outcomes(s.history(), replaced)); diff != "" {
		t.Errorf("events of the replacement (-want +got):\n%s", diff)
	}
}
