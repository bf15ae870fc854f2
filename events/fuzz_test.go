package events_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/events"
)

// FuzzDecode: whatever a message holds, it is an event or an error, the same one
// every time; and a valid event can be written and read again.
func FuzzDecode(f *testing.F) {
	f.Add("", "", "", "", structured)
	f.Add("Content-Type", events.ContentType, "", "", structured)
	f.Add("content-type", "application/cloudevents-batch+json", "Content-Type", "text/plain", "[]")
	f.Add("ce-specversion", "1.0", "ce-subject", "K%C3%BCndigung 100%", data)
	f.Add("CE-SpecVersion", "1.0", "ce-datacontenttype", "text/plain; charset=utf-8", "\xff")
	f.Add("ce-specversion", "1.0", "Ce-Specversion", "0.3", data)
	f.Add("ce-specversion", "1.0", "ce-data_base64", "e30=", "")
	f.Add("ce-specversion", "1.0", "ce-time", "2026-03-01T08:00:00.123456789+02:00", "{}")
	f.Add("ce-specversion", "1.0", "ce-datacontenttype", "application/vnd.x+json", "{}")
	for _, body := range []string{
		``, `null`, `{}`, `[]`, `{"specversion":"1.0"}`, `{"specversion":"0.3","id":"1"}`,
		`{"specversion":"1.0","data_base64":5}`, `{"data_base64":[],"specversion":"1.0"}`, `{"specversion":"1.0","data_base64": "e30="}`,
		`{"specversion":"1.0","":1,"id":"1"}`, `{"specversion":"1.0","id":null,"data":null}`, `{"specversion":"1.0","data":"x","datacontenttype":"text/plain"}`,
		`{"specversion":"1.0","a":1e999,"b":1.5,"c":true,"d":-0}`, `{"specversion":"1.0","id":"\ud800","subject":"\u0000"}`,
		`{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":"&<>\u0026"}}`,
		`{"specversion":"1.0","source":"HTTP://Ä/%7E?#","dataschema":":"}`, `{"specversion":"1.0","time":"0000-01-01T00:00:00Z"}`,
		`{"specversion":"1.0","correlationID":"a","correlationid":"b","expirytime":"2026-01-01"}`,
	} {
		f.Add("", "", "", "", body)
		f.Add("ce-specversion", "1.0", "", "", body)
	}
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2, body string) {
		header := events.Header{name1: {value1}}
		header[name2] = append(header[name2], value2)
		e, err := events.Decode(header, []byte(body))
		if _, again := events.Decode(header, []byte(body)); (err == nil) != (again == nil) || err != nil && err.Error() != again.Error() {
			t.Fatalf("the first time %v, the second time %v", err, again)
		}
		fuzzCommand(t, header, []byte(body))
		if err != nil {
			if err.Error() == "" {
				t.Error("got an error without a message")
			}
			return
		}
		if e.Validate() != nil {
			return
		}
		header, text, err := events.Encode(e)
		if err != nil {
			t.Fatalf("decoded, but not encoded: %v", err)
		}
		again, err := events.Decode(header, text)
		if err != nil {
			t.Fatalf("encoded as %s, but not decoded: %v", text, err)
		}
		if diff := cmp.Diff(said(e), said(again)); diff != "" {
			t.Fatalf("after writing and reading it again (-first +second):\n%s", diff)
		}
	})
}

// fuzzCommand: what is no command says why, in a few words; what is one has what
// every command has.
func fuzzCommand(tb testing.TB, header events.Header, body []byte) {
	tb.Helper()
	cmd, err := events.ReadCommand(header, body)
	if err != nil {
		problems := problemsOf(tb, err)
		if len(problems) == 0 {
			tb.Fatal("invalid without a problem")
		}
		for _, problem := range problems {
			if problem.Message == "" || len(problem.Message) > 1000 {
				tb.Errorf("problem %q has a message of %d bytes", problem.Attribute, len(problem.Message))
			}
		}
		return
	}
	if cmd.ID == "" || cmd.Source == "" || cmd.CorrelationID == "" || cmd.Type.Outcome != events.Requested {
		tb.Errorf("got %+v, want id, source, correlation id and the type of a request", cmd)
	}
	if !json.Valid(cmd.Data) || !strings.HasPrefix(strings.TrimSpace(string(cmd.Data)), "{") {
		tb.Errorf("data: got %q, want a JSON object", cmd.Data)
	}
	if len(cmd.Token()) != 26 || len(cmd.Digest()) != 16 {
		tb.Errorf("got token %q and digest %q, want 26 and 16 characters", cmd.Token(), cmd.Digest())
	}
}
