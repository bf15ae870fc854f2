package actors_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway/actors"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
)

// A signature holds in every encoding of a command, and is the same in all.
func TestProveInEveryEncoding(t *testing.T) {
	t.Parallel()
	header, body := structured(t, replace(t, churnKey))
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		t.Fatal(err)
	}
	pretty, err := json.MarshalIndent(members, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	inBinary, data := binary(t, replace(t, churnKey))
	upper, raw := events.Header{}, events.Header{}
	for name, values := range inBinary {
		upper[strings.ToUpper(name)] = values
		raw[name] = []string{strings.ReplaceAll(values[0], "%20", " ")}
	}
	encoded := map[string]json.RawMessage{}
	for name, member := range members {
		encoded[name] = member
	}
	delete(encoded, "data")
	encoded["data_base64"] = json.RawMessage(`"` + base64.StdEncoding.EncodeToString(data) + `"`)
	base64Body, err := json.Marshal(encoded)
	if err != nil {
		t.Fatal(err)
	}
	want := read(t, header, body)
	for name, message := range map[string]struct {
		header events.Header
		body   []byte
	}{
		"structured":                  {header, body},
		"structured, white space":     {header, pretty},
		"structured, no content type": {nil, body},
		"structured, in ASCII":        {nil, []byte(strings.NewReplacer("ü", `\u00fc`, "ä", `\u00E4`, "churn-v2", `\u0063hurn\u002dv2`, "/", `\/`).Replace(string(body)))},
		"structured, data_base64":     {header, base64Body},
		"binary":                      {inBinary, data},
		"binary, white space":         {inBinary, []byte(" " + strings.ReplaceAll(string(data), `","`, "\" ,\n \"") + "\n")},
		"binary, other case":          {upper, data},
		"binary, not percent-encoded": {raw, data},
	} {
		cmd := read(t, message.header, message.body)
		if r := known(t).Prove(cmd); r != nil {
			t.Errorf("%s: got %v, want it to be shown", name, r)
		}
		if string(cmd.Signed) != string(want.Signed) || cmd.AuthSig != want.AuthSig {
			t.Errorf("%s: what is signed is %q, want %q", name, cmd.Signed, want.Signed)
		}
	}
}

// Whoever signs for somebody else, or changes what was signed, is refused, and told
// which attribute shows it.
func TestProveRefuses(t *testing.T) {
	t.Parallel()
	good := replace(t, churnKey)
	signature := reread(t, good).AuthSig
	signedBy := func(key byte, change func(*events.Request)) events.Request {
		r := replace(t, key)
		if change != nil {
			change(&r)
		}
		return r
	}
	const missing, sig = deployment.CodeNotSigned, deployment.CodeInvalidSignature
	tests := map[string]struct {
		request   events.Request
		old, text string // of the message, after it was signed
		code      deployment.Code
		path      string
	}{
		"no actor":              {request: signedBy(churnKey, func(r *events.Request) { r.AuthID = "" }), code: missing, path: "authid"},
		"not signed":            {request: signedBy(churnKey, func(r *events.Request) { r.Signer = nil }), code: missing, path: "authkey"},
		"no signature":          {request: good, old: `"authsig":"` + signature + `"`, text: `"authsig":""`, code: missing, path: "authsig"},
		"an unknown actor":      {request: signedBy(churnKey, func(r *events.Request) { r.AuthID = "/people/nobody" }), code: deployment.CodeUnknownActor, path: "authid"},
		"somebody else's actor": {request: signedBy(adaKey, nil), code: deployment.CodeUnknownKey, path: "authkey"},
		"an unknown key":        {request: signedBy(eveKey, nil), code: deployment.CodeUnknownKey, path: "authkey"},
		"somebody else's key, named": {
			request: signedBy(eveKey, nil), old: publicOf(t, pairOf(t, eveKey)), text: publicOf(t, pairOf(t, churnKey)), code: sig, path: "authsig",
		},
		"another actor":          {request: signedBy(adaKey, func(r *events.Request) { r.AuthID = ada }), old: `"authid":"/people/ada"`, text: `"authid":"/pipelines/churn"`, code: deployment.CodeUnknownKey, path: "authkey"},
		"another id":             {request: good, old: "run-4712", text: "run-4713", code: sig, path: "authsig"},
		"another source":         {request: good, old: `"source":"/pipelines/churn"`, text: `"source":"/pipelines/fraud"`, code: sig, path: "authsig"},
		"another deployment":     {request: good, old: `"subject":"churn"`, text: `"subject":"fraud"`, code: sig, path: "authsig"},
		"another operation":      {request: good, old: ".replace.", text: ".validate.", code: sig, path: "authsig"},
		"another kind of actor":  {request: good, old: "service_account", text: "user", code: sig, path: "authsig"},
		"another model":          {request: good, old: "churn-v2", text: "churn-v3", code: sig, path: "authsig"},
		"another text":           {request: good, old: "spät", text: "spat", code: sig, path: "authsig"},
		"another order":          {request: good, old: `"modelId":"churn-v2","reason":"DATA_DRIFT"`, text: `"reason":"DATA_DRIFT","modelId":"churn-v2"`, code: sig, path: "authsig"},
		"one member more":        {request: good, old: `"data":{`, text: `"data":{"strict":true,`, code: sig, path: "authsig"},
		"an expiry":              {request: good, old: `"specversion"`, text: `"expirytime":"2099-01-01T00:00:00Z","specversion"`, code: sig, path: "authsig"},
		"a line that looks real": {request: good, old: `"id":"run-4712"`, text: `"id":"run-4712\nsource=/pipelines/churn"`, code: sig, path: "authsig"},
		"padding":                {request: good, old: signature, text: signature + "==", code: sig, path: "authsig"},
		"a bit of padding":       {request: good, old: signature, text: signature[:85] + nextLetter(signature[85]), code: sig, path: "authsig"},
		"half a signature":       {request: good, old: signature, text: signature[:43], code: sig, path: "authsig"},
		"no base64url":           {request: good, old: signature, text: strings.Repeat("+", 86), code: sig, path: "authsig"},
		"a signature of nothing": {request: good, old: signature, text: strings.Repeat("A", 86), code: sig, path: "authsig"},
	}
	for name, test := range tests {
		header, body := structured(t, test.request)
		changed := strings.Replace(string(body), test.old, test.text, 1)
		if test.old != "" && changed == string(body) {
			t.Fatalf("%s: there is no %s in %s", name, test.old, body)
		}
		r := known(t).Prove(read(t, header, []byte(changed)))
		if r == nil {
			t.Errorf("%s: it is taken", name)
			continue
		}
		if r.Code != test.code || r.Class != deployment.ClassForbidden || r.Findings[0].Path != test.path {
			t.Errorf("%s: got %s %s at %s: %v, want %s at %s", name, r.Class, r.Code, r.Findings[0].Path, r, test.code, test.path)
		}
	}
}

// reread is the request as it is read again.
func reread(tb testing.TB, r events.Request) events.Command {
	tb.Helper()
	header, body := structured(tb, r)
	return read(tb, header, body)
}

// nextLetter differs from the last letter of a signature only in bits that are not of it.
func nextLetter(c byte) string { return string(c + 1) }

func TestParse(t *testing.T) {
	t.Parallel()
	key := publicOf(t, pairOf(t, churnKey))
	seed, err := pairOf(t, churnKey).Seed()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		`{"a":["` + key + `"]}`:                     "",
		`{"a":["` + key + `"],"b":["` + key + `"]}`: "", // a user may send for two
		``:                        "expected a JSON object",
		`[]`:                      "expected a JSON object",
		`{}`:                      "expected at least one actor",
		`{"a":["` + key + `"]`:    "expected the end",
		`{"a":["` + key + `"]}{}`: "nothing after it",
		`{"a"`:                    `actor "a": expected a list`,
		`{5:[]}`:                  "expected the name of an actor",
		`{"a":[]}`:                `actor "a": expected at least one public key`,
		`{"a":null}`:              `actor "a": expected at least one public key`,
		`{"a":"` + key + `"}`:     `actor "a": expected a list of public keys`,
		`{"":["` + key + `"]}`:    `actor "": expected a name of 1 to 1024 bytes`,
		`{"a\n":["` + key + `"]}`: `expected a name of 1 to 1024 bytes`,
		`{"a":["` + key + `"],"a":["` + key + `"]}`:        `actor "a": named twice`,
		`{"a":["` + key[:55] + `A"]}`:                      "expected the public key of a NATS user",
		`{"a":["AB"]}`:                                     `got "AB"`,
		`{"a":["` + string(seed) + `"]}`:                   "got a seed, which is a secret",
		`{"a":["` + strings.ToLower(key) + `"]}`:           "expected the public key of a NATS user",
		`{"a":["` + key + `","` + string(seed[1:]) + `"]}`: "expected the public key of a NATS user",
	} {
		_, err := actors.Parse([]byte(text))
		switch {
		case err == nil && want == "":
		case err == nil || want == "" || !strings.Contains(err.Error(), want):
			t.Errorf("%s: got %v, want %q", text, err, want)
		case strings.Contains(err.Error(), string(seed)):
			t.Errorf("%s: the error shows the seed: %v", text, err)
		}
	}
	if _, err := actors.ReadFile(filepath.Join(t.TempDir(), "none.json")); err == nil || !strings.Contains(err.Error(), "none.json") {
		t.Errorf("got %v, want that there is no such file", err)
	}
}

func TestReadSeed(t *testing.T) {
	t.Parallel()
	pair := pairOf(t, churnKey)
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	const jwt = "-----BEGIN NATS USER JWT-----\neyJ0eXAiOiJKV1QifQ.e30.AA\n------END NATS USER JWT------\n\n"
	for name, test := range map[string]struct{ text, wrong string }{
		"a seed":           {string(seed), ""},
		"a seed on a line": {"# of churn\n" + string(seed) + "\n", ""},
		"credentials":      {jwt + "-----BEGIN USER NKEY SEED-----\n" + string(seed) + "\n------END USER NKEY SEED------\n", ""},
		"no seed":          {"nothing", "expected that of a NATS user"},
		"no user":          {"SA" + string(seed[2:]), "expected that of a NATS user"},
	} {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := actors.ReadSeed(path)
		switch {
		case test.wrong != "":
			if err == nil || !strings.Contains(err.Error(), test.wrong) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), string(seed[4:])) {
				t.Errorf("%s: got %v, want %q, the path and no seed", name, err, test.wrong)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case publicOf(t, got) != publicOf(t, pair):
			t.Errorf("%s: got another key", name)
		}
	}
	if _, err := actors.ReadSeed(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("there is no file, and no error")
	}
}
