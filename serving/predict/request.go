package predict

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// request is a decoded request for predictions.
type request struct {
	id         string
	hasID      bool
	parameters []byte    // JSON, as they were sent; empty: none
	input      string    // name of the tensor, for messages
	rows       int       // 1 or more
	features   int       // values per row, 1 or more
	values     []float64 // row after row; NaN: missing

	start  int       // in values, of the tensor or row that is read
	seen   []bool    // of the features of a row, those that are there
	spare  []float64 // memory for turning columns into rows
	places []int     // of the tensors that are columns, in a row
}

// reset forgets all but the memory.
func (q *request) reset() {
	*q = request{values: q.values[:0], spare: q.spare[:0], places: q.places[:0], seen: q.seen[:0], parameters: q.parameters[:0]}
}

// decode reads the body of an inference request (serving.md section 6) for a
// model with features of these names, in row order. It reuses the memory of the
// request. Members it does not know have to be JSON and are otherwise ignored, as
// the protocol leaves room for extensions.
func (q *request) decode(body []byte, names []string) error {
	q.reset()
	d := document(body)
	var e envelope
	if err := e.read(d); err != nil {
		return err
	}
	q.id, q.hasID = e.id, e.hasID
	if e.parameters.from > 0 && !d.isNull(e.parameters) {
		q.parameters = append(q.parameters, d[e.parameters.from:e.parameters.to]...)
	}
	if e.outputs.from > 0 && !d.isNull(e.outputs) {
		if err := d.outputNames(e.outputs, func(name string) error {
			if name != outputName {
				return fmt.Errorf("no output %q, expected %s", name, outputName)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	if e.inputs.from == 0 {
		return fmt.Errorf("inputs: missing")
	}
	if err := q.inputs(d, e.inputs, names); err != nil {
		return fmt.Errorf("inputs: %w", err)
	}
	return nil
}

// inputs reads one tensor of rows, whatever its name, or one tensor for each
// feature, by their names and in any order.
func (q *request) inputs(d document, at span, names []string) error {
	tensors, columns := 0, index{names: names}
	if err := d.array(at.from, func(value span) error {
		var t tensorSpans
		if err := t.read(d, value); err != nil {
			return err
		}
		if tensors++; tensors == 1 && (t.name == inputName || !slices.Contains(names, t.name)) {
			return q.tensor(d, &t)
		}
		place, known := columns.find(t.name, tensors-1)
		switch {
		case len(names) == 0:
			return fmt.Errorf("expected one tensor of shape [rows, features], got more")
		case len(q.places) < tensors-1 || !known:
			return fmt.Errorf("no input %q, expected one tensor of shape [rows, %d], or one tensor for each feature%s", t.name, len(names), inOrder(names))
		}
		return q.column(d, &t, place)
	}); err != nil {
		return err
	}
	switch {
	case tensors == 0:
		return fmt.Errorf("expected one tensor, got none")
	case len(q.places) > 0:
		return q.transpose(names)
	}
	return nil
}

// tensor reads an input that is rows.
func (q *request) tensor(d document, t *tensorSpans) error {
	q.input = t.name
	dims, err := q.shape(d, t.shape)
	if err != nil {
		return fmt.Errorf("%s: shape: %w", q.input, err)
	}
	return q.fill(d, t, dims)
}

// fill appends the values of a tensor whose shape is known.
func (q *request) fill(d document, t *tensorSpans, dims int) error {
	name, err := d.text("datatype", t.kind)
	if err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	datatype, known := datatypeNamed(name)
	if !known {
		return fmt.Errorf("%s: datatype %q: expected FP16, FP32, FP64, BOOL or an INT or UINT of 8 to 64 bits", t.name, name)
	}
	q.start = len(q.values)
	if err := q.data(d, t.data, dims, datatype); err != nil {
		return fmt.Errorf("%s: data: %w", t.name, err)
	}
	return nil
}

// shape reads [features], which is one row, or [rows, features].
func (q *request) shape(d document, at span) (dims int, err error) {
	q.rows = 1
	if err := d.array(at.from, func(value span) error {
		token := d[value.from:value.to]
		n, err := strconv.ParseUint(string(token), 10, 31)
		_, ok := isNumber(token)
		switch {
		case err != nil || !ok:
			return fmt.Errorf("%s: expected whole numbers up to 2147483647", d.show(value.from))
		case n == 0:
			return fmt.Errorf("no values: expected 1 or more rows and features")
		}
		if dims++; dims == 2 {
			q.rows = q.features
		}
		q.features = int(n)
		return nil
	}); err != nil {
		return 0, err
	}
	if dims < 1 || dims > 2 {
		return 0, fmt.Errorf("%d dimensions: expected [features] or [rows, features]", dims)
	}
	return dims, nil
}

// data reads the values, flat or nested as the shape says.
func (q *request) data(d document, at span, dims int, kind datatype) error {
	if d[at.from] != '[' {
		return fmt.Errorf("expected an array, got %s", d.show(at.from))
	}
	nested := d.peek(d.space(at.from+1)) == '['
	if !nested {
		_, err := q.scalars(d, at.from, kind)
		if got := len(q.values) - q.start; err == nil && got != q.rows*q.features {
			err = fmt.Errorf("expected the %d values of the shape, got %d", q.rows*q.features, got)
		}
		return err
	}
	if dims != 2 {
		return fmt.Errorf("nested, but the shape has one dimension")
	}
	rows := 0
	if err := d.elements(at.from, func(i, from int) (end int, err error) {
		if d.peek(from) != '[' {
			return 0, fmt.Errorf("row %d: expected an array, got %s", i, d.show(from))
		}
		rows++
		before := len(q.values)
		end, err = q.scalars(d, from, kind)
		if err == nil && len(q.values)-before != q.features {
			err = fmt.Errorf("expected the %d values of the shape, got %d", q.features, len(q.values)-before)
		}
		if err != nil {
			err = fmt.Errorf("row %d: %w", i, err)
		}
		return end, err
	}); err != nil {
		return err
	}
	if rows != q.rows {
		return fmt.Errorf("expected the %d rows of the shape, got %d", q.rows, rows)
	}
	return nil
}

// scalars appends the numbers of the array at from to values.
func (q *request) scalars(d document, from int, kind datatype) (end int, err error) {
	i := d.space(from + 1)
	if d.peek(i) == ']' {
		return i + 1, nil
	}
	missing := math.NaN()
	for {
		to, value := d.token(i), missing
		if token := d[i:to]; string(token) != "null" {
			if value, err = kind.value(token); err != nil {
				return 0, fmt.Errorf("value %d: %s: %w", len(q.values)-q.start, d.show(i), err)
			}
		}
		q.values = append(q.values, value)
		i = d.space(to)
		switch d.peek(i) {
		case ',':
			i = d.space(i + 1)
		case ']':
			return i + 1, nil
		default:
			return 0, fmt.Errorf("after value %d: expected , or ], got %s", len(q.values)-q.start-1, d.show(i))
		}
	}
}
