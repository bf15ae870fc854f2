package predict

import (
	"errors"
	"fmt"
	"slices"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/serving/predict/onnx"
)

// graph is a model of named tensors. A request gives each input by its name and is
// answered with each output by its name (tensors.go); rows are taken by models
// whose inputs are the columns of rows.
type graph struct {
	*onnx.Model
	columns []int // of each input in a row; nil: the inputs are not the columns of rows
	width   int   // values of the answer for one row, as seen when the model was warmed up; 0: it was not
	answer  int   // the output that says most: probabilities or numbers rather than labels; -1: none has numbers

	inputNames, outputNames []string
}

// readONNX is the runtime of deployment.FormatONNX.
func readONNX(file []byte) (Model, deployment.Inspection, error) {
	m, err := onnx.Read(file)
	if err != nil {
		return nil, deployment.Inspection{}, rejected[*onnx.UnsupportedError](err)
	}
	g := newGraph(m)
	facts := deployment.Inspection{Trees: m.NumTrees()}
	for _, out := range m.Outputs() {
		if out.Labels == nil {
			continue
		}
		facts.Classes = out.Labels.Len()
		facts.TargetTypes = []deployment.TargetType{deployment.TargetMulticlass}
		if facts.Classes == 2 {
			facts.TargetTypes = []deployment.TargetType{deployment.TargetBinary}
		}
	}
	return g, facts, nil
}

func newGraph(m *onnx.Model) *graph {
	g := &graph{Model: m, answer: -1, inputNames: allNames(m.Inputs()), outputNames: allNames(m.Outputs())}
	for _, in := range m.Inputs() {
		if len(in.Shape) != 2 || in.Shape[0] >= 0 || in.Shape[1] < 1 {
			g.columns = nil
			break
		}
		g.columns = append(g.columns, in.Shape[1])
	}
	for i, out := range m.Outputs() {
		if out.Type == onnx.Float32 || out.Type == onnx.Float64 || out.Labels != nil {
			g.answer = i
		}
	}
	return g
}

// takesRows reports whether the inputs are the columns of rows of numbers.
func (g *graph) takesRows() bool {
	return g.NumFeatures() > 0 && g.answer >= 0 && g.NumOutputs() > 0 &&
		!slices.ContainsFunc(g.Inputs(), func(v onnx.Value) bool { return v.Type == onnx.String })
}

// NumFeatures is 0 when the inputs are not the columns of rows.
func (g *graph) NumFeatures() int {
	sum := 0
	for _, columns := range g.columns {
		sum += columns
	}
	return sum
}

// NumOutputs is 0 when neither the file says nor a run has shown.
func (g *graph) NumOutputs() int {
	switch {
	case g.answer < 0:
		return 1
	case g.width > 0:
		return g.width
	}
	out := g.Outputs()[g.answer]
	switch {
	case out.Labels != nil:
		return out.Labels.Len()
	case len(out.Shape) == 1:
		return 1
	case len(out.Shape) == 2:
		return max(out.Shape[1], 0)
	}
	return 0
}

// FeatureNames are the names of inputs that are one column each, and of the columns
// of a map.
func (g *graph) FeatureNames() []string {
	var names []string
	for i, in := range g.Inputs() {
		switch {
		case in.Labels != nil && in.Labels.Type() == onnx.String:
			names = append(names, onnx.Values[string](in.Labels)...)
		case i < len(g.columns) && g.columns[i] == 1 && len(g.columns) > 1:
			names = append(names, in.Name)
		default:
			return nil
		}
	}
	return names
}

// Datatype is that of the answer.
func (g *graph) Datatype() string {
	if g.answer >= 0 && g.Outputs()[g.answer].Type == onnx.Float32 {
		return fp32
	}
	return fp64
}

// Predict gives the columns of the rows to the inputs in their order, and answers
// with the numbers of one output.
func (g *graph) Predict(dst, rows []float64) error {
	features := g.NumFeatures()
	if features == 0 || g.answer < 0 {
		return errors.New("the model takes named inputs that are not the columns of rows")
	}
	count := len(rows) / features
	inputs := make([]*onnx.Tensor, len(g.columns))
	at := 0
	for i, in := range g.Inputs() {
		part := make([]float64, 0, count*g.columns[i])
		for row := range count {
			part = append(part, rows[row*features+at:row*features+at+g.columns[i]]...)
		}
		at += g.columns[i]
		var err error
		if inputs[i], err = fromReals(in.Type, part, count, g.columns[i]); err != nil {
			return fmt.Errorf("input %s: %w", in.Name, err)
		}
	}
	outputs, err := g.Run(inputs)
	if err != nil {
		return err
	}
	out := outputs[g.answer]
	if out.Len() != len(dst) {
		return fmt.Errorf("output %s has %d values: expected %d", g.Outputs()[g.answer].Name, out.Len(), len(dst))
	}
	for i := range dst {
		dst[i] = realAt(out, i)
	}
	return nil
}

// realAt is value i of a tensor of reals.
func realAt(t *onnx.Tensor, i int) float64 {
	if t.Type() == onnx.Float32 {
		return float64(onnx.Values[float32](t)[i])
	}
	return onnx.Values[float64](t)[i]
}

// warm runs the model on zeros, as small as its inputs may be. A value that a node
// has no answer to, such as a category that is not known, is no fault of the model.
// Nor is a shape that it does not declare: then the first request shows.
func (g *graph) warm() error {
	inputs := make([]*onnx.Tensor, len(g.Inputs()))
	declared := true
	for i, in := range g.Inputs() {
		shape, n := []int{}, 1
		declared = declared && in.Shape != nil
		for j, dim := range in.Shape {
			declared = declared && (dim >= 0 || j == 0)
			if dim < 0 {
				dim = 1
			}
			shape, n = append(shape, dim), n*dim
		}
		if n > maxAnswer {
			return nil
		}
		var err error
		if inputs[i], err = fromReals(in.Type, make([]float64, n), shape...); err != nil {
			return fmt.Errorf("input %s: %w", in.Name, err)
		}
	}
	outputs, err := g.Run(inputs)
	if err == nil && g.columns != nil && g.answer >= 0 {
		g.width = outputs[g.answer].Len()
	}
	_, ofValues := errors.AsType[*onnx.ValueError](err)
	if err == nil || ofValues || !declared {
		return nil
	}
	return deployment.Reject(deployment.CodeModelCannotPredict, atArtifact, "model cannot predict zeros: %v", err)
}

// datatypeOf is the datatype of the protocol for a type, and typeNamed the reverse.
func datatypeOf(t onnx.Type) string {
	for _, pair := range tensorTypes {
		if pair.typ == t {
			return pair.name
		}
	}
	return ""
}

// tensorTypes are the types of tensors in the words of the protocol.
var tensorTypes = []struct {
	name string
	typ  onnx.Type
}{
	{fp32, onnx.Float32},
	{fp64, onnx.Float64},
	{"INT64", onnx.Int64},
	{"INT32", onnx.Int32},
	{"INT16", onnx.Int16},
	{"INT8", onnx.Int8},
	{"UINT64", onnx.Uint64},
	{"UINT32", onnx.Uint32},
	{"UINT16", onnx.Uint16},
	{"UINT8", onnx.Uint8},
	{"BOOL", onnx.Bool},
	{"BYTES", onnx.String},
}

// tensors describes the values for the metadata.
func tensors(values []onnx.Value) []tensor {
	out := make([]tensor, len(values))
	for i, v := range values {
		shape := v.Shape
		if shape == nil {
			shape = []int{-1}
		}
		out[i] = tensor{Name: v.Name, Datatype: datatypeOf(v.Type), Shape: shape}
	}
	return out
}

// labels are the names of columns, by the name of the tensor.
func (g *graph) labels() map[string]any {
	all := map[string]any{}
	for _, values := range [][]onnx.Value{g.Inputs(), g.Outputs()} {
		for _, v := range values {
			switch {
			case v.Labels == nil:
			case v.Labels.Type() == onnx.String:
				all[v.Name] = onnx.Values[string](v.Labels)
			default:
				all[v.Name] = onnx.Values[int64](v.Labels)
			}
		}
	}
	return all
}
