package sourcing_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/slipway-ml/slipway/artifacts"
	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/contract/git"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/jetstream/jetstreamtest"
	"github.com/slipway-ml/slipway/serving/predict"
	"github.com/slipway-ml/slipway/sourcing"
)

// A directory that changes while it is read is not deployed, and is when it is
// read again.
func TestDirectoryThatChangesIsRefused(t *testing.T) {
	t.Parallel()
	objects, err := jetstream.OpenObjects(t.Context(), jetstreamtest.Start(t))
	if err != nil {
		t.Fatal(err)
	}
	var models [2][]byte
	for i, name := range []string{"churn-v1.ubj", "churn-v2.ubj"} {
		if models[i], err = os.ReadFile(filepath.Join("../cmd/slipway/demo", name)); err != nil {
			t.Fatal(err)
		}
	}
	const metadata = `{"featureLabels":["a","b","c","d","e","f"]}`
	for name, test := range map[string]struct {
		during  string // of what is told
		file    string
		content []byte
	}{
		"the model":    {"fetching the model", "model/model.ubj", models[1]},
		"the metadata": {"loading the model", "metadata.json", []byte(`{"featureLabels":["f","e","d","c","b","a"]}`)},
		"another file": {"loading the model", "explainer/explainer.dill", []byte("x")},
		"what is read": {"loading the model", "model/reference.json", []byte("{}")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write := func(name string, content []byte) {
				if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700), os.WriteFile(filepath.Join(dir, name), content, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			write("model/model.ubj", models[0])
			write("metadata.json", []byte(metadata))
			c := &sourcing.Contracts{
				Repositories: &git.Repositories{}, Artifacts: &artifacts.Store{Dir: t.TempDir(), Objects: objects},
				Load: predict.Inspect, AllowDirectories: true,
			}
			reading := deployment.Reading{Source: deployment.Source{Route: deployment.RouteExisting, URL: "file://" + dir}}
			changed := false
			_, err := c.Read(t.Context(), reading, func(told string) {
				if told == test.during {
					changed = true
					write(test.file, test.content)
				}
			})
			if _, refused := errors.AsType[*deployment.Rejection](err); !changed || refused || !errors.Is(err, contract.ErrChanged) {
				t.Errorf("got %v, want an error that may pass and says that it has changed", err)
			}
			if err := errors.Join(os.RemoveAll(filepath.Join(dir, "explainer")), os.RemoveAll(filepath.Join(dir, "model/reference.json"))); err != nil {
				t.Fatal(err)
			}
			if s, err := c.Read(t.Context(), reading, func(string) {}); err != nil || s.Model == nil || s.Contract.URL != reading.Source.URL || s.Contract.Commit != "" {
				t.Errorf("again: got %+v, %v", s, err)
			}
		})
	}
}

// What is a git repository is left to git, also where directories are allowed.
func TestRepositoriesAreNoDirectories(t *testing.T) {
	t.Parallel()
	for _, inside := range [][]string{{".git"}, {"HEAD", "objects", "refs"}} {
		dir := t.TempDir()
		for _, name := range inside {
			if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		c := &sourcing.Contracts{Repositories: &git.Repositories{}, AllowDirectories: true}
		_, err := c.Read(t.Context(), deployment.Reading{Source: deployment.Source{Route: deployment.RouteExisting, URL: "file://" + dir}}, func(string) {})
		if r, ok := errors.AsType[*deployment.Rejection](err); !ok || r.Code != deployment.CodeURLNotAllowed {
			t.Errorf("%v: got %v, want that repositories of this machine are not allowed", inside, err)
		}
	}
}
