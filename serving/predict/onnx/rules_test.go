package onnx

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func texts(name string, values ...string) string {
	var b strings.Builder
	b.WriteString(block(1, name) + varint(20, kindStrings))
	for _, v := range values {
		b.WriteString(block(9, v))
	}
	return b.String()
}

func floatsAttr(name string, values ...float32) string {
	var raw []byte
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return block(1, name) + varint(20, kindFloats) + block(7, string(raw))
}

func intAttr(name string, v int) string { return block(1, name) + varint(20, kindInt) + varint(3, v) }

// ml is a node of the ML domain that makes y.
func ml(name, inputs string, attributes ...string) string {
	f, _, err := message(op(name, inputs, "y", attributes...)).next()
	if err != nil {
		panic(err)
	}
	return block(1, string(f.bytes), block(7, domainML))
}

func mustRead(t *testing.T, file []byte) *Model {
	t.Helper()
	m, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Rule 1: everything that is not supported is named at once, with its count.
func TestRefusesEverythingByName(t *testing.T) {
	t.Parallel()
	_, err := Read(of(
		floatInput("x", 4), block(11, block(1, "h"), block(2, block(1, varint(1, 10)))),
		op("LSTM", "x x", "a"), op("Loop", "x", "b"), op("Loop", "a", "c"), op("Relu", "c", "d"),
		op("Softmax", "x", "e", intAttr("axes", 1)), op("Add", "h x", "f"), op("Cast", "x", "g", intAttr("to", 10)),
		block(1, block(1, "x"), block(2, "k"), block(4, "CDist"), block(7, "com.microsoft")),
		block(5, varint(1, 1), varint(2, 1), block(8, "w"), block(13, "weights.bin"), varint(14, 1)),
		output("d"),
	))
	refused, ok := errors.AsType[*UnsupportedError](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	want := []Unsupported{
		{"attribute axes of operator Softmax (opset 13)", 1, ""},
		{"external data", 1, ""},
		{"operator LSTM (opset 21)", 1, ""},
		{"operator Loop (opset 21)", 2, ""},
		{"operator com.microsoft.CDist (opset 0)", 1, ""},
		{"tensors of float16", 2, ""},
	}
	got := slices.Clone(refused.Features)
	for i := range got {
		if got[i].Advice == "" || !strings.Contains(err.Error(), got[i].Advice) {
			t.Errorf("%s: no advice in %q", got[i].Feature, err)
		}
		got[i].Advice = ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
	if !strings.Contains(err.Error(), "operator Loop (opset 21), 2 times: export the model without control flow") {
		t.Errorf("got %q", err)
	}
}

// Rule 1: versions that are not known, and an operator that is newer than the file.
func TestRefusesVersions(t *testing.T) {
	t.Parallel()
	graph := block(7, floatInput("x", 4), op("Gelu", "x", "y"), output("y"))
	for want, file := range map[string]string{
		"opset 6 of domain ai.onnx: export for opset 7 to 28":  varint(1, 8) + block(8, varint(2, 6)) + graph,
		"opset 29 of domain ai.onnx":                           varint(1, 8) + block(8, varint(2, 29)) + graph,
		"opset 9 of domain ai.onnx.ml":                         varint(1, 8) + block(8, varint(2, 20)) + block(8, block(1, domainML), varint(2, 9)) + graph,
		"IR version 2: save the model with IR version 3 to 14": varint(1, 2) + block(8, varint(2, 20)) + graph,
		"IR version 15": varint(1, 15) + block(8, varint(2, 20)) + graph,
		"operator Gelu (opset 19): export for opset 20 or newer":  varint(1, 8) + block(8, varint(2, 19)) + graph,
		"model-local functions: inline them":                      varint(1, 8) + block(8, varint(2, 20)) + graph + block(25),
		"training information: export the model for inference":    varint(1, 8) + block(8, varint(2, 20)) + graph + block(20),
		"sparse initializers: store the weights as dense tensors": varint(1, 8) + block(8, varint(2, 20)) + graph + block(7, block(15)),
	} {
		_, err := Read([]byte(file))
		if _, ok := errors.AsType[*UnsupportedError](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// What is broken is refused with the path to it.
func TestBrokenFilesAreRefusedWithThePath(t *testing.T) {
	t.Parallel()
	x, relu := floatInput("x", 4), op("Relu", "x", "y")
	for _, c := range []struct {
		path, message string
		file          []byte
	}{
		{"", "the file is empty", nil},
		{"", "neither an ir_version nor a graph", []byte("\x12\x00")},
		{"graph", "is missing", []byte(varint(1, 8))},
		{"", "cut off", []byte("\x08")},
		{"", "wire type 3", []byte("{\"learner\":7}")},
		{"graph.output", "is missing", of(x, relu)},
		{"graph.output[0]", `"z": no node makes it`, of(x, relu, output("z"))},
		{"graph.output[0]", `declared as a tensor of int64, is one of float`, of(x, relu, block(12, block(1, "y"), block(2, block(1, varint(1, 7)))))},
		{"graph.node[0] (Relu)", `input 0 "z": no node before it makes it`, of(x, op("Relu", "z", "y"), op("Relu", "x", "z"), output("y"))},
		{"graph.node[1] (Relu)", `"y" is defined twice`, of(x, relu, relu, output("y"))},
		{"graph.node[0].op_type", "is missing", of(x, block(1, block(1, "x")))},
		{"graph.node[0] (Relu)", "it has no outputs", of(x, op("Relu", "x", ""), output("x"))},
		{"graph.node[0] (Relu)", "2 inputs: expected 1", of(x, op("Relu", "x x", "y"), output("y"))},
		{"graph.node[0] (Relu)", "2 outputs: expected at most 1", of(x, op("Relu", "x", "y z"), output("y"))},
		{"graph.node[0] (Add)", "input 1: tensor of int64: expected float as input 0", of(x, tensorOf("i", 1), op("Add", "x i", "y"), output("y"))},
		{"graph.node[0] (Not)", "input 0: tensor of float", of(x, op("Not", "x", "y"), output("y"))},
		{"graph.node[0] (Cast)", "attribute to: is missing", of(x, op("Cast", "x", "y"), output("y"))},
		{"graph.node[0] (Concat).attribute axis", "expected an integer", of(x, op("Concat", "x x", "y", floatsAttr("axis", 1)), output("y"))},
		{"graph.node[0] (Gather)", "index 9: there are 2", of(tensorOf("v", 1, 2), tensorOf("i", 9), op("Gather", "v i", "y"), output("y"))},
		{"graph.initializer[0]", "expected 3 values of int64, got 2", of(block(5, varint(1, 3), varint(2, 7), block(8, "w"), varint(7, 1), varint(7, 2)), output("w"))},
		{"graph.initializer[0]", "expected 1 values of int64, got 2", of(block(5, varint(1, 1), varint(2, 7), block(8, "w"), varint(7, 1), varint(7, 2)), output("w"))}, // rule 2
		{"graph.initializer[0]", "expected raw_data of 2 values of float, got 9 bytes", of(block(5, varint(1, 2), varint(2, 1), block(8, "w"), block(9, "123456789")), output("w"))},
		{"graph.initializer[0]", "strings have to stand in string_data", of(block(5, varint(1, 1), varint(2, 8), block(8, "w"), block(9, "a")), output("w"))},
		{"graph.initializer[0].name", "is missing", of(block(5, varint(1, 0), varint(2, 1)))},
		{"graph.input[0].type", `"x": is missing`, of(block(11, block(1, "x")), output("x"))},
	} {
		_, err := Read(c.file)
		format, ok := errors.AsType[*FormatError](err)
		if !ok || format.Path != c.path || !strings.Contains(format.Message, c.message) {
			t.Errorf("got %v, want %s: ...%s...", err, c.path, c.message)
		}
	}
}

// Rule 2: an initializer may also be declared as an input, and is none.
func TestInitializersAreNoInputs(t *testing.T) {
	t.Parallel()
	weights := block(5, varint(1, 4), varint(2, 1), block(8, "w"), block(4, "\x00\x00\x80?\x00\x00\x80?\x00\x00\x80?\x00\x00\x00@"))
	m := mustRead(t, of(floatInput("x", 4), floatInput("w", 4), weights, op("Mul", "x w", "y"), output("y")))
	if len(m.Inputs()) != 1 || m.Inputs()[0].Name != "x" {
		t.Fatalf("got inputs %v", m.Inputs())
	}
	out, err := m.Run([]*Tensor{constant([]float32{1, 2, 3, 4}, 1, 4)})
	if err != nil {
		t.Fatal(err)
	}
	if got := Values[float32](out[0]); !slices.Equal(got, []float32{1, 2, 3, 8}) {
		t.Errorf("got %v", got)
	}
}

// Rule 4: leaves are summed in double, so that small ones are not lost beside large
// ones; a root is nobody's child, wherever it stands.
func TestTreesAreSummedInDouble(t *testing.T) {
	t.Parallel()
	for mode, threshold := range map[string]float32{"BRANCH_LEQ": 0.5, "BRANCH_LT": 0.75} {
		m := treesOfOneLeaf(t, mode, threshold)
		if m.NumTrees() != 3 {
			t.Errorf("got %d trees, want 3", m.NumTrees())
		}
		out, err := m.Run([]*Tensor{constant([]float32{0.5, 0.75}, 2, 1)})
		if err != nil {
			t.Fatal(err)
		}
		if got := Values[float32](out[0]); !slices.Equal(got, []float32{1.25, 1e8 + 1.25}) {
			t.Errorf("%s: got %v, want 1.25 and 100000001.25", mode, got)
		}
	}
}

// treesOfOneLeaf is a tree with one split, which is not the first of its nodes, and
// two trees of one leaf.
func treesOfOneLeaf(t *testing.T, mode string, threshold float32) *Model {
	t.Helper()
	return mustRead(t, of(floatInput("x", 1), ml("TreeEnsembleRegressor", "x",
		ints("nodes_treeids", 0, 0, 0, 1, 2), ints("nodes_nodeids", 5, 6, 7, 0, 0), ints("nodes_featureids", 0, 0, 0, 0, 0),
		texts("nodes_modes", "LEAF", "LEAF", mode, "LEAF", "LEAF"), floatsAttr("nodes_values", 0, 0, threshold, 0, 0),
		ints("nodes_truenodeids", 0, 0, 5, 0, 0), ints("nodes_falsenodeids", 0, 0, 6, 0, 0),
		ints("target_treeids", 0, 0, 1, 2), ints("target_nodeids", 5, 6, 0, 0), ints("target_ids", 0, 0, 0, 0),
		floatsAttr("target_weights", 1e8, 2e8, 1.25, -1e8), intAttr("n_targets", 1),
	), output("y")))
}

// Rule 4: trees that have no end are refused, and so are nodes that are not there.
func TestBrokenTreesAreRefused(t *testing.T) {
	t.Parallel()
	tree := func(yes, no, features, targets []int, modes ...string) []byte {
		return of(floatInput("x", 1), ml("TreeEnsembleRegressor", "x",
			ints("nodes_treeids", 0, 0, 0), ints("nodes_nodeids", 0, 1, 2), ints("nodes_featureids", features...),
			texts("nodes_modes", modes...), floatsAttr("nodes_values", 0, 0, 0), ints("nodes_truenodeids", yes...), ints("nodes_falsenodeids", no...),
			ints("target_treeids", 0, 0), ints("target_nodeids", targets...), ints("target_ids", 0, 0), floatsAttr("target_weights", 1, 2),
		), output("y"))
	}
	plain := []int{0, 0, 0}
	for want, file := range map[string][]byte{
		"node 0 of tree 0 has the child 1":                     tree([]int{1, 0, 0}, []int{1, 0, 0}, plain, []int{1, 2}, "BRANCH_LEQ", "LEAF", "LEAF"),
		"node 0 of tree 0 has the child 9":                     tree([]int{9, 0, 0}, []int{2, 0, 0}, plain, []int{1, 2}, "BRANCH_LEQ", "LEAF", "LEAF"),
		"weight 0 is for node 7 of tree 0":                     tree([]int{1, 0, 0}, []int{2, 0, 0}, plain, []int{7, 2}, "BRANCH_LEQ", "LEAF", "LEAF"),
		"attribute nodes_modes":                                tree([]int{1, 0, 0}, []int{2, 0, 0}, plain, []int{1, 2}, "BRANCH_WEIRD", "LEAF", "LEAF"),
		"feature 1073741824: expected 0 to 16777216":           tree([]int{1, 0, 0}, []int{2, 0, 0}, []int{1 << 30, 0, 0}, []int{1, 2}, "BRANCH_LEQ", "LEAF", "LEAF"),
		"expected as many values in each of the attributes":    tree([]int{1, 0}, []int{2, 0, 0}, plain, []int{1, 2}, "BRANCH_LEQ", "LEAF", "LEAF"),
		"node 1 of tree 0 has the child 0, which is not there": tree([]int{1, 0, 0}, []int{2, 0, 0}, plain, []int{1, 2}, "BRANCH_LEQ", "BRANCH_LEQ", "LEAF"),
	} {
		if _, err := Read(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// Rule 5: what ZipMap would make a map of stays a tensor, with labels.
func TestZipMapNamesColumns(t *testing.T) {
	t.Parallel()
	m := mustRead(t, of(floatInput("x", 2), ml("ZipMap", "x", texts("classlabels_strings", "no", "yes")), output("y")))
	out := m.Outputs()[0]
	if out.Type != Float32 || !slices.Equal(out.Shape, []int{-1, 2}) || out.Labels == nil || !slices.Equal(Values[string](out.Labels), []string{"no", "yes"}) {
		t.Errorf("got %+v", out)
	}
	got, err := m.Run([]*Tensor{constant([]float32{0.25, 0.75}, 1, 2)})
	if err != nil || !slices.Equal(Values[float32](got[0]), []float32{0.25, 0.75}) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := m.Run([]*Tensor{constant([]float32{1, 2, 3}, 1, 3)}); err == nil {
		t.Error("3 columns for 2 labels were taken")
	}
	_, err = Read(of(floatInput("x", 2), ml("ZipMap", "x", texts("classlabels_strings", "no", "yes")), op("Relu", "y", "z"), output("z")))
	if refused, ok := errors.AsType[*UnsupportedError](err); !ok || !strings.Contains(refused.Error(), "maps as inputs of operator Relu (opset 14): leave the ZipMap out") {
		t.Errorf("got %v", err)
	}
}

// A map that a model takes is a tensor with a column for each key.
func TestMapsAreTensors(t *testing.T) {
	t.Parallel()
	input := block(11, block(1, "m"), block(2, block(5, varint(1, int(String)), block(2, block(1, varint(1, int(Float32)))))))
	m := mustRead(t, of(input, ml("DictVectorizer", "m", texts("string_vocabulary", "age", "city=A", "city=B")), output("y")))
	in := m.Inputs()[0]
	if in.Type != Float32 || !slices.Equal(in.Shape, []int{-1, 3}) || in.Labels == nil || Values[string](in.Labels)[1] != "city=A" {
		t.Fatalf("got %+v", in)
	}
	row := constant([]float32{33, 0, 1}, 1, 3)
	got, err := m.Run([]*Tensor{row})
	if err != nil || !slices.Equal(Values[float32](got[0]), []float32{33, 0, 1}) {
		t.Errorf("got %v, %v", got, err)
	}
}

// The labels of a classifier are those of its probabilities, also behind what
// leaves columns what they are.
func TestLabelsAreKnown(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]string{
		"forest-multiclass": {"high", "low", "middle"},
		"columns-logistic":  {"leaves", "stays"},
		"logistic-labels":   {"high", "low", "middle"},
		"words-zipmap":      {"leaves", "stays"},
	} {
		m := mustRead(t, read(t, "testdata/sklearn/"+name+".onnx"))
		labels := m.Outputs()[1].Labels
		if labels == nil || !slices.Equal(Values[string](labels), want) {
			t.Errorf("%s: got %v, want %v", name, labels, want)
		}
	}
}

// Inputs are compared with what the model declares.
func TestInputsAreChecked(t *testing.T) {
	t.Parallel()
	m := mustRead(t, of(floatInput("x", 2), floatInput("z", 2), op("Add", "x z", "y"), output("y")))
	good := constant([]float32{1, 2}, 1, 2)
	for want, inputs := range map[string][]*Tensor{
		"expected 2 inputs, got 1":                       {good},
		"input z: is missing":                            {good, nil},
		"input x: expected a tensor of float, got int64": {constant([]int64{1, 2}, 1, 2), good},
		"input x: expected shape [-1 2], got [2]":        {constant([]float32{1, 2}, 2), good},
		"input x: expected shape [-1 2], got [1 3]":      {constant([]float32{1, 2, 3}, 1, 3), good},
		"dimension 0 (n) is 2: expected 1 as in input x": {good, constant([]float32{1, 2, 3, 4}, 2, 2)},
	} {
		if _, err := m.Run(inputs); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// Not parallel, as allocations are counted.
func TestSessionsDoNotAllocate(t *testing.T) {
	files := map[string][]byte{"mlp": dense(8, 16, 4), "cnn": pictures()}
	for _, name := range []string{"sklearn/forest", "sklearn/logistic-multinomial", "sklearn/pca-logistic", "sklearn/svc", "torch/cnn-residual", "torch/mlp-normalized"} {
		files[name] = read(t, "testdata/"+name+".onnx")
	}
	for name, file := range files {
		m := mustRead(t, file)
		s, inputs := m.NewSession(), zeros(m, 2)
		if n := testing.AllocsPerRun(20, func() {
			if _, err := s.Run(inputs); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: got %v allocations, want 0", name, n)
		}
	}
}

// Values that are not needed at the same time share memory.
func TestBuffersAreShared(t *testing.T) {
	t.Parallel()
	m := mustRead(t, dense(4, 8, 8, 8, 8, 8, 2))
	if m.buffers != 2 {
		t.Errorf("got %d buffers for a chain of layers, want 2", m.buffers)
	}
	m = mustRead(t, of(floatInput("x", 2), op("Exp", "x", "a"), op("Sin", "a", "b"), op("Add", "a b", "y"), op("Reshape", "y s", "z"), tensorOf("s", -1), output("y"), output("z")))
	if m.buffers != 3 {
		t.Errorf("got %d buffers for values that are needed together, want 3", m.buffers)
	}
}
