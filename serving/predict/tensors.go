package predict

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ml/slipway/serving/predict/onnx"
)

// infer answers a request for a model of named tensors: body is the request, the
// answer is appended to b. The first dimension of the inputs is that of rows, most
// at most.
func (g *graph) infer(b, body []byte, name, version string, most int, deadline time.Time) ([]byte, namedTensors, error) {
	all := namedTensors{inputNames: g.inputNames, outputNames: g.outputNames}
	q, err := readTensors(body, g.Inputs())
	if err != nil {
		return b, all, problemf(http.StatusBadRequest, "%w", err)
	}
	for i, t := range q.tensors {
		if shape := t.Shape(); len(shape) > 0 {
			all.rows = max(all.rows, shape[0])
		}
		if all.rows > most {
			return b, all, problemf(http.StatusRequestEntityTooLarge, "input %s: %d rows are more than %d", g.Inputs()[i].Name, all.rows, most)
		}
	}
	wanted, err := g.choose(q.outputs)
	if err != nil {
		return b, all, err
	}
	outputs, err := g.run(deadline, q.tensors)
	if err != nil {
		return b, all, err
	}
	all.inputs, all.outputs = q.tensors, outputs
	b, err = g.answerTensors(b, q, wanted, outputs, name, version)
	return b, all, err
}

// run carries the model out. What it has no answer to is the fault of the request:
// it has answered before.
func (g *graph) run(deadline time.Time, inputs []*onnx.Tensor) ([]*onnx.Tensor, error) {
	outputs, err := g.RunUntil(deadline, inputs)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, problemf(http.StatusGatewayTimeout, "the deadline of the request has passed before the model had an answer")
	}
	if _, over := errors.AsType[*onnx.LimitError](err); over {
		return nil, problemf(http.StatusRequestEntityTooLarge, "inputs: %v", err)
	}
	if input, ok := errors.AsType[*onnx.InputError](err); ok {
		return nil, problemf(http.StatusBadRequest, "%v", input)
	}
	if err != nil {
		return nil, problemf(http.StatusBadRequest, "inputs: %v", err)
	}
	return outputs, nil
}

// answerTensors appends the answer with the outputs that are wanted to b.
func (g *graph) answerTensors(b []byte, q *tensorRequest, wanted []int, outputs []*onnx.Tensor, name, version string) (_ []byte, err error) {
	b = append(b, `{"model_name":`...)
	b = appendString(b, name)
	b = append(b, `,"model_version":`...)
	b = appendString(b, version)
	if q.hasID {
		b = append(b, `,"id":`...)
		b = appendString(b, q.id)
	}
	if len(q.parameters) > 0 {
		b = append(b, `,"parameters":`...)
		b = append(b, q.parameters...)
	}
	b = append(b, `,"outputs":[`...)
	for i, k := range wanted {
		if outputs[k].Len() > maxAnswer {
			return b, problemf(http.StatusRequestEntityTooLarge, "answer: %d values are more than %d", outputs[k].Len(), maxAnswer)
		}
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendTensor(b, g.Outputs()[k].Name, outputs[k]); err != nil {
			if input, i, there := missing(q.tensors); there {
				return b, problemf(http.StatusBadRequest, "inputs: %s: data: value %d is missing: expected a number, as the model has no answer without it (output %s: %v)",
					g.inputNames[input], i, g.Outputs()[k].Name, err)
			}
			return b, problemf(http.StatusInternalServerError, "model %s: version %s: output %s: %v", name, version, g.Outputs()[k].Name, err)
		}
	}
	return append(b, "]}"...), nil
}

// missing finds the first value that is missing.
func missing(inputs []*onnx.Tensor) (input, index int, there bool) {
	for k, t := range inputs {
		if t.Type() != onnx.Float32 && t.Type() != onnx.Float64 {
			continue
		}
		for i := range t.Len() {
			if v := realAt(t, i); v != v {
				return k, i, true
			}
		}
	}
	return 0, 0, false
}

// choose are the outputs that are asked for; all if none is.
func (g *graph) choose(names []string) ([]int, error) {
	var wanted []int
	for _, name := range names {
		k := slices.IndexFunc(g.Outputs(), func(v onnx.Value) bool { return v.Name == name })
		if k < 0 {
			return nil, problemf(http.StatusBadRequest, "outputs: no output %q, expected %s", name, namesOf(g.Outputs()))
		}
		wanted = append(wanted, k)
	}
	for k := range g.Outputs() {
		if len(names) == 0 {
			wanted = append(wanted, k)
		}
	}
	return wanted, nil
}

func namesOf(values []onnx.Value) string {
	names := allNames(values)
	if len(names) > 30 {
		return strings.Join(names[:30], ", ") + " ..."
	}
	return strings.Join(names, ", ")
}

func allNames(values []onnx.Value) (names []string) {
	for _, v := range values {
		names = append(names, v.Name)
	}
	return names
}

// tensorRequest is a decoded request for named tensors.
type tensorRequest struct {
	id         string
	hasID      bool
	parameters []byte         // JSON, as they were sent; empty: none
	tensors    []*onnx.Tensor // in the order of the model's inputs
	outputs    []string       // names of those that are asked for
}

// readTensors decodes a request. If the model has one input, whatever name the
// request gives it is right.
func readTensors(body []byte, expected []onnx.Value) (*tensorRequest, error) {
	d := document(body)
	var e envelope
	if err := e.read(d); err != nil {
		return nil, err
	}
	q := &tensorRequest{id: e.id, hasID: e.hasID, tensors: make([]*onnx.Tensor, len(expected))}
	if e.parameters.from > 0 && !d.isNull(e.parameters) {
		q.parameters = d[e.parameters.from:e.parameters.to]
	}
	if e.outputs.from > 0 && !d.isNull(e.outputs) {
		if err := d.outputNames(e.outputs, func(name string) error {
			q.outputs = append(q.outputs, name)
			return nil
		}); err != nil {
			return nil, err
		}
	}
	if e.inputs.from == 0 {
		return nil, fmt.Errorf("inputs: missing")
	}
	if err := d.array(e.inputs.from, func(value span) error { return q.add(d, value, expected) }); err != nil {
		return nil, fmt.Errorf("inputs: %w", err)
	}
	for i, t := range q.tensors {
		if t == nil {
			return nil, fmt.Errorf("inputs: no input %q, expected %s", expected[i].Name, namesOf(expected))
		}
	}
	return q, nil
}

// add reads one input.
func (q *tensorRequest) add(d document, at span, expected []onnx.Value) error {
	var in tensorSpans
	if err := in.read(d, at); err != nil {
		return err
	}
	k := slices.IndexFunc(expected, func(v onnx.Value) bool { return v.Name == in.name })
	if k < 0 && len(expected) == 1 {
		k = 0
	}
	switch {
	case k < 0:
		return fmt.Errorf("no input %q is taken, expected %s", in.name, namesOf(expected))
	case q.tensors[k] != nil && in.name != expected[k].Name:
		return fmt.Errorf("no input %q is taken beside another one, expected %s", in.name, namesOf(expected))
	case q.tensors[k] != nil:
		return fmt.Errorf("%s: stands twice", in.name)
	}
	shape, err := shapeOf(d, in.shape, expected[k])
	if err != nil {
		return fmt.Errorf("%s: shape: %w", in.name, err)
	}
	datatype, err := d.text("datatype", in.kind)
	if err != nil {
		return fmt.Errorf("%s: %w", in.name, err)
	}
	t, err := readData(d, in.data, shape, datatype, expected[k].Type)
	if err != nil {
		return fmt.Errorf("%s: %w", in.name, err)
	}
	if len(expected[k].Shape) == len(shape)+1 { // one row
		shape = append([]int{1}, shape...)
		if t, err = t.Reshape(shape...); err != nil {
			return fmt.Errorf("%s: %w", in.name, err)
		}
	}
	q.tensors[k] = t
	return nil
}

// shapeOf reads a shape. That of one row may leave the first dimension out.
func shapeOf(d document, at span, expected onnx.Value) (shape []int, err error) {
	if err := d.array(at.from, func(value span) error {
		token := d[value.from:value.to]
		n, err := strconv.ParseUint(string(token), 10, 31)
		if _, ok := isNumber(token); err != nil || !ok {
			return fmt.Errorf("%s: expected whole numbers up to 2147483647", d.show(value.from))
		}
		if n == 0 {
			return errors.New("no values: expected 1 or more in each dimension")
		}
		if len(shape) == maxRank {
			return fmt.Errorf("more than %d dimensions", maxRank)
		}
		shape = append(shape, int(n))
		return nil
	}); err != nil {
		return nil, err
	}
	row := len(expected.Shape) == len(shape)+1 && expected.Shape[0] < 0
	if expected.Shape != nil && len(shape) != len(expected.Shape) && !row {
		return nil, fmt.Errorf("%d dimensions: expected %v (-1: any size)", len(shape), expected.Shape)
	}
	return shape, nil
}

// maxRank is how many dimensions a tensor may have.
const maxRank = 8
