package actors_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nkeys"

	"github.com/slipway-ml/slipway/actors"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
)

// FuzzProve: whatever a message holds, who sent it is shown or refused; and of
// all that can be made of a signed command, what is shown says what was signed.
func FuzzProve(f *testing.F) {
	header, body := structured(f, replace(f, churnKey))
	want, keys := read(f, header, body), known(f)
	f.Add("", "", body)
	f.Add("", "", bytes.Replace(body, []byte("run-4712"), []byte("run-4713"), 1))
	f.Add("", "", bytes.Replace(body, []byte(`"reason"`), []byte(`"strict":false,"reason"`), 1))
	f.Add("", "", bytes.Replace(body, []byte(`"data":`), []byte(`"data":{},"data":`), 1))
	f.Add("", "", bytes.Replace(body, []byte(`"authid":`), []byte(`"authid":"/people/ada","AuthID":`), 1))
	f.Add("ce-specversion", "1.0", []byte(`{"modelId":"churn-v2"}`))
	inBinary, data := binary(f, replace(f, adaKey))
	for name, values := range inBinary {
		f.Add(name, values[0], data)
	}
	f.Fuzz(func(t *testing.T, name, value string, body []byte) {
		for _, header := range []events.Header{{name: {value}}, with(inBinary, name, value)} {
			cmd, err := events.ReadCommand(header, body)
			refused := keys.Prove(cmd)
			if refused != nil && (refused.Class != deployment.ClassForbidden || refused.Message == "") {
				t.Errorf("refused as %+v, want it to be forbidden, and why", refused)
			}
			if refused != nil || err != nil {
				continue
			}
			got := cmd
			got.Data, got.Time, got.CorrelationID, got.TraceParent, got.TraceState = want.Data, want.Time, want.CorrelationID, "", ""
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("it is shown, but does not say what was signed (-signed +shown):\n%s", diff)
			}
			if diff := cmp.Diff(parsed(t, want.Data), parsed(t, cmd.Data)); diff != "" {
				t.Errorf("it is shown, but its data is not what was signed (-signed +shown):\n%s", diff)
			}
		}
	})
}

// with are the headers with one more.
func with(header events.Header, name, value string) events.Header {
	all := events.Header{name: {value}}
	for other, values := range header {
		if other != name {
			all[other] = values
		}
	}
	return all
}

func parsed(tb testing.TB, data []byte) (value any) {
	tb.Helper()
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		tb.Fatal(err)
	}
	return value
}

// FuzzParse: whatever a file holds, only actors with public keys of users come of it.
func FuzzParse(f *testing.F) {
	key := publicOf(f, pairOf(f, churnKey))
	f.Add(`{"a":["` + key + `"]}`)
	f.Add(`{"a":["` + key + `","` + key + `"],"b":[]}`)
	f.Add(`{"a":null,"a":{}}`)
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := actors.Parse([]byte(text))
		if err != nil {
			if keys != nil || err.Error() == "" {
				t.Errorf("got %v and %q, want one of them", keys, err)
			}
			return
		}
		for actor, his := range keys {
			if actor == "" || len(his) == 0 {
				t.Errorf("actor %q has %d keys", actor, len(his))
			}
			for key := range his {
				if !nkeys.IsValidPublicUserKey(key) {
					t.Errorf("actor %q has the key %q", actor, key)
				}
			}
		}
	})
}

func BenchmarkProve(b *testing.B) {
	header, body := structured(b, replace(b, churnKey))
	keys := known(b)
	b.Run("read", func(b *testing.B) { // without a signature, to compare with
		r := replace(b, churnKey)
		r.Signer = nil
		header, body := structured(b, r)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := events.ReadCommand(header, body); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read and prove", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			cmd, err := events.ReadCommand(header, body)
			if err != nil {
				b.Fatal(err)
			}
			if r := keys.Prove(cmd); r != nil {
				b.Fatal(r)
			}
		}
	})
	b.Run("prove", func(b *testing.B) {
		cmd := read(b, header, body)
		b.ReportAllocs()
		for b.Loop() {
			if r := keys.Prove(cmd); r != nil {
				b.Fatal(r)
			}
		}
	})
	b.Run("sign", func(b *testing.B) {
		r := replace(b, churnKey)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.Event(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
