package events_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/schemas"
)

// fact is one with everything set.
func fact() events.Fact {
	return events.Fact{
		Type:    events.Type{Kind: "deployment", Op: "replace", Outcome: events.Completed},
		ID:      events.FactID("abcdefghijklmnopqrstuvwxyz", events.Completed, 0),
		Subject: "churn", Time: time.Date(2026, 3, 1, 10, 0, 0, 5, time.FixedZone("CET", 3600)),
		Schema: "dev.slipway.deployment.replace.completed.v1.json", Revision: 12,
		CorrelationID: "run-7", CausationID: "42",
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", TraceState: "a=1",
		Data: map[string]any{"changed": true, "label": "<Churn>"},
	}
}

func TestFactEvent(t *testing.T) {
	t.Parallel()
	e, err := fact().Event()
	if err != nil {
		t.Fatal(err)
	}
	got := mustEncode(t, e)
	want := `{"specversion":"1.0","id":"abcdefghijklmnopqrstuvwxyz.completed","source":"/slipway/worker",
		"type":"dev.slipway.deployment.replace.completed.v1","subject":"churn","time":"2026-03-01T09:00:00.000000005Z",
		"datacontenttype":"application/json","dataschema":"https://slipway.dev/schemas/dev.slipway.deployment.replace.completed.v1.json",
		"partitionkey":"churn","sequence":"00000000000000000012","correlationid":"run-7","causationid":"42",
		"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","tracestate":"a=1",
		"data":{"changed":true,"label":"<Churn>"}}`
	if diff := cmp.Diff(canonical(t, []byte(want)), canonical(t, got)); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	again, err := fact().Event()
	if err != nil {
		t.Fatal(err)
	}
	if string(mustEncode(t, again)) != string(got) {
		t.Error("the same fact is written in two ways: a worker that publishes it again would say something else")
	}
	header, body, err := events.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	read, err := events.Decode(header, body)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(said(e), said(read)); diff != "" {
		t.Errorf("read again (-written +read):\n%s", diff)
	}
}

// A fact is read in one go as it is read in two, from whatever has written it.
func TestReadFactIsDecode(t *testing.T) {
	t.Parallel()
	own, body, err := fact().Encode()
	if err != nil {
		t.Fatal(err)
	}
	e, err := events.Decode(own, body)
	if err != nil {
		t.Fatal(err)
	}
	binary, bare, err := events.EncodeBinary(e)
	if err != nil {
		t.Fatal(err)
	}
	replaced := func(old, by string) []byte { return []byte(strings.Replace(string(body), old, by, 1)) }
	for name, m := range map[string]struct {
		header events.Header
		body   []byte
	}{
		"own":                {own, body},
		"of another header":  {events.Header{"content-type": {"application/cloudevents+json"}}, body},
		"without a header":   {nil, body},
		"binary":             {binary, bare},
		"of another source":  {own, replaced(events.Source, "/elsewhere")},
		"of another version": {own, replaced(`"1.0"`, `"0.3"`)},
		"of no known type":   {own, replaced("dev.slipway.", "com.example.")},
		"without data":       {own, replaced(`"data":{"changed":true,"label":"<Churn>"},`, "")},
		"with null":          {own, replaced(`{"changed":true,"label":"<Churn>"}`, "null")},
		"with other data":    {own, replaced(`{"changed":true,"label":"<Churn>"}`, `"x"`)},
		"cut off":            {own, body[:len(body)/2]},
		"empty":              {own, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var want map[string]any
			var typ events.Type
			e, failed := events.Decode(m.header, m.body)
			if failed == nil {
				typ, failed = events.ParseType(e.Type())
			}
			if failed == nil {
				failed = json.Unmarshal(e.Data(), &want)
			}
			read, got, err := events.ReadFact[map[string]any](m.header, m.body)
			if (err != nil) != (failed != nil) || err != nil && !strings.HasSuffix(err.Error(), failed.Error()) {
				t.Fatalf("got error %v, want %v", err, failed)
			}
			if failed == nil && (read != typ || !cmp.Equal(want, got)) {
				t.Errorf("got %s %v, want %s %v", read, got, typ, want)
			}
		})
	}
}

// What is written without the SDK is what the SDK writes, member by member.
func TestFactEncodeIsItsEvent(t *testing.T) {
	t.Parallel()
	little := events.Fact{Type: events.Type{Kind: "invalid", Op: "unknown", Outcome: events.Rejected}, ID: "x.rejected", Time: time.Unix(0, 0), Schema: "outcome.rejected.v1.json"}
	sent := fact()
	sent.AuthType, sent.AuthID = "user", `ada "<ü>" & co`
	sent.CausationID, sent.TraceState = "a\nb\x00\u2028", "\t"
	sent.Time = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	for _, f := range []events.Fact{fact(), little, sent} {
		e, err := f.Event()
		if err != nil {
			t.Fatal(err)
		}
		header, body, err := f.Encode()
		if err != nil {
			t.Fatal(err)
		}
		wantHeader, want, err := events.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(wantHeader, header); diff != "" {
			t.Errorf("%s: header (-want +got):\n%s", f.ID, diff)
		}
		if diff := cmp.Diff(canonical(t, want), canonical(t, body)); diff != "" {
			t.Errorf("%s: body (-want +got):\n%s", f.ID, diff)
		}
	}
}

// A fact about a message that could not be read knows little.
func TestFactEventOfLittle(t *testing.T) {
	t.Parallel()
	e, err := events.Fact{
		Type: events.Type{Kind: "invalid", Op: "unknown", Outcome: events.Rejected}, ID: "x.rejected",
		Time: time.Unix(0, 0), Schema: "outcome.rejected.v1.json",
	}.Event()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"sequence": strings.Repeat("0", 20)}, e.Extensions()); diff != "" {
		t.Errorf("extensions (-want +got):\n%s", diff)
	}
	if e.Subject() != "" || string(e.Data()) != "null" {
		t.Errorf("got subject %q and data %s, want none", e.Subject(), e.Data())
	}
}

// Text order of sequences is their order, as the extension asks for.
func TestFactSequenceIsZeroPadded(t *testing.T) {
	t.Parallel()
	before := ""
	for _, revision := range []uint64{0, 1, 9, 10, 99, 1 << 40, math.MaxUint64} {
		f := fact()
		f.Revision = revision
		e, err := f.Event()
		if err != nil {
			t.Fatal(err)
		}
		sequence, _ := e.Extensions()["sequence"].(string)
		if len(sequence) != 20 || sequence <= before {
			t.Errorf("revision %d: got sequence %q after %q, want 20 digits and more", revision, sequence, before)
		}
		before = sequence
	}
}

func TestFactEventWithoutRequiredAttributes(t *testing.T) {
	t.Parallel()
	f := fact()
	f.ID = ""
	if _, err := f.Event(); err == nil {
		t.Error("without id: got no error")
	}
	if _, _, err := f.Encode(); err == nil {
		t.Error("encoded without id: got no error")
	}
	f = fact()
	f.Data = func() {}
	_, err := f.Event()
	_, _, encodeErr := f.Encode()
	for _, err := range []error{err, encodeErr} {
		if err == nil || !strings.Contains(err.Error(), "abcdefghijklmnopqrstuvwxyz.completed: data") {
			t.Errorf("with data that is none: got %v, want an error that names the event", err)
		}
	}
}

func TestFactID(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		outcome events.Outcome
		n       uint64
		want    string
	}{
		{events.Completed, 0, "token.completed"},
		{events.Started, 1, "token.started.1"},
		{events.Progress, math.MaxUint64, "token.progress.18446744073709551615"},
	} {
		if got := events.FactID("token", test.outcome, test.n); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

func TestSchemaBaseIsThatOfTheSchemas(t *testing.T) {
	t.Parallel()
	if events.SchemaBase != schemas.Base {
		t.Errorf("dataschema starts with %s, $id with %s", events.SchemaBase, schemas.Base)
	}
}

// What a client publishes is what a worker reads.
func TestRequestEvent(t *testing.T) {
	t.Parallel()
	request := events.Request{
		Type: events.Type{Kind: "deployment", Op: "deploy"}, Source: "/pipeline/spring", ID: "42", Subject: "churn",
		Time: time.Date(2026, 3, 1, 9, 0, 0, 0, time.FixedZone("CET", 3600)), CorrelationID: "run-7", Data: json.RawMessage(data),
	}
	e, err := request.Event()
	if err != nil {
		t.Fatal(err)
	}
	header, body, err := events.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	got, err := events.ReadCommand(header, body)
	if err != nil {
		t.Fatal(err)
	}
	want := events.Command{
		Type:   events.Type{Kind: "deployment", Op: "deploy", Outcome: events.Requested},
		Source: "/pipeline/spring", ID: "42", Subject: "churn",
		Time: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC), Data: json.RawMessage(data), CorrelationID: "run-7",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("command (-want +got):\n%s", diff)
	}
	if got.Token() != events.Token(request.Source, request.ID) {
		t.Error("client and worker know the command by different tokens")
	}

	for _, source := range []string{
		"/a b", "HTTP://Example.com/x", "/ü", "/%c3%bc", "urn:ü", "a?b=1 2#c d", "//host", ":80/x", "./a:b", "mailto:ada@example.com",
	} {
		request.Source = source
		e, err := request.Event()
		if source == ":80/x" { // no reference to anything
			if err == nil {
				t.Errorf("source %q: got no error", source)
			}
			continue
		}
		if err != nil {
			t.Errorf("source %q: %v", source, err)
			continue
		}
		got, err := events.ReadCommand(events.Header{}, mustEncode(t, e))
		if err != nil || got.Source != source || got.Token() != events.Token(source, request.ID) {
			t.Errorf("source %q: a worker reads %q, %v, and knows the command by another token", source, got.Source, err)
		}
	}

	request.Source, request.CorrelationID = "/s", ""
	if e, err = request.Event(); err != nil || len(e.Extensions()) != 0 {
		t.Errorf("without correlation id: got %v, %v, want no extension", e.Extensions(), err)
	}
	request.ID = ""
	if _, err = request.Event(); err == nil {
		t.Error("without id: got no error")
	}
	request.Data = func() {}
	if _, err = request.Event(); err == nil || !strings.Contains(err.Error(), "data") {
		t.Errorf("with data that is none: got %v, want an error about it", err)
	}
}
