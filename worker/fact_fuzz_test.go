package worker_test

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/worker"
)

// FuzzFact: an event is written so that encoding/json reads it as it was meant, and
// read as encoding/json reads it, whatever its texts and numbers are; and what
// nobody has written is an event or an error.
func FuzzFact(f *testing.F) {
	f.Add("churn", "<Churn> & \u2028 \"ü\"", "sha256:00", int64(1), 0.1, uint64(1), []byte(`{"specversion":"1.0","source":"/slipway/worker","data":{}}`))
	f.Add("", "\x00\x1f\x7f\\", "\xff\xfe", int64(-1), 1e21, uint64(math.MaxUint64), []byte(`{"data":{"deployment":{"revision":1e999}}`))
	f.Add("a", "\xed\xa0\xbd", "x", int64(math.MaxInt64), 1e-7, uint64(0), []byte("{\"data\":\"\\ud800\",\"DATA\":[[[[{"))
	f.Add("a", "y", "x", int64(math.MinInt64), math.Copysign(0, -1), uint64(1)<<53+1, []byte(`{"specversion":"1.0","source":"/slipway/worker","type":"dev.slipway.deployment.deploy.completed.v1","data":{"ledger":{"recent":[null,1]},"checks":{"a":[]}}}`))
	f.Add("a", "y", "x", int64(0), 0.5, uint64(0), []byte(`{"specversion":"1.0","source":"/slipway/worker","data":`+strings.Repeat(`{"data":[`, 100_000)))
	f.Fuzz(func(t *testing.T, name, text, digest string, number int64, float float64, sequence uint64, body []byte) {
		if math.IsNaN(float) || math.IsInf(float, 0) {
			return
		}
		header, written, err := factOf(filled(name, text, digest, number, float, sequence)).Encode()
		if err != nil {
			t.Fatal(err)
		}
		var read struct{ Data worker.Data }
		if err := json.Unmarshal(written, &read); err != nil {
			t.Fatalf("encoding/json does not read %q: %v", written, err)
		}
		want, err := json.Marshal(filled(name, text, digest, number, float, sequence))
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(read.Data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(asJSON(t, want), asJSON(t, got)); diff != "" {
			t.Errorf("written as %q (-meant +written):\n%s", written, diff)
		}
		_, own, err := worker.ReadEvent(jetstream.Message{Header: header, Body: written})
		if err != nil {
			t.Fatalf("%q: %v", written, err)
		}
		if diff := cmp.Diff(read.Data, own); diff != "" {
			t.Errorf("%q is read in another way (-encoding/json +here):\n%s", written, diff)
		}
		if typ, _, err := worker.ReadEvent(jetstream.Message{Header: header, Body: body}); err == nil && typ.Op == "" {
			t.Errorf("%q: an event of no operation", body)
		}
	})
}

func factOf(data worker.Data) events.Fact {
	return events.Fact{
		Type: events.Type{Kind: "deployment", Op: "replace", Outcome: events.Completed}, ID: "a.completed", Subject: "churn",
		Time: time.Unix(0, 0), Schema: "outcome.completed.v1.json", Data: data,
	}
}

// filled is data with a value in every member, down to a depth of 5.
func filled(name, text, digest string, number int64, float float64, sequence uint64) (data worker.Data) {
	texts := []string{name, text, digest}
	var fill func(v reflect.Value, depth int)
	n := 0
	fill = func(v reflect.Value, depth int) {
		n++
		switch v.Kind() { //nolint:exhaustive // the kinds that events have
		case reflect.String:
			v.SetString(texts[n%len(texts)])
		case reflect.Int, reflect.Int64:
			v.SetInt(number)
		case reflect.Uint64:
			v.SetUint(sequence)
		case reflect.Float64:
			v.SetFloat(float)
		case reflect.Bool:
			v.SetBool(n%2 == 0)
		case reflect.Pointer:
			if depth > 0 {
				v.Set(reflect.New(v.Type().Elem()))
				fill(v.Elem(), depth-1)
			}
		case reflect.Slice:
			switch {
			case v.Type() == reflect.TypeFor[json.RawMessage]():
				v.SetBytes([]byte(`[ "<&>", 1.50 ]`))
				return
			case v.Type().Elem().Kind() == reflect.Uint8:
				v.SetBytes([]byte(text))
				return
			}
			if depth > 0 {
				v.Set(reflect.MakeSlice(v.Type(), 2, 2))
				fill(v.Index(0), depth-1)
				fill(v.Index(1), depth-1)
			}
		case reflect.Map:
			if depth > 0 {
				v.Set(reflect.MakeMap(v.Type()))
				for _, key := range []string{name, text} {
					value := reflect.New(v.Type().Elem()).Elem()
					fill(value, depth-1)
					v.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), value)
				}
			}
		case reflect.Struct:
			if v.Type() == reflect.TypeFor[time.Time]() {
				v.Set(reflect.ValueOf(time.Unix(number%1e9, number%1e9&0xffffff).UTC()))
				return
			}
			for i := range v.NumField() {
				if v.Type().Field(i).IsExported() {
					fill(v.Field(i), depth-1)
				}
			}
		}
	}
	fill(reflect.ValueOf(&data).Elem(), 5)
	return data
}

// asJSON is any value, for the order of members not to matter.
func asJSON(tb testing.TB, text []byte) (value any) {
	tb.Helper()
	if err := json.Unmarshal(text, &value); err != nil {
		tb.Fatal(err)
	}
	return value
}
