package worker_test

import (
	"bytes"
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
	stop := s.run(s.worker("w1"))
	before := s.outcomeOf(s.publish(deployRequest("churn", "first", 1))).Deployment

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
			if diff := cmp.Diff(before, got.Deployment); diff != "" {
				t.Errorf("%s: the state changed (-before +after):\n%s", c.name, diff)
			}
		}
	}
	stop() // everything is projected
	if after, _ := s.deployment("churn"); cmp.Diff(*before, after.State) != "" {
		t.Errorf("the deployment changed (-before +after):\n%s", cmp.Diff(*before, after.State))
	}
	s.run(s.worker("w2"))
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
	stop := s.run(s.worker("w1"))
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
	stop() // everything is projected
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
	wrong := request(deployment.KindDeployment, "churn", "replace", "wrong", map[string]any{"reason": "BORED"})
	refused := s.publish(wrong)
	if got := s.outcomeOf(refused); got.Outcome != events.Rejected {
		t.Errorf("invalid: got %s, want rejected", got.Outcome)
	}
	if got := s.outcomeOf(s.publish(wrong)); got.Outcome != events.Duplicate || got.Original.Sequence != refused || got.Original.Outcome != events.Rejected {
		t.Errorf("invalid again: got %s of %+v, want duplicate of %d, rejected", got.Outcome, got.Original, refused)
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
	s.completedInOrder(want)
}

// completedInOrder waits until the commands of each deployment have completed,
// and expects their outcomes in the order of the commands.
func (s *system) completedInOrder(want map[string][]uint64) {
	s.tb.Helper()
	for _, sequences := range want {
		s.outcomeOf(sequences[len(sequences)-1])
	}
	got := map[string][]uint64{}
	for _, e := range s.history() {
		if e.Outcome.Terminal() {
			got[e.Subject] = append(got[e.Subject], e.Command.Sequence)
			if e.Outcome != events.Completed {
				s.tb.Errorf("command %d: got %s %+v", e.Command.Sequence, e.Outcome, e.Failure)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.tb.Errorf("order of outcomes (-published +ended):\n%s", diff)
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
	stop := s.run(s.worker("w1"))
	first := s.publish(deployRequest("churn", "1", 1))
	if got := s.outcomeOf(first); got.Registered == nil || got.Registered.ID != contentID(1) {
		t.Fatalf("got registered %+v, want %s", got.Registered, contentID(1))
	}
	stop() // everything is projected
	s.run(s.worker("w2"))
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

// However large what a command says is, its events fit into a message.
func TestHugeCommandsEnd(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.run(s.worker("w1"))
	classes := make([]string, 15_000)
	for i := range classes {
		classes[i] = fmt.Sprint("class-", i)
	}
	wide := func(variant, from int) handlers.ModelChoice {
		f := facts(variant)
		f.Target.Classes = classes[from:]
		return handlers.ModelChoice{Model: &f}
	}
	odd := func(text string) handlers.ModelFacts { // takes more bytes in an event, if JSON escapes it
		f := facts(3)
		for i := range 800 {
			f.Target.Classes = append(f.Target.Classes, fmt.Sprint(i, strings.Repeat(text, 240/len(text))))
		}
		return f
	}
	features := make([]deployment.Feature, 5_000)
	long := strings.Repeat("x", 200_000)
	for _, c := range []struct {
		name string
		r    events.Request
		want events.Outcome
	}{
		{"many classes", request(deployment.KindDeployment, "churn", "deploy", "1", handlers.Deploy{Label: "x", ModelChoice: wide(1, 0)}), events.Completed},
		{"many classes again", request(deployment.KindDeployment, "churn", "replace", "2", handlers.Replace{Reason: "OTHER", ModelChoice: wide(2, 0)}), events.Completed},
		{"many other classes", request(deployment.KindDeployment, "churn", "replace", "8", handlers.Replace{Reason: "OTHER", ModelChoice: wide(3, 7_000)}), events.Rejected},
		{"many angles", request(deployment.KindModel, "angles", "register", "6", handlers.Register{ModelFacts: odd("<")}), events.Completed},
		{"many separators", request(deployment.KindModel, "separators", "register", "7", handlers.Register{ModelFacts: odd("\u2028")}), events.Completed},
		{"many findings", request(deployment.KindModel, "m", "register", "3", handlers.Register{ModelFacts: handlers.ModelFacts{Features: features}}), events.Rejected},
		{"long label", request(deployment.KindDeployment, "churn2", "deploy", "4", handlers.Deploy{Label: long, ModelChoice: inline(1)}), events.Rejected},
		{"long member", request(deployment.KindDeployment, "churn2", "deploy", "5", map[string]any{"label": "x", long: 1}), events.Rejected},
		{"long id", request(deployment.KindDeployment, "churn2", "deploy", long, handlers.Deploy{Label: "x", ModelChoice: inline(1)}), events.Rejected},
	} {
		e, err := c.r.Event()
		if err != nil {
			t.Fatal(err)
		}
		_, body, err := events.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.ReplaceAll(body, []byte(`\u2028`), []byte("\u2028"))
		got := s.outcomeOf(s.publishRaw(jetstream.CommandSubject(c.r.Type.Kind, c.r.Subject, c.r.Type.Op), nil, body))
		if got.Outcome != c.want {
			t.Errorf("%s: got %s %+v, want %s", c.name, got.Outcome, got.Failure, c.want)
		}
	}
	s.history()
}

// Subjects that name nothing and look like wildcards to the broker end too, each
// message once, and touch nothing else.
func TestSubjectsLikeWildcards(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.run(s.worker("w1"))
	s.outcomeOf(s.publish(deployRequest("churn", "1", 1)))
	var sequences []uint64
	for _, subject := range []string{
		"slipway.commands.foo.bar.baz", "slipway.commands.foo.bar.*", "slipway.commands.foo.bar.qux", "slipway.commands.foo.>",
		"slipway.commands.deployment.*.replace", "slipway.commands.deployment.churn.>", "slipway.commands.>",
	} {
		e, err := replaceRequest("churn", subject, 2).Event()
		if err != nil {
			t.Fatal(err)
		}
		_, body, err := events.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		sequences = append(sequences, s.publishRaw(subject, nil, body))
	}
	for _, sequence := range sequences {
		if got := s.outcomeOf(sequence); got.Outcome != events.Rejected {
			t.Errorf("command %d: got %s, want rejected", sequence, got.Outcome)
		}
	}
	if got := s.target.serves("churn"); got != contentID(1) {
		t.Errorf("target serves %s, want %s still", got, contentID(1))
	}
	s.history() // one outcome per command
}

// advanceAll publishes the requests and carries them out.
func (s *system) advanceAll(w *worker.Worker, requests ...events.Request) {
	s.tb.Helper()
	for _, r := range requests {
		sequence := s.publish(r)
		s.advance(w, deployment.Kind(r.Type.Kind), r.Subject)
		if got := s.outcomeOf(sequence); got.Outcome != events.Completed {
			s.tb.Fatalf("command %d: got %s %+v, want completed", sequence, got.Outcome, got.Failure)
		}
	}
}

func addressOf(name string) worker.Address {
	return worker.NewAddress(deployment.KindDeployment, name)
}
