package events_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/events"
)

// structured is an event in structured mode, as most programs write it.
const structured = `{"specversion":"1.0","id":"42","source":"/pipeline/spring","type":"dev.slipway.deployment.deploy.requested.v1",` +
	`"subject":"churn","time":"2026-03-01T08:00:00Z","datacontenttype":"application/json","correlationid":"run-7",` +
	`"data":{"label":"Churn","modelId":"churn-v1"}}`

// binary is the same event in binary mode.
func binary() events.Header {
	return events.Header{
		"ce-specversion": {"1.0"}, "ce-id": {"42"}, "ce-source": {"/pipeline/spring"},
		"ce-type": {"dev.slipway.deployment.deploy.requested.v1"}, "ce-subject": {"churn"},
		"ce-time": {"2026-03-01T08:00:00Z"}, "ce-datacontenttype": {"application/json"}, "ce-correlationid": {"run-7"},
	}
}

const data = `{"label":"Churn","modelId":"churn-v1"}`

// event is what structured and binary say.
func event(tb testing.TB) cloudevents.Event {
	tb.Helper()
	e := cloudevents.New()
	e.SetID("42")
	e.SetSource("/pipeline/spring")
	e.SetType("dev.slipway.deployment.deploy.requested.v1")
	e.SetSubject("churn")
	e.SetTime(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC))
	e.SetExtension("correlationid", "run-7")
	if err := e.SetData(cloudevents.ApplicationJSON, json.RawMessage(data)); err != nil {
		tb.Fatal(err)
	}
	return e
}

// said is what an event says, in a form that can be compared.
func said(e cloudevents.Event) map[string]any {
	return map[string]any{
		"specversion": e.SpecVersion(), "id": e.ID(), "source": e.Source(), "type": e.Type(), "subject": e.Subject(),
		"time": e.Time().UTC(), "datacontenttype": e.DataContentType(), "dataschema": e.DataSchema(),
		"extensions": e.Extensions(), "data": string(e.Data()),
	}
}

func contentType(value string) events.Header { return events.Header{"Content-Type": {value}} }

func TestDecodeStructured(t *testing.T) {
	t.Parallel()
	want := said(event(t))
	for name, header := range map[string]events.Header{
		"no header":             nil,
		"no content type":       {"Nats-Msg-Id": {"x"}},
		"as the binding says":   contentType("application/cloudevents+json"),
		"with a charset":        contentType("application/cloudevents+json; charset=utf-8"),
		"with other parameters": contentType(`application/cloudevents+json;charset="UTF-8"; v=1`),
		"in capitals":           contentType("Application/CloudEvents+JSON; Charset=UTF-8"),
		"lower-case name":       {"content-type": {"application/cloudevents+json"}},
		"upper-case name":       {"CONTENT-TYPE": {"application/cloudevents+json"}},
		"without +json":         contentType("application/cloudevents"),
		"just JSON":             contentType("application/json"),
		"the same twice":        {"Content-Type": {"application/cloudevents+json", "application/cloudevents+json"}},
		"the same in two cases": {"Content-Type": {"application/cloudevents+json"}, "content-type": {"application/cloudevents+json"}},
		"with ce headers too":   {"Content-Type": {"application/cloudevents+json"}, "ce-specversion": {"1.0"}, "ce-id": {"43"}},
		"an empty header":       {"Content-Type": {}},
		"what Encode writes":    contentType(events.ContentType),
	} {
		got, err := events.Decode(header, []byte(structured))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, said(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if err := got.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDecodeBinary(t *testing.T) {
	t.Parallel()
	want := said(event(t))
	for name, change := range map[string]func(events.Header){
		"as the binding says": func(events.Header) {},
		"canonical case": func(h events.Header) {
			recase(h, "Ce-Specversion", "Ce-Id", "Ce-Source", "Ce-Type", "Ce-Subject", "Ce-Time")
		},
		"upper case": func(h events.Header) { recase(h, "CE-SPECVERSION", "CE-ID", "CE-SOURCE", "CE-CORRELATIONID") },
		"mixed case": func(h events.Header) { recase(h, "cE-specVersion", "ce-ID", "Ce-sOURCE", "ce-CorrelationId") },
		"content type by Content-Type": func(h events.Header) {
			delete(h, "ce-datacontenttype")
			h["content-type"] = []string{"application/json"}
		},
		"content type both ways": func(h events.Header) { h["Content-Type"] = []string{"text/plain"} }, // the attribute counts
		"percent-encoded":        func(h events.Header) { h["ce-source"] = []string{"%2Fpipeline%2fspring"} },
		"percent-encoded whole":  func(h events.Header) { h["ce-id"] = []string{"%34%32"} },
		"the same twice":         func(h events.Header) { h["ce-id"] = []string{"42", "42"} },
		"the same in two cases":  func(h events.Header) { h["Ce-Id"] = []string{"42"} },
		"other headers": func(h events.Header) {
			h["Nats-Msg-Id"], h["cex"], h["X-ce-id"] = []string{"a", "b"}, []string{"c"}, []string{"43"}
		},
		"a header without value": func(h events.Header) { h["ce-tracestate"] = nil },
	} {
		header := binary()
		change(header)
		got, err := events.Decode(header, []byte(data))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, said(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// recase gives the headers other names, equal but for case.
func recase(h events.Header, names ...string) {
	for _, name := range names {
		h[name] = h[strings.ToLower(name)]
		delete(h, strings.ToLower(name))
	}
}

func TestDecodeBinaryAttributeValues(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"plain":            "plain",
		"100%25":           "100%",
		"100%":             "100%", // a sender that does not encode
		"50%2":             "50%2",
		"%":                "%",
		"%%":               "%%",
		"%%41":             "%A",
		"%zz":              "%zz",
		"a%20b":            "a b",
		"a b":              "a b",
		"%2525":            "%25", // decoded once
		"K%C3%BCndigung":   "Kündigung",
		"K%c3%bcndigung":   "Kündigung",
		"Kündigung":        "Kündigung",
		"%E2%82%AC%20":     "€ ",
		"%F0%9F%99%82":     "🙂",
		"%22quoted%22":     `"quoted"`,
		`"quoted"`:         `"quoted"`,
		`back\slash`:       `back\slash`,
		"a+b":              "a+b", // no form encoding
		"<&>":              "<&>",
		"%E2%82%AC-raw-€%": "€-raw-€%",
	} {
		header := binary()
		header["ce-myextension"] = []string{value}
		got, err := events.Decode(header, []byte(data))
		if err != nil {
			t.Errorf("%q: %v", value, err)
			continue
		}
		if got.Extensions()["myextension"] != want {
			t.Errorf("%q: got %q, want %q", value, got.Extensions()["myextension"], want)
		}
	}
}

func TestDecodeData(t *testing.T) {
	t.Parallel()
	encoded := base64.StdEncoding.EncodeToString([]byte(data))
	head := `{"specversion":"1.0","id":"1","source":"/s","type":"t",`
	tests := map[string]struct {
		header events.Header
		body   string
		want   string
	}{
		"JSON":                          {nil, head + `"datacontenttype":"application/json","data":{"a":[1,2]}}`, `{"a":[1,2]}`},
		"JSON by default":               {nil, head + `"data":{"a":1}}`, `{"a":1}`},
		"JSON before the attributes":    {nil, `{"data":{"a":1},` + head[1:] + `"datacontenttype":"application/json"}`, `{"a":1}`},
		"JSON by suffix":                {nil, head + `"datacontenttype":"application/vnd.churn+json","data":{"a":1}}`, `{"a":1}`},
		"an array":                      {nil, head + `"data":[1,2]}`, `[1,2]`},
		"a string":                      {nil, head + `"data":"text"}`, `"text"`},
		"none":                          {nil, head + `"subject":"churn"}`, ``},
		"text":                          {nil, head + `"datacontenttype":"text/plain","data":"a \"b\"\n"}`, "a \"b\"\n"},
		"text before its type":          {nil, `{"data":"a \"b\"",` + head[1:] + `"datacontenttype":"text/plain"}`, `a "b"`},
		"base64":                        {nil, head + `"datacontenttype":"application/json","data_base64":"` + encoded + `"}`, data},
		"base64 without type":           {nil, head + `"data_base64":"` + encoded + `"}`, data},
		"base64 with spaces around":     {nil, head + "\"data_base64\" : \t\"" + encoded + `" }`, data},
		"base64 with escapes":           {nil, head + `"data_base64":"` + strings.ReplaceAll(base64.StdEncoding.EncodeToString([]byte{0xff, 0xff, 0xff}), "/", `\/`) + `"}`, "\xff\xff\xff"},
		"base64 before the attributes":  {nil, `{"data_base64":"` + encoded + `",` + head[1:] + `"subject":"churn"}`, data},
		"binary, JSON":                  {binary(), `{"a":1}`, `{"a":1}`},
		"binary, JSON with a line end":  {binary(), "{\"a\":1}\r\n", `{"a":1}`},
		"binary, an array":              {binary(), `[1]`, `[1]`},
		"binary, JSON that is none":     {binary(), `{"a":`, `{"a":`},
		"binary, nothing":               {binary(), ``, ``},
		"binary, text":                  {typed(binary(), "text/plain"), "a \"b\"\n", "a \"b\"\n"},
		"binary, bytes":                 {typed(binary(), "application/octet-stream"), "\x00\xff", "\x00\xff"},
		"binary, JSON with a parameter": {typed(binary(), "application/json; charset=utf-8"), `{"a":"ü"}`, `{"a":"ü"}`},
		"binary, what looks structured": {binary(), structured, structured},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := events.Decode(test.header, []byte(test.body))
			if err != nil {
				t.Fatal(err)
			}
			if string(got.Data()) != test.want {
				t.Errorf("got %q, want %q", got.Data(), test.want)
			}
			// What was read can be written, and says the same then.
			header, body, err := events.Encode(got)
			if err != nil {
				t.Fatal(err)
			}
			again, err := events.Decode(header, body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(said(got), said(again)); diff != "" {
				t.Errorf("after writing and reading it again (-first +second):\n%s", diff)
			}
		})
	}
}

func typed(h events.Header, contentType string) events.Header {
	h["ce-datacontenttype"] = []string{contentType}
	return h
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	without := func(name string) events.Header {
		h := binary()
		delete(h, name)
		return h
	}
	and := func(name string, values ...string) events.Header {
		h := binary()
		h[name] = values
		return h
	}
	head := `{"specversion":"1.0","id":"1","source":"/s","type":"t"`
	tests := map[string]struct {
		header events.Header
		body   string
		want   string // part of the message
	}{
		"nothing":                  {nil, "", "expected a CloudEvent as a JSON object"},
		"no JSON":                  {nil, "hello", "expected a CloudEvent as a JSON object"},
		"an array":                 {nil, "[" + structured + "]", "expected a CloudEvent as a JSON object"},
		"null":                     {nil, "null", `specversion: expected "1.0", got nothing`},
		"two objects":              {nil, structured + structured, "expected a CloudEvent as a JSON object"},
		"no event":                 {nil, `{"label":"Churn"}`, `specversion: expected "1.0", got nothing`},
		"invalid UTF-8":            {nil, head + ",\"subject\":\"\xff\"}", "UTF-8"},
		"a batch":                  {contentType("application/cloudevents-batch+json"), "[" + structured + "]", "expected one event"},
		"a batch with parameters":  {contentType("application/cloudevents-batch+json; charset=utf-8"), "[]", "expected one event"},
		"a batch in capitals":      {contentType("Application/CloudEvents-Batch+JSON"), "[]", "expected one event"},
		"another format":           {contentType("application/cloudevents+avro"), "\x00", "expected one event as application/cloudevents+json"},
		"version 0.3":              {nil, strings.Replace(structured, "1.0", "0.3", 1), `specversion: expected "1.0", got "0.3"`},
		"version 1.1":              {nil, strings.Replace(structured, "1.0", "1.1", 1), `specversion: expected "1.0", got "1.1"`},
		"version as a number":      {nil, strings.Replace(structured, `"1.0"`, "1.0", 1), `specversion: expected "1.0", got 1.0`},
		"no version":               {nil, strings.Replace(structured, `"specversion":"1.0",`, "", 1), "got nothing"},
		"version null":             {nil, strings.Replace(structured, `"1.0"`, "null", 1), `specversion: expected "1.0", got`},
		"version in capitals":      {nil, strings.Replace(structured, "specversion", "SpecVersion", 1), "got nothing"},
		"version in another case":  {nil, head + `,"SpecVersion":"1.0"}`, "SpecVersion"},
		"id as a number":           {nil, `{"specversion":"1.0","id":42,"source":"/s","type":"t"}`, "expected a CloudEvent"},
		"a time that is none":      {nil, head + `,"time":"yesterday"}`, "expected a CloudEvent"},
		"a source that is none":    {nil, `{"specversion":"1.0","id":"1","source":"%zz","type":"t"}`, "expected a CloudEvent"},
		"an object as extension":   {nil, head + `,"extra":{"a":1}}`, "expected a CloudEvent"},
		"an extension's bad name":  {nil, head + `,"my_extension":"x"}`, "my_extension"},
		"an extension's no name":   {nil, head + `,"":"x","subject":"churn"}`, `""`},
		"base64 as a number":       {nil, head + `,"data_base64":5}`, "data_base64"},
		"base64 as an empty array": {nil, head + `,"data_base64":[]}`, "data_base64"},
		"base64 as true":           {nil, `{"data_base64":true,` + head[1:] + `}`, "data_base64"},
		"base64 that is none":      {nil, head + `,"data_base64":"%%%"}`, "data_base64"},
		"data twice":               {nil, head + `,"data":{},"data_base64":"e30="}`, "data_base64"},
		"text data as an object":   {nil, head + `,"datacontenttype":"text/plain","data":{}}`, "expected a CloudEvent"},

		"binary, version 0.3":         {and("ce-specversion", "0.3"), data, `specversion: expected "1.0", got "0.3"`},
		"binary, version 1.1":         {and("ce-specversion", "1.1"), data, `specversion: expected "1.0", got "1.1"`},
		"binary, no version":          {without("ce-specversion"), data, "specversion"},
		"binary, empty version":       {and("ce-specversion", ""), data, "specversion"},
		"binary, invalid UTF-8":       {and("ce-subject", "\xff"), data, "ce-subject: expected percent-encoded UTF-8"},
		"binary, invalid in percents": {and("ce-subject", "%ff"), data, "ce-subject: expected percent-encoded UTF-8"},
		"binary, cut in percents":     {and("ce-subject", "%E2%82"), data, "ce-subject: expected percent-encoded UTF-8"},
		"binary, two values":          {and("ce-id", "42", "43"), data, "ce-id: expected one value, got 2 different ones"},
		"binary, two cases":           {and("Ce-Id", "43"), data, "ce-id: given twice with different values"},
		"binary, two content types":   {and("content-type", "application/json", "text/plain"), data, "content-type: expected one value"},
		"binary, bad name":            {and("ce-my_extension", "x"), data, "my_extension"},
		"binary, no name":             {and("ce-", "x"), data, `""`},
		"binary, data as a header":    {and("ce-data", "x"), data, "data"},
		"binary, data without body":   {and("ce-data", "x"), "", "data"},
		"binary, base64 as a header":  {and("ce-data_base64", "e30="), "", "data_base64"},
		"binary, a time that is none": {and("ce-time", "yesterday"), data, "expected a CloudEvent"},
		"two faults, the first by name is said": {
			events.Header{"ce-z z": {"x"}, "ce-y y": {"x"}, "ce-b b": {"x"}, "ce-specversion": {"1.0"}},
			data, "ce-b b",
		},
		"two content types": {
			events.Header{"Content-Type": {"application/cloudevents+json"}, "content-type": {"application/cloudevents-batch+json"}},
			structured, "content-type: given twice with different values",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var first string
			for i := range 20 { // headers have no order
				_, err := events.Decode(test.header, []byte(test.body))
				if err == nil {
					t.Fatal("got no error")
				}
				if !strings.Contains(err.Error(), test.want) {
					t.Fatalf("got %q, want something about %q", err, test.want)
				}
				if i == 0 {
					first = err.Error()
				}
				if err.Error() != first {
					t.Fatalf("got %q, and before %q: want the same every time", err, first)
				}
			}
		})
	}
}

// A null attribute is the same as none (JSON event format, section 2.1).
func TestDecodeTakesNullForNothing(t *testing.T) {
	t.Parallel()
	got, err := events.Decode(nil, []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":null,"time":null,`+
		`"dataschema":null,"datacontenttype":null,"correlationid":null,"data_base64":null,"data":{"a":1}}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
	if got.Subject() != "" || !got.Time().IsZero() || len(got.Extensions()) != 0 || string(got.Data()) != `{"a":1}` {
		t.Errorf("got %v, want an event without subject, time and extensions", said(got))
	}
}

func TestDecodeExtensionValues(t *testing.T) {
	t.Parallel()
	got, err := events.Decode(nil, []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t",`+
		`"anint":7,"negative":-7,"yes":true,"no":false,"text":"7","empty":""}`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"anint": int32(7), "negative": int32(-7), "yes": true, "no": false, "text": "7", "empty": ""}
	if diff := cmp.Diff(want, got.Extensions()); diff != "" {
		t.Errorf("extensions (-want +got):\n%s", diff)
	}
}

// What the SDK itself writes can be read: it is what most Go programs send.
func TestDecodeWhatTheSDKWrites(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*cloudevents.Event) error{
		"JSON":  func(*cloudevents.Event) error { return nil },
		"bytes": func(e *cloudevents.Event) error { return e.SetData("application/octet-stream", []byte{0, 0xff, 1}) },
		"text":  func(e *cloudevents.Event) error { return e.SetData(cloudevents.TextPlain, "grüße \"x\"\n") },
		"a struct": func(e *cloudevents.Event) error {
			return e.SetData(cloudevents.ApplicationJSON, struct{ Label string }{"<Churn> & \u2028"})
		},
		"JSON in base64": func(e *cloudevents.Event) error {
			e.DataBase64 = true
			return e.SetData(cloudevents.ApplicationJSON, []byte(data))
		},
		"no data": func(e *cloudevents.Event) error {
			e.DataEncoded = nil
			return nil
		},
		"extensions": func(e *cloudevents.Event) error {
			e.SetExtension("flag", true)
			e.SetExtension("number", 7)
			e.SetExtension("raw", []byte{1, 2})
			e.SetExtension("at", time.Date(2026, 3, 1, 8, 0, 0, 5, time.UTC))
			return nil
		},
		"a source with everything": func(e *cloudevents.Event) error {
			e.SetSource("https://ada:x@example.com:8080/a%20b/%2F?q=1&r=%22#part")
			return nil
		},
	} {
		e := event(t)
		if err := change(&e); err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := events.Decode(contentType(cloudevents.ApplicationCloudEventsJSON), body)
		if err != nil {
			t.Errorf("%s: %v in %s", name, err, body)
			continue
		}
		var bySDK cloudevents.Event
		if err := json.Unmarshal(body, &bySDK); err != nil {
			t.Fatal(err)
		}
		wantSaid, gotSaid := said(bySDK), said(got)
		if e.DataContentType() == cloudevents.ApplicationJSON { // space and escapes in JSON say nothing
			wantSaid["data"], gotSaid["data"] = canonical(t, bySDK.Data()), canonical(t, got.Data())
		}
		if diff := cmp.Diff(wantSaid, gotSaid); diff != "" {
			t.Errorf("%s (-as the SDK reads it +got):\n%s", name, diff)
		}
	}
}

func canonical(tb testing.TB, text []byte) string {
	tb.Helper()
	if len(text) == 0 {
		return ""
	}
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		tb.Fatal(err)
	}
	out, err := json.Marshal(value)
	if err != nil {
		tb.Fatal(err)
	}
	return string(out)
}

func TestEncode(t *testing.T) {
	t.Parallel()
	header, body, err := events.Encode(event(t))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(events.Header{"Content-Type": {"application/cloudevents+json; charset=utf-8"}}, header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if canonical(t, body) != canonical(t, []byte(structured)) {
		t.Errorf("got %s, want %s", body, structured)
	}
	if string(body) != string(mustEncode(t, event(t))) {
		t.Error("the same event is written in two ways")
	}
}

func mustEncode(tb testing.TB, e cloudevents.Event) []byte {
	tb.Helper()
	_, body, err := events.Encode(e)
	if err != nil {
		tb.Fatal(err)
	}
	return body
}

func TestEncodeRefusesWhatIsNoJSON(t *testing.T) {
	t.Parallel()
	e := event(t)
	e.DataEncoded = []byte(`{"label":`)
	if _, body, err := events.Encode(e); err == nil || !strings.Contains(err.Error(), "encode event 42") {
		t.Errorf("got %s, %v, want an error that names the event", body, err)
	}
}
