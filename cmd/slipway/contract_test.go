package main

import (
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/slipway-ml/slipway/contract/git/gittest"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
)

// repository is a git repository on a server of its own, with a user.
type repository struct {
	*filesystem.Storage

	server *gittest.Server
	url    string
}

const (
	gitUser   = "ann"
	gitSecret = "planted-git-s3cret"
)

func newRepository(tb testing.TB) repository {
	tb.Helper()
	server := &gittest.Server{Dir: tb.TempDir(), User: gitUser, Password: gitSecret}
	web := httptest.NewServer(server)
	tb.Cleanup(web.Close)
	return repository{Storage: server.Bare(tb, "models.git"), server: server, url: web.URL + "/models.git"}
}

// put commits the files on main, in place of what it holds.
func (r repository) put(tb testing.TB, files map[string]string) (commit string) {
	tb.Helper()
	return gittest.Put(tb, r.Storage, "main", files).String()
}

// gitEnvironment lets slipway read from servers of tests, as gitUser.
func gitEnvironment(more ...string) map[string]string {
	env := map[string]string{
		"SLIPWAY_ALLOW_HTTP_REPOSITORIES": "true",
		"SLIPWAY_CREDENTIAL_GIT":          fmt.Sprintf(`{"user":%q,"password":%q}`, gitUser, gitSecret),
	}
	for i := 0; i+1 < len(more); i += 2 {
		env[more[i]] = more[i+1]
	}
	return env
}

// churn are the files of a contract whose model is one of the demo.
func churn(tb testing.TB, at, model string) map[string]string {
	tb.Helper()
	return map[string]string{
		at + "model/model.ubj": string(readDemo(tb, model)),
		at + "metadata.json": `{"features":[{"name":"tenure_months"},{"name":"monthly_charges"},{"name":"support_tickets"},` +
			`{"name":"contract_months"},{"name":"late_payments"},{"name":"data_usage_gb"}],` +
			`"problemType":"classification","predictionClasses":{"leaves":true,"stays":false}}`,
	}
}

func (r repository) source() deployment.Source {
	return deployment.Source{Route: deployment.RouteExisting, URL: r.url, CredentialsID: "git"}
}

func deployFrom(s deployment.Source) handlers.Deploy {
	return handlers.Deploy{Label: "Churn", ModelChoice: handlers.ModelChoice{Source: &s}}
}

// A model is deployed from its repository and predicts; what is deployed is the
// commit, whatever happens to the branch then (deeploy.md D27, U11).
func TestDeployFromRepository(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	first := repo.put(t, churn(t, "models/churn/", "churn-v1.ubj"))
	s := startUp(t, gitEnvironment())
	source := repo.source()
	source.Branch, source.ContractPath, source.Target = "main", "models/churn", "churned"

	deployed := s.command(deployment.KindDeployment, "churn", "deploy", deployFrom(source))
	if deployed.Outcome != events.Completed {
		t.Fatalf("got %s %+v, want completed", deployed.Outcome, deployed.Failure)
	}
	model := deployed.Deployment.Model
	if c := model.Contract; c == nil || c.Commit != first || c.Repository != repo.url || c.Branch != "main" || c.Path != "models/churn" || c.ModelType != "XGBOOST" {
		t.Errorf("got contract %+v, want that of commit %s", model.Contract, first)
	}
	if got := fmt.Sprint(deployed.Registered.Target, deployed.Registered.FeatureNames()); got != "{churned Binary [stays leaves]} [tenure_months monthly_charges support_tickets contract_months late_payments data_usage_gb]" {
		t.Errorf("got facts %s", got)
	}
	for _, name := range []deployment.CheckName{deployment.CheckContract, deployment.CheckArtifact, deployment.CheckDeclaredFeatures} {
		if deployed.Checks[name].Status != deployment.Passing {
			t.Errorf("got check %s %+v, want it to pass", name, deployed.Checks[name])
		}
	}
	sample := readSample(t)
	_, before := s.predict("churn", sample.Row)
	if want := fmt.Sprint(sample.Expected["churn-v1"])[:6]; !strings.Contains(before, want) {
		t.Errorf("got prediction %s, want %s", before, want)
	}

	// The branch moves: nothing happens until somebody asks.
	second := repo.put(t, churn(t, "models/churn/", "churn-v2.ubj"))
	state := s.state("churn")
	if _, after := s.predict("churn", sample.Row); answer(after) != answer(before) || !strings.Contains(state, first) {
		t.Errorf("got prediction %s and state %s after the branch has moved", after, state)
	}
	replaced := s.command(deployment.KindDeployment, "churn", "replace", handlers.Replace{
		Reason: deployment.ReasonDataDrift, ModelChoice: handlers.ModelChoice{Source: &deployment.Source{
			Route: deployment.RouteExisting, URL: repo.url, CredentialsID: "git", ContractPath: "models/churn",
		}},
	})
	if replaced.Outcome != events.Completed || replaced.Deployment.Model.Contract.Commit != second || replaced.Deployment.Previous.Contract.Commit != first {
		t.Fatalf("got %s %+v, want it to serve commit %s", replaced.Outcome, replaced.Failure, second)
	}
	if got := replaced.Deployment.Model.Target.Name; got != "churned" {
		t.Errorf("got target %q, want that of the model before: a contract names none", got)
	}
	// Back to what it was: the contract comes with the model.
	back := s.command(deployment.KindDeployment, "churn", "rollback", handlers.Rollback{Reason: deployment.ReasonErrors})
	if back.Outcome != events.Completed || back.Deployment.Model.Contract == nil || back.Deployment.Model.Contract.Commit != first {
		t.Errorf("got %s %+v, want it to serve commit %s again", back.Outcome, back.Deployment.Model, first)
	}
	if _, after := s.predict("churn", sample.Row); answer(after) != answer(before) {
		t.Errorf("got prediction %s, want that of the first model", after)
	}
	// A deployed commit can be named, also when no branch does any more.
	source.Branch, source.Commit = "", first
	pinned := s.command(deployment.KindDeployment, "again", "deploy", deployFrom(source))
	if pinned.Outcome != events.Completed || pinned.Deployment.Model.ID != model.ID {
		t.Errorf("got %s %+v, want the model of commit %s", pinned.Outcome, pinned.Failure, first)
	}
	s.stop()
	wantNowhere(t, s, repo.url, gitSecret)
}

// answer is a prediction without the id that each answer has.
func answer(text string) string {
	_, outputs, _ := strings.Cut(text, `"outputs"`)
	return outputs
}

// wantNowhere looks for secrets in all that slipway has written: the store of its
// NATS server with every event, artifacts, logs. What is certainly there has to
// be found, or nothing would be.
func wantNowhere(tb testing.TB, s *system, there string, secrets ...string) {
	tb.Helper()
	found := false
	look := func(name, content string) {
		found = found || strings.Contains(content, there)
		for _, secret := range secrets {
			if strings.Contains(content, secret) {
				tb.Errorf("%s holds the secret %q", name, secret)
			}
		}
	}
	look("the log", s.stderr.String())
	root := os.DirFS(s.dir)
	if err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := fs.ReadFile(root, name)
		look(name, string(content))
		return err
	}); err != nil {
		tb.Fatal(err)
	}
	if !found {
		tb.Errorf("%q was not found: this search finds nothing", there)
	}
}
