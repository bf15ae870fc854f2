package worker_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/worker"
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

// lastLook is the commands as a worker sees them, and deliveries that it counts.
type lastLook struct {
	*jetstream.Commands
	once   sync.Once
	ended  func(sequence uint64) bool // whether the command with this sequence is the one that has ended last
	then   func()                     // when a worker has first looked for a command and found none that has not ended
	handed chan uint64
}

func (l *lastLook) Last(ctx context.Context, filter string) (jetstream.Message, error) {
	msg, err := l.Commands.Last(ctx, filter)
	if err == nil && l.ended(msg.Sequence) {
		l.once.Do(l.then)
	}
	return msg, err
}

func (l *lastLook) Consume(ctx context.Context, handle func(jetstream.Delivery)) error {
	return l.Commands.Consume(ctx, func(d jetstream.Delivery) {
		handle(d)
		l.handed <- d.Sequence
	})
}

// until waits until the command with this sequence is handed to the worker.
func (l *lastLook) until(sequence uint64) {
	for got := uint64(0); got != sequence; got = <-l.handed {
	}
}

// A command that is delivered after the lane of its deployment has looked for
// the last time, when the lane holds no more deliveries, is carried out at once.
func TestDeliveryToAFullLaneIsNotLost(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	look := &lastLook{Commands: s.commands, handed: make(chan uint64, 1024)}
	var fill sync.Once
	s.target.apply = func(context.Context, deployment.Name, deployment.ModelRef, uint64) error {
		fill.Do(func() { //nolint:contextcheck // more than a lane holds; published as by a client
			var sequence uint64
			for i := range 40 {
				sequence = s.publish(replaceRequest("churn", fmt.Sprint("r", i), 2+i%2))
			}
			look.until(sequence)
		})
		return nil
	}
	look.ended = func(sequence uint64) bool {
		newest, err := s.ledger.Last(t.Context(), jetstream.Fence("deployment", "churn"))
		if err != nil || newest.Sequence == 0 {
			return false
		}
		e := s.read(newest)
		return e.Command.Sequence == sequence && e.Outcome.Terminal()
	}
	last := make(chan uint64, 1)
	look.then = func() {
		sequence := s.publish(replaceRequest("churn", "last", 5))
		look.until(sequence)
		last <- sequence
	}
	w := s.worker("w1")
	w.Backlog = look
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	s.publish(deployRequest("churn", "1", 1))
	go func() {
		ended <- w.Run(ctx, look, worker.Limits{Concurrency: 8, Window: 1024, AckWait: time.Hour, Drain: time.Second, Reconcile: time.Hour})
	}()
	if outcome := s.outcomeOf(<-last); outcome.Outcome != events.Completed {
		t.Errorf("the last command is %s, want completed", outcome.Outcome)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
