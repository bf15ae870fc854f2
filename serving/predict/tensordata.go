package predict

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/slipway-ml/slipway/serving/predict/onnx"
)

// readData reads the values as the type that the model takes: numbers of any
// datatype, if it can hold them; text as text and truths as truths.
func readData(d document, at span, shape []int, datatype string, t onnx.Type) (*onnx.Tensor, error) {
	if (t == onnx.String) != (datatype == "BYTES") {
		return nil, fmt.Errorf("datatype %q: expected %s", datatype, datatypeOf(t))
	}
	if t == onnx.String {
		texts, err := collect(d, at, shape, func(token []byte, at span) (string, error) { return d.text("expected text", at) })
		if err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
		return onnx.NewTensor(texts, shape...)
	}
	kind, known := datatypeNamed(datatype)
	if !known || (t == onnx.Bool) != (kind.kind == 'b') {
		return nil, fmt.Errorf("datatype %q: expected %s", datatype, datatypeOf(t))
	}
	out, err := readNumbers(d, at, shape, kind, t)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	return out, nil
}

func readNumbers(d document, at span, shape []int, kind datatype, t onnx.Type) (*onnx.Tensor, error) {
	if t == onnx.Int64 || t == onnx.Uint64 { // beyond 2^53 not every number is a float64
		whole, err := collect(d, at, shape, func(token []byte, _ span) (int64, error) { return wholeNumber(token, kind, t) })
		if err != nil {
			return nil, err
		}
		if t == onnx.Uint64 {
			unsigned := make([]uint64, len(whole))
			for i, v := range whole {
				unsigned[i] = uint64(v)
			}
			return onnx.NewTensor(unsigned, shape...)
		}
		return onnx.NewTensor(whole, shape...)
	}
	numbers, err := collect(d, at, shape, func(token []byte, _ span) (float64, error) {
		if string(token) == "null" {
			if t != onnx.Float32 && t != onnx.Float64 {
				return 0, fmt.Errorf("missing values: %s has none", datatypeOf(t))
			}
			return math.NaN(), nil
		}
		return kind.value(token)
	})
	if err != nil {
		return nil, err
	}
	return fromReals(t, numbers, shape...)
}

// wholeNumber reads a whole number of 64 bits; those of uint64 as the int64 of the
// same bits.
func wholeNumber(token []byte, kind datatype, t onnx.Type) (int64, error) {
	v, err := kind.value(token)
	if err != nil {
		return 0, err
	}
	if whole, _ := isNumber(token); whole && t == onnx.Uint64 {
		n, err := strconv.ParseUint(string(token), 10, 64)
		if err != nil {
			return 0, errRange
		}
		return int64(n), nil
	} else if whole {
		n, err := strconv.ParseInt(string(token), 10, 64)
		if err != nil {
			return 0, errRange
		}
		return n, nil
	}
	if v != math.Trunc(v) || math.Abs(v) > 1<<53 || v < 0 && t == onnx.Uint64 {
		return 0, errNotWhole
	}
	return int64(v), nil
}

// collect reads the values of nested or flat data, row after row.
func collect[T any](d document, at span, shape []int, read func(token []byte, at span) (T, error)) ([]T, error) {
	n := 1
	for _, dim := range shape {
		if n > len(d)/dim { // each value takes a byte at least
			return nil, fmt.Errorf("expected the values of shape %v, got fewer", slices.Clone(shape))
		}
		n *= dim
	}
	out := make([]T, 0, n)
	var walk func(from, depth int) error
	walk = func(from, depth int) error {
		count := 0
		nested := false
		err := d.elements(from, func(i, from int) (int, error) {
			count++
			end, err := d.skip(from)
			if err != nil {
				return 0, err
			}
			if d[from] == '[' {
				if depth+1 >= len(shape) || i > 0 && !nested {
					return 0, fmt.Errorf("expected values in the shape %v, got %s", slices.Clone(shape), d.show(from))
				}
				nested = true
				return end, walk(from, depth+1)
			}
			if nested || len(out) == n {
				return 0, fmt.Errorf("expected the %d values of the shape, got %s more", n, d.show(from))
			}
			v, err := read(d[from:end], span{from, end})
			if err != nil {
				return 0, fmt.Errorf("value %d: %s: %w", len(out), d.show(from), err)
			}
			out = append(out, v)
			return end, nil
		})
		if err == nil && (nested || depth > 0) && count != shape[depth] {
			return fmt.Errorf("expected %d elements in dimension %d, got %d", shape[depth], depth, count)
		}
		return err
	}
	if err := walk(at.from, 0); err != nil {
		return nil, err
	}
	if len(out) != n {
		return nil, fmt.Errorf("expected the %d values of the shape, got %d", n, len(out))
	}
	return out, nil
}

// fromReals is a tensor of numbers of the type; texts are empty.
func fromReals(t onnx.Type, values []float64, shape ...int) (*onnx.Tensor, error) {
	switch t {
	case onnx.Float64:
		return onnx.NewTensor(values, shape...)
	case onnx.Float32:
		out := make([]float32, len(values))
		for i, v := range values {
			if out[i] = float32(v); math.IsInf(float64(out[i]), 0) && !math.IsInf(v, 0) {
				return nil, fmt.Errorf("value %d: %w", i, &rangeError{index: i, value: v})
			}
		}
		return onnx.NewTensor(out, shape...)
	case onnx.Int64:
		return narrowed[int64](values, shape)
	case onnx.Int32:
		return narrowed[int32](values, shape)
	case onnx.Int16:
		return narrowed[int16](values, shape)
	case onnx.Int8:
		return narrowed[int8](values, shape)
	case onnx.Uint64:
		return narrowed[uint64](values, shape)
	case onnx.Uint32:
		return narrowed[uint32](values, shape)
	case onnx.Uint16:
		return narrowed[uint16](values, shape)
	case onnx.Uint8:
		return narrowed[uint8](values, shape)
	case onnx.Bool:
		out := make([]bool, len(values))
		for i, v := range values {
			out[i] = v != 0
		}
		return onnx.NewTensor(out, shape...)
	default:
		return onnx.NewTensor(make([]string, len(values)), shape...)
	}
}

// narrowed are whole numbers of a type that has to hold them.
func narrowed[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64](values []float64, shape []int) (*onnx.Tensor, error) {
	out := make([]T, len(values))
	for i, v := range values {
		if out[i] = T(v); float64(out[i]) != v || math.Abs(v) > 1<<53 {
			return nil, fmt.Errorf("value %d: %v: expected whole numbers in the range of the model's input", i, v)
		}
	}
	return onnx.NewTensor(out, shape...)
}

// appendTensor appends an output as JSON. What JSON cannot say is an error.
func appendTensor(b []byte, name string, t *onnx.Tensor) ([]byte, error) {
	b = append(b, `{"name":`...)
	b = appendString(b, name)
	b = append(b, `,"shape":[`...)
	for i, dim := range t.Shape() {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(dim), 10)
	}
	b = append(b, `],"datatype":"`...)
	b = append(b, datatypeOf(t.Type())...)
	b = append(b, `","data":[`...)
	for i := range t.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		if t.Type() == onnx.Float32 || t.Type() == onnx.Float64 {
			if v := realAt(t, i); v-v != 0 {
				return nil, fmt.Errorf("value %d is %v", i, v)
			}
		}
		b = appendValue(b, t, i)
	}
	return append(b, "]}"...), nil
}

func appendValue(b []byte, t *onnx.Tensor, i int) []byte {
	switch t.Type() {
	case onnx.Float32:
		return strconv.AppendFloat(b, float64(onnx.Values[float32](t)[i]), 'g', -1, 32)
	case onnx.Float64:
		return strconv.AppendFloat(b, onnx.Values[float64](t)[i], 'g', -1, 64)
	case onnx.Int64:
		return strconv.AppendInt(b, onnx.Values[int64](t)[i], 10)
	case onnx.Int32:
		return strconv.AppendInt(b, int64(onnx.Values[int32](t)[i]), 10)
	case onnx.Int16:
		return strconv.AppendInt(b, int64(onnx.Values[int16](t)[i]), 10)
	case onnx.Int8:
		return strconv.AppendInt(b, int64(onnx.Values[int8](t)[i]), 10)
	case onnx.Uint64:
		return strconv.AppendUint(b, onnx.Values[uint64](t)[i], 10)
	case onnx.Uint32:
		return strconv.AppendUint(b, uint64(onnx.Values[uint32](t)[i]), 10)
	case onnx.Uint16:
		return strconv.AppendUint(b, uint64(onnx.Values[uint16](t)[i]), 10)
	case onnx.Uint8:
		return strconv.AppendUint(b, uint64(onnx.Values[uint8](t)[i]), 10)
	case onnx.Bool:
		return strconv.AppendBool(b, onnx.Values[bool](t)[i])
	default:
		return appendString(b, onnx.Values[string](t)[i])
	}
}
