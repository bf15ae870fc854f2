package events_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/events"
)

func problemsOf(tb testing.TB, err error) []events.Problem {
	tb.Helper()
	var invalid *events.InvalidError
	if !errors.As(err, &invalid) {
		tb.Fatalf("got %T %v, want an *events.InvalidError", err, err)
	}
	return invalid.Problems
}

func TestReadCommand(t *testing.T) {
	t.Parallel()
	want := events.Command{
		Type:   events.Type{Kind: "deployment", Op: "deploy", Outcome: events.Requested},
		Source: "/pipeline/spring", ID: "42", Subject: "churn",
		Time: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC), Data: json.RawMessage(data), CorrelationID: "run-7",
	}
	got, err := events.ReadCommand(nil, []byte(structured))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("structured (-want +got):\n%s", diff)
	}
	if got, err = events.ReadCommand(binary(), []byte(data)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("binary (-want +got):\n%s", diff)
	}
}

// edited is structured with members of its text exchanged, by old and new.
func edited(tb testing.TB, pairs ...string) []byte {
	tb.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(structured, pairs[i]) {
			tb.Fatalf("no %q in the event", pairs[i])
		}
	}
	return []byte(strings.NewReplacer(pairs...).Replace(structured))
}

func TestReadCommandExtensions(t *testing.T) {
	t.Parallel()
	const correlation = `"correlationid":"run-7"`
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		extensions string
		want       events.Command // only the members that extensions say
	}{
		"none":                      {`"other":"x"`, events.Command{CorrelationID: "42"}},
		"an empty correlation":      {`"correlationid":""`, events.Command{CorrelationID: "42"}},
		"a correlation":             {correlation, events.Command{CorrelationID: "run-7"}},
		"a correlation as a number": {`"correlationid":7`, events.Command{CorrelationID: "7"}},
		"a correlation as a bool":   {`"correlationid":true`, events.Command{CorrelationID: "true"}},
		"a trace": {
			`"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","tracestate":"a=1,b=2"`,
			events.Command{CorrelationID: "42", TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", TraceState: "a=1,b=2"},
		},
		"expires":                   {`"expirytime":"2026-03-01T08:00:00Z"`, events.Command{CorrelationID: "42", Expires: at}},
		"expires in another zone":   {`"expirytime":"2026-03-01T10:00:00+02:00"`, events.Command{CorrelationID: "42", Expires: at}},
		"expires to the nanosecond": {`"expirytime":"2026-03-01T08:00:00.000000001Z"`, events.Command{CorrelationID: "42", Expires: at.Add(1)}},
		"expires never":             {`"expirytime":""`, events.Command{CorrelationID: "42"}},
		"expires null":              {`"expirytime":null`, events.Command{CorrelationID: "42"}},
	}
	for name, test := range tests {
		cmd, err := events.ReadCommand(nil, edited(t, correlation, test.extensions))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := events.Command{CorrelationID: cmd.CorrelationID, TraceParent: cmd.TraceParent, TraceState: cmd.TraceState, Expires: cmd.Expires}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestReadCommandSaysEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	const (
		typ        = `"type":"dev.slipway.deployment.deploy.requested.v1"`
		expected   = "expected dev.slipway.<kind>.<operation>.<outcome>.v1"
		noObject   = `data: expected a JSON object as application/json, got `
		dataMember = `"data":{"label":"Churn","modelId":"churn-v1"}`
		json1      = `"datacontenttype":"application/json"`
	)
	tests := map[string]struct {
		body []byte
		want []events.Problem
	}{
		"no id":             {edited(t, `"id":"42",`, ""), []events.Problem{{"id", "attribute id: MUST be a non-empty string"}}},
		"an empty id":       {edited(t, `"id":"42"`, `"id":""`), []events.Problem{{"id", "attribute id: MUST be a non-empty string"}}},
		"no source":         {edited(t, `"source":"/pipeline/spring",`, ""), []events.Problem{{"source", "attribute source: REQUIRED"}}},
		"null for an id":    {edited(t, `"id":"42"`, `"id":null`), []events.Problem{{"id", "attribute id: MUST be a non-empty string"}}},
		"null for a source": {edited(t, `"source":"/pipeline/spring"`, `"source":null`), []events.Problem{{"source", "attribute source: REQUIRED"}}},
		"no type":           {edited(t, typ+",", ""), []events.Problem{{"type", `type "": ` + expected}}},
		"another type":      {edited(t, typ, `"type":"com.example.trained"`), []events.Problem{{"type", `type "com.example.trained": ` + expected}}},
		"another version": {
			edited(t, "requested.v1", "requested.v2"),
			[]events.Problem{{"type", `type "dev.slipway.deployment.deploy.requested.v2": ` + expected}},
		},
		"an event": {
			edited(t, "requested.v1", "completed.v1"),
			[]events.Problem{{"type", `type "dev.slipway.deployment.deploy.completed.v1": expected a command, dev.slipway.deployment.deploy.requested.v1`}},
		},
		"no expirytime": {
			edited(t, `"correlationid":"run-7"`, `"expirytime":"tomorrow"`),
			[]events.Problem{{"expirytime", `extension expirytime "tomorrow": expected a time as in RFC 3339`}},
		},
		"a date as expirytime": {
			edited(t, `"correlationid":"run-7"`, `"expirytime":"2026-03-01"`),
			[]events.Problem{{"expirytime", `extension expirytime "2026-03-01": expected a time as in RFC 3339`}},
		},
		"no data":     {edited(t, ","+dataMember, ""), []events.Problem{{"data", noObject + `0 bytes of "application/json"`}}},
		"null data":   {edited(t, dataMember, `"data":null`), []events.Problem{{"data", noObject + `4 bytes of "application/json"`}}},
		"array data":  {edited(t, dataMember, `"data":[{}]`), []events.Problem{{"data", noObject + `4 bytes of "application/json"`}}},
		"string data": {edited(t, dataMember, `"data":"{}"`), []events.Problem{{"data", noObject + `4 bytes of "application/json"`}}},
		"text data":   {edited(t, json1, `"datacontenttype":"text/plain"`, dataMember, `"data":"{}"`), []events.Problem{{"data", noObject + `2 bytes of "text/plain"`}}},
		"not JSON":    {edited(t, dataMember, `"data_base64":"eyI="`), []events.Problem{{"data", noObject + `2 bytes of "application/json"`}}},
		"no event":    {[]byte("hello"), []events.Problem{{"", "body: expected a CloudEvent as a JSON object: invalid character 'h' looking for beginning of value"}}},
		"all at once": {
			[]byte(`{"specversion":"1.0","type":"x","datacontenttype":"text/plain","expirytime":"x"}`),
			[]events.Problem{
				{"id", "attribute id: MUST be a non-empty string"},
				{"source", "attribute source: REQUIRED"},
				{"type", `type "x": ` + expected},
				{"expirytime", `extension expirytime "x": expected a time as in RFC 3339`},
				{"data", noObject + `0 bytes of "text/plain"`},
			},
		},
	}
	for name, test := range tests {
		_, err := events.ReadCommand(nil, test.body)
		if err == nil {
			t.Errorf("%s: got no error", name)
			continue
		}
		if diff := cmp.Diff(test.want, problemsOf(t, err)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		for _, problem := range test.want {
			if !strings.Contains(err.Error(), problem.Message) {
				t.Errorf("%s: error %q does not say %q", name, err, problem.Message)
			}
		}
	}
}

func TestReadCommandTakesJSONInEveryForm(t *testing.T) {
	t.Parallel()
	const dataMember = `"data":{"label":"Churn","modelId":"churn-v1"}`
	for name, body := range map[string][]byte{
		"no content type":   edited(t, `"datacontenttype":"application/json",`, ""),
		"with a charset":    edited(t, `"application/json"`, `"application/json; charset=utf-8"`),
		"in capitals":       edited(t, `"application/json"`, `"Application/JSON"`),
		"text/json":         edited(t, `"application/json"`, `"text/json"`),
		"by suffix":         edited(t, `"application/json"`, `"application/vnd.churn+json"`),
		"in base64":         edited(t, dataMember, `"data_base64":"eyJsYWJlbCI6IkNodXJuIiwibW9kZWxJZCI6ImNodXJuLXYxIn0="`),
		"in base64, pretty": edited(t, dataMember, "\"data_base64\":\n  \"eyJsYWJlbCI6IkNodXJuIiwibW9kZWxJZCI6ImNodXJuLXYxIn0=\"\n"),
	} {
		cmd, err := events.ReadCommand(nil, body)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if string(cmd.Data) != data {
			t.Errorf("%s: data got %s, want %s", name, cmd.Data, data)
		}
	}
}

// What could be read of an invalid command is there: the rejection names it.
func TestReadCommandKeepsWhatCouldBeRead(t *testing.T) {
	t.Parallel()
	got, err := events.ReadCommand(nil, edited(t, "requested.v1", "completed.v1"))
	if err == nil {
		t.Fatal("got no error")
	}
	if got.ID != "42" || got.Source != "/pipeline/spring" || got.Subject != "churn" || got.CorrelationID != "run-7" || string(got.Data) != data {
		t.Errorf("got %+v, want what the event says", got)
	}
}

// Everything that a command says of itself comes again in each event about it,
// more than once: it must not keep the events from being published.
func TestReadCommandRefusesAttributesWithoutEnd(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100_000)
	for attribute, body := range map[string][]byte{
		"id":            edited(t, `"id":"42"`, `"id":"`+long+`"`),
		"source":        edited(t, `"/pipeline/spring"`, `"/`+long+`"`),
		"subject":       edited(t, `"churn"`, `"`+long+`"`),
		"type":          edited(t, `.deploy.`, `.`+long+`.`),
		"correlationid": edited(t, `"run-7"`, `"`+long+`"`),
		"traceparent":   edited(t, `"correlationid":"run-7"`, `"traceparent":"`+long+`"`),
		"tracestate":    edited(t, `"correlationid":"run-7"`, `"tracestate":"`+long+`"`),
		"expirytime":    edited(t, `"correlationid":"run-7"`, `"expirytime":"`+long+`"`),
	} {
		cmd, err := events.ReadCommand(nil, body)
		if err == nil {
			t.Errorf("%s: got no error", attribute)
			continue
		}
		problems := problemsOf(t, err)
		for i, problem := range problems {
			if i == 0 && problem.Attribute != attribute || len(problem.Message) > 1000 {
				t.Errorf("%s: problem %d is about %q in %d bytes, want a short one about it first", attribute, i, problem.Attribute, len(problem.Message))
			}
		}
		if size := len(cmd.ID + cmd.Source + cmd.Subject + cmd.Type.String() + cmd.CorrelationID + cmd.TraceParent + cmd.TraceState); size > 5*events.MaxAttribute {
			t.Errorf("%s: the command still holds %d bytes of attributes", attribute, size)
		}
	}
}

// A source cannot hold the character that keeps source and id apart in a token.
func TestReadCommandRefusesControlCharactersInSource(t *testing.T) {
	t.Parallel()
	for _, source := range []string{`/a\u0000b`, `/a\nb`, `/a\u007fb`} {
		if _, err := events.ReadCommand(nil, edited(t, "/pipeline/spring", source)); err == nil {
			t.Errorf("source %s: got no error", source)
		}
	}
}

// Source and id identify a command as its sender wrote them: URIs that a library
// takes for the same are not.
func TestReadCommandLeavesTheSourceAsItIs(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"HTTP://Example.com/x", "/a b", "/ü", "/%c3%bc", "/%C3%BC", "urn:ü", "a%2fb?x=1 2", "#x", "?", "."} {
		cmd, err := events.ReadCommand(nil, edited(t, "/pipeline/spring", source))
		if err != nil {
			t.Errorf("source %q: %v", source, err)
			continue
		}
		if cmd.Source != source || cmd.Token() != events.Token(source, "42") {
			t.Errorf("source %q: got %q", source, cmd.Source)
		}
	}
}

// Tokens are in ledgers and in clients: they never change.
func TestTokenNeverChanges(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ source, id, want string }{
		{"/pipeline/spring", "42", "aqiy7ssggj6k2uhaoum4q3tlio"},
		{"", "7", "pf2cpt4dnacr7z5y4pu5llpjyw"},
		{"urn:ümlaut", "€", "psgaaantwkaw2n5qybuu7g52gv"},
	} {
		if got := events.Token(test.source, test.id); got != test.want {
			t.Errorf("Token(%q, %q): got %s, want %s", test.source, test.id, got, test.want)
		}
	}
	cmd := events.Command{Source: "/pipeline/spring", ID: "42", Subject: "churn"}
	if got := cmd.Token(); got != "aqiy7ssggj6k2uhaoum4q3tlio" {
		t.Errorf("of a command: got %s, want that of its source and id", got)
	}
	if events.Token("/a", "b/c") == events.Token("/a/b", "c") || events.Token("a", "b") == events.Token("b", "a") {
		t.Error("different sources and ids have one token")
	}
}

func TestDigestIsOfWhatTheCommandSays(t *testing.T) {
	t.Parallel()
	command := func() events.Command {
		return events.Command{
			Type: events.Type{Kind: "deployment", Op: "deploy", Outcome: events.Requested}, Source: "/s", ID: "1",
			Subject: "churn", Data: json.RawMessage(`{"label":"A b","n":[1,2]}`),
		}
	}
	if got, want := command().Digest(), "85b6eef2e762ab22"; got != want {
		t.Errorf("got %s, want %s: it is in ledgers", got, want)
	}
	tests := map[string]struct {
		change func(*events.Command)
		same   bool
	}{
		"source":           {func(c *events.Command) { c.Source = "/other" }, true},
		"id":               {func(c *events.Command) { c.ID = "2" }, true},
		"time":             {func(c *events.Command) { c.Time = time.Unix(1, 0) }, true},
		"correlation":      {func(c *events.Command) { c.CorrelationID = "x" }, true},
		"space in data":    {func(c *events.Command) { c.Data = json.RawMessage(" {\n\t\"label\" : \"A b\", \"n\":[1 ,2]}\r\n") }, true},
		"space in strings": {func(c *events.Command) { c.Data = json.RawMessage(`{"label":"A  b","n":[1,2]}`) }, false},
		"data":             {func(c *events.Command) { c.Data = json.RawMessage(`{"label":"A b","n":[1,3]}`) }, false},
		"no data":          {func(c *events.Command) { c.Data = nil }, false},
		"data no JSON":     {func(c *events.Command) { c.Data = json.RawMessage(`{"label":"A b","n":[1,2]`) }, false},
		"subject":          {func(c *events.Command) { c.Subject = "other" }, false},
		"operation":        {func(c *events.Command) { c.Type.Op = "replace" }, false},
		"kind":             {func(c *events.Command) { c.Type.Kind = "model" }, false},
		"outcome":          {func(c *events.Command) { c.Type.Outcome = events.Completed }, false},
	}
	for name, test := range tests {
		other := command()
		test.change(&other)
		if same := other.Digest() == command().Digest(); same != test.same {
			t.Errorf("other %s: same digest %t, want %t", name, same, test.same)
		}
	}
}

// The same command is the same whichever way it was sent.
func TestDigestDoesNotDependOnTheMode(t *testing.T) {
	t.Parallel()
	const data = `{"label":"<Churn> & \"x\" ü \u00fc","modelId":"churn-v1"}`
	one, err := events.ReadCommand(nil, edited(t, `{"label":"Churn","modelId":"churn-v1"}`, " "+data+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := events.ReadCommand(binary(), []byte(data+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if one.Digest() != other.Digest() || one.Token() != other.Token() {
		t.Errorf("structured %s %s, binary %s %s", one.Digest(), one.Data, other.Digest(), other.Data)
	}
}

// For whom a command was sent is as the sender says; what kind of a thing that
// is has to be one of those that CloudEvents knows.
func TestReadCommandAuth(t *testing.T) {
	t.Parallel()
	read := func(authType, authID string) (events.Command, error) {
		e, err := events.Request{
			Type: events.Type{Kind: "deployment", Op: "deploy"}, Source: "/cli", ID: "1", Subject: "churn", Time: time.Now(),
			AuthType: authType, AuthID: authID, Data: map[string]any{},
		}.Event()
		if err != nil {
			t.Fatal(err)
		}
		header, body, err := events.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		return events.ReadCommand(header, body)
	}
	for _, kind := range append(events.AuthTypes(), "") {
		if cmd, err := read(kind, "user:ada"); err != nil || cmd.AuthType != kind || cmd.AuthID != "user:ada" {
			t.Errorf("%q: got %q %q, %v", kind, cmd.AuthType, cmd.AuthID, err)
		}
	}
	cmd, err := read("person", "user:ada")
	want := `extension authtype "person": expected one of app_user, user, service_account, api_key, system, unauthenticated, unknown`
	if err == nil || err.Error() != want || cmd.AuthType != "" || cmd.AuthID != "user:ada" {
		t.Errorf("got %+v, %v, want %s", cmd, err, want)
	}
	cmd, err = read("user", strings.Repeat("x", events.MaxAttribute+1))
	if err == nil || !strings.Contains(err.Error(), "attribute authid: expected 1024 bytes at most, got 1025") || len(cmd.AuthID) != events.MaxAttribute {
		t.Errorf("got %d bytes, %v, want it to be too long", len(cmd.AuthID), err)
	}
}
