package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
)

// churnMetadata is metadata.json of the models of the demo, as a command gives it.
const churnMetadata = `{"features":[{"name":"tenure_months"},{"name":"monthly_charges"},{"name":"support_tickets"},` +
	`{"name":"contract_months"},{"name":"late_payments"},{"name":"data_usage_gb"}],` +
	`"problemType":"classification","predictionClasses":{"leaves":true,"stays":false}}`

// log is every commit of main, the newest first.
func (r repository) log(tb testing.TB) (all []*object.Commit) {
	tb.Helper()
	fresh := r.server.Fresh(r.Storage)
	ref, err := fresh.Reference(plumbing.NewBranchReferenceName("main"))
	if err != nil {
		return nil // there is none
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

// files are the files of a commit.
func filesOf(tb testing.TB, commit *object.Commit) map[string]string {
	tb.Helper()
	tree, err := commit.Tree()
	if err != nil {
		tb.Fatal(err)
	}
	out := map[string]string{}
	if err := tree.Files().ForEach(func(f *object.File) error {
		content, err := f.Contents()
		out[f.Name] = content
		return err
	}); err != nil {
		tb.Fatal(err)
	}
	return out
}

// put puts a model into the object store as a pipeline does, and says what a
// command says of it.
func (s *system) put(object string, content []byte) deployment.UploadedFile {
	s.tb.Helper()
	store, err := s.JetStream.ObjectStore(s.tb.Context(), deployment.UploadBucket)
	if err != nil {
		s.tb.Fatal(err)
	}
	if _, err := store.PutBytes(s.tb.Context(), object, content); err != nil {
		s.tb.Fatal(err)
	}
	sum := sha256.Sum256(content)
	return deployment.UploadedFile{Path: "model.ubj", Object: object, Digest: deployment.DigestOf(sum[:]), Size: int64(len(content))}
}

// blob is a reference to a blob, as a command gives it.
func blob(url string) json.RawMessage { return fmt.Appendf(nil, `{"blob":{"url":%q}}`, url) }

func replaceFrom(s deployment.Source) handlers.Replace {
	return handlers.Replace{Reason: deployment.ReasonDataDrift, ModelChoice: handlers.ModelChoice{Source: &s}}
}

// A command names a blob: Slipway writes the contract as one commit, with who,
// what and for which command, and deploys that commit. A dry run says the same
// and writes nothing; the same content again is no commit (deeploy.md route 2,
// D8, D12, D18, D21).
func TestDeployByReference(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	web := httptest.NewServer(pages(t))
	t.Cleanup(web.Close)
	s := startUp(t, gitEnvironment("SLIPWAY_GIT_AUTHOR_NAME", "Robot"))
	source := repo.source()
	source.Route, source.ContractPath = deployment.RouteReference, "models/churn"
	source.Model, source.Metadata, source.ModelType = blob(web.URL+"/model.ubj"), json.RawMessage(churnMetadata), json.RawMessage(`"xgboost"`)
	reference := fmt.Sprintf(`{"reference":{"blob":{"url":%q}}}`+"\n", web.URL+"/model.ubj")

	dry := deployFrom(source)
	dry.DryRun = true
	planned := s.command(deployment.KindDeployment, "churn", "deploy", dry)
	if planned.Outcome != events.Completed || *planned.Changed || planned.Deployment != nil || len(repo.log(t)) > 0 || s.state("churn") != "" {
		t.Fatalf("got %s %+v, %d commits and state %q, want a dry run that changes nothing", planned.Outcome, planned.Failure, len(repo.log(t)), s.state("churn"))
	}
	want := &deployment.ContractChange{
		Repository: repo.url, Branch: "main", ContractPath: "models/churn", Digest: planned.Contract.Digest, Message: "Set model and metadata in models/churn",
		Files: []deployment.ContractFile{
			{Path: "models/churn/metadata.json", Content: churnMetadata + "\n"}, {Path: "models/churn/model/reference.json", Content: reference},
		},
	}
	if diff := cmp.Diff(want, planned.Contract); diff != "" {
		t.Errorf("dry run (-want +got):\n%s", diff)
	}

	deployed := s.command(deployment.KindDeployment, "churn", "deploy", deployFrom(source))
	if deployed.Outcome != events.Completed {
		t.Fatalf("got %s %+v, want completed", deployed.Outcome, deployed.Failure)
	}
	log := repo.log(t)
	if len(log) != 1 || deployed.Deployment.Model.Contract.Commit != log[0].Hash.String() {
		t.Fatalf("got %d commits and %+v, want the one commit deployed", len(log), deployed.Deployment.Model.Contract)
	}
	want.Commit, want.Files[0].Content, want.Files[1].Content = log[0].Hash.String(), "", ""
	if diff := cmp.Diff(want, deployed.Contract); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{
		"models/churn/metadata.json": churnMetadata + "\n", "models/churn/model/reference.json": reference,
	}, filesOf(t, log[0])); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	message := fmt.Sprintf("Set model and metadata in models/churn\n\nSlipway-Deployment: churn\nSlipway-Command-Source: /test\nSlipway-Command-Id: %s\nSlipway-Command-Digest: %s\n",
		deployed.Command.ID, deployed.Command.Digest)
	if log[0].Message != message || log[0].Author.Name != "Robot" || !log[0].Author.When.Equal(deployed.Command.StoredAt.Truncate(1e9)) {
		t.Errorf("got commit %v, want message %q", log[0], message)
	}
	sample := readSample(t)
	if _, got := s.predict("churn", sample.Row); !strings.Contains(got, fmt.Sprint(sample.Expected["churn-v2"])[:6]) {
		t.Errorf("got prediction %s, want that of churn-v2", got)
	}

	// What the contract says already is no new commit.
	again := s.command(deployment.KindDeployment, "again", "deploy", deployFrom(source))
	if again.Outcome != events.Completed || len(repo.log(t)) != 1 || len(again.Contract.Files) > 0 || again.Deployment.Model.Contract.Commit != log[0].Hash.String() {
		t.Errorf("got %s %+v after %d commits, want the same commit", again.Outcome, again.Contract, len(repo.log(t)))
	}
}

// A command lists the files that a pipeline has uploaded: they are verified, the
// contract names our copy, and that is deployed, whatever becomes of the
// pipeline's object (deeploy.md route 3, D14, D27).
func TestDeployByArtifact(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	repo.put(t, map[string]string{"README.md": "ours", "other/model/reference.json": `{"reference": {"blob": {"url": "s3://b/other"}}}`})
	s := startUp(t, gitEnvironment())
	source := repo.source()
	source.Route, source.ContractPath, source.CommitMessage = deployment.RouteArtifact, "models/churn", "Churn of spring"
	source.Artifact = &deployment.Upload{Files: []deployment.UploadedFile{s.put("run-42/model.ubj", readDemo(t, "churn-v1.ubj"))}}
	source.Metadata = json.RawMessage(churnMetadata)

	deployed := s.command(deployment.KindDeployment, "churn", "deploy", deployFrom(source))
	if deployed.Outcome != events.Completed {
		t.Fatalf("got %s %+v, want completed", deployed.Outcome, deployed.Failure)
	}
	log := repo.log(t)
	files := filesOf(t, log[0])
	if want := fmt.Sprintf(`{"reference":{"blob":{"url":"objects://artifacts/sha256/%s"}}}`+"\n", source.Artifact.Files[0].Digest.Hex()); files["models/churn/model/reference.json"] != want {
		t.Errorf("got reference %q, want %q", files["models/churn/model/reference.json"], want)
	}
	if len(log) != 2 || !strings.HasPrefix(log[0].Message, "Churn of spring\n\nSlipway-Deployment: churn\n") || files["README.md"] != "ours" {
		t.Errorf("got %d commits, %q and %v", len(log), log[0].Message, files)
	}
	if c := deployed.Deployment.Model.Contract; c.ModelType != "XGBOOST" || deployed.Deployment.Model.Digest != source.Artifact.Files[0].Digest {
		t.Errorf("got %+v, want the type of the file and its digest", deployed.Deployment.Model)
	}

	// The next model, on top; without overwriteContract nothing is replaced.
	source.Artifact = &deployment.Upload{Files: []deployment.UploadedFile{s.put("run-42/model.ubj", readDemo(t, "churn-v2.ubj"))}}
	source.Metadata, source.CommitMessage = nil, ""
	before := s.state("churn")
	if refused := s.command(deployment.KindDeployment, "churn", "replace", replaceFrom(source)); refused.Outcome != events.Rejected ||
		refused.Failure.Code != deployment.CodeFolderNotEmpty || refused.Failure.Findings[0].Path != "models/churn/model" || len(repo.log(t)) != 2 || s.state("churn") != before {
		t.Fatalf("got %s %+v, want folder_not_empty", refused.Outcome, refused.Failure)
	}
	source.Overwrite = true
	replaced := s.command(deployment.KindDeployment, "churn", "replace", replaceFrom(source))
	if replaced.Outcome != events.Completed || replaced.Deployment.Model.Contract.Commit != repo.log(t)[0].Hash.String() || replaced.Contract.Message != "Set model in models/churn" {
		t.Fatalf("got %s %+v, want the new commit", replaced.Outcome, replaced.Failure)
	}
	sample := readSample(t)
	if _, got := s.predict("churn", sample.Row); !strings.Contains(got, fmt.Sprint(sample.Expected["churn-v2"])[:6]) {
		t.Errorf("got prediction %s, want that of churn-v2", got)
	}
	// A deployed contract can be deployed again from its commit, after the objects of
	// the pipeline are gone.
	store, err := s.JetStream.ObjectStore(t.Context(), deployment.UploadBucket)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Delete(t.Context(), "run-42/model.ubj"); err != nil {
		t.Fatal(err)
	}
	again := repo.source()
	again.ContractPath, again.Commit, again.ModelType = "models/churn", deployed.Deployment.Model.Contract.Commit, json.RawMessage("3")
	if got := s.command(deployment.KindDeployment, "again", "deploy", deployFrom(again)); got.Outcome != events.Completed || got.Deployment.Model.ID != deployed.Deployment.Model.ID {
		t.Errorf("got %s %+v, want the first model again", got.Outcome, got.Failure)
	}
	if theirs := filesOf(t, repo.log(t)[0])["other/model/reference.json"]; !bytes.Contains([]byte(theirs), []byte(`{"url": "s3://b/other"}`)) {
		t.Errorf("got %q, want the other contract as it was", theirs)
	}
}

// Without a repository the contract is kept in the object store, below its
// digest, and what of it a command leaves out stays (deeploy.md D9, D3).
func TestContractWithoutRepository(t *testing.T) {
	t.Parallel()
	s := startUp(t, nil)
	source := deployment.Source{
		Route: deployment.RouteArtifact, Metadata: json.RawMessage(churnMetadata),
		Artifact: &deployment.Upload{Files: []deployment.UploadedFile{s.put("run-1", readDemo(t, "churn-v1.ubj"))}},
	}
	deployed := s.command(deployment.KindDeployment, "churn", "deploy", deployFrom(source))
	if deployed.Outcome != events.Completed {
		t.Fatalf("got %s %+v, want completed", deployed.Outcome, deployed.Failure)
	}
	c := deployed.Deployment.Model.Contract
	if c.Repository+c.Commit+c.Path != "" || c.Digest != deployed.Contract.Digest || len(deployed.Contract.Files) != 2 {
		t.Errorf("got %+v and %+v", c, deployed.Contract)
	}
	store, err := s.JetStream.ObjectStore(t.Context(), deployment.UploadBucket)
	if err != nil {
		t.Fatal(err)
	}
	text, err := store.GetString(t.Context(), "contracts/"+c.Digest.Hex()+"/metadata.json")
	if err != nil || text != churnMetadata+"\n" {
		t.Errorf("got metadata %q and %v", text, err)
	}
	source.Artifact.Files[0] = s.put("run-2", readDemo(t, "churn-v2.ubj"))
	source.Metadata = nil
	replaced := s.command(deployment.KindDeployment, "churn", "replace", replaceFrom(source))
	if replaced.Outcome != events.Completed || replaced.Deployment.Model.Contract.Digest == c.Digest || len(replaced.Contract.Files) != 2 {
		t.Fatalf("got %s %+v %+v, want another contract with the metadata of the first", replaced.Outcome, replaced.Failure, replaced.Contract)
	}
	if got := strings.Join(replaced.Registered.FeatureNames(), " "); !strings.HasPrefix(got, "tenure_months") {
		t.Errorf("got features %s, want those of the metadata that stays", got)
	}
}

// A command may change a part of a contract alone: the model, a file of the
// repository itself, stays, and is taken as it is at the commit that was planned
// on.
func TestMetadataAlone(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	model := string(readDemo(t, "churn-v1.ubj"))
	repo.put(t, map[string]string{"churn/model/model.ubj": model})
	s := startUp(t, gitEnvironment())
	source := repo.source()
	source.ContractPath = "churn"
	first := s.completed("churn", "deploy", deployFrom(source))
	source.Route, source.Metadata = deployment.RouteReference, json.RawMessage(churnMetadata)
	second := s.completed("churn", "replace", replaceFrom(source))
	files := filesOf(t, repo.log(t)[0])
	if len(repo.log(t)) != 2 || files["churn/model/model.ubj"] != model || files["churn/metadata.json"] != churnMetadata+"\n" {
		t.Errorf("got %d commits and %d files, want the metadata beside the same model", len(repo.log(t)), len(files))
	}
	if a, b := first.Deployment.Model, second.Deployment.Model; a.Digest != b.Digest || a.ID == b.ID || b.Contract.Commit != repo.log(t)[0].Hash.String() {
		t.Errorf("got %+v after %+v, want the same file with other facts, from the new commit", b, a)
	}
}
