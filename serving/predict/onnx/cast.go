package onnx

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unsafe"
)

func castOperators() []operator {
	return []operator{
		{
			name: "Cast", versions: []int{6, 9, 13, 19, 21, 23, 24, 25, 28}, inputs: [2]int{1, 1}, build: buildCast,
			note: "not from or to float16, bfloat16, float8, int4 and other small types",
		},
		{
			name: "CastLike", versions: []int{15, 19, 21, 23, 24, 25}, inputs: [2]int{2, 2}, build: func(n *node) (kernel, error) {
				n.ignore("saturate", "round_mode")
				return buildCastTo(n, n.in[1])
			},
			note: "as Cast",
		},
	}
}

func buildCast(n *node) (kernel, error) {
	n.ignore("saturate", "round_mode") // of float8 and smaller alone
	if !n.has("to") {
		return nil, wrong("attribute to: is missing")
	}
	to := elementType(int64(n.int("to", 0)))
	if to.size() == 0 && n.err == nil {
		return nil, unsupportedType(to)
	}
	n.keepsLabels = true
	return buildCastTo(n, to)
}

func buildCastTo(n *node, to Type) (kernel, error) {
	from := n.in[0]
	if from == to {
		n.shares = true
		return n.done(shareSame, to)
	}
	parse := textTo(to)
	convert := conversion(n, from, to)
	return n.done(func(r *run) error {
		out, err := r.make(0, r.in[0].shape...)
		if err != nil {
			return err
		}
		if from == String {
			return parse(out, r.in[0])
		}
		convert(out, r.in[0])
		return nil
	}, to)
}

// shareSame makes the output the input.
func shareSame(r *run) error { return r.share(r.in[0].shape...) }

// conversion is a function that converts numbers and truths of one type into
// another. Reals are cut off after the point; what does not fit is undefined.
func conversion(n *node, from, to Type) func(to, from *Tensor) {
	switch from {
	case Float32:
		return conversionOf[float32](n, to)
	case Float64:
		return conversionOf[float64](n, to)
	case Int64:
		return conversionOf[int64](n, to)
	case Int32:
		return conversionOf[int32](n, to)
	case Int16:
		return conversionOf[int16](n, to)
	case Int8:
		return conversionOf[int8](n, to)
	case Uint64:
		return conversionOf[uint64](n, to)
	case Uint32:
		return conversionOf[uint32](n, to)
	case Uint16:
		return conversionOf[uint16](n, to)
	case Bool, Uint8: // a bool is a byte that is 0 or 1
		return conversionOf[uint8](n, to, from == Bool)
	default:
		return nil
	}
}

func conversionOf[F number](n *node, to Type, truth ...bool) func(to, from *Tensor) {
	switch {
	case to == Bool:
		return func(to, from *Tensor) {
			out := view[bool](to)
			for i, v := range view[F](from) {
				out[i] = v != 0
			}
		}
	case to == String && slices.Contains(truth, true):
		return func(to, from *Tensor) {
			for i, v := range view[bool](from) {
				view[string](to)[i] = map[bool]string{true: "True", false: "False"}[v]
			}
		}
	case to == String:
		return func(to, from *Tensor) {
			out := view[string](to)
			for i, v := range view[F](from) {
				out[i] = textOf(v)
			}
		}
	}
	return byNumber(n, to, convert[F, float32], convert[F, float64], convert[F, int64], convert[F, int32], convert[F, int16],
		convert[F, int8], convert[F, uint64], convert[F, uint32], convert[F, uint16], convert[F, uint8])
}

func convert[F, T number](to, from *Tensor) {
	out := view[T](to)
	for i, v := range view[F](from) {
		out[i] = T(v)
	}
}

// textOf writes a number as the standard says: NaN, INF and -INF by name.
func textOf[T number](v T) string {
	switch v := any(v).(type) {
	case float32:
		return realText(float64(v), 32)
	case float64:
		return realText(v, 64)
	case uint64:
		return strconv.FormatUint(v, 10)
	}
	return strconv.FormatInt(int64(v), 10)
}

func realText(v float64, bits int) string {
	switch {
	case v != v:
		return "NaN"
	case math.IsInf(v, 1):
		return "INF"
	case math.IsInf(v, -1):
		return "-INF"
	}
	return strconv.FormatFloat(v, 'g', -1, bits)
}

// textTo is a function that reads texts as numbers or truths.
func textTo(to Type) func(to, from *Tensor) error {
	return func(out, from *Tensor) error {
		for i, text := range view[string](from) {
			text = strings.TrimSpace(text)
			var err error
			switch to {
			case Float32, Float64:
				var v float64
				v, err = strconv.ParseFloat(text, to.size()*8)
				if to == Float32 {
					view[float32](out)[i] = float32(v)
				} else {
					view[float64](out)[i] = v
				}
				if v != v || math.IsInf(v, 0) {
					err = nil // said so, or too large for any number
				}
			case Uint64:
				view[uint64](out)[i], err = strconv.ParseUint(text, 10, 64)
			case Bool:
				view[bool](out)[i] = text != "" && text != "0" && !strings.EqualFold(text, "false")
			default:
				var v int64
				v, err = strconv.ParseInt(text, 10, to.size()*8)
				switch to.size() {
				case 1:
					view[int8](out)[i] = int8(v)
				case 2:
					view[int16](out)[i] = int16(v)
				case 4:
					view[int32](out)[i] = int32(v)
				default:
					view[int64](out)[i] = v
				}
			}
			if err != nil {
				return &ValueError{fmt.Sprintf("%.40q cannot be read as %v", text, to)}
			}
		}
		return nil
	}
}

// wordsTensor is a tensor in memory that is there already.
func wordsTensor(words []uint64, t Type, shape []int, n int) *Tensor {
	return &Tensor{typ: t, shape: shape, n: n, at: unsafe.Pointer(unsafe.SliceData(words))}
}

// wrongShape says that a shape is not as expected.
func wrongShape(what string, shape []int, expected string) error {
	return fmt.Errorf("%s has shape %v: expected %s", what, slices.Clone(shape), expected)
}

// pointer is where values stand.
func pointer[T number](values []T) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(values)) }
