package predict

import (
	"errors"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway/deployment"
)

// sized makes the models of a bench as large as their files, 100 bytes for each m.
func (b *bench) sized(limit int64) {
	b.Limits.Memory = limit
	read := b.read
	b.read = func(path string, format deployment.Format) (Model, error) {
		m, err := read(path, format)
		if err == nil {
			m.(*constant).bytes = 100
		}
		return m, err
	}
}

// TestModelThatDoesNotFitIsRefused replaces a model by one that there is no memory
// for: the command fails with the code, and the old model is not touched.
func TestModelThatDoesNotFitIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.sized(150)
	url := b.started(t, b.Server)
	local := b.local()
	if err := local.Apply(patience(t), "churn", deployment.Serve{Model: *ref("m-1")}, 1, quiet); err != nil {
		t.Fatal(err)
	}
	for i, test := range []struct {
		name string
		size int64
		says string
	}{
		{"by its memory", 1, "model m-2 needs 100 bytes of memory more, 50 of 150 are free (SLIPWAY_PREDICT_MEMORY_BYTES)"},
		{"by its file", 51, "model m-2 needs 51 bytes of memory more, 50 of 150 are free (SLIPWAY_PREDICT_MEMORY_BYTES)"},
	} {
		opened := len(b.opener.opened)
		large := *ref("m-2")
		large.Size = test.size
		err := local.Apply(patience(t), "churn", deployment.Serve{Model: large}, uint64(i+2), quiet)
		failure, ok := errors.AsType[*deployment.Failure](err)
		if !ok || failure.Code != deployment.CodeMemoryExceeded || !strings.Contains(failure.Message, "memory_exceeded: "+test.says) {
			t.Errorf("%s: got %v, want the failure memory_exceeded: %s", test.name, err, test.says)
		}
		if read := len(b.opener.opened) > opened; read != (test.size == 1) {
			t.Errorf("%s: the file was read: %v", test.name, read)
		}
		wantAnswer(t, url, "m-1", "1")
		wantMetrics(t, b.Server, map[string]string{"memory_used_bytes": "100", "memory_limit_bytes": "150"})
	}
	// Another deployment has no room either, until this one goes.
	err := local.Apply(patience(t), "other", deployment.Serve{Model: *ref("m-3")}, 1, quiet)
	if failure, ok := errors.AsType[*deployment.Failure](err); !ok || failure.Code != deployment.CodeMemoryExceeded {
		t.Errorf("got %v, want the failure memory_exceeded", err)
	}
	if err := local.Stop(patience(t), "churn", false, 1000, quiet); err != nil {
		t.Fatal(err)
	}
	if err := local.Apply(patience(t), "other", deployment.Serve{Model: *ref("m-3")}, 2, quiet); err != nil {
		t.Errorf("after the memory was given back: %v", err)
	}
	wantMetrics(t, b.Server, map[string]string{"memory_used_bytes": "100"})
}

// However models come and go, what is accounted for is what is loaded.
func TestMemoryIsGivenBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.sized(0)
	b.started(t, b.Server)
	b.want(t, 1, 1, ref("m-1"), nil)
	b.answerTo(t, 1, 1)
	for round, target := range []*deployment.ModelRef{ref("m-2"), ref("broken"), ref("m-3"), ref("m-1"), nil, ref("m-2")} {
		b.want(t, 2, uint64(round), ref("m-1"), target)
		b.answerTo(t, 2, uint64(round))
	}
	wantMetrics(t, b.Server, map[string]string{"memory_used_bytes": "200"}) // m-1, m-2
	b.want(t, 3, 1, ref("m-2"), nil)
	b.answerTo(t, 3, 1)
	wantMetrics(t, b.Server, map[string]string{"memory_used_bytes": "100"})
	b.want(t, 4, 1, nil, nil)
	b.answerTo(t, 4, 1)
	wantMetrics(t, b.Server, map[string]string{"memory_used_bytes": "0"})
}

// What served before a restart with less memory is tried again, as room may come.
func TestActiveModelWithoutMemoryIsTriedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.sized(50)
	b.want(t, 1, 1, ref("m-1"), nil)
	start(t, b.Server)
	o := b.answerTo(t, 1, 1)
	if o.Error == nil || o.Error.Code != string(deployment.CodeMemoryExceeded) || !o.Error.Retryable {
		t.Errorf("got %+v, want memory_exceeded, to be tried again", o.Error)
	}
	if b.Ready() {
		t.Error("ready without its model")
	}
}

func TestNodesAreLimited(t *testing.T) {
	t.Parallel()
	const path = "../../cmd/slipway/demo/churn-v2.ubj"
	model, _, err := load(path, deployment.FormatXGBoost)
	if err != nil {
		t.Fatal(err)
	}
	fits := Limits{Nodes: model.NumNodes()}
	if _, err := fits.Inspect(path, deployment.Model{Format: deployment.FormatXGBoost}); err != nil {
		t.Errorf("as many nodes as are allowed: %v", err)
	}
	less := Limits{Nodes: model.NumNodes() - 1}
	_, err = less.Inspect(path, deployment.Model{Format: deployment.FormatXGBoost})
	rejection, ok := errors.AsType[*deployment.Rejection](err)
	if !ok || rejection.Code != deployment.CodeArtifactTooLarge || !strings.Contains(rejection.Message, "SLIPWAY_PREDICT_MAX_NODES") {
		t.Errorf("got %v, want artifact_too_large", err)
	}
	b := newBench(t)
	b.Limits = less
	b.read = nil
	files := store{}
	b.Artifacts = files
	b.started(t, b.Server)
	err = b.local().Apply(patience(t), "churn", deployment.Serve{Model: *files.add(t, "m-1", path)}, 1, quiet)
	if failure, ok := errors.AsType[*deployment.Failure](err); !ok || !strings.Contains(failure.Message, "artifact_too_large: model has") {
		t.Errorf("got %v, want the failure of the server", err)
	}
	if used := b.gear().budget.used.Load(); used != 0 {
		t.Errorf("%d bytes are accounted for without a model", used)
	}
}
