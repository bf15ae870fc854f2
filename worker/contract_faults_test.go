package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/artifacts"
	"github.com/slipway-ml/slipway/contract/git"
	"github.com/slipway-ml/slipway/contract/git/gittest"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/serving/predict"
	"github.com/slipway-ml/slipway/sourcing"
	"github.com/slipway-ml/slipway/worker"
)

// repository is a real repository on a server of git's protocol, and what a
// worker needs to write contracts there.
type repository struct {
	*gittest.Server

	store   *filesystem.Storage
	url     string
	web     string // where the models are
	before  int    // commits
	sources *sourcing.Contracts
}

// otherFile belongs to a contract that no command names.
const otherFile = "models/fraud/model/reference.json"

func (s *system) repository() *repository {
	s.tb.Helper()
	r := &repository{Server: &gittest.Server{Dir: s.tb.TempDir()}}
	r.store = r.Bare(s.tb, "models.git")
	gittest.Put(s.tb, r.store, "main", map[string]string{"README.md": "models", otherFile: "{ \"reference\":{\"blob\":{\"url\":\"s3://b/fraud\"}} }"})
	r.before = len(r.log(s.tb))
	server := httptest.NewServer(r)
	s.tb.Cleanup(server.Close)
	web := httptest.NewServer(http.FileServer(http.Dir("../cmd/slipway/demo")))
	s.tb.Cleanup(web.Close)
	objects, err := jetstream.OpenObjects(s.tb.Context(), s.js)
	if err != nil {
		s.tb.Fatal(err)
	}
	r.url, r.web = server.URL+"/models.git", web.URL
	r.sources = &sourcing.Contracts{
		Repositories: &git.Repositories{AllowHTTP: true, Dir: s.tb.TempDir()},
		Artifacts:    &artifacts.Store{Dir: s.tb.TempDir(), Objects: objects}, Objects: objects,
		Author: git.Person{Name: "Slipway", Email: "slipway@example.com"}, Load: predict.Inspect,
	}
	return r
}

// log is every commit of main, the newest first.
func (r *repository) log(tb testing.TB) (all []*object.Commit) {
	tb.Helper()
	fresh := r.Fresh(r.store)
	ref, err := fresh.Reference(plumbing.NewBranchReferenceName("main"))
	if err != nil {
		tb.Fatal(err)
	}
	for hash := ref.Hash(); ; {
		commit, err := object.GetCommit(fresh, hash)
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, commit)
		if commit.NumParents() == 0 {
			return all
		}
		hash = commit.ParentHashes[0]
	}
}

// source is a member source of a command's data that writes the contract of
// churn: of one of the models of the demo, in the repository or without one.
func (r *repository) source(model string, within bool) string {
	where := ""
	if within {
		where = fmt.Sprintf(`"url":%q,"contractPath":"models/churn",`, r.url)
	}
	return fmt.Sprintf(`"source":{"route":"reference",%s"overwrite":true,"modelType":"xgboost","model":{"blob":{"url":%q}},"metadata":{"problemType":"classification"}}`,
		where, r.web+"/"+model)
}

// holds checks what is in the repository after one command: at most one commit for
// it, what is deployed is on the branch, and the other contract is as it was.
func (r *repository) holds(s *system, outcome event) {
	s.tb.Helper()
	log := r.log(s.tb)
	mine, deployed := 0, false
	for _, commit := range log {
		if strings.Contains(commit.Message, "\nSlipway-Command-Id: "+outcome.Command.ID+"\n") {
			mine++
		}
		deployed = deployed || commit.Hash.String() == outcome.Deployment.Model.Contract.Commit
		if file, err := commit.File(otherFile); err != nil {
			s.tb.Errorf("commit %s: %v", commit.Hash, err)
		} else if content, err := file.Contents(); err != nil || !strings.HasPrefix(content, "{ ") {
			s.tb.Errorf("commit %s: got %q and %v, want the other contract as it was", commit.Hash, content, err)
		}
	}
	if mine != 1 || !deployed {
		s.tb.Errorf("got %d commits of the command, and the deployed one on the branch: %v; want 1 and true\n%v", mine, deployed, log)
	}
}

// faultyContracts fails one call, before or after it took effect.
type faultyContracts struct {
	worker.Contracts
	at    int // the nth call fails, from 1: Read, then Write
	after bool
	calls atomic.Int32
}

func (c *faultyContracts) fails() bool { return int(c.calls.Add(1)) == c.at }

func (c *faultyContracts) Read(ctx context.Context, r deployment.Reading, progress func(string)) (deployment.Sourced, error) {
	fails := c.fails()
	if fails && !c.after {
		return deployment.Sourced{}, errInjected
	}
	sourced, err := c.Contracts.Read(ctx, r, progress)
	if fails && err == nil {
		err = errInjected
	}
	return sourced, err
}

func (c *faultyContracts) Write(ctx context.Context, w deployment.Writing, hold func(context.Context) error, progress func(string)) (deployment.ContractChange, error) {
	fails := c.fails()
	if fails && !c.after {
		return deployment.ContractChange{}, errInjected
	}
	written, err := c.Contracts.Write(ctx, w, hold, progress)
	if fails && err == nil {
		err = errInjected
	}
	return written, err
}

// faultyObjects fails one Put, before or after it took effect.
type faultyObjects struct {
	sourcing.Objects
	at    int
	after bool
	count int
}

func (o *faultyObjects) Put(ctx context.Context, name string, r io.Reader) error {
	if o.count++; o.count != o.at {
		return o.Objects.Put(ctx, name, r)
	}
	if o.after {
		if err := o.Objects.Put(ctx, name, r); err != nil {
			return err
		}
	}
	return errInjected
}

// contractFault lets one step of a command that writes a contract fail.
type contractFault struct {
	name   string
	within bool // the contract is in a repository
	inject func(s *system, w *worker.Worker, r *repository)
}

func contractFaults() (all []contractFault) {
	for _, within := range []bool{true, false} {
		for _, after := range []bool{false, true} {
			add := func(name string, inject func(*system, *worker.Worker, *repository)) {
				all = append(all, contractFault{fmt.Sprintf("%s, after %v, repository %v", name, after, within), within, inject})
			}
			for at := 1; at <= 3 || within && at == 4; at++ { // started, validated, progress before a push, terminal
				add(fmt.Sprint("append ", at), func(s *system, w *worker.Worker, _ *repository) {
					w.Ledger = &faultyLedger{Ledger: s.ledger, at: at, after: after}
				})
				add(fmt.Sprint("project ", at), func(_ *system, w *worker.Worker, _ *repository) {
					w.Views = &faultyViews{Views: w.Views, at: at, after: after}
				})
			}
			for at := 1; at <= 2; at++ {
				add([]string{"read", "write"}[at-1], func(_ *system, w *worker.Worker, _ *repository) {
					w.Contracts = &faultyContracts{Contracts: w.Contracts, at: at, after: after}
				})
				if !within {
					add(fmt.Sprint("put ", at), func(_ *system, _ *worker.Worker, r *repository) {
						r.sources.Objects = &faultyObjects{Objects: r.sources.Objects, at: at, after: after}
					})
				}
			}
			add("apply", func(s *system, _ *worker.Worker, _ *repository) {
				var calls atomic.Int32
				s.target.apply = func(context.Context, deployment.Name, deployment.ModelRef, uint64) error {
					if calls.Add(1) == 1 {
						return errInjected
					}
					return nil
				}
			})
		}
	}
	return append(all,
		contractFault{"somebody else pushes first", true, func(s *system, _ *worker.Worker, r *repository) {
			var pushed atomic.Bool
			r.Received = func(server *gittest.Server, _ plumbing.ReferenceName) {
				if !pushed.Swap(true) {
					files := map[string]string{"README.md": "theirs", otherFile: "{ }", "models/churn/README.md": "churn"}
					gittest.Put(s.tb, server.Fresh(r.store), "main", files)
				}
			}
		}},
		contractFault{"the answer to the push is lost", true, func(_ *system, _ *worker.Worker, r *repository) {
			var lost atomic.Bool
			r.Answered = func(http.ResponseWriter) bool {
				if !lost.Swap(true) {
					panic(http.ErrAbortHandler)
				}
				return false
			}
		}},
	)
}

// Each step of a command that writes a contract fails once, before and after it
// took effect, with a real repository: there is one commit for the command, what
// is deployed is on the branch, and the other contract is as it was (deeploy.md
// D23; U8, U9).
func TestEveryStepOfAContractFailsOnce(t *testing.T) {
	t.Parallel()
	for i, fault := range contractFaults() {
		op, data := "replace", `"reason":"OTHER",`
		if i%2 == 1 {
			op, data = "update", `"label":"Customer churn",`
		}
		t.Run(op+", "+fault.name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			r := s.repository()
			s.target.inspect = func(context.Context, deployment.Model) (deployment.Inspection, error) {
				return deployment.Inspection{Format: deployment.FormatXGBoost, Objective: "binary:logistic", Features: 6, Outputs: 1}, nil
			}
			w := s.worker("w1")
			w.Contracts = r.sources
			s.advanceAll(w, aboutChurn("deploy", "before", `{"label":"Churn",`+r.source("churn-v1.ubj", fault.within)+`}`))
			fault.inject(s, w, r)
			s.run(w)
			sequence := s.publish(aboutChurn(op, "1", "{"+data+r.source("churn-v2.ubj", fault.within)+"}"))
			got := s.outcomeOf(sequence)
			if got.Outcome != events.Completed {
				t.Fatalf("got %s %+v, want completed", got.Outcome, got.Failure)
			}
			if renamed := got.Deployment.Label == "Customer churn"; renamed != (op == "update") || got.Deployment.Revision != 2 {
				t.Errorf("got label %q at revision %d, want what the %s says, in one revision", got.Deployment.Label, got.Deployment.Revision, op)
			}
			s.shown(got)
			s.unique(s.history())
			if diff := cmp.Diff([]string(nil), found(s.audit())); diff != "" {
				t.Errorf("views against the ledger (-want +got):\n%s", diff)
			}
			s.holds(got.Deployment.Effect())
			if fault.within {
				r.holds(s, got)
				return
			}
			for name, want := range r.kept(t, got) {
				objects, err := jetstream.OpenObjects(t.Context(), s.js)
				if err != nil {
					t.Fatal(err)
				}
				kept, err := objects.Get(t.Context(), name)
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(kept)
				if err := errors.Join(err, kept.Close()); err != nil || string(text) != want {
					t.Errorf("%s: got %q and %v, want %q", name, text, err, want)
				}
			}
		})
	}
}

// kept are the objects of the contract without a repository.
func (r *repository) kept(tb testing.TB, outcome event) map[string]string {
	tb.Helper()
	prefix := sourcing.Prefix(outcome.Deployment.Model.Contract.Digest)
	reference, err := json.Marshal(map[string]any{"reference": map[string]any{"blob": map[string]any{"url": r.web + "/churn-v2.ubj"}}})
	if err != nil {
		tb.Fatal(err)
	}
	return map[string]string{
		prefix + "model/reference.json": string(reference) + "\n",
		prefix + "metadata.json":        `{"problemType":"classification"}` + "\n",
	}
}

// A worker dies after its push and before anything is said of it: the one that
// takes over finds the contract written, and makes no second commit.
func TestTakeOverAfterPush(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	r := s.repository()
	s.target.inspect = func(context.Context, deployment.Model) (deployment.Inspection, error) {
		return deployment.Inspection{Format: deployment.FormatXGBoost, Objective: "binary:logistic", Features: 6, Outputs: 1}, nil
	}
	dying := s.worker("w1")
	dying.Contracts = r.sources
	dying.Ledger = &faultyLedger{Ledger: s.ledger, at: 4, dead: true} // the terminal event
	sequence := s.publish(aboutChurn("deploy", "1", `{"label":"Churn",`+r.source("churn-v1.ubj", true)+`}`))
	if _, err := dying.Advance(t.Context(), addressOf("churn"), sequence); !errors.Is(err, errInjected) {
		t.Fatalf("got %v, want the injected fault", err)
	}
	pushed := r.log(t)
	if len(pushed) != r.before+1 {
		t.Fatalf("got %d commits, want the one of the command to be there", len(pushed))
	}
	successor := s.worker("w2")
	successor.Contracts, successor.Lease = r.sources, 1
	if _, err := successor.Advance(t.Context(), addressOf("churn"), sequence); err != nil {
		t.Fatal(err)
	}
	got := s.outcomeOf(sequence)
	if got.Outcome != events.Completed || got.Worker != "w2" || got.Deployment.Model.Contract.Commit != pushed[0].Hash.String() {
		t.Errorf("got %s by %s at %+v, want completed by w2 at %s", got.Outcome, got.Worker, got.Deployment.Model.Contract, pushed[0].Hash)
	}
	r.holds(s, got)
}

// A zombie wakes with a contract to push, after another worker has carried out
// the command and one that went back: it pushes nothing, although what it planned
// on is so again.
func TestZombiePushesNothing(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	r := s.repository()
	s.target.inspect = func(context.Context, deployment.Model) (deployment.Inspection, error) {
		return deployment.Inspection{Format: deployment.FormatXGBoost, Objective: "binary:logistic", Features: 6, Outputs: 1}, nil
	}
	other := s.worker("other")
	other.Contracts, other.Lease = r.sources, 1
	s.advanceAll(other, aboutChurn("deploy", "before", `{"label":"Churn",`+r.source("churn-v1.ubj", true)+`}`))
	began, wake := make(chan struct{}), make(chan struct{})
	zombie := s.worker("zombie")
	zombie.Contracts = &sleepyContracts{Contracts: r.sources, began: began, wake: wake}
	sequence := s.publish(aboutChurn("replace", "1", `{"reason":"OTHER",`+r.source("churn-v2.ubj", true)+`}`))
	ended := make(chan error, 1)
	go func() {
		_, err := zombie.Advance(t.Context(), addressOf("churn"), sequence)
		ended <- err
	}()
	<-began
	if _, err := other.Advance(t.Context(), addressOf("churn"), sequence); err != nil {
		t.Fatal(err)
	}
	s.advanceAll(other, aboutChurn("replace", "back", `{"reason":"OTHER",`+r.source("churn-v1.ubj", true)+`}`))
	pushed := r.log(t)
	close(wake)
	if err := <-ended; err != nil {
		t.Errorf("zombie: got %v, want it to see that the command is finished", err)
	}
	if now := r.log(t); len(pushed) != r.before+3 || now[0].Hash != pushed[0].Hash {
		t.Errorf("got %d commits and the newest %s, want %s of %d as before", len(now), now[0], pushed[0], r.before+3)
	}
	if got := s.outcomeOf(sequence); got.Outcome != events.Completed || got.Worker != "other" {
		t.Errorf("got %s by %s, want completed by the other", got.Outcome, got.Worker)
	}
	s.unique(s.history())
}

// sleepyContracts write only when they are woken.
type sleepyContracts struct {
	worker.Contracts
	began, wake chan struct{}
}

func (c *sleepyContracts) Write(ctx context.Context, w deployment.Writing, hold func(context.Context) error, progress func(string)) (deployment.ContractChange, error) {
	close(c.began)
	<-c.wake
	return c.Contracts.Write(context.WithoutCancel(ctx), w, hold, progress) // as if nobody had told it yet
}
