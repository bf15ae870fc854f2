package worker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
)

// contracts reads what a source says by its branch, or the first digit of its
// commit: "v2" is the contract of the second model, anything else is refused or,
// while it is down, not read.
type contracts struct {
	mu    sync.Mutex
	down  error
	reads int
	last  deployment.Reading
}

// seen is how often contracts were read, and what was asked for last.
func (c *contracts) seen() (reads int, last deployment.Reading) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reads, c.last
}

// fail has every read fail from now on; nil: none.
func (c *contracts) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = err
}

func (c *contracts) Read(_ context.Context, r deployment.Reading, progress func(string)) (s deployment.Sourced, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads++
	c.last = r
	progress("reading")
	if c.down != nil {
		return s, c.down
	}
	var variant int
	if _, err := fmt.Sscanf(r.Source.Commit+r.Source.Branch, "v%d", &variant); err != nil && r.Source.Commit != "" {
		variant = int(r.Source.Commit[0] - '0')
	} else if err != nil {
		return s, deployment.Reject(deployment.CodeRevisionNotFound, "source.branch", "the repository has no branch %q", r.Source.Branch)
	}
	model := facts(variant).Named("")
	s.Model = &model
	s.Contract = deployment.Contract{
		Repository: r.Source.URL, Branch: r.Source.Branch, Commit: strings.Repeat(fmt.Sprint(variant), 40),
		Digest: model.Artifact.Digest, ModelType: "XGBOOST",
	}
	return s, nil
}

func (c *contracts) Write(context.Context, deployment.Writing, func(context.Context) error, func(string)) (deployment.ContractChange, error) {
	return deployment.ContractChange{}, errors.New("nothing is written here")
}

// sourceOf is a member source of a command's data.
func sourceOf(branch string) string {
	return fmt.Sprintf(`"source":{"route":"existing","url":"https://git.example/models.git","branch":%q}`, branch)
}

// While a contract cannot be read the command is tried again; for good, it has
// failed, nothing has changed, and what is shown says so.
func TestContractIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	w := s.worker("w1")
	w.Contracts = &contracts{down: errors.New("connection refused")}
	s.run(w)
	before := s.outcomeOf(s.publish(deployRequest("churn", "before", 1)))
	sequence := s.publish(aboutChurn("replace", "1", `{"reason":"OTHER",`+sourceOf("v2")+`}`))
	failed := s.outcomeOf(sequence)
	if failed.Outcome != events.Failed || failed.Failure.Code != deployment.CodeStoreUnavailable || !failed.Failure.Retryable {
		t.Fatalf("got %s %+v, want failed", failed.Outcome, failed.Failure)
	}
	if diff := cmp.Diff([]events.Outcome{
		events.Started, events.Retrying, events.Started, events.Retrying, events.Started, events.Failed,
	}, outcomes(s.history(), sequence)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if got := failed.Deployment; got.Model.ID != before.Deployment.Model.ID || got.Target != nil || got.Status != deployment.StatusActive || got.LastFailure == nil {
		t.Errorf("got %+v, want what served before, with the failure", got)
	}
}

// Who may not replace a model has nothing fetched; neither does a worker that
// reads no contracts.
func TestContractIsNotRead(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	read := &contracts{}
	w := s.worker("w1")
	w.Contracts = read
	permissions, err := deployment.ParsePermissions("churn=/people/ada")
	if err != nil {
		t.Fatal(err)
	}
	s.advanceAll(w, deployRequest("churn", "before", 1))
	w.Policy.Permissions = permissions
	sequence := s.publish(aboutChurn("replace", "1", `{"reason":"OTHER",`+sourceOf("v2")+`}`))
	s.advance(w, deployment.KindDeployment, "churn")
	if got := s.outcomeOf(sequence); got.Failure == nil || got.Failure.Code != deployment.CodeNotPermitted || read.reads > 0 {
		t.Errorf("got %s %+v after %d reads, want not_permitted and none", got.Outcome, got.Failure, read.reads)
	}
	w.Policy, w.Contracts = deployment.Policy{}, nil
	sequence = s.publish(aboutChurn("replace", "2", `{"reason":"OTHER",`+sourceOf("v2")+`}`))
	s.advance(w, deployment.KindDeployment, "churn")
	if got := s.outcomeOf(sequence); got.Failure == nil || got.Failure.Findings[0].Path != "source" {
		t.Errorf("got %s %+v, want it refused", got.Outcome, got.Failure)
	}
}
