package main

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/worker"
)

// A program that has a NATS client and an HTTP client, and nothing of ours, can
// deploy a model and ask it.
func TestPlainNATSClient(t *testing.T) {
	t.Parallel()
	s := startUp(t, nil)
	row := readSample(t)
	js, err := s.conn.JetStream() // the old interface will do
	if err != nil {
		t.Fatal(err)
	}
	store, err := js.ObjectStore("artifacts")
	if err != nil {
		t.Fatal(err)
	}
	features, err := json.Marshal(row.Features)
	if err != nil {
		t.Fatal(err)
	}
	data := func(model string) string {
		file := readDemo(t, model+".ubj")
		if _, err := store.PutBytes("pipeline/"+model, file); err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, name := range strings.Split(strings.Trim(string(features), "[]"), ",") {
			list = append(list, `{"name":`+name+`,"type":"numeric"}`)
		}
		a := describeArtifact(file)
		return fmt.Sprintf(`{
			"label": "Größe 100 %%", "description": null,
			"model": {
				"format": "xgboost", "target": {"name": "churned", "type": "Binary", "classes": ["stays", "leaves"]},
				"features": [%s], "artifact": {"object": "pipeline/%s", "digest": "%s", "size": %d}
			}
		}`, strings.Join(list, ","), model, a.Digest, a.Size)
	}
	for _, test := range []struct {
		name, model string
		msg         *nats.Msg
	}{
		{"structured", "churn-v1", &nats.Msg{Data: structured(deployment.KindDeployment, "structured", "deploy", "42", data("churn-v1"))}},
		{"binary", "churn-v2", &nats.Msg{
			Header: nats.Header{
				"cE-Id": {"run%2042%2Fb"}, "Ce-TYPE": {"dev.slipway.deployment.deploy.requested.v1"}, "CE-SOURCE": {"/pipelines/%6Eight"},
				"ce-SpecVersion": {"1.0"}, "Ce-Subject": {"%62inary"}, "ce-correlationid": {"night%20run"}, "Content-TYPE": {"application/json"},
				"X-Unknown": {"%zz"},
			},
			Data: []byte(data("churn-v2")),
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.msg.Subject = "slipway.commands.deployment." + test.name + ".deploy"
			ack, err := js.PublishMsg(test.msg)
			if err != nil {
				t.Fatal(err)
			}
			e := s.outcomeOf(ack.Sequence)
			if e.Outcome != events.Completed || e.Deployment.Label != "Größe 100 %" {
				t.Errorf("got %s, want completed with the label as it was published: %s", e.Outcome, e.Stored.Body)
			}
			if test.name == "binary" && (e.Command.ID != "run 42/b" || e.Command.Source != "/pipelines/night") {
				t.Errorf("got command %q from %q, want the headers decoded", e.Command.ID, e.Command.Source)
			}
			status, answer := s.predict(test.name, row.Row)
			var got inference
			if err := json.Unmarshal([]byte(answer), &got); err != nil || status != http.StatusOK || len(got.Outputs) != 1 || len(got.Outputs[0].Data) != 1 {
				t.Fatalf("got %d %s, want one prediction", status, answer)
			}
			if want := row.Expected[test.model]; math.Abs(got.Outputs[0].Data[0]-want) > 1e-6 {
				t.Errorf("got %v, want %v as XGBoost itself predicts", got.Outputs[0].Data[0], want)
			}
			// The same bytes again, as after an acknowledgement that was lost: nothing happens twice.
			again, err := js.PublishMsg(test.msg)
			if err != nil {
				t.Fatal(err)
			}
			if e := s.outcomeOf(again.Sequence); e.Outcome != events.Duplicate || e.Original.Sequence != ack.Sequence {
				t.Errorf("got %s, want a duplicate of command %d: %s", e.Outcome, ack.Sequence, e.Stored.Body)
			}
			if n := s.outcomes(); n[ack.Sequence] != 1 || n[again.Sequence] != 1 {
				t.Errorf("got %d and %d outcomes, want 1 each", n[ack.Sequence], n[again.Sequence])
			}
		})
	}
}

// Of slipway as people start it, a plain NATS client gets a verdict at once:
// from the real file of the candidate, and with an error that says what is wrong.
func TestPlainValidationRequest(t *testing.T) {
	t.Parallel()
	s := startUp(t, nil)
	where := map[string]string{"NATS_URL": s.conn.ConnectedUrl()}
	for _, args := range [][]string{
		{"deploy", "churn", "--label", "Churn", "--file", "demo/churn-v1.ubj", "--target", "churned", "--target-type", "Binary"},
		{"register", "churn-v2", "--file", "demo/churn-v2.ubj", "--target", "churned", "--target-type", "Binary"},
	} {
		if code, stdout, stderr := runVerb(t, where, args...); code != exitOK {
			t.Fatalf("%v: got %d %s %s", args, code, stdout, stderr)
		}
	}
	artifact := describeArtifact(readDemo(t, "churn-v2.ubj"))
	lying := fmt.Sprintf(`{"model":{"format":"xgboost","target":{"name":"churned","type":"Binary"},"features":[{"name":"a","type":"numeric"}],
		"artifact":{"object":%q,"digest":%q,"size":%d}}}`, "sha256/"+artifact.Digest.Hex(), artifact.Digest, artifact.Size)
	for _, test := range []struct {
		body   string
		status deployment.CheckStatus
		fails  deployment.CheckName
	}{
		{`{"modelId":"churn-v2"}`, deployment.Passing, ""},
		{lying, deployment.Failing, deployment.CheckDeclaredFeatures},
	} {
		answer, err := s.conn.Request("slipway.validate.churn", []byte(test.body), patience)
		if err != nil {
			t.Fatal(err)
		}
		var verdict worker.Verdict
		if err := json.Unmarshal(answer.Data, &verdict); err != nil || verdict.Status != test.status {
			t.Errorf("%s: got %v %s, want %s", test.body, answer.Header, answer.Data, test.status)
		}
		if test.fails != "" && verdict.Checks[test.fails].Status != deployment.Failing {
			t.Errorf("%s: got %+v, want %s to fail", test.body, verdict.Checks, test.fails)
		}
	}
	answer, err := s.conn.Request("slipway.validate.churn", []byte(`{"modelId":"churn-v9"}`), patience)
	if err != nil || answer.Header.Get("Nats-Service-Error-Code") != "404" {
		t.Errorf("an unknown model: got %v %v, want 404", answer, err)
	}
}

// What is not allowed has an exit code of its own, and the message no secret.
func TestUnauthorised(t *testing.T) {
	t.Parallel()
	address := protectedServer(t)
	for _, test := range []struct {
		user string
		code int
		says string
	}{
		{"slipway:right@", exitOK, ""},
		{"slipway:wr0ng@", exitUnauthorised, "Authorization Violation"},
		{"", exitUnauthorised, "Authorization Violation"},
	} {
		code, stdout, stderr := runVerb(t, map[string]string{"NATS_URL": "nats://" + test.user + address}, "list")
		if test.code == exitOK { // nobody has provisioned it
			if code != exitFailed || !strings.Contains(stderr, `no slipway has run on this server yet; start one with "slipway up"`) {
				t.Errorf("got %d %q, want %d and that there are no streams", code, stderr, exitFailed)
			}
			continue
		}
		if code != test.code || stdout != "" || !strings.Contains(stderr, test.says) || strings.Contains(stderr, "wr0ng") {
			t.Errorf("got %d %q %q, want %d and %q", code, stdout, stderr, test.code, test.says)
		}
	}
}

// protectedServer is a NATS server that asks for a user and a password.
func protectedServer(tb testing.TB) (address string) {
	tb.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: true, StoreDir: tb.TempDir(),
		Username: "slipway", Password: "right",
	})
	if err != nil {
		tb.Fatal(err)
	}
	s.Start()
	tb.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(patience) {
		tb.Fatal("the server is not ready")
	}
	return s.Addr().String()
}
