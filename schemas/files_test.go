package schemas_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/slipway-ml/slipway/schemas"
)

const draft = "https://json-schema.org/draft/2020-12/schema"

// Every file is a JSON Schema 2020-12 that can be found by its name.
func TestFilesAreSchemas(t *testing.T) {
	t.Parallel()
	names := regexp.MustCompile(`^(common|state|outcome(\.[a-z]+)?|dev\.slipway\.[a-z]+\.[a-z]+\.(requested|completed))\.v[0-9]+\.json$`)
	meta, err := jsonschema.NewCompiler().Compile(draft)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range byName(t) {
		if !names.MatchString(name) {
			t.Errorf("%s: no name of a schema", name)
		}
		var head struct {
			Schema string `json:"$schema"`
			ID     string `json:"$id"`
			Title  string `json:"title"`
		}
		if err := json.Unmarshal(text, &head); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if head.Schema != draft {
			t.Errorf("%s: $schema got %q, want %q", name, head.Schema, draft)
		}
		if head.ID != schemas.Base+name {
			t.Errorf("%s: $id got %q, want %q", name, head.ID, schemas.Base+name)
		}
		if head.Title == "" {
			t.Errorf("%s: want a title, for documents", name)
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := meta.Validate(document); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.HasSuffix(text, []byte("}\n")) {
			t.Errorf("%s: want a line end after the last brace", name)
		}
		checkObjects(t, name+"#", document)
	}
}

// checkObjects: an object whose members are listed says what it means to have others,
// and requires none that it does not list.
func checkObjects(tb testing.TB, at string, node any) {
	tb.Helper()
	switch node := node.(type) {
	case map[string]any:
		properties, lists := node["properties"].(map[string]any)
		_, closed := node["additionalProperties"]
		_, unevaluated := node["unevaluatedProperties"]
		// These two are what events build upon; those that do close them.
		open := strings.HasSuffix(at, "outcome.v1.json#") || strings.HasSuffix(at, "outcome.completed.v1.json#")
		if lists && !closed && !unevaluated && !open {
			tb.Errorf("%s: lists members, but takes unknown ones", at)
		}
		required, _ := node["required"].([]any)
		for _, member := range required {
			name, _ := member.(string)
			if _, listed := properties[name]; lists && closed && !listed {
				tb.Errorf("%s: requires %s, but does not list it", at, name)
			}
		}
		for key, child := range node {
			checkObjects(tb, at+"/"+key, child)
		}
	case []any:
		for _, child := range node {
			checkObjects(tb, at, child)
		}
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	set, err := schemas.Load()
	if err != nil {
		t.Fatal(err)
	}
	for name := range byName(t) {
		if eventType := strings.TrimSuffix(name, ".json"); set.File(eventType) != name {
			t.Errorf("File(%q): got %q, want %q", eventType, set.File(eventType), name)
		}
	}
}
