package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/worker"
)

const cloudEvent = "application/cloudevents+json"

// structured is a command to deploy.
func structured(id, name, data string) []byte {
	return fmt.Appendf(nil, `{"specversion":"1.0","id":%q,"source":"/pipelines/churn","type":"dev.slipway.deployment.deploy.requested.v1","subject":%q,"correlationid":"run-7","data":%s}`,
		id, name, data)
}

// binary are the headers of the same command in binary mode.
func binary(id, name string) []string {
	return []string{
		"Ce-Specversion", "1.0", "Ce-Id", id, "Ce-Source", "%2Fpipelines/churn", "ce-type", "dev.slipway.deployment.deploy.requested.v1",
		"CE-Subject", name, "Ce-Correlationid", "run-7", "Content-Type", "application/json",
	}
}

func TestPostCommand(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	const data = `{"label":"Churn"}`
	token := events.Token("/pipelines/churn", "1")
	for i, got := range []reply{
		b.ask(t, "POST", "/commands", structured("1", "churn", data), "Content-Type", cloudEvent),
		b.ask(t, "POST", "/commands", structured("1", "churn", data), "Content-Type", "Application/CloudEvents+JSON; charset=utf-8"),
		b.ask(t, "POST", "/commands", []byte(data), binary("1", "churn")...), // says the same
	} {
		if got.status != http.StatusAccepted || got.header.Get("Location") != "/commands/"+token+"?sequence=1" {
			t.Fatalf("%d: got %d %v %s", i, got.status, got.header, got.body)
		}
		want := `{"token":"` + token + `","sequence":1,"kind":"deployment","name":"churn","op":"deploy","source":"/pipelines/churn","id":"1","outcome":"requested","done":false}` + "\n"
		if got.body != want {
			t.Errorf("%d: got %s, want %s", i, got.body, want)
		}
	}
	if got := b.ask(t, "POST", "/commands", []byte(data), binary("2", "churn")...); got.member(t, "sequence") != float64(2) {
		t.Errorf("the second command: got %d %s", got.status, got.body)
	}
	for sequence := uint64(1); sequence <= 2; sequence++ {
		m, err := b.Commands.At(t.Context(), sequence)
		if err != nil {
			t.Fatal(err)
		}
		cmd, err := events.ReadCommand(m.Header, m.Body)
		if err != nil || m.Subject != "slipway.commands.deployment.churn.deploy" || cmd.Source != "/pipelines/churn" ||
			cmd.ID != fmt.Sprint(sequence) || cmd.CorrelationID != "run-7" || string(cmd.Data) != data || m.Header["Nats-Msg-Id"][0] != cmd.Token() {
			t.Errorf("%d: got %s %v %s %v", sequence, m.Subject, m.Header, m.Body, err)
		}
		if !json.Valid(m.Body) || m.Header["Content-Type"][0] != events.ContentType {
			t.Errorf("%d: got %v %s, want an event in structured mode", sequence, m.Header, m.Body)
		}
	}
	// The broker drops what has a known id, whatever it says: that is not the same command.
	for _, other := range [][]byte{structured("1", "churn", `{"label":"Other"}`), structured("1", "other", data)} {
		got := b.ask(t, "POST", "/commands", other, "Content-Type", cloudEvent)
		got.refused(t, http.StatusConflict, "id", "was published before with other content (sequence 1): expected a new id")
		if got.member(t, "code") != "id_reused" {
			t.Errorf("got %s", got.body)
		}
	}
	// What only workers can judge is for them.
	if got := b.ask(t, "POST", "/commands", structured("3", "No-Name!", `{"lable":1}`), "Content-Type", cloudEvent); got.status != http.StatusAccepted {
		t.Errorf("a command with bad data: got %d %s", got.status, got.body)
	}
}

func TestPostCommandRefuses(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	edited := func(pairs ...string) []byte {
		return []byte(strings.NewReplacer(pairs...).Replace(string(structured("1", "churn", `{}`))))
	}
	event := []string{"Content-Type", cloudEvent}
	for name, test := range map[string]struct {
		body        []byte
		headers     []string
		status      int
		field, says string
		code        deployment.Code
	}{
		"no content type":     {edited(), nil, 415, "Content-Type", "expected one event as application/cloudevents+json", deployment.CodeNotCloudEvent},
		"plain JSON":          {edited(), []string{"Content-Type", "application/json"}, 415, "Content-Type", "expected one event", deployment.CodeNotCloudEvent},
		"a batch":             {[]byte("[]"), []string{"Content-Type", "application/cloudevents-batch+json"}, 415, "Content-Type", "expected one event", deployment.CodeNotCloudEvent},
		"no JSON":             {[]byte("hello"), event, 400, "body", "expected a CloudEvent as a JSON object", deployment.CodeNotCloudEvent},
		"nothing":             {nil, event, 400, "body", "expected a CloudEvent as a JSON object", deployment.CodeNotCloudEvent},
		"another version":     {edited(`"1.0"`, `"0.3"`), event, 400, "body", `expected "1.0", got "0.3"`, deployment.CodeNotCloudEvent},
		"no id":               {edited(`"id":"1",`, ""), event, 422, "id", "MUST be a non-empty string", deployment.CodeInvalidEvent},
		"no source":           {edited(`"source":"/pipelines/churn",`, ""), event, 422, "source", "REQUIRED", deployment.CodeInvalidEvent},
		"an event":            {edited("requested", "completed"), event, 422, "type", "expected a command", deployment.CodeInvalidEvent},
		"another type":        {edited("dev.slipway", "com.example"), event, 422, "type", "expected dev.slipway.", deployment.CodeInvalidEvent},
		"a type of wildcards": {edited(".deploy.", ".*."), event, 422, "type", "expected one such as", deployment.CodeUnknownOperation},
		"no subject":          {edited(`"subject":"churn",`, ""), event, 422, "subject", "expected the name of the deployment", deployment.CodeInvalidName},
		"a subject of two":    {edited(`"churn"`, `"churn.eu"`), event, 422, "subject", "expected the name of the deployment", deployment.CodeInvalidName},
		"a wildcard":          {edited(`"churn"`, `">"`), event, 422, "subject", "expected the name of the deployment", deployment.CodeInvalidName},
		"no data":             {edited(`,"data":{}`, ""), event, 422, "data", "expected a JSON object", deployment.CodeInvalidEvent},
		"data that is a list": {edited(`{}`, "[1]"), event, 422, "data", "expected a JSON object", deployment.CodeInvalidEvent},
		"binary, data broken": {[]byte("{"), binary("1", "churn"), 422, "data", "expected a JSON object", deployment.CodeInvalidEvent},
		"binary, no id":       {[]byte("{}"), binary("", "churn"), 422, "id", "MUST be a non-empty string", deployment.CodeInvalidEvent},
		"too large":           {structured("1", "churn", `{"label":"`+strings.Repeat("x", 4096)+`"}`), event, 413, "body", "expected that at most", deployment.CodeTooLarge},
	} {
		t.Log(name)
		got := b.ask(t, "POST", "/commands", test.body, test.headers...)
		got.refused(t, test.status, test.field, test.says)
		if got.member(t, "code") != string(test.code) {
			t.Errorf("got %s, want the code %s", got.body, test.code)
		}
	}
	got := b.ask(t, "POST", "/commands", edited(`"id":"1",`, "", `"source":"/pipelines/churn",`, "", `,"data":{}`, ""), event...)
	if wrong, _ := got.member(t, "errors").(map[string]any); len(wrong) != 3 {
		t.Errorf("got %s, want all that is wrong at once", got.body)
	}
	if subjects, err := b.Commands.Subjects(t.Context()); err != nil || len(subjects) > 0 {
		t.Errorf("got commands on %v %v, want none", subjects, err)
	}
}

func TestGetCommand(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	token := events.Token("/pipelines/churn", "1")
	record := func(v worker.OperationView, revision uint64) uint64 {
		t.Helper()
		next, err := b.Operations.Store(t.Context(), v.Token, v, revision)
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	b.ask(t, "GET", "/commands/"+token, nil).refused(t, http.StatusNotFound, "path", "nobody has begun with it, or it was never published")
	posted := b.ask(t, "POST", "/commands", structured("1", "churn", `{}`), "Content-Type", cloudEvent)
	b.ask(t, "GET", "/commands/"+token, nil).refused(t, http.StatusNotFound, "path", "nobody has begun with it, or it was never published")
	if got := b.ask(t, "GET", posted.header.Get("Location"), nil); got.status != http.StatusAccepted || got.body != posted.body {
		t.Errorf("queued: got %d %s, want %s", got.status, got.body, posted.body)
	}

	view := worker.OperationView{
		Token: token, Source: "/pipelines/churn", ID: "1", Kind: "deployment", Name: "churn", Outcome: events.Started, Sequence: 1,
		Digest: events.Command{Type: events.Type{Kind: "deployment", Op: "deploy", Outcome: events.Requested}, Subject: "churn", Data: json.RawMessage("{}")}.Digest(),
	}
	revision := record(view, 0)
	for _, path := range []string{"/commands/" + token, "/commands/" + token + "?wait=1ms", posted.header.Get("Location")} {
		if got := b.ask(t, "GET", path, nil); got.status != http.StatusAccepted || got.member(t, "outcome") != "started" || got.member(t, "done") != false {
			t.Errorf("%s: got %d %s", path, got.status, got.body)
		}
	}
	waited := make(chan reply, 1)
	go func() { waited <- b.ask(t, "GET", "/commands/"+token+"?wait=1m", nil) }()
	view.Outcome, view.Done, view.Failure = events.Rejected, true, &worker.Failure{Code: deployment.CodeUnknownField, Message: "no such member"}
	record(view, revision)
	for _, got := range []reply{
		<-waited,
		b.ask(t, "GET", "/commands?"+url.Values{"source": {"/pipelines/churn"}, "id": {"1"}}.Encode(), nil),
		b.ask(t, "GET", posted.header.Get("Location")+"&wait=1m", nil),
	} {
		if got.status != http.StatusOK || got.member(t, "outcome") != "rejected" || got.member(t, "failure", "code") != "unknown_field" {
			t.Errorf("done: got %d %s", got.status, got.body)
		}
	}

	// A command whose sender is not proven is known by its place in the stream alone.
	forged := b.ask(t, "POST", "/commands", structured("3", "churn", `{}`), "Content-Type", cloudEvent)
	go func() { waited <- b.ask(t, "GET", forged.header.Get("Location")+"&wait=1m", nil) }()
	view.Token, view.ID, view.Digest, view.Sequence = events.PlaceToken(2), "3", "", 2
	view.Failure = &worker.Failure{Code: deployment.CodeNotSigned, Message: "authid is required"}
	record(view, 0)
	for _, got := range []reply{<-waited, b.ask(t, "GET", forged.header.Get("Location"), nil)} {
		if got.status != http.StatusOK || got.member(t, "failure", "code") != "not_signed" {
			t.Errorf("not signed: got %d %s", got.status, got.body)
		}
	}

	// A record of another command under the same id is not the outcome of this one.
	other := events.Token("/pipelines/churn", "2")
	second := b.ask(t, "POST", "/commands", structured("2", "churn", `{}`), "Content-Type", cloudEvent)
	view.Token, view.ID, view.Digest, view.Sequence = other, "2", "0123456789abcdef", 99
	record(view, 0)
	b.ask(t, "GET", second.header.Get("Location"), nil).refused(t, http.StatusConflict, "id", "published before with other content (sequence 99)")
}

func TestGetCommandRefuses(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	token := events.Token("/pipelines/churn", "1")
	for path, want := range map[string]struct {
		status      int
		field, says string
	}{
		"/commands":                              {400, "id", "expected source and id"},
		"/commands?source=/x":                    {400, "id", "expected source and id"},
		"/commands/":                             {400, "id", "expected source and id"},
		"/commands/x":                            {400, "path", "expected 26 lower-case"},
		"/commands/" + token + "?wait=30":        {400, "wait", "expected a duration such as 30s"},
		"/commands/" + token + "?wait=-1s":       {400, "wait", "expected a duration such as 30s"},
		"/commands/" + token + "?wait=61s":       {400, "wait", "1m0s at most"},
		"/commands/" + token + "?wiat=30s":       {400, "wiat", "expected each of [wait sequence]"},
		"/commands/" + token + "?wait=1s&wait=2": {400, "wait", "once at most"},
		"/commands/" + token + "?sequence=0":     {400, "sequence", "above 0"},
		"/commands/" + token + "?sequence=x":     {400, "sequence", "above 0"},
		"/commands/" + token + "?sequence=7":     {404, "sequence", "there is no command with the token"},
	} {
		b.ask(t, "GET", path, nil).refused(t, want.status, want.field, want.says)
	}
	posted := b.ask(t, "POST", "/commands", structured("2", "churn", `{}`), "Content-Type", cloudEvent)
	if posted.status != http.StatusAccepted {
		t.Fatal(posted)
	}
	b.ask(t, "GET", "/commands/"+token+"?sequence=1", nil).refused(t, http.StatusNotFound, "sequence", "there is no command with the token")
}
