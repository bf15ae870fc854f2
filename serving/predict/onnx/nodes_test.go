package onnx

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// nodeTest is one of the official tests of the ONNX project
// (testdata/node_tests.py).
type nodeTest struct {
	name            string
	model           []byte
	inputs, outputs []*tensorProto
}

func nodeTests(tb testing.TB) []nodeTest {
	tb.Helper()
	archive, err := zip.OpenReader("testdata/node-tests.zip")
	if err != nil {
		tb.Fatal(err)
	}
	defer archive.Close()
	var all []nodeTest
	for _, f := range archive.File {
		in, err := f.Open()
		if err != nil {
			tb.Fatal(err)
		}
		b, err := io.ReadAll(in)
		if err != nil {
			tb.Fatal(err)
		}
		dir, file := path.Split(f.Name)
		if name := strings.TrimSuffix(dir, "/"); len(all) == 0 || all[len(all)-1].name != name {
			all = append(all, nodeTest{name: name})
		}
		last := &all[len(all)-1]
		if file == "model.onnx" {
			last.model = b
			continue
		}
		t := &tensorProto{}
		if err := t.read(b); err != nil {
			tb.Fatalf("%s: %v", f.Name, err)
		}
		if strings.HasPrefix(file, "input") {
			last.inputs = append(last.inputs, t)
		} else {
			last.outputs = append(last.outputs, t)
		}
	}
	return all
}

// Every official test of a supported operator passes, unless its tensors are of
// types that are refused or it is a piece of training.
func TestNodeTests(t *testing.T) {
	t.Parallel()
	passed := 0
	for _, test := range nodeTests(t) {
		err := test.run()
		if refused, ok := errors.AsType[*UnsupportedError](err); ok {
			for _, f := range refused.Features {
				if !slices.ContainsFunc(refusedTests, func(prefix string) bool { return strings.HasPrefix(f.Feature, prefix) }) {
					t.Errorf("%s: %v", test.name, err)
				}
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		passed++
	}
	if passed < 1100 {
		t.Errorf("got %d tests passed, want 1100 and more", passed)
	}
}

// refusedTests is what the official tests have that is not supported.
var refusedTests = []string{
	"tensors of float16", "tensors of bfloat16", "tensors of float8", "tensors of float4", "tensors of int4", "tensors of uint4",
	"tensors of int2", "tensors of uint2", "training_mode", "opset 1 of domain ai.onnx",
}

// What node_tests.py chooses tests by are the operators of today.
func TestOperatorsFile(t *testing.T) {
	t.Parallel()
	var want strings.Builder
	for _, o := range Operators() {
		fmt.Fprintf(&want, "%s.%s\n", o.Domain, o.Name)
	}
	if got := string(read(t, "testdata/operators.txt")); got != want.String() {
		t.Errorf("testdata/operators.txt: got\n%swant\n%s", got, want.String())
	}
}

// The opsets of an operator are all those that the standard has, from the first
// that is supported on: a change of meaning that nobody has looked at would be
// missing here.
func TestVersionsAreThoseOfTheStandard(t *testing.T) {
	t.Parallel()
	standard := map[string][]int{}
	for line := range strings.Lines(string(read(t, "testdata/versions.txt"))) {
		fields := strings.Fields(line)
		for _, text := range fields[1:] {
			v, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			standard[fields[0]] = append(standard[fields[0]], v)
		}
	}
	for _, o := range Operators() {
		versions := standard[o.Domain+"."+o.Name]
		from := slices.Index(versions, o.Versions[0])
		if from < 0 || !slices.Equal(versions[from:], o.Versions) {
			t.Errorf("%s.%s: got versions %v, the standard has %v", o.Domain, o.Name, o.Versions, versions)
		}
		if o.Domain == "" && from > 0 && versions[from-1] >= minOpset {
			t.Errorf("%s: version %d is left out", o.Name, versions[from-1])
		}
	}
}

// TestEveryOperatorIsTested holds the list of operators against those that the
// official tests and the fixtures are made of.
func TestEveryOperatorIsTested(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	note := func(file []byte) {
		if _, err := Read(file); err != nil {
			return
		}
		m, err := readModel(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range m.graph.nodes {
			seen[n.domain+"."+n.op] = true
		}
	}
	for _, test := range nodeTests(t) {
		note(test.model)
	}
	for _, folder := range []string{"sklearn", "torch", "keras", "runtime"} {
		for _, f := range fixtures(t, folder) {
			note(f.file)
		}
	}
	for _, o := range Operators() {
		if name := o.Domain + "." + o.Name; !seen[name] && name != domainML+".DictVectorizer" { // its own: TestMapsAreTensors
			t.Errorf("no test has operator %s", name)
		}
	}
}

func (test *nodeTest) run() error {
	m, err := Read(test.model)
	if err != nil {
		return err
	}
	inputs := make([]*Tensor, len(m.Inputs()))
	for i, in := range m.Inputs() {
		k := slices.IndexFunc(test.inputs, func(t *tensorProto) bool { return t.name == in.Name })
		if k < 0 {
			return fmt.Errorf("no input %q", in.Name)
		}
		if inputs[i], err = test.inputs[k].tensor(); err != nil {
			return err
		}
	}
	outputs, err := m.Run(inputs)
	if err != nil {
		return err
	}
	for i, proto := range test.outputs {
		want, err := proto.tensor()
		if err != nil {
			return err
		}
		if err := near(outputs[i], want, 1e-3, 1e-7); err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
	}
	return nil
}

// near compares tensors: numbers of real type may differ by a share of what is
// wanted, and by very little.
func near(got, want *Tensor, relative, absolute float64) error {
	if got.typ != want.typ || !slices.Equal(got.shape, want.shape) {
		return fmt.Errorf("got %v of shape %v, want %v of shape %v", got.typ, got.shape, want.typ, want.shape)
	}
	if got.typ == String {
		if g, w := view[string](got), view[string](want); !slices.Equal(g, w) {
			return fmt.Errorf("got %q, want %q", g, w)
		}
		return nil
	}
	g, w := asReals(got), asReals(want)
	for i := range g {
		same := g[i] == w[i] || g[i] != g[i] && w[i] != w[i]
		if !same && !(got.typ.isFloat() && math.Abs(g[i]-w[i]) <= absolute+relative*math.Abs(w[i])) {
			return fmt.Errorf("value %d of shape %v: got %v, want %v", i, want.shape, g[i], w[i])
		}
	}
	return nil
}

// asReals are the values of a tensor of numbers or truths.
func asReals(t *Tensor) []float64 {
	out := constant(make([]float64, t.n), t.n)
	conversion(&node{}, t.typ, Float64)(out, t)
	return view[float64](out)
}

// The table in the documentation is that of the code: go generate writes it.
func TestOperatorTable(t *testing.T) {
	t.Parallel()
	_, table, found := strings.Cut(string(read(t, "../../../docs/onnx.md")), "\n## Operators\n\n")
	if !found || table != OperatorTable() {
		t.Error("docs/onnx.md does not have the table of the code: run go generate")
	}
}
