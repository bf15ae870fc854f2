package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
)

// TestChaosContracts kills and freezes workers at random while they write
// contracts of several deployments into one repository. Afterwards each command
// has one outcome and one commit at most, whose parent is the branch as it was,
// every commit that was ever deployed is on the branch, what the branch says of a
// deployment is what it serves, and contracts that nobody names are as they were
// (deeploy.md D23, D24; U8, U9, U11). CHAOS_SECONDS and CHAOS_SEED are as for
// TestChaos.
func TestChaosContracts(t *testing.T) {
	repo := newRepository(t)
	repo.server.User = ""
	theirs := map[string]string{"README.md": "models", "models/other/model/reference.json": "{ \"reference\":{\"blob\":{\"url\":\"s3://b/other\"}}}"}
	repo.put(t, theirs)
	c := newProcesses(t, buildStatic(t), oneNode(t, t.TempDir()), 3, 1, "SLIPWAY_ALLOW_HTTP_REPOSITORIES=true")

	killing, stop := context.WithTimeout(t.Context(), c.seconds)
	defer stop()
	var killers sync.WaitGroup
	killers.Go(func() { c.killWorkers(killing, rand.New(rand.NewPCG(c.seed, 3))) })
	sequences := c.publishContracts(killing, repo)
	killers.Wait()

	h := newHistory(t)
	h.violation = c.violation
	ctx, cancel := context.WithTimeout(t.Context(), 2*chaosDrain)
	defer cancel()
	c.must(ctx, "outcomes", func(ctx context.Context) error {
		err := h.readEvents(ctx, c.Ledger)
		for _, sequence := range sequences {
			if err == nil && h.ended[sequence] == nil {
				err = fmt.Errorf("command %d has no outcome", sequence)
			}
		}
		return err
	})
	h.checkEvents()
	c.checkContracts(h, repo, theirs)
	if len(c.violations) > 0 {
		t.Errorf("CHAOS_SEED=%d:\n%s\n%s", c.seed, strings.Join(c.violations[:min(len(c.violations), 40)], "\n"), c.tails())
	}
	t.Logf("%d commands, %d kills, %d times frozen, %d commits, %d violations", len(sequences), c.kills, c.freezes, len(repo.log(t)), len(c.violations))
}

// killWorkers kills one or two workers at a time, and freezes some so that they
// wake as zombies, until ctx ends.
func (c *chaos) killWorkers(ctx context.Context, random *rand.Rand) {
	var thawed sync.WaitGroup
	defer thawed.Wait()
	for wait(ctx, 50*time.Millisecond+time.Duration(random.Int64N(int64(400*time.Millisecond)))) == nil {
		victim := c.workers[random.IntN(len(c.workers))]
		switch random.IntN(4) {
		case 0:
			c.freeze(ctx, random, victim, &thawed)
		case 1:
			c.kill(c.workers[random.IntN(len(c.workers))])
			c.kill(victim)
		default:
			c.kill(victim)
		}
	}
}

const contractDeployments = 5

// publishContracts publishes commands, one deployment after the other, each with
// the model that it does not have yet, until ctx ends.
func (c *chaos) publishContracts(ctx context.Context, repo repository) (sequences []uint64) {
	c.tb.Helper()
	for n := 0; ctx.Err() == nil; n++ {
		name, round := fmt.Sprint("contract-", n%contractDeployments), n/contractDeployments
		file := c.files[round%2].Artifact
		source := deployment.Source{URL: repo.url, ContractPath: "models/" + name, Overwrite: true}
		if n%2 == 0 {
			source.Route, source.ModelType = deployment.RouteReference, json.RawMessage(`"XGBOOST"`)
			source.Model = blob("objects://artifacts/" + file.Object)
		} else {
			source.Route = deployment.RouteArtifact
			source.Artifact = &deployment.Upload{Files: []deployment.UploadedFile{{Path: "model.ubj", Object: file.Object, Digest: file.Digest, Size: file.Size}}}
		}
		op, data := "deploy", any(handlers.Deploy{Label: name, ModelChoice: handlers.ModelChoice{Source: &source}})
		if round > 0 {
			op, data = "replace", replaceFrom(source)
		}
		text, err := json.Marshal(data)
		if err != nil {
			c.tb.Fatal(err)
		}
		id := fmt.Sprint("contract-command-", n)
		msg := &nats.Msg{Subject: jetstream.CommandSubject("deployment", name, op), Data: structured(deployment.KindDeployment, name, op, id, string(text))}
		ack, err := c.JetStream.PublishMsg(context.WithoutCancel(ctx), msg, natsjs.WithMsgID(id))
		if err != nil {
			c.tb.Fatal(err)
		}
		sequences = append(sequences, ack.Sequence)
		_ = wait(ctx, 250*time.Millisecond)
	}
	return sequences
}

// checkContracts holds the history of the repository against the ledger.
func (c *chaos) checkContracts(h *history, repo repository, theirs map[string]string) {
	c.tb.Helper()
	log := repo.log(c.tb)
	on, of := map[string]bool{}, map[string]int{}
	for _, commit := range log {
		on[commit.Hash.String()] = true
		for line := range strings.Lines(commit.Message) {
			if id, ok := strings.CutPrefix(line, "Slipway-Command-Id: "); ok {
				if of[id]++; of[id] > 1 {
					c.violation("command %s has a second commit %s", strings.TrimSpace(id), commit.Hash)
				}
			}
		}
		if commit.NumParents() > 1 {
			c.violation("commit %s has %d parents", commit.Hash, commit.NumParents())
		}
		files := filesOf(c.tb, commit)
		for name, content := range theirs {
			if files[name] != content {
				c.violation("commit %s has changed %s", commit.Hash, name)
			}
		}
	}
	files := filesOf(c.tb, log[0])
	last := map[string]*deployment.State{}
	for _, e := range h.events {
		if e.Deployment == nil || e.Deployment.Model == nil {
			continue
		}
		if commit := e.Deployment.Model.Contract.Commit; !on[commit] {
			c.violation("event %d: %s serves commit %q, which is not on the branch", e.Stored.Sequence, e.Subject, commit)
		}
		last[e.Subject] = e.Deployment
		if e.Outcome.Terminal() && e.Outcome != events.Completed {
			c.violation("event %d: %s %s is %s: %+v", e.Stored.Sequence, e.Op, e.Subject, e.Outcome, e.Failure)
		}
	}
	for name, state := range last {
		reference := files["models/"+name+"/model/reference.json"]
		blobs := []string{"sha256/" + state.Model.Digest.Hex()}
		for _, f := range c.files {
			if f.Artifact.Digest == state.Model.Digest {
				blobs = append(blobs, f.Artifact.Object)
			}
		}
		if !strings.Contains(reference, blobs[0]) && !strings.Contains(reference, blobs[len(blobs)-1]) {
			c.violation("%s serves %s, but the branch says %s", name, state.Model.Digest, reference)
		}
	}
}
