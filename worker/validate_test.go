package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
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

// tierOne are the checks that every verdict on a replacement has (R15).
var tierOne = []deployment.CheckName{
	"target", "targetType", "targetClasses", "features", "featureDataTypes", "permission",
	"notCurrentModel", "supported", "modelCanBeDeployed", "modelStatus", "seriesType",
}

func validateRequest(id string, choice handlers.ModelChoice) events.Request {
	return request(deployment.KindDeployment, "churn", handlers.OpValidate, id, handlers.Validate{ModelChoice: choice})
}

// otherTarget is a model that predicts something else than the other variants.
func otherTarget() handlers.ModelChoice {
	f := facts(9)
	f.Target.Name = "upgraded"
	return handlers.ModelChoice{Model: &f}
}

// outcomes are the events about one command, in order.
func (s *system) outcomes(sequence uint64) (all []event) {
	s.tb.Helper()
	for _, e := range s.history() {
		if e.Command.Sequence == sequence {
			all = append(all, e)
		}
	}
	return all
}

// A candidate that does not fit is refused before anything is done: `validated`
// is followed by `rejected`, and both say every check (datarobot.md R12).
func TestReplaceRefusedByChecks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		choice handlers.ModelChoice
		code   deployment.Code
	}{
		"other target":  {otherTarget(), deployment.CodeValidationFailed},
		"current model": {inline(1), deployment.CodeIsCurrentModel},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			w := s.worker("w1")
			s.advanceAll(w, deployRequest("churn", "1", 1))
			before, _ := s.deployment("churn")
			s.target.refuse(errors.New("nobody is to look at a file"))
			sequence := s.publish(request(deployment.KindDeployment, "churn", "replace", "2", handlers.Replace{Reason: "OTHER", ModelChoice: c.choice}))
			s.advance(w, deployment.KindDeployment, "churn")
			all := s.outcomes(sequence)
			if len(all) != 2 || all[0].Outcome != events.Validated || all[1].Outcome != events.Rejected {
				t.Fatalf("got events %+v, want validated and rejected", all)
			}
			for _, e := range all {
				for _, check := range tierOne {
					if e.Checks[check].Message == "" {
						t.Errorf("%s: check %s is missing", e.Outcome, check)
					}
				}
				if v := e.Validation; v == nil || v.Status != deployment.Failing || v.Message != "Model cannot be used to replace the current model of the deployment." {
					t.Errorf("%s: got verdict %+v", e.Outcome, v)
				}
			}
			if v := all[0]; v.Status != deployment.Failing || v.Message != v.Validation.Message {
				t.Errorf("got validated %s %q, want the verdict", v.Status, v.Message)
			}
			if f := all[1].Failure; f.Code != c.code || f.Class != deployment.ClassConflict {
				t.Errorf("got failure %+v, want %s", f, c.code)
			}
			if after, _ := s.deployment("churn"); !cmp.Equal(before.State, after.State) || s.target.serves("churn") != contentID(1) {
				t.Errorf("the deployment changed (-before +after):\n%s", cmp.Diff(before.State, after.State))
			}
		})
	}
}

// A validation never changes anything, whatever comes of it (datarobot.md R13).
func TestValidationNeverChangesAnything(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	w := s.worker("w1")
	s.advanceAll(w, deployRequest("churn", "1", 1), replaceRequest("churn", "2", 2))
	before, _ := s.deployment("churn")
	models, err := bucket[worker.ModelView](s, jetstream.ModelsBucket).List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		choice  handlers.ModelChoice
		inspect error
		want    events.Outcome
		status  deployment.CheckStatus
	}{
		{inline(3), nil, events.Completed, deployment.Passing},
		{inline(2), nil, events.Completed, deployment.Failing},
		{otherTarget(), nil, events.Completed, deployment.Failing},
		{inline(3), deployment.Reject(deployment.CodeDigestMismatch, "model.artifact.digest", "other bytes"), events.Completed, deployment.Failing},
		{handlers.ModelChoice{ModelID: "nobody"}, nil, events.Rejected, ""},
		{inline(3), &deployment.Failure{Code: deployment.CodeStoreUnavailable, Message: "never"}, events.Failed, ""},
	} {
		s.target.refuse(c.inspect)
		if c.inspect == nil {
			s.target.reset()
		}
		sequence := s.publish(validateRequest(string(rune('a'+i)), c.choice))
		s.advance(w, deployment.KindDeployment, "churn")
		got := s.outcomeOf(sequence)
		if got.Outcome != c.want || got.Validation == nil && c.status != "" || got.Validation != nil && got.Validation.Status != c.status {
			t.Errorf("case %d: got %s %+v %+v, want %s %s", i, got.Outcome, got.Validation, got.Failure, c.want, c.status)
		}
		if got.Outcome == events.Completed && (got.Changed == nil || *got.Changed || got.Registered != nil) {
			t.Errorf("case %d: got %+v, want nothing changed", i, got.Data)
		}
		if after, _ := s.deployment("churn"); !cmp.Equal(before.State, after.State) {
			t.Errorf("case %d: the deployment changed (-before +after):\n%s", i, cmp.Diff(before.State, after.State))
		}
		if s.target.serves("churn") != contentID(2) {
			t.Errorf("case %d: target serves %s", i, s.target.serves("churn"))
		}
	}
	after, err := bucket[worker.ModelView](s, jetstream.ModelsBucket).List(t.Context(), "")
	if diff := cmp.Diff(models, after); err != nil || diff != "" {
		t.Errorf("models changed: %v (-before +after):\n%s", err, diff)
	}
	s.history()
}

func (t *target) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inspect = nil
}

// For whom a command was sent goes into every event about it, and may change
// what its sender may not.
func TestActorAndPermissions(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	w := s.worker("w1")
	w.Policy.Permissions = deployment.Permissions{{Deployment: "churn", Actor: "user:ada"}}
	ada := deployRequest("churn", "1", 1)
	ada.AuthType, ada.AuthID = "user", "user:ada"
	eve := replaceRequest("churn", "2", 2)
	eve.AuthType, eve.AuthID = "user", "user:eve"
	for _, c := range []struct {
		r    events.Request
		want events.Outcome
	}{{deployRequest("churn", "0", 1), events.Rejected}, {ada, events.Completed}, {eve, events.Rejected}} {
		sequence := s.publish(c.r)
		s.advance(w, deployment.KindDeployment, "churn")
		all := s.outcomes(sequence)
		last := all[len(all)-1]
		if last.Outcome != c.want {
			t.Errorf("%s: got %s %+v, want %s", c.r.AuthID, last.Outcome, last.Failure, c.want)
		}
		if last.Failure != nil && (last.Failure.Code != deployment.CodeNotPermitted || last.Failure.Class != deployment.ClassForbidden) {
			t.Errorf("%s: got %+v, want it forbidden", c.r.AuthID, last.Failure)
		}
		for _, e := range all {
			if e.Command.Actor != c.r.AuthID || e.Extensions["authid"] != extension(c.r.AuthID) || e.Extensions["authtype"] != extension(c.r.AuthType) {
				t.Errorf("%s: %s says actor %q and %v", c.r.AuthID, e.Outcome, e.Command.Actor, e.Extensions)
			}
		}
	}
}

func extension(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// A command that names a prediction server is decided by which are live.
func TestDeployToAServer(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	w := s.worker("w1")
	w.Policy.Installation = deployment.Cloud
	w.Servers = func(context.Context) ([]string, error) { return []string{"eu-1"}, nil }
	for id, want := range map[string]events.Outcome{"": events.Rejected, "eu-2": events.Rejected, "eu-1": events.Completed} {
		sequence := s.publish(request(deployment.KindDeployment, "on-"+id+"x", "deploy", "1"+id, handlers.Deploy{Label: "x", Server: id, ModelChoice: inline(1)}))
		s.advance(w, deployment.KindDeployment, "on-"+id+"x")
		got := s.outcomeOf(sequence)
		if got.Outcome != want || want == events.Completed && got.Deployment.PredictionServer != id {
			t.Errorf("on %q: got %s %+v, want %s", id, got.Outcome, got.Failure, want)
		}
	}
}

// What is asked for at the endpoint is answered at once, and leaves nothing behind.
func TestValidationsAreAnswered(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	w := s.worker("w1")
	s.advanceAll(w, deployRequest("churn", "1", 1),
		request(deployment.KindModel, "m2", "register", "2", handlers.Register{ModelFacts: facts(2)}))
	s.publish(request(deployment.KindModel, "m3", "register", "3", handlers.Register{ModelFacts: facts(3)})) // not carried out
	w.Policy.Permissions = deployment.Permissions{{Deployment: "churn", Actor: "user:ada"}, {Deployment: "c*", Actor: "/pipelines/*"}, {Deployment: "nobody", Actor: "*"}}
	w.MaxCommand = 100_000
	stop, err := jetstream.Serve(t.Context(), s.js.Conn(), w.Validations(4, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	before := len(s.history())

	pipeline, ada := nats.Header{"ce-source": {"/pipelines/churn"}}, nats.Header{"Ce-Source": {"/cli"}, "CE-AuthID": {"user:ada"}}
	for _, c := range []struct {
		what, name, body string
		header           nats.Header
		want             deployment.CheckStatus
		fails            deployment.CheckName
	}{
		{"a registered model", "churn", `{"modelId":"m2"}`, pipeline, deployment.Passing, ""},
		{"for an actor", "churn", `{"modelId":"m2"}`, ada, deployment.Passing, ""},
		{"an inline model", "churn", string(mustJSON(t, handlers.Validate{ModelChoice: inline(4)})), pipeline, deployment.Passing, ""},
		{"another target", "churn", string(mustJSON(t, handlers.Validate{ModelChoice: otherTarget()})), pipeline, deployment.Failing, deployment.CheckTarget},
		{"the current model", "churn", string(mustJSON(t, handlers.Validate{ModelChoice: inline(1)})), pipeline, deployment.Failing, deployment.CheckNotCurrentModel},
		{"nobody asks", "churn", `{"modelId":"m2"}`, nil, deployment.Failing, deployment.CheckPermission},
	} {
		answer := s.ask(c.name, c.body, c.header)
		var v worker.Verdict
		if err := json.Unmarshal(answer.Data, &v); err != nil || answer.Header.Get("Nats-Service-Error") != "" {
			t.Fatalf("%s: got %v %q", c.what, answer.Header, answer.Data)
		}
		if v.Status != c.want || v.Deployment != "churn" || v.CurrentModel != contentID(1) || c.fails != "" && v.Checks[c.fails].Status != deployment.Failing {
			t.Errorf("%s: got %+v, want %s", c.what, v, c.want)
		}
		for _, check := range tierOne {
			if v.Checks[check].Message == "" {
				t.Errorf("%s: check %s is missing", c.what, check)
			}
		}
	}

	for _, c := range []struct {
		what, name, body string
		status           string
		code             deployment.Code
		field            string
	}{
		{"no body", "churn", "", "422", deployment.CodeInvalidField, ""},
		{"no JSON", "churn", "{", "422", deployment.CodeInvalidField, ""},
		{"no object", "churn", "[]", "422", deployment.CodeInvalidField, ""},
		{"no model", "churn", "{}", "422", deployment.CodeMissingField, ""},
		{"two models", "churn", string(mustJSON(t, handlers.Validate{ModelChoice: handlers.ModelChoice{ModelID: "m2", Model: inline(4).Model}})), "422", deployment.CodeInvalidField, ""},
		{"an unknown member", "churn", `{"modelId":"m2","strict":true}`, "422", deployment.CodeUnknownField, "strict"},
		{"no name of a model", "churn", `{"modelId":"M 2"}`, "422", deployment.CodeInvalidField, "modelId"},
		{"too large", "churn", `{"modelId":"m2"` + string(make([]byte, 100_000)) + `}`, "422", deployment.CodeTooLarge, ""},
		{"no name", "Churn", `{"modelId":"m2"}`, "422", deployment.CodeInvalidName, ""},
		{"an unknown deployment", "nobody", `{"modelId":"m2"}`, "404", deployment.CodeDeploymentNotFound, ""},
		{"an unknown model", "churn", `{"modelId":"m9"}`, "404", deployment.CodeModelNotFound, "modelId"},
		{"a model not registered yet", "churn", `{"modelId":"m3"}`, "404", deployment.CodeModelNotFound, "modelId"},
	} {
		answer := s.ask(c.name, c.body, pipeline)
		var f worker.Failure
		if err := json.Unmarshal(answer.Data, &f); err != nil {
			t.Fatalf("%s: got %v %q", c.what, answer.Header, answer.Data)
		}
		if got := answer.Header.Get("Nats-Service-Error-Code"); got != c.status || f.Code != c.code || answer.Header.Get("Nats-Service-Error") != string(f.Code)+": "+f.Message {
			t.Errorf("%s: got %v %+v, want %s %s", c.what, answer.Header, f, c.status, c.code)
		}
		if _, named := f.Errors[c.field]; c.field != "" && !named {
			t.Errorf("%s: got errors %v, want one of %s", c.what, f.Errors, c.field)
		}
	}

	s.target.refuse(errors.New("the store is away"))
	if answer := s.ask("churn", `{"modelId":"m2"}`, pipeline); answer.Header.Get("Nats-Service-Error-Code") != "503" {
		t.Errorf("an error that passes: got %v %s", answer.Header, answer.Data)
	}
	s.target.refuse(&deployment.Failure{Code: deployment.CodeServerFailed, Message: "never"})
	if answer := s.ask("churn", `{"modelId":"m2"}`, pipeline); answer.Header.Get("Nats-Service-Error-Code") != "500" {
		t.Errorf("an error that does not pass: got %v %s", answer.Header, answer.Data)
	}
	s.target.mu.Lock()
	s.target.inspect = func(context.Context, deployment.Model) (deployment.Inspection, error) { panic("a defect") }
	s.target.mu.Unlock()
	if answer := s.ask("churn", `{"modelId":"m2"}`, pipeline); answer.Header.Get("Nats-Service-Error") != "panic: panic: a defect" {
		t.Errorf("a defect: got %v %s", answer.Header, answer.Data)
	}
	if after := len(s.history()); after != before {
		t.Errorf("got %d events, want the %d that there were", after, before)
	}
}

func (s *system) ask(name, body string, header nats.Header) *nats.Msg {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(s.tb.Context(), 20*time.Second)
	defer cancel()
	answer, err := s.js.Conn().RequestMsgWithContext(ctx, &nats.Msg{Subject: jetstream.ValidateSubject(name), Header: header, Data: []byte(body)})
	if err != nil {
		s.tb.Fatal(err)
	}
	return answer
}

// heldViews show no outcome that brings in a model before they are let go.
type heldViews struct {
	worker.Views
	letGo chan struct{}
}

func (v *heldViews) Project(ctx context.Context, view worker.View) error {
	if view.Registered != nil {
		<-v.letGo
	}
	return v.Views.Project(ctx, view)
}

// The model that serves is known to the next command, and to who asks meanwhile,
// before any view shows it.
func TestServingModelIsKnownBeforeItIsShown(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	w := s.worker("w1")
	views := &heldViews{Views: w.Views, letGo: make(chan struct{})}
	w.Views = views
	var looks atomic.Int64
	replacing, goOn := make(chan struct{}), make(chan struct{})
	s.target.inspect = func(_ context.Context, m deployment.Model) (deployment.Inspection, error) {
		if looks.Add(1) == 2 { // the replacement's
			close(replacing)
			<-goOn
		}
		return deployment.Inspection{Format: m.Format, Objective: "binary:logistic", Features: len(m.Features), Outputs: 1}, nil
	}
	s.publish(deployRequest("churn", "1", 1))
	replace := s.publish(replaceRequest("churn", "2", 2))
	ended := make(chan error, 1)
	go func() {
		_, err := w.Advance(t.Context(), addressOf("churn"), replace)
		ended <- err
	}()
	<-replacing
	verdict, err := w.Validate(t.Context(), deployment.Command{Kind: deployment.KindDeployment, Name: "churn", Op: handlers.OpValidate}, mustJSON(t, handlers.Validate{ModelChoice: inline(3)}))
	if err != nil || verdict.Status != deployment.Passing || verdict.CurrentModel != contentID(1) {
		t.Errorf("who asks meanwhile: got %+v, %v, want it to pass", verdict, err)
	}
	close(goOn)
	close(views.letGo)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if got := s.outcomeOf(replace); got.Outcome != events.Completed || got.Validation.Status != deployment.Passing {
		t.Errorf("got %s %+v, want every check to pass", got.Outcome, got.Checks)
	}
}
