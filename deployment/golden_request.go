package deployment

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// GoldenRequest is a request with its answer in the words of the Open Inference
// Protocol, for models of named tensors and any other. Inputs are all that the
// model takes, Outputs those of its outputs whose values are known.
type GoldenRequest struct {
	Inputs  []GoldenTensor `json:"inputs"`
	Outputs []GoldenTensor `json:"outputs"`
}

// GoldenTensor is an input or an output. Data is an array, nested as Shape says or
// flat, of numbers, texts, truths or null for a missing value.
type GoldenTensor struct {
	Name     string          `json:"name"`
	Shape    []int           `json:"shape"`
	Datatype string          `json:"datatype"`
	Data     json.RawMessage `json:"data"`
}

// check says what is wrong with the answer to the request, and where; "" for nothing.
func (r GoldenRequest) check(tolerance float64, ask func(GoldenRequest) ([]GoldenTensor, error)) (path, why string) {
	answer, err := ask(r)
	if err != nil {
		return "", fmt.Sprintf("the model cannot answer it: %v", err)
	}
	for i, want := range r.Outputs {
		at := fmt.Sprintf(".outputs[%d]", i)
		k := slices.IndexFunc(answer, func(t GoldenTensor) bool { return t.Name == want.Name })
		if k < 0 {
			var names []string
			for _, t := range answer {
				names = append(names, t.Name)
			}
			return at + ".name", fmt.Sprintf("expected output %q, the model answers %s", want.Name, strings.Join(names, ", "))
		}
		if member, why := want.differs(answer[k], tolerance); why != "" {
			return at + member, fmt.Sprintf("output %s: %s", want.Name, why)
		}
	}
	return "", ""
}

// differs says in which member got is not as expected, and how; "" for none.
func (t GoldenTensor) differs(got GoldenTensor, tolerance float64) (member, why string) {
	if t.Datatype != got.Datatype {
		return ".datatype", fmt.Sprintf("expected %s, the model answers %s", t.Datatype, got.Datatype)
	}
	if !slices.Equal(t.Shape, got.Shape) {
		return ".shape", fmt.Sprintf("expected shape %v, the model answers %v", t.Shape, got.Shape)
	}
	want, err := t.values()
	if err != nil {
		return ".data", err.Error()
	}
	values, err := got.values()
	if err != nil {
		return ".data", fmt.Sprintf("the model's answer: %v", err)
	}
	if len(want) != len(values) {
		return ".data", fmt.Sprintf("expected the %d values of the shape, got %d", len(values), len(want))
	}
	for i, w := range want {
		if !alike(w, values[i], strings.HasPrefix(t.Datatype, "FP"), tolerance) {
			return ".data", fmt.Sprintf("expected %v as value %d within %g, the model answers %v", w, i, tolerance, values[i])
		}
	}
	return "", ""
}

// alike reports whether an answer is as expected: numbers with fractions within the
// tolerance, everything else exactly.
func alike(want, got any, fractions bool, tolerance float64) bool {
	w, number := want.(json.Number)
	g, too := got.(json.Number)
	if !number || !too || w == g {
		return want == got
	}
	x, err := w.Float64()
	y, err2 := g.Float64()
	if err != nil || err2 != nil {
		return false
	}
	if !fractions {
		const exact = 1 << 53 // up to which 2.0 and 2 are the same number, not only as float64
		return x == y && x < exact && x > -exact
	}
	return within(x, y, tolerance)
}

// values are the data without the brackets.
func (t GoldenTensor) values() ([]any, error) {
	d := json.NewDecoder(bytes.NewReader(t.Data))
	d.UseNumber()
	var values []any
	for depth := 0; ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && depth == 0 {
			return values, nil
		}
		if err != nil {
			return nil, fmt.Errorf("data of %s is not JSON: %w", t.Name, err)
		}
		switch delimiter, is := token.(json.Delim); {
		case delimiter == '[':
			depth++
		case delimiter == ']':
			depth--
		case is || depth == 0:
			return nil, fmt.Errorf("data of %s: expected an array of numbers, texts or truths, got %v", t.Name, token)
		default:
			values = append(values, token)
		}
	}
}

// size is how many values the request and its answer have. Data that is no array
// counts as nothing: whoever reads it says so.
func (r GoldenRequest) size() (n int) {
	for _, t := range slices.Concat(r.Inputs, r.Outputs) {
		values, _ := t.values()
		n += len(values)
	}
	return n
}
