package main

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/slipway-ml/slipway/artifacts/bucket/buckettest"
	"github.com/slipway-ml/slipway/credentials"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
)

// kept is a place for contracts that is no git repository.
type kept struct {
	url   string // ends with a slash
	id    string // of its credentials
	put   func(name, content string)
	store *buckettest.Place // nil for a directory and our own object store
}

// newPlaces are a slipway and places of all kinds that it may read.
func newPlaces(tb testing.TB, environment map[string]string) (*system, map[string]kept) {
	tb.Helper()
	places, env := map[string]kept{}, map[string]string{"SLIPWAY_ALLOW_FILE_URLS": "true", "SLIPWAY_MAX_ATTEMPTS": "3", "SLIPWAY_CREDENTIAL_OTHER": "of another kind"}
	for scheme, start := range buckettest.Places() {
		p := start(tb)
		env[credentials.Variable(scheme)] = secretText(tb, p.Settings(p.Server.URL))
		places[scheme] = kept{url: p.URL("contracts/"), id: scheme, store: p, put: func(name, content string) { p.Put("contracts/"+name, []byte(content)) }}
	}
	maps.Copy(env, environment)
	s := startUp(tb, env)
	dir := tb.TempDir()
	places["file"] = kept{url: "file://" + dir + "/", put: func(name, content string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			tb.Fatal(err)
		}
	}}
	objects, err := s.JetStream.ObjectStore(tb.Context(), jetstream.ArtifactsStore)
	if err != nil {
		tb.Fatal(err)
	}
	places["objects"] = kept{url: "objects://artifacts/contracts/", put: func(name, content string) {
		if _, err := objects.PutString(tb.Context(), "contracts/"+name, content); err != nil {
			tb.Fatal(err)
		}
	}}
	return s, places
}

// source is the contract churn.
func (k kept) source() deployment.Source {
	return deployment.Source{Route: deployment.RouteExisting, URL: k.url, CredentialsID: k.id, ContractPath: "churn"}
}

func (k kept) putAll(files map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		k.put(name, files[name])
	}
}

// A model is deployed from the contract in a directory or an object store. What
// is deployed is pinned by digests, whatever becomes of the place.
func TestDeployFromAPlace(t *testing.T) {
	t.Parallel()
	s, places := newPlaces(t, nil)
	sample := readSample(t)
	for scheme, p := range places {
		p.putAll(churn(t, "churn/", "churn-v1.ubj"))
		p.put("other/README.md", "beside it")
		deployed := s.command(deployment.KindDeployment, "churn-"+scheme, "deploy", deployFrom(p.source()))
		if deployed.Outcome != events.Completed {
			t.Errorf("%s: got %s %+v, want completed", scheme, deployed.Outcome, deployed.Failure)
			continue
		}
		first := *deployed.Deployment.Model.Contract
		if want := (deployment.Contract{URL: p.url, Path: "churn", Digest: first.Digest, ModelType: "XGBOOST", CredentialsID: p.id}); first != want || first.Digest == "" {
			t.Errorf("%s: got contract %+v, want %+v", scheme, first, want)
		}
		if got, want := deployed.Checks[deployment.CheckContract].Message, "The contract is right, with the digest "+string(first.Digest)+"."; got != want {
			t.Errorf("%s: got %q, want %q", scheme, got, want)
		}
		_, before := s.predict("churn-"+scheme, sample.Row)
		if want := fmt.Sprint(sample.Expected["churn-v1"])[:6]; !strings.Contains(before, want) {
			t.Errorf("%s: got prediction %s, want %s", scheme, before, want)
		}
		p.putAll(churn(t, "churn/", "churn-v2.ubj"))
		if _, after := s.predict("churn-"+scheme, sample.Row); answer(after) != answer(before) {
			t.Errorf("%s: got prediction %s after the place has changed", scheme, after)
		}
		source := p.source()
		source.URL = strings.TrimSuffix(source.URL, "/")
		replaced := s.command(deployment.KindDeployment, "churn-"+scheme, "replace", handlers.Replace{Reason: deployment.ReasonDataDrift, ModelChoice: handlers.ModelChoice{Source: &source}})
		if replaced.Outcome != events.Completed || replaced.Deployment.Model.Contract.Digest == first.Digest || replaced.Deployment.Previous.Contract.Digest != first.Digest {
			t.Errorf("%s: got %s %+v, want another digest", scheme, replaced.Outcome, replaced.Failure)
		}
	}
}

// What is wrong with a place is said by code and place, and changes nothing.
func TestPlacesAreRefused(t *testing.T) {
	t.Parallel()
	s, places := newPlaces(t, map[string]string{"SLIPWAY_CREDENTIAL_NOBODY": secretText(t, map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})})
	files := churn(t, "churn/", "churn-v1.ubj")
	for _, p := range places {
		p.putAll(files)
		p.put("strange/model/train.py", "")
		p.put("empty/README.md", "")
	}
	link := filepath.Join(strings.TrimPrefix(places["file"].url, "file://"), "link", "model")
	if err := os.MkdirAll(link, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(link, "model.ubj")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc", filepath.Join(filepath.Dir(filepath.Dir(link)), "outside")); err != nil {
		t.Fatal(err)
	}
	places["gs"].store.Put("bad/../model/model.ubj", []byte("m"))
	if objects, err := s.JetStream.ObjectStore(t.Context(), jetstream.ArtifactsStore); err != nil {
		t.Fatal(err)
	} else if _, err := objects.PutString(t.Context(), "bad//model/model.ubj", "m"); err != nil {
		t.Fatal(err)
	}
	type refusal struct {
		scheme string // "": all
		change func(*deployment.Source)
		code   deployment.Code
		at     string
		says   string
	}
	at := func(path string) func(*deployment.Source) {
		return func(s *deployment.Source) { s.ContractPath = path }
	}
	url := func(text string) func(*deployment.Source) { return func(s *deployment.Source) { s.URL = text } }
	id := func(text string) func(*deployment.Source) {
		return func(s *deployment.Source) { s.CredentialsID = text }
	}
	for i, r := range []refusal{
		{"", at("none"), deployment.CodeContractPathInvalid, "none", "there is no such folder"},
		{"", at("../churn"), deployment.CodeContractPathInvalid, "source.contractPath", "expected a folder"},
		{"", at("empty"), deployment.CodeMissingReference, "empty/model", "missing model reference"},
		{"", at("strange"), deployment.CodeLayoutInvalid, "strange/model/train.py", "does not belong there"},
		{"s3", func(s *deployment.Source) { s.Branch = "main" }, deployment.CodeInvalidField, "source.branch", "is of a git repository"},
		{"objects", func(s *deployment.Source) { s.Commit = strings.Repeat("a", 40) }, deployment.CodeInvalidField, "source.commit", "is of a git repository"},
		{"file", id("other"), deployment.CodeInvalidField, "source.credentialsId", "file urls need none"},
		{"objects", id("other"), deployment.CodeInvalidField, "source.credentialsId", "objects urls need none"},
		{"file", at("link"), deployment.CodeLayoutInvalid, "link/model/model.ubj", "is a symbolic link"},
		{"file", at("outside"), deployment.CodeLayoutInvalid, "outside", "is a symbolic link"},
		{"file", func(s *deployment.Source) { s.URL += "no/such" }, deployment.CodeRepositoryNotFound, "source.url", "there is no directory /"},
		{"file", func(s *deployment.Source) { s.URL += "churn/metadata.json" }, deployment.CodeRepositoryNotFound, "source.url", "there is no directory /"},
		{"file", url("file://nas/models"), deployment.CodeURLInvalid, "source.url", "expected the absolute path"},
		{"file", url("file://ann:s3cret@/models"), deployment.CodeURLInvalid, "source.url", "carries a user or password"},
		{"objects", url("objects://elsewhere/x"), deployment.CodeURLInvalid, "source.url", "expected objects://artifacts/prefix"},
		{"objects", url("objects://artifacts/x?token=s3cret"), deployment.CodeURLInvalid, "source.url", "expected objects://artifacts/prefix"},
		{"objects", url("objects://artifacts/bad"), deployment.CodeLayoutInvalid, "bad//model/model.ubj", "expected the name of a file"},
		{"gs", url("gs://models/bad/"), deployment.CodeLayoutInvalid, "bad/../model/model.ubj", "expected the name of a file"},
		{"s3", url("s3://models/contracts/../churn"), deployment.CodeURLInvalid, "source.url", `url has a part "." or ".."`},
		{"s3", url("s3://models/churn?X-Amz-Signature=s3cret"), deployment.CodeURLInvalid, "source.url", "carries a credential in its query member"},
		{"s3", url("s3://m"), deployment.CodeURLInvalid, "source.url", "url names no bucket"},
		{"s3", url("s3://nobodys-bucket/churn"), deployment.CodeRepositoryNotFound, "source.url", "server answered 404 NoSuchBucket"},
		{"s3", id("unknown"), deployment.CodeCredentialsMissing, "source.credentialsId", `there are no credentials "unknown"`},
		{"s3", id("gs"), deployment.CodeCredentialsMissing, "source.credentialsId", `credentials "gs" hold nothing for s3`},
		{"gs", id("other"), deployment.CodeCredentialsMissing, "source.credentialsId", `credentials "other" hold nothing for gs`},
		{"azblob", id(""), deployment.CodeCredentialsMissing, "source.credentialsId", "name no storage account"},
	} {
		for scheme, p := range places {
			if r.scheme != "" && r.scheme != scheme {
				continue
			}
			source := p.source()
			r.change(&source)
			e := s.command(deployment.KindDeployment, "new", "deploy", deployFrom(source))
			if e.Outcome != events.Rejected || e.Failure.Code != r.code || e.Failure.Findings[0].Path != r.at || !strings.Contains(e.Failure.Findings[0].Message, r.says) {
				t.Errorf("%d %s: got %s %+v, want %s at %s that says %q", i, scheme, e.Outcome, e.Failure, r.code, r.at, r.says)
			}
			if bytes.Contains(e.Stored.Body, []byte("s3cret")) {
				t.Errorf("%d %s: the event holds the secret: %s", i, scheme, e.Stored.Body)
			}
		}
	}
	if state := s.state("new"); state != "" {
		t.Errorf("got %s, want no such deployment", state)
	}
}

// Directories are read only where that is allowed.
func TestDirectoriesAreOffUnlessAllowed(t *testing.T) {
	t.Parallel()
	s, places := newPlaces(t, map[string]string{"SLIPWAY_ALLOW_FILE_URLS": ""})
	places["file"].putAll(churn(t, "churn/", "churn-v1.ubj"))
	if e := s.command(deployment.KindDeployment, "new", "deploy", deployFrom(places["file"].source())); e.Outcome != events.Rejected || e.Failure.Code != deployment.CodeURLNotAllowed {
		t.Errorf("got %s %+v, want %s", e.Outcome, e.Failure, deployment.CodeURLNotAllowed)
	}
}

// A store that misbehaves while it is read never leads to half a model: what may
// pass is tried again, and what is for good is refused.
func TestPlacesThatMisbehave(t *testing.T) {
	t.Parallel()
	s, places := newPlaces(t, nil)
	old, changed := churn(t, "churn/", "churn-v1.ubj"), churn(t, "churn/", "churn-v2.ubj")
	for _, scheme := range []string{"s3", "gs", "azblob"} {
		p := places[scheme]
		model := func(r *http.Request) bool { return strings.Contains(r.URL.Path, "model.ubj") }
		var left atomic.Int64
		for _, test := range []struct {
			name   string
			times  int64 // that the store misbehaves
			answer http.HandlerFunc
			want   events.Outcome
			code   deployment.Code
		}{
			{"lists but does not read", 100, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, events.Rejected, deployment.CodeRepositoryForbidden},
			{"dies midway", 1, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", fmt.Sprint(len(old["churn/model/model.ubj"])))
				_, _ = w.Write([]byte(old["churn/model/model.ubj"][:1000]))
				panic(http.ErrAbortHandler)
			}, events.Completed, ""},
			{"is away for good", 100, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, events.Failed, deployment.CodeStoreUnavailable},
			{"redirects", 100, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, p.store.Server.URL+"/elsewhere", http.StatusTemporaryRedirect)
			}, events.Failed, deployment.CodeStoreUnavailable},
			{"is written to meanwhile", 1, func(w http.ResponseWriter, r *http.Request) {
				p.putAll(changed)
				p.store.Serve(w, r)
			}, events.Completed, ""},
			{"loses what it listed", 1, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, events.Completed, ""},
		} {
			p.putAll(old)
			left.Store(test.times)
			p.store.Answer(func(w http.ResponseWriter, r *http.Request) {
				if model(r) && left.Add(-1) >= 0 {
					test.answer(w, r)
					return
				}
				p.store.Serve(w, r)
			})
			name := scheme + "-" + strings.ReplaceAll(test.name, " ", "-")
			e := s.command(deployment.KindDeployment, name, "deploy", deployFrom(p.source()))
			if e.Outcome != test.want || e.Outcome != events.Completed && e.Failure.Code != test.code {
				t.Errorf("%s: got %s %+v, want %s %s", name, e.Outcome, e.Failure, test.want, test.code)
			}
			if e.Outcome != events.Completed {
				continue
			}
			want := describeArtifact([]byte(old["churn/model/model.ubj"])).Digest
			if strings.Contains(test.name, "written") {
				want = describeArtifact([]byte(changed["churn/model/model.ubj"])).Digest
			}
			if got := e.Registered.Artifact.Digest; got != want || left.Load() > 0 {
				t.Errorf("%s: got model %s, want %s", name, got, want)
			}
		}
		p.store.Answer(p.store.Serve)
	}
	if left, err := filepath.Glob(filepath.Join(s.dir, "artifacts", ".fetch-*")); len(left) > 0 || err != nil {
		t.Errorf("got %q, %v, want nothing that is half there", left, err)
	}
}
