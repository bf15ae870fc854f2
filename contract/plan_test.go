package contract_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/contract"
)

var (
	blob   = &contract.Reference{Blob: &contract.Blob{URL: "s3://b/model"}}
	docker = &contract.Reference{Docker: &contract.Docker{Image: "i:1", URI: "/p"}}
	labels = &contract.Metadata{Features: []contract.Feature{{Name: "age"}}}
)

// plan decides on a change, which has to be possible.
func plan(tb testing.TB, fsys fstest.MapFS, at contract.Path, ch contract.Change) contract.Plan {
	tb.Helper()
	p, err := ch.Plan(tb.Context(), fsys, at)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// carryOut is the repository after the plan.
func carryOut(fsys fstest.MapFS, p contract.Plan) fstest.MapFS {
	after := maps.Clone(fsys)
	for _, name := range p.Remove {
		delete(after, name)
	}
	for _, w := range p.Write {
		after[w.Name] = &fstest.MapFile{Data: w.Content, Mode: 0o644}
	}
	return after
}

func TestPlanWritesACleanContract(t *testing.T) {
	t.Parallel()
	before := repository(map[string]string{"README.md": "x"})
	p := plan(t, before, "models/churn", contract.Change{Model: blob, Explainer: docker, Transformer: docker, Metadata: labels})
	got := map[string]string{}
	for _, w := range p.Write {
		got[w.Name] = string(w.Content)
	}
	if diff := cmp.Diff(map[string]string{
		"models/churn/model/reference.json":       `{"reference":{"blob":{"url":"s3://b/model"}}}` + "\n",
		"models/churn/explainer/reference.json":   `{"reference":{"docker":{"image":"i:1","uri":"/p"}}}` + "\n",
		"models/churn/transformer/reference.json": `{"reference":{"docker":{"image":"i:1","uri":"/p"}}}` + "\n",
		"models/churn/metadata.json":              `{"features":[{"name":"age"}]}` + "\n",
	}, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if got, want := p.Message(), "Set model, explainer, transformer and metadata in models/churn"; got != want {
		t.Errorf("message: got %q, want %q", got, want)
	}
	after := carryOut(before, p)
	if diff := cmp.Diff(p.Contract, read(t, after, "models/churn")); diff != "" {
		t.Errorf("contract that is promised (-plan +read):\n%s", diff)
	}
	again := plan(t, after, "models/churn", contract.Change{Model: blob, Explainer: docker, Transformer: docker, Metadata: labels})
	if !again.Empty() || again.Message() != "Nothing to change in models/churn" {
		t.Errorf("the second time: got %+v, want nothing to do", again)
	}
}

func TestPlanOverwritesOnlyWhenTold(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		before map[string]string
		change contract.Change
		write  []string
		remove []string
		kept   []string
		wrong  []string
	}{
		{
			"not empty",
			map[string]string{"model/model.pkl": "m"},
			contract.Change{Model: blob},
			nil, nil, nil,
			[]string{"folder_not_empty model: set overwriteContract"},
		},
		{
			"another reference",
			map[string]string{"model/reference.json": dockerReference},
			contract.Change{Model: blob},
			nil, nil, nil,
			[]string{"folder_not_empty model: set overwriteContract"},
		},
		{
			"overwritten",
			map[string]string{"model/model.pkl": "m", "model/1/saved_model.pb": "m", "model/.gitkeep": "", "model.pkl": "m"},
			contract.Change{Model: blob, Overwrite: true},
			[]string{"model/reference.json"},
			[]string{"model/1/saved_model.pb", "model/model.pkl"},
			nil, nil,
		},
		{
			"what cannot be read is overwritten too",
			map[string]string{"model/reference.json": "not JSON"},
			contract.Change{Model: blob, Overwrite: true},
			[]string{"model/reference.json"},
			nil, nil, nil,
		},
		{
			"the same in another spelling",
			map[string]string{"model/reference.json": `{"reference":{"docker":null,"blob":{"url":"s3://b/model","region":null}}}`},
			contract.Change{Model: blob},
			nil, nil, nil, nil,
		},
		{
			"another contract below",
			map[string]string{"model/model.pkl": "m", "model/b/model/reference.json": blobReference},
			contract.Change{Model: blob, Overwrite: true},
			nil, nil, nil,
			[]string{"folder_not_empty model/b/model: reference.json of its own"},
		},
		{
			"metadata are kept",
			map[string]string{"model/reference.json": blobReference, "metadata.json": `{"problemType":"regression"}`},
			contract.Change{Model: docker, Metadata: labels, Overwrite: true},
			[]string{"model/reference.json"},
			nil,
			[]string{"metadata.json"},
			nil,
		},
		{
			"metadata are overwritten",
			map[string]string{"model/reference.json": blobReference, "metadata.json": `{"problemType":"regression"}`},
			contract.Change{Metadata: labels, OverwriteMetadata: true},
			[]string{"metadata.json"},
			nil, nil, nil,
		},
		{
			"metadata are the same",
			map[string]string{"model/reference.json": blobReference, "metadata.json": `{"featureLabels":["age"],"problemType":""}`},
			contract.Change{Metadata: labels},
			nil, nil, nil, nil,
		},
		{
			"no model anywhere", nil,
			contract.Change{Explainer: docker},
			nil, nil, nil,
			[]string{"missing_reference model: expected a model in the change"},
		},
		{
			"what stays is not right",
			map[string]string{"model/my_model.pkl": "m", "metadata.json": "{"},
			contract.Change{Explainer: docker},
			nil, nil, nil,
			[]string{"layout_invalid model/my_model.pkl: does not belong", "metadata_invalid metadata.json: not JSON"},
		},
		{
			"what comes is not right", nil,
			contract.Change{
				Model:    &contract.Reference{Blob: &contract.Blob{URL: "https://u:p@h/m"}},
				Metadata: &contract.Metadata{ExampleInput: json.RawMessage("{"), Features: []contract.Feature{{Name: ""}}},
			},
			nil, nil, nil,
			[]string{"url_invalid model/reference.json#reference.blob.url: user or password", "metadata_invalid metadata.json: cannot be written as JSON"},
		},
		{
			"metadata without a name",
			map[string]string{"model/model.pkl": "m"},
			contract.Change{Metadata: &contract.Metadata{Features: []contract.Feature{{}}}},
			nil, nil, nil,
			[]string{"metadata_invalid metadata.json#features[0].name: expected the name"},
		},
		{
			"metadata that say nothing",
			map[string]string{"model/model.pkl": "m"},
			contract.Change{Metadata: &contract.Metadata{}},
			nil, nil, nil,
			[]string{"metadata_invalid metadata.json: at least one member"},
		},
		{
			"a folder where metadata go",
			map[string]string{"model/model.pkl": "m", "metadata.json/x": ""},
			contract.Change{Metadata: labels, OverwriteMetadata: true},
			nil, nil, nil,
			[]string{"metadata_invalid metadata.json: not a regular file"},
		},
		{
			"a file where the folder goes",
			map[string]string{"model": "m"},
			contract.Change{Model: blob, Overwrite: true},
			nil, nil, nil,
			[]string{"layout_invalid model: not a folder"},
		},
		{"nothing", nil, contract.Change{Overwrite: true}, nil, nil, nil, []string{"empty_update : expected a model"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			before := repository(test.before)
			p, err := test.change.Plan(t.Context(), before, "")
			if test.wrong != nil {
				wantFindings(t, err, test.wrong...)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var write []string
			for _, w := range p.Write {
				write = append(write, w.Name)
			}
			for name, lists := range map[string][2][]string{"write": {test.write, write}, "remove": {test.remove, p.Remove}, "kept": {test.kept, p.Kept}} {
				if diff := cmp.Diff(lists[0], lists[1]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
			if diff := cmp.Diff(p.Contract, read(t, carryOut(before, p), "")); diff != "" {
				t.Errorf("contract that is promised (-plan +read):\n%s", diff)
			}
		})
	}
}

func TestPlanStaysInItsFolder(t *testing.T) {
	t.Parallel()
	_, err := contract.Change{Model: blob}.Plan(t.Context(), repository(nil), "../other")
	wantFindings(t, err, "contract_path_invalid : \"../other\"")

	fsys := repository(map[string]string{"b/x": ""})
	fsys["a"] = link("b")
	_, err = contract.Change{Model: blob}.Plan(t.Context(), fsys, "a")
	wantFindings(t, err, "layout_invalid a: symbolic link")

	p := plan(t, repository(map[string]string{"model/model.pkl": "m", "x/model/model.pkl": "m"}), "x", contract.Change{Model: blob, Overwrite: true})
	for _, name := range slices.Concat(p.Remove, []string{p.Write[0].Name}) {
		if !strings.HasPrefix(name, "x/") {
			t.Errorf("plan for x touches %s", name)
		}
	}
}
