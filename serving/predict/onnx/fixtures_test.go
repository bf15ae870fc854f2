package onnx

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fixture is a model that a real framework trained, and what it and ONNX Runtime
// answer (testdata/fixtures.py).
type fixture struct {
	name    string // such as sklearn/logistic
	file    []byte
	Inputs  []fixtureTensor
	Outputs []fixtureTensor
}

type fixtureTensor struct {
	Name, Type string
	Shape      []int
	Data       []any // of inputs
	Runtime    []any // of outputs, by ONNX Runtime
	Original   []any // of outputs, by the framework; may be missing
}

func fixtures(tb testing.TB, folder string) []fixture {
	tb.Helper()
	paths, err := filepath.Glob("testdata/" + folder + "/*.json")
	if err != nil || len(paths) == 0 {
		tb.Fatalf("no fixtures in testdata/%s: %v", folder, err)
	}
	var all []fixture
	for _, path := range paths {
		stem := strings.TrimSuffix(path, ".json")
		f := fixture{name: folder + "/" + filepath.Base(stem), file: read(tb, stem+".onnx")}
		if err := json.Unmarshal(read(tb, path), &f); err != nil {
			tb.Fatalf("%s: %v", path, err)
		}
		all = append(all, f)
	}
	return all
}

func read(tb testing.TB, path string) []byte {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// tensor is the values as a tensor.
func (f *fixtureTensor) tensor(values []any) (*Tensor, error) {
	switch f.Type {
	case "string":
		return NewTensor(all(values, func(v any) string { return v.(string) }), f.Shape...)
	case "bool":
		return NewTensor(all(values, func(v any) bool { return v.(bool) }), f.Shape...)
	case "float":
		return NewTensor(all(values, func(v any) float32 { return float32(real64(v)) }), f.Shape...)
	case "double":
		return NewTensor(all(values, real64), f.Shape...)
	case "int64":
		return NewTensor(all(values, func(v any) int64 { return int64(real64(v)) }), f.Shape...)
	case "int32":
		return NewTensor(all(values, func(v any) int32 { return int32(real64(v)) }), f.Shape...)
	}
	return nil, fmt.Errorf("fixture of type %s", f.Type)
}

func all[T any](values []any, f func(v any) T) []T {
	out := make([]T, len(values))
	for i, v := range values {
		out[i] = f(v)
	}
	return out
}

func real64(v any) float64 {
	switch v := v.(type) {
	case float64:
		return v
	case string:
		return map[string]float64{"inf": math.Inf(1), "-inf": math.Inf(-1)}[v]
	default:
		return math.NaN()
	}
}

// inputs are the tensors for Run.
func (f *fixture) inputs(tb testing.TB, m *Model) []*Tensor {
	tb.Helper()
	inputs := make([]*Tensor, len(m.Inputs()))
	for i, in := range m.Inputs() {
		for _, given := range f.Inputs {
			if given.Name != in.Name {
				continue
			}
			t, err := given.tensor(given.Data)
			if err != nil {
				tb.Fatalf("%s: %s: %v", f.name, in.Name, err)
			}
			inputs[i] = t
		}
	}
	return inputs
}

// Answers are those of ONNX Runtime within 1e-6, relative to numbers above 1 and
// absolute below, and where the runtime itself, which calculates in float32
// throughout, is further from the framework than that, no further than it is.
func TestFixtures(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"sklearn", "torch", "keras", "runtime"} {
		for _, f := range fixtures(t, folder) {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				for name, tiles := range tilers() {
					if !f.check(t, tiles) {
						t.Fatalf("with tiles %s", name)
					}
				}
			})
		}
	}
}

const tolerance = 1e-6

func (f *fixture) check(t *testing.T, tiles tiler) bool {
	t.Helper()
	m, err := readWith(f.file, defaultLimits, tiles)
	if err != nil {
		t.Fatal(err)
	}
	outputs, err := m.Run(f.inputs(t, m))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range f.Outputs {
		if m.Outputs()[i].Name != want.Name {
			t.Fatalf("got output %s, want %s", m.Outputs()[i].Name, want.Name)
		}
		runtime, err := want.tensor(want.Runtime)
		if err != nil {
			t.Fatal(err)
		}
		byRuntime := near(outputs[i], runtime, tolerance, tolerance)
		if byRuntime == nil {
			continue
		}
		original, err := want.tensor(want.Original)
		if err != nil || outputs[i].typ != original.typ {
			t.Errorf("%s by ONNX Runtime: %v", want.Name, byRuntime)
			continue
		}
		if ours, theirs := distance(outputs[i], original), distance(runtime, original); !(ours <= theirs) {
			t.Errorf("%s by ONNX Runtime: %v; from the framework it is %v away, ONNX Runtime %v", want.Name, byRuntime, ours, theirs)
		}
	}
	return !t.Failed()
}

// distance is how far the values are apart that are furthest apart.
func distance(a, b *Tensor) float64 {
	most := 0.0
	for i, v := range asReals(b) {
		most = max(most, math.Abs(asReals(a)[i]-v))
	}
	return most
}
