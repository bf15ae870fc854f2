package handlers_test

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/handlers"
)

// FuzzDecide: whatever the state, the facts and the data, there is a decision or
// a *Rejection, the same one every time, and the input stays as it was. What
// must hold of every decision is in checkDecision.
func FuzzDecide(f *testing.F) {
	files, err := filepath.Glob("testdata/decide/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		c := readCase(f, archive)
		for i := range handlers.All() { // data of one operation given to another, too
			f.Add(i, string(c.cmd.Name), []byte(show(f, c.given)), []byte(show(f, c.facts)), []byte(c.data))
		}
	}
	for _, data := range []string{``, `null`, `{}`, `[]`, `{"model":{}}`, `{"model":null,"modelId":""}`, `{"modelId":"a","model":{"features":[{}]}}`} {
		for i := range handlers.All() {
			f.Add(i, "", []byte(`{}`), []byte(`{}`), []byte(data))
			f.Add(i, "churn", []byte(`{"Deployment":{"model":{}},"Model":{}}`), []byte(`{"Model":{},"Inspection":{"features":-1}}`), []byte(data))
		}
	}
	f.Fuzz(func(t *testing.T, i int, name string, given, facts, data []byte) {
		operation := handlers.All()[max(0, i)%len(handlers.All())]
		c := decideCase{operation: operation, data: data, cmd: deployment.Command{
			Kind: operation.Kind, Name: deployment.Name(name), Op: operation.Op, Token: token, By: by, At: at,
		}}
		if json.Unmarshal(given, &c.given) != nil || json.Unmarshal(facts, &c.facts) != nil {
			return
		}
		if s := c.given.Deployment; s != nil {
			s.Name = c.cmd.Name
			s.Target = nil // of the committed state nothing is being rolled out
		}
		decide(t, c)
	})
}

func BenchmarkDecide(b *testing.B) {
	for _, name := range []string{"deploy-inline-registers-the-model", "replace-keeps-everything-but-the-model", "replace-unknown-model"} {
		archive, err := txtar.ParseFile("testdata/decide/" + name + ".txtar")
		if err != nil {
			b.Fatal(err)
		}
		c := readCase(b, archive)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.read()(c.given, c.facts, c.cmd); (err != nil) != (name == "replace-unknown-model") {
					b.Fatal(err)
				}
			}
		})
	}
}
