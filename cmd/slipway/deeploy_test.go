package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/slipway-ml/slipway/contract/git/gittest"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
)

// The tests of this file show that the whole system does right what Deeploy's
// clients do wrong (deeploy.md section 11). Others with the same numbers are
// beside the packages that they are about.

// artifact is a source of the route artifact with a model of the demo.
func (s *system) artifact(repo repository, path, model string) deployment.Source {
	s.tb.Helper()
	source := repo.source()
	source.Route, source.ContractPath = deployment.RouteArtifact, path
	source.Artifact = &deployment.Upload{Files: []deployment.UploadedFile{s.put("run/"+model, readDemo(s.tb, model))}}
	return source
}

// completed carries out a command that has to succeed.
func (s *system) completed(name, op string, data any) entry {
	s.tb.Helper()
	got := s.command(deployment.KindDeployment, name, op, data)
	if got.Outcome != events.Completed {
		s.tb.Fatalf("%s %s: got %s %+v, want completed", op, name, got.Outcome, got.Failure)
	}
	return got
}

// untouched checks that a command has changed neither the repository nor the state.
func (s *system) untouched(repo repository, name string, command func() entry) entry {
	s.tb.Helper()
	commits, state := len(repo.log(s.tb)), s.state(name)
	got := command()
	if now := len(repo.log(s.tb)); now != commits {
		s.tb.Errorf("got %d commits, want %d as before", now, commits)
	}
	if now := s.state(name); now != state {
		s.tb.Errorf("got state\n%s\nwant it as before:\n%s", now, state)
	}
	return got
}

// An update by upload works, beside an explainer that stays as it is; one that
// cannot be done changes nothing.
func TestU4UpdateByUpload(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	explainer := `{"reference":{"blob":{"url":"s3://b/explainer"}}}`
	repo.put(t, map[string]string{"churn/explainer/reference.json": explainer})
	s := startUp(t, gitEnvironment())
	source := s.artifact(repo, "churn", "churn-v1.ubj")
	source.ExplainerType = json.RawMessage(`"NO_EXPLAINER"`)
	s.completed("churn", "deploy", deployFrom(source))

	next := s.artifact(repo, "churn", "churn-v2.ubj")
	next.ExplainerType, next.Overwrite = source.ExplainerType, true
	wrong := next
	wrong.Artifact = &deployment.Upload{Files: slices.Clone(next.Artifact.Files)}
	wrong.Artifact.Files[0].Digest = deployment.Digest("sha256:" + strings.Repeat("1", 64))
	explained := next
	explained.Explainer, explained.ExplainerType = blob("s3://b/other"), json.RawMessage(`"SHAP_TREE"`)
	for code, source := range map[deployment.Code]deployment.Source{deployment.CodeDigestMismatch: wrong, deployment.CodeUnsupportedArtifact: explained} {
		got := s.untouched(repo, "churn", func() entry { return s.command(deployment.KindDeployment, "churn", "replace", replaceFrom(source)) })
		if got.Outcome != events.Rejected || got.Failure.Code != code {
			t.Errorf("got %s %+v, want rejected with %s", got.Outcome, got.Failure, code)
		}
	}
	replaced := s.completed("churn", "replace", replaceFrom(next))
	files := filesOf(t, repo.log(t)[0])
	if files["churn/explainer/reference.json"] != explainer || !strings.Contains(files["churn/model/reference.json"], next.Artifact.Files[0].Digest.Hex()) {
		t.Errorf("got files %v", files)
	}
	if got := replaced.Deployment.Model.Digest; got != next.Artifact.Files[0].Digest {
		t.Errorf("got model %s, want that of the upload", got)
	}
}

// Of two contracts in one repository, one of them at its root, updating one
// leaves the other byte-identical.
func TestU6OtherContractsStayAsTheyAre(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	theirs := map[string]string{
		"README.md": "models", "model/train.sh.txt": "no part of a contract below", "other/model/reference.json": "{ \"reference\": {\"blob\":{\"url\":\"s3://b/m\",\"region\":null}}}",
	}
	repo.put(t, theirs)
	s := startUp(t, gitEnvironment())
	s.completed("churn", "deploy", deployFrom(s.artifact(repo, "models/churn", "churn-v1.ubj")))
	within := s.artifact(repo, "models/churn", "churn-v2.ubj")
	within.Overwrite = true
	s.completed("churn", "replace", replaceFrom(within))
	root := s.artifact(repo, "", "churn-v1.ubj")
	root.Overwrite = true
	deep := filesOf(t, repo.log(t)[0])
	s.completed("root", "deploy", deployFrom(root))

	before, after := maps.Clone(theirs), filesOf(t, repo.log(t)[0])
	delete(before, "model/train.sh.txt") // it was in the way, and overwrite was given
	for name, content := range deep {
		if strings.HasPrefix(name, "models/churn/") {
			before[name] = content
		}
	}
	if !strings.Contains(after["model/reference.json"], root.Artifact.Files[0].Digest.Hex()) {
		t.Errorf("got reference %q at the root", after["model/reference.json"])
	}
	delete(after, "model/reference.json")
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("everything else (-want +got):\n%s", diff)
	}
}

// metadata.json is in the same revision as the model; one that is there already
// stays unless it is to be overwritten, and the result says so.
func TestU7MetadataAreInTheSameRevision(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := startUp(t, gitEnvironment())
	source := s.artifact(repo, "churn", "churn-v1.ubj")
	source.Metadata = json.RawMessage(churnMetadata)
	deployed := s.completed("churn", "deploy", deployFrom(source))
	log := repo.log(t)
	if files := filesOf(t, log[0]); len(log) != 1 || len(files) != 2 || files["churn/metadata.json"] != churnMetadata+"\n" || deployed.Contract.Commit != log[0].Hash.String() {
		t.Fatalf("got %d commits with %v, want model and metadata in the one that is deployed", len(log), files)
	}
	source = s.artifact(repo, "churn", "churn-v2.ubj")
	source.Overwrite, source.Metadata = true, json.RawMessage(`{"problemType":"classification"}`)
	kept := s.completed("churn", "replace", replaceFrom(source))
	if got := filesOf(t, repo.log(t)[0])["churn/metadata.json"]; got != churnMetadata+"\n" || !slices.Equal(kept.Contract.Kept, []string{"churn/metadata.json"}) {
		t.Errorf("got metadata %q and kept %v, want it kept", got, kept.Contract.Kept)
	}
}

// A push that is refused leads to no change of the state; the commit that is
// reported is on the remote.
func TestU8RefusedPushChangesNothing(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := startUp(t, gitEnvironment())
	s.completed("churn", "deploy", deployFrom(s.artifact(repo, "churn", "churn-v1.ubj")))
	next := s.artifact(repo, "churn", "churn-v2.ubj")
	next.Overwrite = true
	repo.server.Refuse("main is protected")
	refused := s.untouched(repo, "churn", func() entry { return s.command(deployment.KindDeployment, "churn", "replace", replaceFrom(next)) })
	if refused.Outcome != events.Rejected || refused.Failure.Code != deployment.CodePushRefused || !strings.Contains(refused.Failure.Message, "main is protected") {
		t.Errorf("got %s %+v, want push_refused with what the server says", refused.Outcome, refused.Failure)
	}
	sample := readSample(t)
	if _, got := s.predict("churn", sample.Row); !strings.Contains(got, fmt.Sprint(sample.Expected["churn-v1"])[:6]) {
		t.Errorf("got prediction %s, want that of what served before", got)
	}
	repo.server.Accept()
	replaced := s.completed("churn", "replace", replaceFrom(next))
	if log := repo.log(t); replaced.Contract.Commit != log[0].Hash.String() || replaced.Deployment.Model.Contract.Commit != replaced.Contract.Commit {
		t.Errorf("reported commit %s, want %s, which is on the remote", replaced.Contract.Commit, log[0].Hash)
	}
}

// The same event again is one version and one revision; an update of nothing is
// refused.
func TestU9SameEventIsOneRevision(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := startUp(t, gitEnvironment())
	text, err := json.Marshal(deployFrom(s.artifact(repo, "churn", "churn-v1.ubj")))
	if err != nil {
		t.Fatal(err)
	}
	msg := &nats.Msg{
		Subject: jetstream.CommandSubject("deployment", "churn", "deploy"),
		Data:    structured(deployment.KindDeployment, "churn", "deploy", "run-1", string(text)),
	}
	first := s.outcomeOf(s.publish(msg))
	if first.Outcome != events.Completed || len(repo.log(t)) != 1 {
		t.Fatalf("got %s %+v, want completed with one commit", first.Outcome, first.Failure)
	}
	again := s.untouched(repo, "churn", func() entry { return s.outcomeOf(s.publish(msg)) })
	if again.Outcome != events.Duplicate || again.Original.Outcome != events.Completed {
		t.Errorf("got %s %+v, want a duplicate of what has completed", again.Outcome, again.Original)
	}
	empty := s.untouched(repo, "churn", func() entry {
		return s.command(deployment.KindDeployment, "churn", "replace", replaceFrom(deployment.Source{Route: deployment.RouteReference, URL: repo.url, CredentialsID: "git"}))
	})
	if empty.Outcome != events.Rejected || empty.Failure.Code != deployment.CodeEmptyUpdate {
		t.Errorf("got %s %+v, want empty_update", empty.Outcome, empty.Failure)
	}
}

// An explainer is never passed over: without a type it is an error, and so is one
// that is said not to be there. Every member of azureML, in the spelling of the
// clients too, is in what would be written.
func TestU10NothingIsPassedOver(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	repo.put(t, map[string]string{"README.md": "x"})
	s := startUp(t, gitEnvironment())
	untyped := s.artifact(repo, "churn", "churn-v1.ubj")
	untyped.Explainer = json.RawMessage(`{"azure_ml":{"image":"acr.io/e:1","uri":"/explain","port":5002,"readiness_path":"/ready","livelinessPath":"/live","model":"e","version":4}}`)
	got := s.untouched(repo, "churn", func() entry { return s.command(deployment.KindDeployment, "churn", "deploy", deployFrom(untyped)) })
	// azureML is an image, so its type is CUSTOM: the explainer is known, and cannot be run here.
	if got.Outcome != events.Rejected || got.Failure.Code != deployment.CodeUnsupportedArtifact || got.Checks[deployment.CheckSupported].Status != deployment.Failing ||
		got.Failure.Findings[0].Path != "source.explainerType" {
		t.Errorf("got %s %+v, want it refused as unsupported", got.Outcome, got.Failure)
	}
	short := untyped
	short.Explainer = json.RawMessage(`{"azureML":{"image":"acr.io/e:1","uri":"/explain"}}`)
	got = s.untouched(repo, "churn", func() entry { return s.command(deployment.KindDeployment, "churn", "deploy", deployFrom(short)) })
	var paths []string
	for _, f := range got.Failure.Findings {
		paths = append(paths, f.Path)
	}
	if diff := cmp.Diff([]string{"source.explainer.azureML.port", "source.explainer.azureML.readinessPath", "source.explainer.azureML.livenessPath"}, paths); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// The branch that is named is the one that is written; updates of one repository
// at the same time all get through, one commit each; a dry run writes nothing.
func TestU11BranchAndParallelUpdates(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	repo.put(t, map[string]string{"README.md": "main"})
	gittest.Put(t, repo.Storage, "team/side", map[string]string{"README.md": "side"})
	s := startUp(t, gitEnvironment())
	side := s.artifact(repo, "churn", "churn-v1.ubj")
	side.Branch = "team/side"
	dry := deployFrom(side)
	dry.DryRun = true
	planned := s.untouched(repo, "side", func() entry { return s.completed("side", "deploy", dry) })
	if *planned.Changed || planned.Contract.Branch != "team/side" || planned.Contract.Commit != "" || len(planned.Contract.Files) != 1 {
		t.Errorf("got %+v, want what would be written", planned.Contract)
	}
	if written := s.untouched(repo, "other", func() entry { return s.completed("side", "deploy", deployFrom(side)) }); written.Deployment.Model.Contract.Branch != "team/side" {
		t.Errorf("got %+v, want the branch team/side", written.Deployment.Model.Contract)
	}
	const parallel = 6
	var sequences []uint64
	for i := range parallel {
		name := fmt.Sprint("churn-", i)
		text, err := json.Marshal(deployFrom(s.artifact(repo, "models/"+name, "churn-v1.ubj")))
		if err != nil {
			t.Fatal(err)
		}
		sequences = append(sequences, s.publish(&nats.Msg{
			Subject: jetstream.CommandSubject("deployment", name, "deploy"),
			Data:    structured(deployment.KindDeployment, name, "deploy", name, string(text)),
		}))
	}
	commits := map[string]bool{}
	for _, sequence := range sequences {
		got := s.outcomeOf(sequence)
		if got.Outcome != events.Completed {
			t.Fatalf("got %s %+v, want completed", got.Outcome, got.Failure)
		}
		commits[got.Contract.Commit] = true
	}
	log := repo.log(t)
	for _, commit := range log[:parallel] {
		if !commits[commit.Hash.String()] {
			t.Errorf("commit %s was not reported", commit.Hash)
		}
	}
	if len(log) != 1+parallel {
		t.Errorf("got %d commits on main, want %d", len(log), 1+parallel)
	}
}

// Whatever is wrong is said at once, of the command, the repository and what is in
// it, before anything is fetched or written.
func TestU13AllFindingsAtOnce(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	repo.put(t, map[string]string{"churn/model/model.pkl": "old", "churn/transformer/reference.json": "{"})
	web := httptest.NewServer(pages(t))
	t.Cleanup(web.Close)
	s := startUp(t, gitEnvironment())
	source := repo.source()
	source.Route, source.ContractPath, source.ModelType = deployment.RouteReference, "churn", json.RawMessage(`"KERAS"`)
	source.Model, source.Explainer = blob(web.URL+"/model.ubj"), json.RawMessage(`{"docker":{"image":"e"},"blob":{"url":"ftp://x"}}`)
	source.Metadata = json.RawMessage(`{"problemType":"ranking","features":[{"name":"a"},{"name":"a"}]}`)
	got := s.untouched(repo, "churn", func() entry { return s.command(deployment.KindDeployment, "churn", "deploy", deployFrom(source)) })
	var found []string
	for _, f := range got.Failure.Findings {
		found = append(found, string(f.Code)+" "+f.Path)
	}
	want := []string{
		"unknown_enum source.modelType",
		"reference_kind_ambiguous source.explainer",
		"url_invalid source.explainer.blob.url",
		"reference_incomplete source.explainer.docker.uri",
		"metadata_invalid source.metadata.features[1].name",
		"metadata_invalid source.metadata.problemType",
		"folder_not_empty churn/model",
		"invalid_reference churn/transformer/reference.json",
	}
	slices.Sort(want)
	slices.Sort(found)
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// A model of many chunks is taken as it is; one with another digest is not.
func TestU14LargeUploads(t *testing.T) {
	t.Parallel()
	s := startUp(t, nil)
	model := largeModel(t, 3000)
	if chunks := len(model) >> 17; chunks < 8 { // the object store cuts at 128 KiB
		t.Fatalf("a model of %d bytes has %d chunks, want many", len(model), chunks)
	}
	file := s.put("large", model)
	file.Path = "model.json"
	source := deployment.Source{Route: deployment.RouteArtifact, Artifact: &deployment.Upload{Files: []deployment.UploadedFile{file}}}
	source.Artifact.Files[0].Digest = deployment.Digest("sha256:" + strings.Repeat("2", 64))
	refused := s.command(deployment.KindDeployment, "large", "deploy", deployFrom(source))
	if refused.Outcome != events.Rejected || refused.Failure.Code != deployment.CodeDigestMismatch || refused.Failure.Findings[0].Path != "source.artifact.files[0].digest" {
		t.Errorf("got %s %+v, want digest_mismatch", refused.Outcome, refused.Failure)
	}
	source.Artifact.Files[0].Digest = file.Digest
	source.Metadata = json.RawMessage(`{"problemType":"regression"}`)
	deployed := s.completed("large", "deploy", deployFrom(source))
	if got := deployed.Deployment.Model; got.Digest != file.Digest || got.Size != int64(len(model)) {
		t.Errorf("got %+v, want all of the file", got)
	}
	if bytes.Contains(deployed.Stored.Body, model[:100]) {
		t.Error("the event holds bytes of the model")
	}
}
