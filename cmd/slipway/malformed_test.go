package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
)

// endless is a model that loads and answers every row with infinity: its two
// trees have one leaf each, and their sum is no float32.
func endless() []byte {
	const tree = `{"base_weights":[3e38],"categories":[],"categories_nodes":[],"categories_segments":[],"categories_sizes":[],` +
		`"default_left":[0],"id":%d,"left_children":[-1],"loss_changes":[0],"parents":[2147483647],"right_children":[-1],` +
		`"split_conditions":[3e38],"split_indices":[0],"split_type":[0],"sum_hessian":[1],` +
		`"tree_param":{"num_deleted":"0","num_feature":"6","num_nodes":"1","size_leaf_vector":"1"}}`
	return fmt.Appendf(nil, `{"learner":{"attributes":{},"feature_names":[],"feature_types":[],"gradient_booster":{"model":{`+
		`"gbtree_model_param":{"num_parallel_tree":"1","num_trees":"2"},"iteration_indptr":[0,1,2],"tree_info":[0,0],"trees":[`+tree+`,`+tree+`]},"name":"gbtree"},`+
		`"learner_model_param":{"base_score":"0","boost_from_average":"1","num_class":"0","num_feature":"6","num_target":"1"},`+
		`"objective":{"name":"reg:squarederror","reg_loss_param":{"scale_pos_weight":"1"}}},"version":[3,2,0]}`, 0, 1)
}

// served is a system with a deployment churn that must stay as it is.
type served struct {
	*system
	sample  sample
	before  string // state of churn
	answer  string // of its model
	facts   handlers.ModelFacts
	counter int
}

func serve(tb testing.TB, environment map[string]string) *served {
	tb.Helper()
	s := &served{system: startUp(tb, environment), sample: readSample(tb)}
	s.facts = s.upload("churn-v1")
	if e := s.command(deployment.KindDeployment, "churn", "deploy", handlers.Deploy{Label: "Churn", ModelChoice: handlers.ModelChoice{Model: &s.facts}}); e.Outcome != events.Completed {
		tb.Fatalf("deploy: %s: %s", e.Outcome, e.detail())
	}
	s.before = s.settled("churn")
	var status int
	if status, s.answer = s.predict("churn", s.sample.Row); status != http.StatusOK {
		tb.Fatalf("predict: %d %s", status, s.answer)
	}
	return s
}

// settled is the state of a deployment once the bucket shows its newest event.
func (s *system) settled(name string) string {
	s.tb.Helper()
	last, err := s.Ledger.Last(s.tb.Context(), jetstream.Fence("deployment", name))
	if err != nil {
		s.tb.Fatal(err)
	}
	bucket, err := jetstream.OpenBucket[struct {
		LedgerSequence uint64 `json:"ledgerSequence"`
	}](s.tb.Context(), s.JetStream, jetstream.DeploymentsBucket)
	if err != nil {
		s.tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.tb.Context(), patience)
	defer cancel()
	seen := false
	err = bucket.Watch(ctx, "", func(key string, value *struct {
		LedgerSequence uint64 `json:"ledgerSequence"`
	},
	) {
		if key == name && value != nil && value.LedgerSequence >= last.Sequence {
			seen = true
			cancel()
		}
	})
	if !seen {
		s.tb.Fatalf("deployment %s does not show event %d: %v", name, last.Sequence, err)
	}
	return s.state(name)
}

// unharmed checks that churn is as it was and answers byte for byte as before.
func (s *served) unharmed(tb testing.TB) {
	tb.Helper()
	if diff := cmp.Diff(s.before, s.settled("churn")); diff != "" {
		tb.Errorf("state of churn (-before +after):\n%s", diff)
	}
	if status, answer := s.predict("churn", s.sample.Row); status != http.StatusOK || answer != s.answer {
		tb.Errorf("churn answers %d %s, want %s", status, answer, s.answer)
	}
}

// rejected checks that the command ended in one event that says this.
func (s *served) rejected(tb testing.TB, sequence uint64, code deployment.Code, path, says string) {
	tb.Helper()
	e := s.outcomeOf(sequence)
	if e.Outcome != events.Rejected || e.Failure == nil {
		tb.Fatalf("got %s, want rejected: %s", e.Outcome, e.Stored.Body)
	}
	f := e.Failure
	if f.Code != code || f.Class != code.Class() || f.Retryable {
		tb.Errorf("got code %s, class %s, retryable %t, want %s: %s", f.Code, f.Class, f.Retryable, code, f.Message)
	}
	if len(f.Findings) == 0 {
		tb.Fatalf("no findings: %s", e.Stored.Body)
	}
	if first := f.Findings[0]; first.Path != path || first.Code != code || !strings.Contains(first.Message, says) {
		tb.Errorf("got %s at %q: %s, want %s at %q: %s", first.Code, first.Path, first.Message, code, path, says)
	}
	text := strings.TrimPrefix(f.Findings[0].Message, path+": ") // the field is the key
	if strings.HasPrefix(text, path+" is ") {
		text = strings.TrimPrefix(text, path+" ")
	}
	if path != "" && f.Errors[path] != text {
		tb.Errorf("got errors %v, want that of %q", f.Errors, path)
	}
}

// oneOutcomeEach checks that every command of the stream has one terminal event.
func (s *served) oneOutcomeEach(newest uint64) {
	s.tb.Helper()
	count := s.outcomes()
	for sequence := uint64(1); sequence <= newest; sequence++ {
		if count[sequence] != 1 {
			s.tb.Errorf("command %d has %d outcomes, want 1", sequence, count[sequence])
		}
	}
}

// goesOn checks that the worker still does what is right, and returns the
// sequence of the command.
func (s *served) goesOn() uint64 {
	s.tb.Helper()
	facts := s.upload("churn-v2")
	e := s.command(deployment.KindDeployment, "churn", "replace", handlers.Replace{Reason: deployment.ReasonAccuracy, ModelChoice: handlers.ModelChoice{Model: &facts}})
	if e.Outcome != events.Completed {
		s.tb.Errorf("replace: got %s, want completed: %s", e.Outcome, e.detail())
	}
	if _, answer := s.predict("churn", s.sample.Row); !strings.Contains(answer, fmt.Sprint(s.sample.Expected["churn-v2"])) {
		s.tb.Errorf("churn answers %s, want %v of churn-v2", answer, s.sample.Expected["churn-v2"])
	}
	return e.Command.Sequence
}

const replaceChurn = "slipway.commands.deployment.churn.replace"

// artifact puts bytes into the object store and returns how a command names them.
func (s *served) artifact(body []byte) deployment.Artifact {
	s.tb.Helper()
	objects, err := jetstream.OpenObjects(s.tb.Context(), s.JetStream)
	if err != nil {
		s.tb.Fatal(err)
	}
	a := describeArtifact(body)
	s.counter++
	a.Object = fmt.Sprint("test/", s.counter)
	if err := objects.Put(s.tb.Context(), a.Object, strings.NewReader(string(body))); err != nil {
		s.tb.Fatal(err)
	}
	return a
}

func describeArtifact(body []byte) deployment.Artifact {
	sum := sha256.Sum256(body)
	return deployment.Artifact{Digest: deployment.DigestOf(sum[:]), Size: int64(len(body))}
}

// replacing is a command for another model of churn, which change may spoil.
func (s *served) replacing(change func(m *handlers.ModelFacts)) []byte {
	s.tb.Helper()
	facts := s.facts
	facts.Features = append([]deployment.Feature(nil), s.facts.Features...)
	change(&facts)
	return s.replacingWith(facts)
}

func (s *served) replacingWith(facts any) []byte {
	s.tb.Helper()
	text, err := json.Marshal(map[string]any{"reason": "OTHER", "model": facts})
	if err != nil {
		s.tb.Fatal(err)
	}
	return structured("deployment", "churn", "replace", nats.NewInbox(), string(text))
}

// What is not a command, or not one for where it was published, is rejected with
// what is wrong, and nothing else happens.
func TestMalformedCommandsAreRejected(t *testing.T) { //nolint:tparallel // one case after the other, on one deployment
	t.Parallel()
	s := serve(t, nil)
	good := func(name, op, data string) []byte {
		return structured(deployment.KindDeployment, name, op, nats.NewInbox(), data)
	}
	with := func(old, replacement string) []byte {
		text := string(good("churn", "replace", `{"reason":"OTHER","modelId":"other"}`))
		if !strings.Contains(text, old) {
			t.Fatalf("%s does not contain %s", text, old)
		}
		return []byte(strings.Replace(text, old, replacement, 1))
	}
	data := func(text string) []byte { return good("churn", "replace", text) }
	newest := s.publish(&nats.Msg{Subject: replaceChurn, Data: data(`{"reason":"OTHER","modelId":"nothing-yet"}`)})
	s.rejected(t, newest, deployment.CodeModelNotFound, "modelId", "register it first")
	reused := structured(deployment.KindDeployment, "churn", "replace", "reused", `{"reason":"OTHER","modelId":"nothing-yet"}`)
	s.rejected(t, s.publish(&nats.Msg{Subject: replaceChurn, Data: reused}), deployment.CodeModelNotFound, "modelId", "register it first")

	for _, test := range []struct {
		name    string
		subject string // "": that of a replacement of churn
		header  nats.Header
		body    []byte
		code    deployment.Code
		path    string
		says    string
	}{
		{"text", "", nil, []byte("replace churn, please"), deployment.CodeNotCloudEvent, "", "expected a CloudEvent as a JSON object"},
		{"nothing", "", nil, nil, deployment.CodeNotCloudEvent, "", "expected a CloudEvent as a JSON object"},
		{"bytes", "", nil, []byte{0xff, 0xfe, 0, 1}, deployment.CodeNotCloudEvent, "", "expected a CloudEvent as a JSON object"},
		{"half of one", "", nil, with("}}", ""), deployment.CodeNotCloudEvent, "", "unexpected end of JSON input"},
		{"JSON that is none", "", nil, []byte(`{"modelId":"x"}`), deployment.CodeNotCloudEvent, "", `attribute specversion: expected "1.0", got nothing`},
		{"a list", "", nil, []byte(`[]`), deployment.CodeNotCloudEvent, "", "expected a CloudEvent as a JSON object"},
		{"another version", "", nil, with(`"1.0"`, `"0.3"`), deployment.CodeNotCloudEvent, "", `attribute specversion: expected "1.0", got "0.3"`},
		{"a batch", "", nats.Header{"Content-Type": {"application/cloudevents-batch+json"}}, with("{", "[{"), deployment.CodeNotCloudEvent, "", "expected one event as application/cloudevents+json"},
		{"another encoding", "", nats.Header{"content-TYPE": {"application/cloudevents+avro"}}, with("{", "{"), deployment.CodeNotCloudEvent, "", "expected one event as application/cloudevents+json"},
		{"two versions of a header", "", nats.Header{"ce-specversion": {"1.0"}, "CE-SpecVersion": {"0.3"}}, nil, deployment.CodeNotCloudEvent, "", "given twice with different values"},
		{"headers that are no UTF-8", "", nats.Header{"ce-specversion": {"1.0"}, "ce-id": {"%ff"}}, nil, deployment.CodeNotCloudEvent, "", "expected percent-encoded UTF-8"},
		{"no id", "", nil, with(`"id":`, `"x":`), deployment.CodeInvalidEvent, "id", "attribute id: "},
		{"no source", "", nil, with(`"source":`, `"sauce":`), deployment.CodeInvalidEvent, "source", "attribute source: "},
		{"no data", "", nil, with(`,"data":{"reason":"OTHER","modelId":"other"}`, ``), deployment.CodeInvalidEvent, "data", "expected a JSON object"},
		{"data that is no object", "", nil, data(`["replace"]`), deployment.CodeInvalidEvent, "data", "expected a JSON object"},
		{"data that is no JSON", "", binary("churn", "replace", "text/xml"), []byte("<reason>OTHER</reason>"), deployment.CodeInvalidEvent, "data", `expected a JSON object as application/json`},
		{"an expiry that is no time", "", nil, with(`"data":`, `"expirytime":"tomorrow","data":`), deployment.CodeInvalidEvent, "expirytime", "expected a time as in RFC 3339"},
		{"no type", "", nil, with(`"type":`, `"tipe":`), deployment.CodeTypeMismatch, "type", "expected dev.slipway.<kind>.<operation>.<outcome>.v1"},
		{"a type of others", "", nil, with("dev.slipway.deployment", "com.example.deployment"), deployment.CodeTypeMismatch, "type", "expected dev.slipway.<kind>.<operation>.<outcome>.v1"},
		{"a type of another version", "", nil, with("requested.v1", "requested.v2"), deployment.CodeTypeMismatch, "type", "expected dev.slipway.<kind>.<operation>.<outcome>.v1"},
		{"an outcome", "", nil, with("requested", "completed"), deployment.CodeTypeMismatch, "type", "expected a command, dev.slipway.deployment.replace.requested.v1"},
		{"the type of another operation", "", nil, with("replace.requested", "deploy.requested"), deployment.CodeTypeMismatch, "type", `expected "dev.slipway.deployment.replace.requested.v1" as in the NATS subject`},
		{"the type of another kind", "", nil, with("dev.slipway.deployment", "dev.slipway.model"), deployment.CodeTypeMismatch, "type", "as in the NATS subject"},
		{"about another deployment", "", nil, good("fraud", "replace", `{"reason":"OTHER","modelId":"x"}`), deployment.CodeSubjectMismatch, "subject", `expected "churn" as in the NATS subject, got "fraud"`},
		{"about nothing", "", nil, with(`"subject":"churn",`, ""), deployment.CodeSubjectMismatch, "subject", `expected "churn" as in the NATS subject, got ""`},
		{"an operation that does not exist", "slipway.commands.deployment.churn.explode", nil, good("churn", "explode", `{}`), deployment.CodeUnknownOperation, "", "expected one of model.register deployment.deploy deployment.update"},
		{"a name that is none", "slipway.commands.deployment.Churn.replace", nil, good("Churn", "replace", `{"reason":"OTHER","modelId":"x"}`), deployment.CodeInvalidName, "subject", "expected 1 to 53 lower-case letters"},
		{"a name that is too long", "slipway.commands.deployment." + strings.Repeat("a", 54) + ".deploy", nil, good(strings.Repeat("a", 54), "deploy", `{"label":"x","modelId":"x"}`), deployment.CodeInvalidName, "subject", "expected 1 to 53 lower-case letters"},
		{"too many tokens", "slipway.commands.deployment.churn.replace.now", nil, good("churn", "replace", `{"reason":"OTHER","modelId":"x"}`), deployment.CodeUnknownOperation, "", "NATS subject slipway.commands.deployment.churn.replace.now: expected slipway.commands.<deployment|model>.<name>.<operation>"},
		{"too few tokens", "slipway.commands.deployment", nil, good("churn", "replace", `{"reason":"OTHER","modelId":"x"}`), deployment.CodeUnknownOperation, "", "expected slipway.commands.<deployment|model>.<name>.<operation>"},
		{"another kind of thing", "slipway.commands.pipeline.churn.replace", nil, good("churn", "replace", `{"reason":"OTHER","modelId":"x"}`), deployment.CodeUnknownOperation, "", "expected slipway.commands.<deployment|model>.<name>.<operation>"},
		// The broker stores what is published on these. They must not be taken for filters.
		{"every deployment", "slipway.commands.deployment.*.replace", nil, good("*", "replace", `{"reason":"OTHER","modelId":"x"}`), deployment.CodeUnknownOperation, "", "NATS subject slipway.commands.deployment.*.replace: expected"},
		{"every kind", "slipway.commands.*.churn.replace", nil, good("churn", "replace", `{"reason":"OTHER","modelId":"x"}`), deployment.CodeUnknownOperation, "", "NATS subject slipway.commands.*.churn.replace: expected"},
		{"every deployment and operation", "slipway.commands.deployment.>.replace", nil, good(">", "replace", `{"reason":"OTHER","modelId":"x"}`), deployment.CodeUnknownOperation, "", "NATS subject slipway.commands.deployment.>.replace: expected"},
		{"everything", "slipway.commands.>", nil, good(">", "replace", `{"reason":"OTHER","modelId":"x"}`), deployment.CodeUnknownOperation, "", "NATS subject slipway.commands.>: expected"},
		{"every operation and more", "slipway.commands.deployment.churn.>", nil, good("churn", "replace", `{"reason":"OTHER","modelId":"x"}`), deployment.CodeUnknownOperation, "", "NATS subject slipway.commands.deployment.churn.>: expected"},
		{"every operation", "slipway.commands.deployment.churn.*", nil, good("churn", "replace", `{"reason":"OTHER","modelId":"x"}`), deployment.CodeTypeMismatch, "type", `expected "dev.slipway.deployment.*.requested.v1" as in the NATS subject`},

		{"a member that is not known", "", nil, data(`{"reason":"OTHER","modelID":"x","modelId":"x"}`), deployment.CodeUnknownField, "modelID", "modelID is not a known member"},
		{"a nested member that is not known", "", nil, data(`{"reason":"OTHER","model":{"format":"xgboost","target":{"name":"x","type":"Binary","tpye":1},"features":[{"name":"a","type":"numeric"}],"artifact":{"object":"x","digest":"sha256:` + strings.Repeat("0", 64) + `","size":1}}}`), deployment.CodeUnknownField, "model.target.tpye", "model.target.tpye is not a known member"},
		{"no reason", "", nil, data(`{"modelId":"x"}`), deployment.CodeMissingField, "reason", "reason is required"},
		{"no label", "slipway.commands.deployment.fresh.deploy", nil, good("fresh", "deploy", `{"modelId":"x"}`), deployment.CodeMissingField, "label", "label is required"},
		{"an empty label", "slipway.commands.deployment.fresh.deploy", nil, good("fresh", "deploy", `{"label":"","modelId":"x"}`), deployment.CodeInvalidField, "label", "label"},
		{"a label that is no text", "slipway.commands.deployment.fresh.deploy", nil, good("fresh", "deploy", `{"label":5,"modelId":"x"}`), deployment.CodeInvalidField, "label", "string"},
		{"a reason that is none", "", nil, data(`{"reason":"WHIM","modelId":"x"}`), deployment.CodeUnknownEnum, "reason", `reason: expected one of ACCURACY, DATA_DRIFT, ERRORS, SCHEDULED_REFRESH, SCORING_SPEED, DEPRECATION, OTHER, got "WHIM"`},
		{"a format that is not read", "", nil, s.replacing(func(m *handlers.ModelFacts) { m.Format = "pickle" }), deployment.CodeUnknownEnum, "model.format", `, got "pickle"`},
		{"no model", "", nil, data(`{"reason":"OTHER"}`), deployment.CodeMissingField, "", "expected exactly one of modelId, model"},
		{"an artifact without a place", "", nil, s.replacing(func(m *handlers.ModelFacts) { m.Artifact.Object = "" }), deployment.CodeMissingField, "model.artifact", "expected exactly one of model.artifact.url, model.artifact.object"},
		{"a digest that is none", "", nil, s.replacing(func(m *handlers.ModelFacts) { m.Artifact.Digest = "md5:1" }), deployment.CodeInvalidField, "model.artifact.digest", "^sha256:[0-9a-f]{64}$"},
		{"the id of another command", "", nil, structured(deployment.KindDeployment, "churn", "replace", "reused", `{"reason":"ERRORS","modelId":"nothing-yet"}`), deployment.CodeIDReused, "", "was published before with other content"},
		{"too large", "", nil, data(`{"reason":"OTHER","modelId":"x","reasonText":"` + strings.Repeat("x", 256<<10) + `"}`), deployment.CodeTooLarge, "", "expected 262144 at most; give models by reference"},
		{"too large and not even JSON", "", nil, []byte(strings.Repeat("x", 1<<20-1000)), deployment.CodeTooLarge, "", "expected 262144 at most"},
		{"what is there already", "slipway.commands.deployment.churn.deploy", nil, good("churn", "deploy", `{"label":"x","modelId":"x"}`), deployment.CodeDeploymentExists, "", "exists: replace its model, or deploy under another name"},
		{"what is not there", "slipway.commands.deployment.fresh.replace", nil, good("fresh", "replace", `{"reason":"OTHER","modelId":"x"}`), deployment.CodeDeploymentNotFound, "", "deploy it first"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.subject == "" {
				test.subject = replaceChurn
			}
			newest = s.publish(&nats.Msg{Subject: test.subject, Header: test.header, Data: test.body})
			s.rejected(t, newest, test.code, test.path, test.says)
			s.unharmed(t)
		})
	}
	newest = s.goesOn()
	s.oneOutcomeEach(newest)
	s.rawIsKept()
}

// rawIsKept checks that what could not be read can be looked at later.
func (s *served) rawIsKept() {
	s.tb.Helper()
	const text = "not even JSON"
	e := s.outcomeOf(s.publish(&nats.Msg{Subject: replaceChurn, Data: []byte(text)}))
	if want := describeArtifact([]byte(text)); e.Raw == nil || string(e.Raw.Head) != text || e.Raw.Digest != want.Digest || e.Raw.Size != len(text) {
		s.tb.Errorf("got %+v, want the message with its digest", e.Raw)
	}
}

// A model that is not what the command says is rejected before anything is switched.
func TestWrongModelsAreRejected(t *testing.T) { //nolint:tparallel // one case after the other, on one deployment
	t.Parallel()
	good := readDemo(t, "churn-v2.ubj")
	answers := http.NewServeMux()
	for status, path := range map[int]string{http.StatusNotFound: "/404", http.StatusGone: "/410", http.StatusForbidden: "/403", http.StatusUnauthorized: "/401"} {
		answers.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	answers.HandleFunc("/model", func(w http.ResponseWriter, _ *http.Request) { w.Write(good) })
	answers.HandleFunc("/more", func(w http.ResponseWriter, _ *http.Request) { w.Write(append(append([]byte(nil), good...), 0)) })
	web := httptest.NewServer(answers)
	t.Cleanup(web.Close)
	missing := filepath.Join(t.TempDir(), "gone.ubj")
	s := serve(t, map[string]string{"SLIPWAY_MAX_ARTIFACT_BYTES": "60000"})
	random := make([]byte, 5000)
	if _, err := rand.NewChaCha8([32]byte{7}).Read(random); err != nil {
		t.Fatal(err)
	}
	stored := func(body []byte) func(*handlers.ModelFacts) {
		a := s.artifact(body)
		return func(m *handlers.ModelFacts) { m.Artifact = a }
	}
	at := func(url string) func(*handlers.ModelFacts) {
		return func(m *handlers.ModelFacts) {
			m.Artifact = describeArtifact(good)
			m.Artifact.URL = url
		}
	}
	other := describeArtifact([]byte("something else"))
	var newest uint64
	for _, test := range []struct {
		name   string
		change func(m *handlers.ModelFacts)
		code   deployment.Code
		path   string
		says   string
	}{
		{"an object that is not there", func(m *handlers.ModelFacts) { m.Artifact = other; m.Artifact.Object = "models/gone" }, deployment.CodeArtifactNotFound, "model.artifact.object", "the object store has no object models/gone"},
		{"an object of another digest", func(m *handlers.ModelFacts) { m.Artifact.Digest = other.Digest }, deployment.CodeDigestMismatch, "model.artifact.digest", "expected " + string(other.Digest)},
		{"an object that is larger", func(m *handlers.ModelFacts) { m.Artifact = s.artifact(random); m.Artifact.Size-- }, deployment.CodeSizeMismatch, "model.artifact.size", "artifact has 5000 or more bytes, expected 4999"},
		{"an object that is smaller", func(m *handlers.ModelFacts) { m.Artifact = s.artifact(random); m.Artifact.Size++ }, deployment.CodeSizeMismatch, "model.artifact.size", "artifact has 5000 bytes, expected 5001"},
		{"an object that is too large", stored(make([]byte, 60001)), deployment.CodeArtifactTooLarge, "model.artifact.size", "artifact has 60001 bytes, more than the 60000 allowed"},
		{"a file", at("file://" + missing), deployment.CodeURLNotAllowed, "model.artifact.url", "file urls are not allowed here: use http, https or the object store"},
		{"a url of another kind", at("ftp://127.0.0.1/model"), deployment.CodeURLInvalid, "model.artifact.url", "expected http, https, s3, gs, azblob or file"},
		{"a url with a password", at("http://me:s3cr3t@127.0.0.1/model"), deployment.CodeURLInvalid, "model.artifact.url", "url carries a user or password"},
		{"a url that is signed", at(web.URL + "/model?X-Amz-Signature=s3cr3t"), deployment.CodeURLInvalid, "model.artifact.url", "url carries a credential in its query member"},
		{"nothing at the url", at(web.URL + "/404"), deployment.CodeArtifactNotFound, "model.artifact.url", "server answered 404"},
		{"nothing any more", at(web.URL + "/410"), deployment.CodeArtifactNotFound, "model.artifact.url", "server answered 410"},
		{"a url that is closed", at(web.URL + "/403"), deployment.CodeArtifactForbidden, "model.artifact.url", "server answered 403"},
		{"a url that asks who we are", at(web.URL + "/401"), deployment.CodeArtifactForbidden, "model.artifact.url", "server answered 401"},
		{"a url with more", at(web.URL + "/more"), deployment.CodeSizeMismatch, "model.artifact.size", "expected 56323"},
		{"random bytes", stored(random), deployment.CodeArtifactInvalid, "model.artifact", "artifact is not "},
		{"text", stored([]byte("a model, honestly")), deployment.CodeArtifactInvalid, "model.artifact", "expected JSON or UBJSON as Booster.save_model writes it"},
		{"half a model", stored(good[:len(good)/2]), deployment.CodeArtifactInvalid, "model.artifact", "it was cut off"},
		{"JSON that is no model", stored([]byte(`{"learner":{}}`)), deployment.CodeArtifactInvalid, "model.artifact", "artifact is not a valid "},
		{"a model that cannot predict", stored(endless()), deployment.CodeModelCannotPredict, "model.artifact", "model answers a row of 6 missing values with +Inf as output 1 of 1"},
		{"other features", func(m *handlers.ModelFacts) { m.Features[2].Name = "tickets" }, deployment.CodeValidationFailed, "model.features", `expected feature 2 to be "support_tickets" as in the file, got "tickets"`},
		{"features in another order", func(m *handlers.ModelFacts) { m.Features[0], m.Features[1] = m.Features[1], m.Features[0] }, deployment.CodeValidationFailed, "model.features", `expected feature 0 to be "tenure_months"`},
		{"fewer features", func(m *handlers.ModelFacts) { m.Features = m.Features[:5] }, deployment.CodeValidationFailed, "model.features", "expected the 6 features that the file needs per row, got 5 declared"},
	} {
		t.Run(test.name, func(t *testing.T) {
			body := s.replacing(test.change)
			newest = s.publish(&nats.Msg{Subject: replaceChurn, Data: body})
			s.rejected(t, newest, test.code, test.path, test.says)
			for _, e := range s.history(newest) {
				if test.path == "model.artifact.url" && strings.Contains(string(e.Stored.Body), "s3cr3t") {
					t.Errorf("event %s tells the secret of the url", e.Outcome)
				}
			}
			s.unharmed(t)
		})
	}
	newest = s.goesOn()
	s.oneOutcomeEach(newest)
}

// What may pass is tried again, for as long as is allowed; then the command has
// failed, and what served before serves.
func TestTroubleThatMayPass(t *testing.T) {
	t.Parallel()
	good := readDemo(t, "churn-v2.ubj")
	var asked atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Write(good)
	}))
	t.Cleanup(web.Close)
	file := filepath.Join(t.TempDir(), "churn-v2.ubj")
	s := serve(t, map[string]string{"SLIPWAY_MAX_ATTEMPTS": "2", "SLIPWAY_ALLOW_FILE_URLS": "true"})
	replace := func(url string) uint64 {
		return s.publish(&nats.Msg{Subject: replaceChurn, Data: s.replacing(func(m *handlers.ModelFacts) {
			m.Artifact = describeArtifact(good)
			m.Artifact.URL = url
		})})
	}
	happened := func(sequence uint64) (list []events.Outcome) {
		for _, e := range s.history(sequence) {
			if e.Outcome != events.Progress {
				list = append(list, e.Outcome)
			}
		}
		return list
	}

	// A file that is not there will not come: no second attempt.
	newest := replace("file://" + file)
	s.rejected(t, newest, deployment.CodeArtifactNotFound, "model.artifact.url", "there is no file "+file)
	s.unharmed(t)
	newest = replace("file://elsewhere" + file)
	s.rejected(t, newest, deployment.CodeURLInvalid, "model.artifact.url", `file url names the host "elsewhere": expected file:///path`)
	s.unharmed(t)

	// Nobody listens.
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	refused := replace("http://" + gone.Addr().String() + "/model")
	e := s.outcomeOf(refused)
	if e.Outcome != events.Failed || e.Failure.Class != deployment.ClassInternal || !e.Failure.Retryable || e.Attempt != 2 || !strings.HasPrefix(e.Failure.Message, "2 attempts, the last one: fetch http://") {
		t.Errorf("got %s %+v, want failed after 2 attempts", e.Outcome, e.Failure)
	}
	if diff := cmp.Diff([]events.Outcome{events.Started, events.Retrying, events.Started, events.Failed}, happened(refused)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	var before, after deployment.State
	if err := errors.Join(json.Unmarshal([]byte(s.before), &before), json.Unmarshal([]byte(s.settled("churn")), &after)); err != nil {
		t.Fatal(err)
	}
	if after.LastFailure == nil || after.LastFailure.Message != e.Failure.Message {
		t.Errorf("got last failure %+v, want %s", after.LastFailure, e.Failure.Message)
	}
	after.LastFailure, after.Revision, after.UpdatedAt, after.UpdatedBy = nil, before.Revision, before.UpdatedAt, before.UpdatedBy
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("state but for the failure (-before +after):\n%s", diff)
	}
	if _, answer := s.predict("churn", s.sample.Row); answer != s.answer {
		t.Errorf("churn answers %s, want %s", answer, s.answer)
	}

	// A server that had a bad moment.
	passed := replace(web.URL + "/model")
	if e := s.outcomeOf(passed); e.Outcome != events.Completed || e.Attempt != 2 {
		t.Errorf("got %s at attempt %d, want completed at 2: %s", e.Outcome, e.Attempt, e.detail())
	}
	if diff := cmp.Diff([]events.Outcome{events.Started, events.Retrying, events.Started, events.Validated, events.Completed}, happened(passed)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if _, answer := s.predict("churn", s.sample.Row); !strings.Contains(answer, fmt.Sprint(s.sample.Expected["churn-v2"])) {
		t.Errorf("churn answers %s, want %v of churn-v2", answer, s.sample.Expected["churn-v2"])
	}

	// A file that is there.
	if err := os.WriteFile(file, readDemo(t, "churn-v1.ubj"), 0o600); err != nil {
		t.Fatal(err)
	}
	last := s.publish(&nats.Msg{Subject: replaceChurn, Data: s.replacing(func(m *handlers.ModelFacts) {
		m.Artifact = describeArtifact(readDemo(t, "churn-v1.ubj"))
		m.Artifact.URL, m.Type = "file://"+file, "from a file"
	})})
	if e := s.outcomeOf(last); e.Outcome != events.Completed {
		t.Errorf("got %s, want completed: %s", e.Outcome, e.detail())
	}
	s.oneOutcomeEach(last)
}

// A rejection never says more than an event can hold: each of these commands is
// small enough to be taken, and what is wrong with it does not fit into 1 MiB.
func TestRejectionsFitIntoAnEvent(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	var many strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&many, `"a%d":1,`, i)
	}
	escaped := strings.Repeat("<", 200_000) // each can be six bytes in JSON
	var newest uint64
	for _, test := range []struct {
		body []byte
		code deployment.Code
	}{
		{structured(deployment.KindDeployment, "churn", "replace", nats.NewInbox(), `{`+many.String()+`"reason":"OTHER","modelId":"x"}`), deployment.CodeUnknownField},
		{structured(deployment.KindDeployment, "churn", "replace", nats.NewInbox(), `{"reason":"`+escaped+`","modelId":"x"}`), deployment.CodeUnknownEnum},
	} {
		newest = s.publish(&nats.Msg{Subject: replaceChurn, Data: test.body})
		if e := s.outcomeOf(newest); e.Outcome != events.Rejected || e.Failure.Code != test.code {
			t.Errorf("got %s %+v, want rejected: %s", e.Outcome, e.Failure, test.code)
		}
		s.unharmed(t)
	}
	newest = s.publish(&nats.Msg{Subject: replaceChurn, Data: structured(deployment.KindDeployment, "churn", "replace", escaped, `{"reason":"OTHER","modelId":"x"}`)})
	if e := s.outcomeOf(newest); e.Outcome != events.Rejected { // whatever is said about the id or the model
		t.Errorf("got %s, want rejected", e.Outcome)
	}
	s.unharmed(t)
	s.oneOutcomeEach(newest)
}
