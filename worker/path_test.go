package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/worker"
)

func deployRequest(name, id string, variant int) events.Request {
	return request(deployment.KindDeployment, name, "deploy", id, handlers.Deploy{Label: name, ModelChoice: inline(variant)})
}

func replaceRequest(name, id string, variant int) events.Request {
	return request(deployment.KindDeployment, name, "replace", id, handlers.Replace{Reason: deployment.ReasonOther, ModelChoice: inline(variant)})
}

// What cannot be carried out ends in one rejected event with the code, and
// leaves the deployment byte-identical.
func TestRejectedChangesNothing(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.run(s.worker("w1"))
	s.outcomeOf(s.publish(deployRequest("churn", "first", 1)))
	before, _ := s.deployment("churn")

	good := func(change func(map[string]any)) []byte {
		e, err := replaceRequest("churn", "bad-"+t.Name(), 2).Event()
		if err != nil {
			t.Fatal(err)
		}
		var event map[string]any
		if err := json.Unmarshal(mustJSON(t, e), &event); err != nil {
			t.Fatal(err)
		}
		event["id"] = fmt.Sprintf("bad-%d", time.Now().UnixNano())
		change(event)
		return mustJSON(t, event)
	}
	data := func(event map[string]any) map[string]any { return event["data"].(map[string]any) }
	const onReplace = "slipway.commands.deployment.churn.replace"
	for _, c := range []struct {
		name, subject string
		body          []byte
		code          deployment.Code
		path          string
	}{
		{"text", onReplace, []byte("hello"), deployment.CodeNotCloudEvent, ""},
		{"nothing", onReplace, nil, deployment.CodeNotCloudEvent, ""},
		{"cut off", onReplace, good(func(map[string]any) {})[:40], deployment.CodeNotCloudEvent, ""},
		{"no id", onReplace, good(func(e map[string]any) { delete(e, "id") }), deployment.CodeInvalidEvent, "id"},
		{"no type", onReplace, good(func(e map[string]any) { delete(e, "type") }), deployment.CodeTypeMismatch, "type"},
		{"other type", onReplace, good(func(e map[string]any) { e["type"] = "dev.slipway.deployment.deploy.requested.v1" }), deployment.CodeTypeMismatch, "type"},
		{"an event", onReplace, good(func(e map[string]any) { e["type"] = "dev.slipway.deployment.replace.completed.v1" }), deployment.CodeTypeMismatch, "type"},
		{"other subject", onReplace, good(func(e map[string]any) { e["subject"] = "fraud" }), deployment.CodeSubjectMismatch, "subject"},
		{"no subject", onReplace, good(func(e map[string]any) { delete(e, "subject") }), deployment.CodeSubjectMismatch, "subject"},
		{"no data", onReplace, good(func(e map[string]any) { delete(e, "data") }), deployment.CodeInvalidEvent, "data"},
		{"data is a list", onReplace, good(func(e map[string]any) { e["data"] = []int{1} }), deployment.CodeInvalidEvent, "data"},
		{"no reason", onReplace, good(func(e map[string]any) { delete(data(e), "reason") }), deployment.CodeMissingField, "reason"},
		{"unknown reason", onReplace, good(func(e map[string]any) { data(e)["reason"] = "BORED" }), deployment.CodeUnknownEnum, "reason"},
		{"unknown member", onReplace, good(func(e map[string]any) { data(e)["reasontext"] = "x" }), deployment.CodeUnknownField, "reasontext"},
		{"two models", onReplace, good(func(e map[string]any) { data(e)["modelId"] = "x" }), deployment.CodeInvalidField, ""},
		{"unknown model", onReplace, good(func(e map[string]any) { delete(data(e), "model"); data(e)["modelId"] = "nobody" }), deployment.CodeModelNotFound, "modelId"},
		{"unknown operation", "slipway.commands.deployment.churn.explode", good(func(e map[string]any) {
			e["type"] = "dev.slipway.deployment.explode.requested.v1"
		}), deployment.CodeUnknownOperation, ""},
		{"bad name", "slipway.commands.deployment.Churn_1.replace", good(func(e map[string]any) { e["subject"] = "Churn_1" }), deployment.CodeInvalidName, "subject"},
		{"too many tokens", "slipway.commands.deployment.churn.replace.now", good(func(map[string]any) {}), deployment.CodeUnknownOperation, ""},
		{"unknown kind", "slipway.commands.pipeline.churn.replace", good(func(map[string]any) {}), deployment.CodeUnknownOperation, ""},
		{"too large", onReplace, good(func(e map[string]any) { data(e)["reasonText"] = strings.Repeat("x", 300_000) }), deployment.CodeTooLarge, ""},
	} {
		got := s.outcomeOf(s.publishRaw(c.subject, nil, c.body))
		if got.Outcome != events.Rejected || got.Failure.Code != c.code {
			t.Errorf("%s: got %s %+v, want rejected with %s", c.name, got.Outcome, got.Failure, c.code)
			continue
		}
		if first := got.Failure.Findings[0]; first.Path != c.path || first.Message == "" {
			t.Errorf("%s: got finding %+v, want one at %q with a message", c.name, first, c.path)
		}
		if unreadable := c.code == deployment.CodeNotCloudEvent; unreadable && (got.Raw == nil || got.Raw.Size != len(c.body)) {
			t.Errorf("%s: got raw %+v, want the digest, size %d and head of the message", c.name, got.Raw, len(c.body))
		}
		if got.Deployment != nil {
			if diff := cmp.Diff(before.State, *got.Deployment); diff != "" {
				t.Errorf("%s: the state changed (-before +after):\n%s", c.name, diff)
			}
		}
	}
	after, _ := s.deployment("churn")
	if diff := cmp.Diff(before.State, after.State); diff != "" {
		t.Errorf("the deployment changed (-before +after):\n%s", diff)
	}
	if got := s.outcomeOf(s.publish(replaceRequest("churn", "last", 2))); got.Outcome != events.Completed {
		t.Errorf("a good command after the bad ones: got %s %+v, want completed", got.Outcome, got.Failure)
	}
	s.history()
}

// A deployment that was refused after it was claimed does not exist afterwards.
func TestRejectedDeployLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.target.refuse(deployment.Reject(deployment.CodeDigestMismatch, "model.artifact.digest", "expected a, got b"))
	s.run(s.worker("w1"))
	sequence := s.publish(deployRequest("churn", "1", 1))
	got := s.outcomeOf(sequence)
	if got.Outcome != events.Rejected || got.Failure.Code != deployment.CodeDigestMismatch || got.Failure.Errors["model.artifact.digest"] == "" {
		t.Errorf("got %s %+v, want rejected with digest_mismatch at model.artifact.digest", got.Outcome, got.Failure)
	}
	if diff := cmp.Diff([]events.Outcome{events.Started, events.Validated, events.Rejected}, outcomes(s.history(), sequence)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if got.Checks.Status() != deployment.Failing {
		t.Errorf("got checks %+v, want a failing one", got.Checks)
	}
	s.settled(sequence)
	if view, exists := s.deployment("churn"); exists {
		t.Errorf("got %+v, want no deployment", view)
	}
}

// The same command twice is carried out once, however it comes and however much
// later; other content under the same id is refused.
func TestDuplicates(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.run(s.worker("w1"))
	first := s.publish(deployRequest("churn", "1", 1))
	s.outcomeOf(first)
	if got := s.outcomeOf(s.publish(deployRequest("churn", "1", 1))); got.Outcome != events.Duplicate || got.Original.Sequence != first || got.Original.Outcome != events.Completed {
		t.Errorf("second publication: got %s of %+v, want duplicate of %d, completed", got.Outcome, got.Original, first)
	}
	if got := s.outcomeOf(s.publish(deployRequest("churn", "1", 2))); got.Outcome != events.Rejected || got.Failure.Code != deployment.CodeIDReused {
		t.Errorf("other content: got %s %+v, want rejected with id_reused", got.Outcome, got.Failure)
	}
	if got := s.outcomeOf(s.publish(deployRequest("fraud", "1", 1))); got.Outcome != events.Rejected || got.Failure.Code != deployment.CodeIDReused {
		t.Errorf("other deployment: got %s %+v, want rejected with id_reused", got.Outcome, got.Failure)
	}
	var last uint64
	for i := range 70 { // more than travel in the ledger
		last = s.publish(replaceRequest("churn", fmt.Sprint("r", i), 2+i%2))
	}
	newest := s.outcomeOf(last)
	if got := len(newest.Ledger.Recent); got != 64 {
		t.Errorf("got %d recent commands in the ledger, want 64", got)
	}
	if got := s.outcomeOf(s.publish(deployRequest("churn", "1", 1))); got.Outcome != events.Duplicate || got.Original.Sequence != first {
		t.Errorf("much later: got %s of %+v, want duplicate of %d", got.Outcome, got.Original, first)
	}
	s.unique(s.history())
}

// Commands of one deployment end in the order in which they were published,
// with several workers and whichever is delivered first.
func TestOrder(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	const deployments, commands = 6, 15
	want := map[string][]uint64{}
	for i := range commands {
		for d := range deployments {
			name := fmt.Sprint("d", d)
			r := replaceRequest(name, fmt.Sprint(name, "-", i), i)
			if i == 0 {
				r = deployRequest(name, name, i)
			}
			want[name] = append(want[name], s.publish(r))
		}
	}
	for i := range 3 {
		s.run(s.worker(fmt.Sprint("w", i)))
	}
	for _, sequences := range want {
		s.outcomeOf(sequences[len(sequences)-1])
	}
	got := map[string][]uint64{}
	for _, e := range s.history() {
		if e.Outcome.Terminal() {
			got[e.Subject] = append(got[e.Subject], e.Command.Sequence)
			if e.Outcome != events.Completed {
				t.Errorf("command %d: got %s %+v", e.Command.Sequence, e.Outcome, e.Failure)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order of outcomes (-published +ended):\n%s", diff)
	}
}

// Facts about models are those of the command's place in the stream.
func TestModelFactsAsOf(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	byID := handlers.ModelChoice{ModelID: "churn-v1"}
	early := s.publish(request(deployment.KindDeployment, "early", "deploy", "1", handlers.Deploy{Label: "x", ModelChoice: byID}))
	registered := s.publish(request(deployment.KindModel, "churn-v1", "register", "2", handlers.Register{ModelFacts: facts(1)}))
	late := s.publish(request(deployment.KindDeployment, "late", "deploy", "3", handlers.Deploy{Label: "x", ModelChoice: byID}))
	w := s.worker("w1")
	// The later deployment comes first: the registration that it needs is finished on the way.
	s.advance(w, deployment.KindDeployment, "late")
	if got := s.outcomeOf(late); got.Outcome != events.Completed {
		t.Errorf("deploy after register: got %s %+v, want completed", got.Outcome, got.Failure)
	}
	if got := s.outcomeOf(registered); got.Outcome != events.Completed {
		t.Errorf("register: got %s %+v, want completed", got.Outcome, got.Failure)
	}
	// The model is registered by now, but was not when this one was published.
	s.advance(w, deployment.KindDeployment, "early")
	if got := s.outcomeOf(early); got.Outcome != events.Rejected || got.Failure.Code != deployment.CodeModelNotFound || got.Failure.Class != deployment.ClassNotFound {
		t.Errorf("deploy before register: got %s %+v, want rejected with model_not_found", got.Outcome, got.Failure)
	}
	s.history()
}

// A model given inline is registered by the same event, under the id of its content.
func TestInlineModelIsRegistered(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.run(s.worker("w1"))
	first := s.publish(deployRequest("churn", "1", 1))
	if got := s.outcomeOf(first); got.Registered == nil || got.Registered.ID != contentID(1) {
		t.Fatalf("got registered %+v, want %s", got.Registered, contentID(1))
	}
	byID := handlers.ModelChoice{ModelID: contentID(1)}
	if got := s.outcomeOf(s.publish(request(deployment.KindDeployment, "other", "deploy", "2", handlers.Deploy{Label: "x", ModelChoice: byID}))); got.Outcome != events.Completed {
		t.Errorf("deploy by content id: got %s %+v, want completed", got.Outcome, got.Failure)
	}
	view, revision, err := bucket[worker.ModelView](s, jetstream.ModelsBucket).Load(t.Context(), string(contentID(1)))
	if err != nil || revision == 0 || view.Sequence != first {
		t.Errorf("got %+v, %v, want the model as command %d registered it", view, err, first)
	}
}

func TestExpired(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.run(s.worker("w1"))
	expiring := func(id string, at time.Time) uint64 {
		e, err := deployRequest("churn", id, 1).Event()
		if err != nil {
			t.Fatal(err)
		}
		e.SetExtension("expirytime", at)
		header, body, err := events.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		return s.publishRaw("slipway.commands.deployment.churn.deploy", header, body)
	}
	past := time.Now().Add(-time.Minute).UTC().Truncate(time.Second)
	if got := s.outcomeOf(expiring("1", past)); got.Outcome != events.Expired || !got.ExpiredAt.Equal(past) {
		t.Errorf("got %s at %v, want expired at %v", got.Outcome, got.ExpiredAt, past)
	}
	if got := s.outcomeOf(expiring("2", time.Now().Add(time.Hour))); got.Outcome != events.Completed {
		t.Errorf("got %s %+v, want completed", got.Outcome, got.Failure)
	}
	s.history()
}

// advance carries out what there is to do for one deployment or model.
func (s *system) advance(w *worker.Worker, kind deployment.Kind, name string) {
	s.tb.Helper()
	if _, err := w.Advance(s.tb.Context(), worker.NewAddress(kind, name), math.MaxUint64); err != nil {
		s.tb.Fatal(err)
	}
}

// settled waits until the record of the command shows its outcome.
func (s *system) settled(sequence uint64) {
	s.tb.Helper()
	done := fmt.Errorf("done")
	outcome := s.outcomeOf(sequence)
	ctx := s.tb.Context()
	found := make(chan error, 1)
	go func() {
		var stop error
		_ = bucket[worker.OperationView](s, jetstream.OperationsBucket).Watch(ctx, "", func(key string, v *worker.OperationView) {
			if stop == nil && key == outcome.Command.Token && v != nil && v.Done {
				stop = done
				found <- nil
			}
		})
	}()
	select {
	case <-found:
	case <-time.After(10 * time.Second):
		s.tb.Fatalf("command %d is not shown as finished", sequence)
	}
}

// unique checks that no two events have the same id.
func (s *system) unique(all []event) {
	s.tb.Helper()
	seen := map[string]uint64{}
	for _, e := range all {
		if other, again := seen[e.ID]; again {
			s.tb.Errorf("events %d and %d have the same id %s", other, e.Sequence, e.ID)
		}
		seen[e.ID] = e.Sequence
	}
}

func (t *target) refuse(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inspect = func(context.Context, deployment.Model) (deployment.Inspection, error) {
		return deployment.Inspection{}, err
	}
}
