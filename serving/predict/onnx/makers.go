package onnx

import (
	"fmt"
	"math"
)

// makerOperators make tensors out of little.
func makerOperators() []operator {
	return []operator{
		{
			name: "Constant", versions: []int{1, 9, 11, 12, 13, 19, 21, 23, 24, 25}, inputs: [2]int{0, 0}, build: buildConstant,
			note: "not with sparse_value",
		},
		{name: "ConstantOfShape", versions: []int{9, 20, 21, 23, 24, 25}, inputs: [2]int{1, 1}, build: buildConstantOfShape},
		{name: "Range", versions: []int{11, 27}, inputs: [2]int{3, 3}, build: func(n *node) (kernel, error) {
			n.want(0, Float32, Float64, Int16, Int32, Int64)
			n.same(1, 2)
			return n.done(byNumber(n, n.in[0], ranged[float32], ranged[float64], ranged[int64], ranged[int32], ranged[int16], nil, nil, nil, nil, nil), n.in[0])
		}},
		{name: "EyeLike", versions: []int{9, 22}, inputs: [2]int{1, 1}, build: buildEyeLike},
		{name: "OneHot", versions: []int{9, 11, 28}, inputs: [2]int{3, 3}, build: buildOneHot},
	}
}

func buildConstant(n *node) (kernel, error) {
	value := n.tensor("value")
	switch {
	case n.has("value_float"):
		value = constant([]float32{n.float("value_float", 0)})
	case n.has("value_floats"):
		list := n.floats("value_floats")
		value = constant(list, len(list))
	case n.has("value_int"):
		value = constant([]int64{int64(n.int("value_int", 0))})
	case n.has("value_ints"):
		list := n.ints64("value_ints")
		value = constant(list, len(list))
	case n.has("value_string"):
		value = constant([]string{n.text("value_string", "")})
	case n.has("value_strings"):
		list := n.texts("value_strings")
		value = constant(list, len(list))
	}
	if value == nil {
		if n.err == nil {
			n.fail(wrong("attribute value: is missing"))
		}
		return nil, n.err
	}
	return n.done(func(r *run) error {
		r.in = []*Tensor{value}
		return r.share(value.shape...)
	}, value.typ)
}

func buildConstantOfShape(n *node) (kernel, error) {
	n.want(0, Int64)
	value := n.tensor("value")
	if !n.has("value") {
		value = constant([]float32{0}, 1)
	}
	if value == nil || value.n != 1 {
		n.fail(wrong("attribute value: expected one value"))
		return nil, n.err
	}
	return n.done(bySize(value.typ, filled[uint8](value), filled[uint16](value), filled[uint32](value), filled[uint64](value), filled[string](value)), value.typ)
}

func filled[T any](value *Tensor) kernel {
	return func(r *run) error {
		if r.in[0].n > maxDims {
			return wrongShape("the shape", r.in[0].shape, fmt.Sprintf("at most %d dimensions", maxDims))
		}
		var room [maxDims]int
		out, err := r.make(0, intsOf(r.in[0], room[:])...)
		if err == nil {
			fill(view[T](out), view[T](value)[0])
		}
		return err
	}
}

func ranged[T number](r *run) error {
	for i := range 3 {
		if r.in[i].n != 1 {
			return wrongShape(fmt.Sprintf("input %d", i), r.in[i].shape, "one value")
		}
	}
	start, limit, delta := view[T](r.in[0])[0], view[T](r.in[1])[0], view[T](r.in[2])[0]
	count := math.Ceil((float64(limit) - float64(start)) / float64(delta))
	if !(count <= maxElements) {
		return &ValueError{fmt.Sprintf("a range from %v to %v by %v has no end", start, limit, delta)}
	}
	out, err := r.make(0, max(0, int(count)))
	if err != nil {
		return err
	}
	to := view[T](out)
	for i := range to {
		to[i] = start + T(i)*delta
	}
	return nil
}

func buildEyeLike(n *node) (kernel, error) {
	to := elementType(int64(n.int("dtype", int(n.in[0]))))
	if to.size() == 0 || to == String {
		return nil, unsupportedType(to)
	}
	k := n.int("k", 0)
	one := bySize(to, eye(k, uint8(1)), eye(k, uint16(1)), eye(k, uint32(1)), eye(k, uint64(1)), nil)
	switch to {
	case Float32:
		one = eye(k, float32(1))
	case Float64:
		one = eye(k, float64(1))
	default: // an integer of that size
	}
	return n.done(one, to)
}

func eye[T any](k int, one T) kernel {
	return func(r *run) error {
		x := r.in[0]
		if len(x.shape) != 2 {
			return wrongShape("the input", x.shape, "a matrix")
		}
		out, err := r.make(0, x.shape...)
		if err != nil {
			return err
		}
		to := view[T](out)
		clear(to)
		for row := range x.shape[0] {
			if column := row + k; column >= 0 && column < x.shape[1] {
				to[row*x.shape[1]+column] = one
			}
		}
		return nil
	}
}

func buildOneHot(n *node) (kernel, error) {
	n.want(0, allNumbers...)
	n.want(1, allNumbers...)
	axis := n.int("axis", -1)
	if n.err != nil {
		return nil, n.err
	}
	indicesTo, depthTo := conversion(n, n.in[0], Float64), conversion(n, n.in[1], Float64)
	move := bySize(n.typeIn(2), oneHot[uint8], oneHot[uint16], oneHot[uint32], oneHot[uint64], oneHot[string])
	return n.done(func(r *run) error {
		if r.in[1].n != 1 || r.in[2].n != 2 {
			return fmt.Errorf("expected one depth and two values, got %d and %d", r.in[1].n, r.in[2].n)
		}
		depth, err := scratchOf[float64](r, 1, 1)
		if err != nil {
			return err
		}
		depthTo(over(r, Float64, depth), r.in[1])
		if !(depth[0] >= 0 && depth[0] <= maxElements) {
			return fmt.Errorf("the depth is %v", depth[0])
		}
		where, err := scratchOf[float64](r, 0, r.in[0].n)
		if err != nil {
			return err
		}
		indicesTo(over(r, Float64, where), r.in[0])
		axis, err := axisOf(axis, len(r.in[0].shape)+1)
		if err != nil {
			return err
		}
		return move(r, where, int(depth[0]), axis)
	}, n.typeIn(2))
}

func oneHot[T any](r *run, where []float64, depth, axis int) error {
	shape := r.in[0].shape
	if len(shape) == maxDims {
		return fmt.Errorf("more than %d dimensions", maxDims)
	}
	var room [maxDims]int
	full := append(append(append(room[:0], shape[:axis]...), depth), shape[axis:]...)
	out, err := r.make(0, full...)
	if err != nil || out.n == 0 {
		return err
	}
	to, values := view[T](out), view[T](r.in[2])
	fill(to, values[0])
	after, _ := elements(shape[axis:])
	for i, k := range where {
		if k < 0 {
			k += float64(depth)
		}
		if k >= 0 && k < float64(depth) {
			to[(i/after*depth+int(k))*after+i%after] = values[1]
		}
	}
	return nil
}
