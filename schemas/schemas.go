// Package schemas holds one JSON Schema for the data of every command and event
// and checks data against it, reporting everything that is wrong at once.
//
// Commands and `completed` events have a schema of their own, in a file named
// after the event type. The other outcomes look alike for every operation; their
// schemas are the files outcome.<outcome>.v1.json.
package schemas

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Files are the schemas, by file name.
//
//go:embed *.json
var Files embed.FS

// Base is what the $id of every schema starts with; the file name follows.
const Base = "https://slipway.dev/schemas/"

// Set is every schema, compiled.
type Set struct {
	byFile map[string]*jsonschema.Schema
	plans  map[string]*plan    // by file, for schemas that they can say
	oneOf  map[string][]string // location of a schema: the members of which it wants exactly one
	anyOf  map[string][]string // location of a schema: the members of which it wants at least one
}

// Load compiles the embedded schemas. Its error is a defect of the program.
func Load() (*Set, error) {
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	compiler.UseLoader(jsonschema.SchemeURLLoader{}) // nothing is ever fetched
	documents := make(map[string]any)
	set := &Set{byFile: make(map[string]*jsonschema.Schema), plans: make(map[string]*plan), oneOf: make(map[string][]string), anyOf: make(map[string][]string)}
	names, err := fs.Glob(Files, "*.json")
	if err != nil {
		return nil, fmt.Errorf("schemas: %w", err)
	}
	for _, name := range names {
		text, err := Files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("schema %s: %w", name, err)
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("schema %s: %w", name, err)
		}
		if err := compiler.AddResource(Base+name, document); err != nil {
			return nil, fmt.Errorf("schema %s: %w", name, err)
		}
		documents[name] = document
		alternatives(Base+name+"#", "oneOf", document, set.oneOf)
		alternatives(Base+name+"#", "anyOf", document, set.anyOf)
	}
	for _, name := range names {
		schema, err := compiler.Compile(Base + name)
		if err != nil {
			return nil, fmt.Errorf("schema %s: %w", name, err)
		}
		set.byFile[name] = schema
		if p := (planner{documents, name}).plan(documents[name], 0); p != nil {
			set.plans[name] = p
		}
	}
	return set, nil
}

// File is the name of the file with the schema for data of the event type
// dev.slipway.<kind>.<op>.<outcome>.v1: its own, or else that of the outcome.
// It is "" when there is neither.
func (s *Set) File(eventType string) string {
	if own := eventType + ".json"; s.byFile[own] != nil {
		return own
	}
	parts := strings.Split(eventType, ".")
	if len(parts) < 2 {
		return ""
	}
	if shared := "outcome." + parts[len(parts)-2] + ".v1.json"; s.byFile[shared] != nil {
		return shared
	}
	return ""
}

// Check returns everything that is wrong with data as data of eventType, sorted
// by path; nothing when it is as it has to be. Whatever data is, the findings
// are few and short enough to be published.
func (s *Set) Check(eventType string, data json.RawMessage) []Finding {
	file := s.File(eventType)
	if file == "" {
		return []Finding{{Keyword: "schema", Message: fmt.Sprintf("no schema for events of type %s", eventType)}}
	}
	if p := s.plans[file]; p != nil && p.accepts(data) {
		return nil
	}
	return s.explain(file, data)
}

// explain is Check by the schema itself.
func (s *Set) explain(file string, data json.RawMessage) []Finding {
	value, found, err := read(data)
	if err != nil {
		return []Finding{{Keyword: "json", Message: fmt.Sprintf("expected JSON: %v", err)}}
	}
	if len(found) == 0 {
		found = s.findings(s.byFile[file].Validate(value), value)
	}
	return bounded(found)
}
