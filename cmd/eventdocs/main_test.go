package main

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/schemas"
)

const root = "../.."

func TestPageIsUpToDate(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile(root + "/docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := write(&got, root); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("docs/events.md is not what go generate ./... writes (-file +generated):\n%s", diff)
	}
}

// What the page shows is what goes over the wire: each sample is a command that
// is understood, or an event, whose data fits its schema.
func TestSamplesFitTheirSchemas(t *testing.T) {
	t.Parallel()
	set, err := schemas.Load()
	if err != nil {
		t.Fatal(err)
	}
	all, err := samples(set)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		cmd, err := events.ReadCommand(nil, s.command)
		if err != nil {
			t.Errorf("%s: %v", title(s), err)
		}
		if want := (events.Type{Kind: string(s.Kind), Op: s.Op, Outcome: events.Requested}); cmd.Type != want || cmd.Subject != s.name {
			t.Errorf("%s: got a command of type %s about %q, want %s about %q", title(s), cmd.Type, cmd.Subject, want, s.name)
		}
		outcome, err := events.Decode(nil, s.outcome)
		if err != nil {
			t.Errorf("%s: %v", title(s), err)
		}
		for typ, data := range map[string]json.RawMessage{cmd.Type.String(): cmd.Data, outcome.Type(): outcome.Data()} {
			for _, finding := range set.Check(typ, data) {
				t.Errorf("%s: %s: %s", typ, finding.Path, finding.Message)
			}
		}
	}
}

// The tables leave nothing out: a keyword that the reader does not know is an error.
func TestUnknownKeywordIsAnError(t *testing.T) {
	t.Parallel()
	var s schema
	if err := decode([]byte(`{"type":"object","properties":{"a":{"type":"string","propertyNames":{}}}}`), &s); err == nil {
		t.Error("got no error for a keyword that is not rendered")
	}
}

func TestModuleRoot(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(root + "/go.mod"); err != nil {
		t.Fatal(err)
	}
	if _, err := moduleRoot("."); err != nil {
		t.Error(err)
	}
	if dir, err := moduleRoot("/"); err == nil {
		t.Errorf("got %s, want an error outside of a module", dir)
	}
}
