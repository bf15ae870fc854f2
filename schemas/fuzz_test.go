package schemas_test

import (
	"encoding/json"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/schemas"
)

// FuzzCheck: whatever the data, there is an answer, always the same one, that a
// person can read and that can be published.
func FuzzCheck(f *testing.F) {
	set := load(f)
	types := []string{"", "unknown"}
	for name := range byName(f) {
		types = append(types, strings.TrimSuffix(name, ".json"))
	}
	for _, seed := range []string{
		``, `{}`, `[]`, `null`, `"x"`, `1e999999999`, `{"label":"Churn","modelId":"churn-v1"}`, `{"label":"a","label":"b"}`,
		`{"reason":"OTHER","model":` + model + `}`, model,
		`{"label":"Churn","model":{"target":{"classes":[1e9999999,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}}}`,
		`{"artifact":{"size":-0.0e-0},"features":[{}],"target":{"classes":["a","a"]}}`,
		`{"a.b":{"c~d":{"e/f":[[[{"":{}}]]]}}}`, `{"modelId":"\ud800","label":"\u0000"}`, "{\"label\":\"\xff\"}",
		`{"attempt":1,"command":{"token":"abcdefghijklmnopqrstuvwxyz","sequence":7,"storedAt":"2026-03-01T08:00:00Z"},"worker":"w1","ledger":{"previous":0,"watermark":7}}`,
	} {
		for i := range types {
			f.Add(i, []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, i int, data []byte) {
		eventType := types[max(0, i)%len(types)]
		before := string(data)
		found := set.Check(eventType, data)
		if string(data) != before {
			t.Fatal("Check changed the data")
		}
		if diff := cmp.Diff(found, set.Check(eventType, data)); diff != "" {
			t.Fatalf("two checks of the same data (-first +second):\n%s", diff)
		}
		size := 0
		for _, finding := range found {
			if finding.Message == "" || finding.Keyword == "" {
				t.Errorf("finding %+v: want a message and a keyword", finding)
			}
			size += len(finding.Path) + len(finding.Message)
		}
		if size > 100<<10 {
			t.Errorf("%d findings have %d bytes", len(found), size)
		}
		if len(found) == 0 && !json.Valid(data) {
			t.Errorf("%q is valid data of %s, but no JSON", data, eventType)
		}
	})
}

// byName are the embedded schemas.
func byName(tb testing.TB) map[string][]byte {
	tb.Helper()
	names, err := fs.Glob(schemas.Files, "*")
	if err != nil {
		tb.Fatal(err)
	}
	files := make(map[string][]byte, len(names))
	for _, name := range names {
		if files[name], err = schemas.Files.ReadFile(name); err != nil {
			tb.Fatal(err)
		}
	}
	return files
}
