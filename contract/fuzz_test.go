package contract_test

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/deployment"
)

// FuzzRead reads contracts of any bytes: each is read or rejected with
// findings, and what was read can be written, says the same when it is read
// again, and is then written the same.
func FuzzRead(f *testing.F) {
	f.Add([]byte(blobReference), []byte(`{"featureLabels":["age"],"problemType":{},"predictionClasses":{"a b":true}}`))
	f.Add([]byte(dockerReference), []byte(`{"features":[{"name":"age","observedMin":17,"distribution":[1]}],"exampleInput":{"instances":[[39]]}}`))
	f.Add([]byte(`{"reference":{"azure_ml":{"image":"i","uri":"/","port":1,"readinessPath":"/","livelinessPath":"/"},"blob":null}}`), []byte(`{}`))
	f.Add([]byte(`{"reference":{"mlflow":{"model":"m","version":1,"blob":{}},"x":{"y":[1,{"z":null}]}}}`), []byte(`[`))
	f.Fuzz(func(t *testing.T, reference, metadata []byte) {
		files := map[string]string{
			"model/reference.json": string(reference), "explainer/reference.json": string(reference),
			"transformer/reference.json": string(reference), "metadata.json": string(metadata),
		}
		for _, omit := range [][]string{nil, {"explainer/reference.json", "transformer/reference.json"}} {
			for _, name := range omit {
				delete(files, name)
			}
			c, err := contract.Read(t.Context(), repository(files), "")
			if err != nil {
				if rejection, ok := errors.AsType[*deployment.Rejection](err); !ok || len(rejection.Findings) == 0 {
					t.Fatalf("got %v, want a rejection with findings", err)
				}
				continue
			}
			ch := contract.Change{Model: c.Model.Reference, Metadata: c.Metadata}
			written := carryOut(fstest.MapFS{}, plan(t, nil, "a", ch))
			again := read(t, written, "a")
			if !bytes.Equal(c.Model.Reference.Bytes(), again.Model.Reference.Bytes()) {
				t.Errorf("model %s is read again as %s", c.Model.Reference.Bytes(), again.Model.Reference.Bytes())
			}
			if c.Metadata != nil && !bytes.Equal(c.Metadata.Bytes(), again.Metadata.Bytes()) {
				t.Errorf("metadata %s are read again as %s", c.Metadata.Bytes(), again.Metadata.Bytes())
			}
		}
	})
}

// FuzzPath says of any path that it is one, or not: one stays below its root,
// and a contract can be written there and is found there again.
func FuzzPath(f *testing.F) {
	for _, path := range []string{"", "a/b", "../a", "/a", `a\..\b`, "a/.git/b", "model", "metadata.json", "a\x00"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at, err := contract.ParsePath(s)
		if err != nil {
			return
		}
		if at != "" && !fs.ValidPath(string(at)) {
			t.Fatalf("%q is taken for a path", s)
		}
		after := carryOut(fstest.MapFS{}, plan(t, nil, at, contract.Change{Model: blob}))
		read(t, after, at)
		all, err := contract.Find(t.Context(), after)
		if err != nil || len(all) != 1 || all[0] != at {
			t.Errorf("found %q and %v, want %q", all, err, at)
		}
	})
}
