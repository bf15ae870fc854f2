package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/slipway-ml/slipway/artifacts"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
)

// variant uploads one of many models that are alike, and is its facts.
func (s *system) variant(n int) handlers.ModelFacts {
	s.tb.Helper()
	file := largeModel(s.tb, n)
	a, err := s.Upload(s.tb.Context(), bytes.NewReader(file), nil)
	if err != nil {
		s.tb.Fatal(err)
	}
	return handlers.ModelFacts{
		Format: deployment.FormatXGBoost, Target: deployment.Target{Name: "y", Type: deployment.TargetRegression},
		Features: largeFeatures(s.tb, file), Artifact: a,
	}
}

// gc runs the verb and returns what it says, and what became of each digest in the
// object store.
func (s *system) gc(args ...string) (r collection, fates map[deployment.Digest]string) {
	s.tb.Helper()
	text, _ := s.wants(exitOK, append([]string{"gc", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		s.tb.Fatal(err)
	}
	fates = map[deployment.Digest]string{}
	for _, item := range r.Items {
		if item.Kind == "object" {
			fates[item.Digest] = fmt.Sprint(item.Removed, " ", item.Why)
		}
	}
	return r, fates
}

// holds are the digests of which there is a copy in the object store, and a file.
func (s *system) holds(d deployment.Digest) (object, file bool) {
	s.tb.Helper()
	objects, err := jetstream.OpenObjects(s.tb.Context(), s.JetStream)
	if err != nil {
		s.tb.Fatal(err)
	}
	_, missing := objects.Size(s.tb.Context(), artifacts.ObjectName(d))
	_, gone := os.Stat(filepath.Join(s.dir, "artifacts", "sha256-"+d.Hex()))
	return missing == nil, gone == nil
}

func (s *system) wantHeld(want bool, why string, digests ...deployment.Digest) {
	s.tb.Helper()
	for _, d := range digests {
		if object, file := s.holds(d); object != want || file != want {
			s.tb.Errorf("%s, %s: object %v, file %v, want %v", d, why, object, file, want)
		}
	}
}

// What no version needs is removed after the grace time, and nothing else is.
func TestCollect(t *testing.T) {
	t.Parallel()
	s := startUp(t, nil)
	facts := make([]handlers.ModelFacts, 7)
	digests := make([]deployment.Digest, len(facts))
	for i := range facts {
		facts[i] = s.variant(i + 1)
		digests[i] = facts[i].Artifact.Digest
	}
	inline := func(i int) handlers.ModelChoice { return handlers.ModelChoice{Model: &facts[i]} }
	s.completed("kept", "deploy", handlers.Deploy{Label: "Kept", ModelChoice: inline(0)})
	for i := 1; i < 4; i++ {
		s.completed("kept", "replace", handlers.Replace{Reason: deployment.ReasonOther, ModelChoice: inline(i)})
	}
	s.completed("gone", "deploy", handlers.Deploy{Label: "Gone", ModelChoice: inline(4)})
	s.completed("gone", "delete", handlers.Delete{})
	s.command(deployment.KindModel, "apart", "register", handlers.Register{ModelFacts: facts[5]})
	objects, err := jetstream.OpenObjects(t.Context(), s.JetStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := objects.Put(t.Context(), "run-42/model.ubj", strings.NewReader("of somebody")); err != nil {
		t.Fatal(err)
	}
	old, needed, unused := digests[:2], []deployment.Digest{digests[2], digests[3], digests[5]}, digests[6]

	// All of it is young.
	if r, fates := s.gc(); r.Removed != 0 || r.Kept < len(digests) || fates[unused] != "false younger than the grace time" || fates[digests[3]] != "false in the state of kept" && fates[digests[3]] != "false served by kept" {
		t.Errorf("got %+v, want all of it kept", r)
	}
	// Only looked at.
	dry, fates := s.gc("--grace", "0s", "--versions", "1", "--dry-run")
	for d, want := range map[deployment.Digest]string{
		old[0]: "true no version needs it", digests[4]: "true no version needs it", unused: "true no version needs it",
		digests[2]: "false in the state of kept", digests[3]: "false served by kept", digests[5]: "false registered as apart",
		"": "false its sender has named it",
	} {
		if fates[d] != want {
			t.Errorf("%s: got %q, want %q", d, fates[d], want)
		}
	}
	if dry.Removed != 7 || dry.RemovedBytes == 0 || !dry.DryRun { // four objects, and the files of those that were used
		t.Errorf("got %d (%d bytes) to be removed, want 7", dry.Removed, dry.RemovedBytes)
	}
	s.wantHeld(true, "after a dry run", slices.Concat(old, needed)...)

	// Two versions more than those of the state are wanted.
	if r, _ := s.gc("--grace", "0s", "--versions", "4", "--dry-run"); r.Removed != 3 {
		t.Errorf("with 4 versions: got %d to be removed, want 3", r.Removed)
	}
	done, _ := s.gc("--grace", "0s", "--versions", "1")
	if done.Removed != dry.Removed || done.RemovedBytes != dry.RemovedBytes || done.Kept != dry.Kept {
		t.Errorf("got %d removed (%d bytes) and %d kept, want what the dry run said: %d (%d), %d",
			done.Removed, done.RemovedBytes, done.Kept, dry.Removed, dry.RemovedBytes, dry.Kept)
	}
	s.wantHeld(false, "which nothing needs", digests[0], digests[1], digests[4], unused)
	s.wantHeld(true, "which is needed", needed...)
	if size, err := objects.Size(t.Context(), "run-42/model.ubj"); err != nil || size != 11 {
		t.Errorf("the object with a name of its own: %d bytes, %v", size, err)
	}
	if r, _ := s.gc("--grace", "0s", "--versions", "1"); r.Removed != 0 {
		t.Errorf("again: got %d removed, want none", r.Removed)
	}

	// Back to what was kept, not to what was not; that can be uploaded again.
	s.completed("kept", "rollback", handlers.Rollback{Reason: deployment.ReasonErrors})
	back := handlers.Rollback{Reason: deployment.ReasonErrors, ModelID: facts[0].Named("").ContentID()}
	refused := s.command(deployment.KindDeployment, "kept", "rollback", back)
	if refused.Outcome != events.Rejected || refused.Failure.Code != deployment.CodeArtifactNotFound || !strings.Contains(refused.Failure.Message, "upload it again") {
		t.Errorf("got %s %+v, want that the artifact is not there any more", refused.Outcome, refused.Failure)
	}
	s.variant(1)
	s.completed("kept", "rollback", back)
	s.wants(exitOK, "verify")
}

// While models come and go, and are deployed again from what was kept of them or
// not, a collector without any grace takes nothing from under them.
func TestCollectionRacesCommands(t *testing.T) {
	t.Parallel()
	s := startUp(t, map[string]string{"SLIPWAY_LOG_LEVEL": "error"})
	files := [][]byte{largeModel(t, 1), largeModel(t, 2)}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(files[len(r.URL.Path)-len("/")])
	}))
	t.Cleanup(web.Close)
	facts := make([]handlers.ModelFacts, len(files))
	for i, file := range files {
		sum := sha256.Sum256(file)
		facts[i] = handlers.ModelFacts{
			Format: deployment.FormatXGBoost, Target: deployment.Target{Name: "y", Type: deployment.TargetRegression}, Features: largeFeatures(t, file),
			Artifact: deployment.Artifact{URL: web.URL + "/" + strings.Repeat("x", i), Digest: deployment.DigestOf(sum[:]), Size: int64(len(file))},
		}
	}
	row := make([]*float64, len(facts[0].Features))
	for i := range row {
		row[i] = new(float64)
	}
	c, err := newCollector(t.Context(), Config{}, s.JetStream, &artifacts.Store{Dir: filepath.Join(s.dir, "artifacts")})
	if err != nil {
		t.Fatal(err)
	}
	enough := make(chan struct{})
	var collecting sync.WaitGroup
	var removed atomic.Int64
	runs := 0
	collecting.Go(func() {
		for {
			select {
			case <-enough:
				return
			default:
			}
			r, err := c.run(t.Context())
			if err != nil {
				t.Errorf("collect: %v", err)
				return
			}
			removed.Add(int64(r.Removed))
			runs++
		}
	})
	const rounds, most = 20, 500
	for i := 0; i < rounds || i < most && removed.Load() == 0; i++ {
		chosen := facts[i%len(facts)]
		s.completed("churn", "deploy", handlers.Deploy{Label: "Churn", ModelChoice: handlers.ModelChoice{Model: &chosen}})
		if object, _ := s.holds(chosen.Artifact.Digest); !object {
			t.Fatalf("round %d: the artifact that is served is not in the object store", i)
		}
		if status, answer := s.predict("churn", row); status != http.StatusOK {
			t.Fatalf("round %d: got %d %s, want a prediction", i, status, answer)
		}
		s.completed("churn", "delete", handlers.Delete{})
	}
	close(enough)
	collecting.Wait()
	t.Logf("%d removed in %d runs", removed.Load(), runs)
	if removed.Load() == 0 {
		t.Error("nothing was ever removed: there was no race")
	}
}

// On an interval it goes on by itself.
func TestCollectOnAnInterval(t *testing.T) {
	t.Parallel()
	s := startUp(t, map[string]string{"SLIPWAY_GC_INTERVAL": "20ms", "SLIPWAY_GC_GRACE": "0s", "SLIPWAY_LOG_LEVEL": "info"})
	facts := s.variant(1)
	if err := s.stderr.await("artifacts collected", nil); err != nil { // nobody has named it in a command
		t.Fatal(err)
	}
	if object, _ := s.holds(facts.Artifact.Digest); object {
		t.Error("it is still in the object store")
	}
}
