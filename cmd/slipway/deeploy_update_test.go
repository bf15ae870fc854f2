package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/client"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
)

func updateFrom(label string, s deployment.Source) handlers.Update {
	return handlers.Update{Label: &label, ModelChoice: handlers.ModelChoice{Source: &s}}
}

// refusal checks that a command about churn is rejected with the code, and that neither
// repository nor state have changed.
func (s *system) refusal(repo repository, op string, data any, code deployment.Code, path string) {
	s.tb.Helper()
	got := s.untouched(repo, "churn", func() entry { return s.command(deployment.KindDeployment, "churn", op, data) })
	if got.Outcome != events.Rejected || got.Failure.Code != code || got.Failure.Findings[0].Path != path {
		s.tb.Errorf("%s: got %s %+v, want rejected with %s at %q", op, got.Outcome, got.Failure, code, path)
	}
}

// An update names its deployment: of one that there is not, on any route, nothing
// comes, and a deploy by another event never makes a second one.
func TestU2UpdateNeverDeploys(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	first := repo.put(t, churn(t, "churn/", "churn-v1.ubj"))
	s := startUp(t, gitEnvironment())
	existing := repo.source()
	existing.ContractPath = "churn"
	reference := s.artifact(repo, "churn", "churn-v2.ubj")
	reference.Route, reference.Artifact, reference.Model, reference.Overwrite = deployment.RouteReference, nil, blob("s3://b/m.ubj"), true
	artifact := s.artifact(repo, "churn", "churn-v2.ubj")
	artifact.Overwrite = true
	for _, source := range []deployment.Source{existing, reference, artifact} {
		s.refusal(repo, "update", updateFrom("Churn", source), deployment.CodeDeploymentNotFound, "")
	}
	nameless := s.untouched(repo, "churn", func() entry {
		return s.outcomeOf(s.publish(&nats.Msg{
			Subject: jetstream.CommandSubject("deployment", "churn", "update"),
			Data:    []byte(`{"specversion":"1.0","id":"1","source":"/test","type":"dev.slipway.deployment.update.requested.v1","data":{"label":"x"}}`),
		}))
	})
	if nameless.Outcome != events.Rejected || nameless.Failure.Code != deployment.CodeSubjectMismatch || nameless.Failure.Errors["subject"] == "" {
		t.Errorf("without a name: got %s %+v, want it rejected for its subject", nameless.Outcome, nameless.Failure)
	}
	if page, err := s.List(t.Context(), client.Query{}); err != nil || page.TotalCount != 0 {
		t.Errorf("got %+v, %v, want no deployment", page, err)
	}
	s.completed("churn", "deploy", deployFrom(existing))
	s.refusal(repo, "deploy", deployFrom(existing), deployment.CodeDeploymentExists, "")
	second := repo.put(t, churn(t, "churn/", "churn-v2.ubj"))
	if updated := s.completed("churn", "update", updateFrom("Churn", existing)); updated.Deployment.Model.Contract.Commit != second || updated.Deployment.Previous.Contract.Commit != first {
		t.Errorf("got %+v, want commit %s after %s", updated.Deployment.Model.Contract, second, first)
	}
	if page, err := s.List(t.Context(), client.Query{}); err != nil || page.TotalCount != 1 {
		t.Errorf("got %+v, %v, want one deployment", page, err)
	}
}

// Types that an update leaves out are kept, also that an explainer is not to be
// run. Of one that comes in later nothing is kept: it is not passed over.
func TestU5AbsentTypesAreKept(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	web := httptest.NewServer(http.FileServer(http.Dir("demo")))
	t.Cleanup(web.Close)
	contract := func(model, explainer string) map[string]string {
		files := churn(t, "", "churn-v1.ubj")
		delete(files, "model/model.ubj")
		files["model/reference.json"] = `{"reference":{"docker":null,"blob":{"url":"` + web.URL + "/" + model + `","credentialsId":null,"region":null}}}`
		if explainer != "" {
			files["explainer/reference.json"] = `{"reference":{"blob":{"url":"` + explainer + `"}}}`
		}
		return files
	}
	first := repo.put(t, contract("churn-v1.ubj", "s3://b/explainer"))
	s := startUp(t, gitEnvironment())
	s.refusal(repo, "deploy", deployFrom(repo.source()), deployment.CodeMissingModelType, "source.modelType")
	typed := repo.source()
	typed.ModelType, typed.ExplainerType = json.RawMessage(`"XGBOOST"`), json.RawMessage(`"NO_EXPLAINER"`)
	s.completed("churn", "deploy", deployFrom(typed))

	second := repo.put(t, contract("churn-v2.ubj", "s3://b/explainer"))
	updated := s.completed("churn", "update", updateFrom("Customer churn", repo.source()))
	if c := updated.Deployment.Model.Contract; c.Commit != second || c.ModelType != "XGBOOST" || c.ExplainerType != "NO_EXPLAINER" || updated.Deployment.Revision != 2 {
		t.Errorf("got %+v at revision %d, want the types as they were", c, updated.Deployment.Revision)
	}
	back := s.completed("churn", "update", handlers.Update{Commit: first})
	if c := back.Deployment.Model.Contract; c.Commit != first || c.ModelType != "XGBOOST" || c.ExplainerType != "NO_EXPLAINER" {
		t.Errorf("got %+v, want commit %s with the types as they were", c, first)
	}
	repo.put(t, contract("churn-v2.ubj", ""))
	s.completed("churn", "update", updateFrom("Customer churn", repo.source()))
	repo.put(t, contract("churn-v1.ubj", "s3://b/explainer"))
	s.refusal(repo, "update", updateFrom("x", repo.source()), deployment.CodeMissingExplainerType, "source.explainerType")
}

// An update that is one event is one revision: name and model change together, or
// nothing does, also when the event comes again.
func TestU9UpdateIsWholeOrNothing(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := startUp(t, gitEnvironment())
	s.completed("churn", "deploy", deployFrom(s.artifact(repo, "churn", "churn-v1.ubj")))
	s.refusal(repo, "update", map[string]any{}, deployment.CodeEmptyUpdate, "")
	gone := repo.source()
	gone.Branch = "gone"
	s.refusal(repo, "update", updateFrom("Half", gone), deployment.CodeRevisionNotFound, "source.branch")
	s.refusal(repo, "update", handlers.Update{Label: new(string), Commit: strings.Repeat("0", 40)}, deployment.CodeInvalidField, "label")
	label := "Half"
	s.refusal(repo, "update", handlers.Update{Label: &label, Commit: strings.Repeat("0", 40)}, deployment.CodeRevisionNotFound, "commit")

	next := s.artifact(repo, "churn", "churn-v2.ubj")
	next.Overwrite = true
	dry := updateFrom("Whole", next)
	dry.DryRun = true
	planned := s.untouched(repo, "churn", func() entry { return s.completed("churn", "update", dry) })
	if *planned.Changed || len(planned.Contract.Files) != 1 {
		t.Errorf("dry run: got %+v, want what would be written", planned.Contract)
	}
	text, err := json.Marshal(updateFrom("Whole", next))
	if err != nil {
		t.Fatal(err)
	}
	msg := &nats.Msg{Subject: jetstream.CommandSubject("deployment", "churn", "update"), Data: structured(deployment.KindDeployment, "churn", "update", "run-2", string(text))}
	updated := s.outcomeOf(s.publish(msg))
	if d := updated.Deployment; updated.Outcome != events.Completed || d.Label != "Whole" || d.Revision != 2 || d.Model.Contract.Commit != repo.log(t)[0].Hash.String() || len(repo.log(t)) != 2 {
		t.Errorf("got %s %+v with %+v, want label and model in one revision and one commit", updated.Outcome, updated.Failure, d)
	}
	again := s.untouched(repo, "churn", func() entry { return s.outcomeOf(s.publish(msg)) })
	if again.Outcome != events.Duplicate {
		t.Errorf("got %s, want a duplicate", again.Outcome)
	}
}

// One can go back to a version when its repository is gone, for what it needs is
// kept; once that is gone, too, it is said, and what serves goes on. An update to
// a commit needs the commit.
func TestVersionsOutliveTheirRepository(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	first := repo.put(t, churn(t, "", "churn-v1.ubj"))
	s := startUp(t, gitEnvironment("SLIPWAY_KEEP_PREVIOUS", "0s"))
	s.completed("churn", "deploy", deployFrom(repo.source()))
	repo.put(t, churn(t, "", "churn-v2.ubj"))
	second := s.completed("churn", "update", updateFrom("Churn", repo.source())).Deployment.Model
	if err := os.RemoveAll(repo.server.Dir); err != nil {
		t.Fatal(err)
	}
	refuses := func(op string, data any, code deployment.Code, path string) {
		t.Helper()
		before := s.state("churn")
		got := s.command(deployment.KindDeployment, "churn", op, data)
		if got.Outcome != events.Rejected || got.Failure.Code != code || got.Failure.Findings[0].Path != path {
			t.Errorf("%s: got %s %+v, want rejected with %s at %s", op, got.Outcome, got.Failure, code, path)
		}
		if now := s.state("churn"); now != before {
			t.Errorf("%s: got state %s, want it as before: %s", op, now, before)
		}
	}
	refuses("update", handlers.Update{Commit: first}, deployment.CodeRepositoryNotFound, "commit")
	back := s.completed("churn", "rollback", handlers.Rollback{Version: 1, Reason: deployment.ReasonErrors})
	if c := back.Deployment.Model.Contract; c == nil || c.Commit != first || back.Deployment.Label != "Churn" {
		t.Errorf("got %+v, want commit %s, and the label as it was", back.Deployment, first)
	}
	sample := readSample(t)
	if status, answer := s.predict("churn", sample.Row); status != http.StatusOK || !strings.Contains(answer, "0.9032") {
		t.Errorf("got %d %s, want what the first model answers", status, answer)
	}
	store, err := s.JetStream.ObjectStore(t.Context(), deployment.UploadBucket)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Delete(t.Context(), "sha256/"+second.Digest.Hex()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(s.dir, "artifacts")); err != nil {
		t.Fatal(err)
	}
	refuses("rollback", handlers.Rollback{Version: 2, Reason: deployment.ReasonErrors}, deployment.CodeArtifactNotFound, "version")
	refuses("update", handlers.Update{Version: 2}, deployment.CodeArtifactNotFound, "version")
	if status, _ := s.predict("churn", sample.Row); status != http.StatusOK {
		t.Errorf("got %d, want the first model to serve on", status)
	}
}

// users lets a pipeline publish commands about churn, and nothing else.
const users = `
listen: "127.0.0.1:-1"
jetstream: {store_dir: %q}
authorization {
  users: [
    {user: slipway, password: x}
    {user: pipeline, password: x, permissions: {publish: ["slipway.commands.deployment.churn.*"], subscribe: ["_INBOX.>"]}}
  ]
}
`

// A pipeline needs no keys of a person and none of the repository: that it may
// publish on the subjects of its deployment is enough, and all that it can.
func TestU20PublishPermissionSuffices(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	repo.put(t, churn(t, "", "churn-v1.ubj"))
	broker := startBroker(t, users)
	environment := gitEnvironment("NATS_URL", strings.Replace(broker.ClientURL(), "nats://", "nats://slipway:x@", 1),
		"SLIPWAY_PREDICT_ADDR", "127.0.0.1:0", "SLIPWAY_HEALTH_ADDR", "127.0.0.1:0", "SLIPWAY_LOG_LEVEL", "warn")
	for _, role := range []struct{ verb, ready string }{{"predict-server", "answers at"}, {"worker", "takes commands"}} {
		startRole(t, environment, role.verb, role.ready)
	}
	js, err := natsjs.New(connectAs(t, broker, "slipway"))
	if err != nil {
		t.Fatal(err)
	}
	s := &system{tb: t, stderr: newConsole()}
	if s.Client, err = client.Over(t.Context(), js, "/test"); err != nil {
		t.Fatal(err)
	}
	pipeline := connectAs(t, broker, "pipeline")
	publish := func(name, op string, data any) (*nats.Msg, error) {
		text, err := json.Marshal(data)
		if err != nil {
			t.Fatal(err)
		}
		return pipeline.Request(jetstream.CommandSubject("deployment", name, op), structured(deployment.KindDeployment, name, op, name+" "+op, string(text)), patience)
	}
	label := "Customer churn"
	for i, c := range []struct {
		op   string
		data any
	}{{"deploy", deployFrom(repo.source())}, {"update", handlers.Update{Label: &label}}} {
		if reply, err := publish("churn", c.op, c.data); err != nil || !strings.Contains(string(reply.Data), `"seq"`) {
			t.Fatalf("%s: got %+v, %v, want it stored", c.op, reply, err)
		}
		if got := s.outcomeOf(uint64(i) + 1); got.Outcome != events.Completed {
			t.Errorf("%s: got %s %+v, want completed", c.op, got.Outcome, got.Failure)
		}
	}
	refused := make(chan error, 1)
	pipeline.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		select {
		case refused <- err:
		default:
		}
	})
	text, err := json.Marshal(deployFrom(repo.source()))
	if err != nil {
		t.Fatal(err)
	}
	if err := pipeline.Publish(jetstream.CommandSubject("deployment", "fraud", "deploy"), structured(deployment.KindDeployment, "fraud", "deploy", "1", string(text))); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-refused:
		if !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("another deployment: got %v, want it refused by the broker", err)
		}
	case <-time.After(patience):
		t.Error("another deployment: the broker says nothing, want it refused")
	}
}

// startRole runs a part of slipway in this process until the test ends.
func startRole(tb testing.TB, environment map[string]string, verb, ready string) {
	tb.Helper()
	env := map[string]string{"SLIPWAY_DATA_DIR": tb.TempDir()}
	for name, value := range environment {
		env[name] = value
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	stdout, stderr, ended := newConsole(), newConsole(), make(chan struct{})
	var code int
	go func() {
		defer close(ended)
		code = run(ctx, []string{verb}, env, strings.NewReader(""), stdout, stderr)
	}()
	stop := sync.OnceFunc(func() {
		cancel()
		<-ended
		if code != 0 {
			tb.Errorf("%s ended with %d:\n%s", verb, code, stderr)
		}
	})
	tb.Cleanup(stop)
	if err := stdout.await(ready, ended); err != nil {
		tb.Fatalf("%s: %v\n%s", verb, err, stderr)
	}
}
