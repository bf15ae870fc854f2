package onnx

import (
	"math"
)

// logicOperators compare, and calculate with what comparisons give.
func logicOperators() []operator {
	two := [2]int{2, 2}
	return []operator{
		{name: "Equal", versions: []int{7, 11, 13, 19}, inputs: two, build: buildEqual},
		{name: "Greater", versions: []int{7, 9, 13}, inputs: two, build: func(n *node) (kernel, error) {
			return buildCompare(n, byNumber(n, n.in[0], each2(more[float32]), each2(more[float64]), each2(more[int64]), each2(more[int32]), each2(more[int16]),
				each2(more[int8]), each2(more[uint64]), each2(more[uint32]), each2(more[uint16]), each2(more[uint8])))
		}},
		{name: "Less", versions: []int{7, 9, 13}, inputs: two, build: func(n *node) (kernel, error) {
			return buildCompare(n, byNumber(n, n.in[0], each2(less[float32]), each2(less[float64]), each2(less[int64]), each2(less[int32]), each2(less[int16]),
				each2(less[int8]), each2(less[uint64]), each2(less[uint32]), each2(less[uint16]), each2(less[uint8])))
		}},
		{name: "GreaterOrEqual", versions: []int{12, 16}, inputs: two, build: func(n *node) (kernel, error) {
			return buildCompare(n, byNumber(n, n.in[0], each2(atLeast[float32]), each2(atLeast[float64]), each2(atLeast[int64]), each2(atLeast[int32]), each2(atLeast[int16]),
				each2(atLeast[int8]), each2(atLeast[uint64]), each2(atLeast[uint32]), each2(atLeast[uint16]), each2(atLeast[uint8])))
		}},
		{name: "LessOrEqual", versions: []int{12, 16}, inputs: two, build: func(n *node) (kernel, error) {
			return buildCompare(n, byNumber(n, n.in[0], each2(atMost[float32]), each2(atMost[float64]), each2(atMost[int64]), each2(atMost[int32]), each2(atMost[int16]),
				each2(atMost[int8]), each2(atMost[uint64]), each2(atMost[uint32]), each2(atMost[uint16]), each2(atMost[uint8])))
		}},
		truths("And", []int{7}, func(a, b bool) bool { return a && b }),
		truths("Or", []int{7}, func(a, b bool) bool { return a || b }),
		truths("Xor", []int{7}, func(a, b bool) bool { return a != b }),
		{name: "Not", versions: []int{1}, inputs: [2]int{1, 1}, build: func(n *node) (kernel, error) {
			n.want(0, Bool)
			return n.done(turned(func(x bool) bool { return !x }), Bool)
		}},
		{name: "IsNaN", versions: []int{9, 13, 20}, inputs: [2]int{1, 1}, build: func(n *node) (kernel, error) {
			n.want(0, allFloats...)
			return n.done(byFloat(n, n.in[0], turned(func(x float32) bool { return x != x }), turned(func(x float64) bool { return x != x })), Bool)
		}},
		{name: "IsInf", versions: []int{10, 20}, inputs: [2]int{1, 1}, build: buildIsInf},
		{name: "Where", versions: []int{9, 16}, inputs: [2]int{3, 3}, build: func(n *node) (kernel, error) {
			n.want(0, Bool)
			if n.typeIn(1) != n.typeIn(2) {
				n.fail(wrong("input 2: tensor of %v: expected %v as input 1", n.typeIn(2), n.typeIn(1)))
			}
			return n.done(bySize(n.in[1], where[uint8], where[uint16], where[uint32], where[uint64], where[string]), n.in[1])
		}},
	}
}

func buildEqual(n *node) (kernel, error) {
	n.same(1)
	switch n.in[0] {
	case String:
		return n.done(each2(equal[string]), Bool)
	case Bool:
		return n.done(each2(equal[bool]), Bool)
	case Float32:
		return n.done(each2(equal[float32]), Bool)
	case Float64:
		return n.done(each2(equal[float64]), Bool)
	default:
		return n.done(bySize(n.in[0], each2(equal[uint8]), each2(equal[uint16]), each2(equal[uint32]), each2(equal[uint64]), nil), Bool)
	}
}

func buildCompare(n *node, k kernel) (kernel, error) {
	n.same(1)
	return n.done(k, Bool)
}

func equal[T Element](a, b T) bool  { return a == b }
func more[T number](a, b T) bool    { return a > b }
func less[T number](a, b T) bool    { return a < b }
func atLeast[T number](a, b T) bool { return a >= b }
func atMost[T number](a, b T) bool  { return a <= b }

func truths(name string, versions []int, f func(a, b bool) bool) operator {
	return operator{name: name, versions: versions, inputs: [2]int{2, 2}, build: func(n *node) (kernel, error) {
		n.want(0, Bool)
		n.same(1)
		return n.done(each2(f), Bool)
	}}
}

// turned gives every element a value of another type.
func turned[T, R Element](f func(x T) R) kernel {
	return func(r *run) error {
		out, err := r.make(0, r.in[0].shape...)
		if err != nil {
			return err
		}
		to := view[R](out)
		for i, x := range view[T](r.in[0]) {
			to[i] = f(x)
		}
		return nil
	}
}

func buildIsInf(n *node) (kernel, error) {
	n.want(0, allFloats...)
	negative, positive := n.truth("detect_negative", true), n.truth("detect_positive", true)
	is := func(x float64) bool {
		return positive && math.IsInf(x, 1) || negative && math.IsInf(x, -1)
	}
	return n.done(byFloat(n, n.in[0], turned(func(x float32) bool { return is(float64(x)) }), turned(is)), Bool)
}

// where takes each element from one of two tensors. Three shapes are broadcast, so
// it walks twice: over the first choice and over the second.
func where[T Element](r *run) error {
	var room, room2 [maxDims]int
	shape, err := broadcast(room[:0], r.in[1].shape, r.in[2].shape)
	if err == nil {
		shape, err = broadcast(room2[:0], shape, r.in[0].shape)
	}
	if err != nil {
		return err
	}
	out, err := r.make(0, shape...)
	if err != nil {
		return err
	}
	to, choice := view[T](out), view[bool](r.in[0])
	for k, wanted := range []bool{true, false} {
		from := view[T](r.in[k+1])
		w := newWalk(out.shape, r.in[0].shape, r.in[k+1].shape)
		w.each(out.n, func(i, a, b int) {
			for j := range w.inner {
				if choice[a+j*w.sa] == wanted {
					to[i+j] = from[b+j*w.sb]
				}
			}
		})
	}
	return nil
}
