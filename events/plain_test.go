package events

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
)

// FuzzPlainAttributes: what is read without the SDK is what the SDK reads.
func FuzzPlainAttributes(f *testing.F) {
	for _, value := range []string{
		"/ci", "a b", "http://x/%7e?#", "HTTP://x", "urn:a", ":", "%zz", "//", "?", "#", "2026-03-01T08:00:00.123456789+02:00", "2026-03-01T08:00:00z", "0000-01-01T00:00:00Z", "yesterday",
		"application/json", "", " x ", "\u0000", "ä", "\\", "\"",
	} {
		for _, name := range []string{"id", "source", "type", "subject", "time", "dataschema", "datacontenttype", "expirytime", "traceparent", "Subject", "data", "datacontentencoding", "schemaurl", "a1"} {
			f.Add(name, value, "id", "1")
		}
	}
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		members := map[string]json.RawMessage{"specversion": json.RawMessage(`"1.0"`)}
		for name, value := range map[string]string{name1: value1, name2: value2} {
			if name == "data" || name == "data_base64" || name == "specversion" || !isAttributeName(name) {
				return
			}
			text, err := json.Marshal(value)
			if err != nil {
				return
			}
			members[name] = text
		}
		got, ok := plainAttributes(members)
		if !ok {
			return
		}
		want, err := anyAttributes(members)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(cloudevents.Event{})); err != nil || diff != "" {
			t.Errorf("%s: the SDK says %v (-SDK +ours):\n%s", members, err, diff)
		}
	})
}
