package onnx

import (
	"math"
)

// reductionOperators make one value of all along some axes.
func reductionOperators() []operator {
	real := func(name string, versions []int, f reduction) operator {
		return operator{name: name, versions: versions, inputs: [2]int{1, 2}, build: func(n *node) (kernel, error) {
			n.want(0, Float32, Float64, Int64, Int32, Uint64, Uint32)
			since := 18
			if name == "ReduceSum" {
				since = 13
			}
			red := newReduced(n, since)
			return n.done(byNumber(n, n.in[0], reduced[float32](red, f), reduced[float64](red, f), reduced[int64](red, f), reduced[int32](red, f), nil, nil,
				reduced[uint64](red, f), reduced[uint32](red, f), nil, nil), n.in[0])
		}}
	}
	same := func(x float64) float64 { return x }
	square := func(x float64) float64 { return x * x }
	sum := func(a, b float64) float64 { return a + b }
	return []operator{
		real("ReduceSum", []int{1, 11, 13}, reduction{each: same, join: sum}),
		real("ReduceMean", []int{1, 11, 13, 18}, reduction{each: same, join: sum, finish: func(x float64, n int) float64 { return x / float64(n) }}),
		real("ReduceProd", []int{1, 11, 13, 18}, reduction{start: 1, each: same, join: func(a, b float64) float64 { return a * b }}),
		real("ReduceL1", []int{1, 11, 13, 18}, reduction{each: math.Abs, join: sum}),
		real("ReduceL2", []int{1, 11, 13, 18}, reduction{each: square, join: sum, finish: func(x float64, _ int) float64 { return math.Sqrt(x) }}),
		real("ReduceSumSquare", []int{1, 11, 13, 18}, reduction{each: square, join: sum}),
		real("ReduceLogSum", []int{1, 11, 13, 18, 28}, reduction{each: same, join: sum, finish: func(x float64, _ int) float64 { return math.Log(x) }}),
		real("ReduceLogSumExp", []int{1, 11, 13, 18, 28}, reduction{start: math.Inf(-1), each: same, join: logAddExp}),
		{name: "ReduceMax", versions: []int{1, 11, 12, 13, 18, 20}, inputs: [2]int{1, 2}, build: func(n *node) (kernel, error) {
			return buildExtreme(n, larger[float32], larger[float64], larger[int64], larger[int32], larger[int8], larger[uint64], larger[uint32], larger[uint8])
		}},
		{name: "ReduceMin", versions: []int{1, 11, 12, 13, 18, 20}, inputs: [2]int{1, 2}, build: func(n *node) (kernel, error) {
			return buildExtreme(n, smaller[float32], smaller[float64], smaller[int64], smaller[int32], smaller[int8], smaller[uint64], smaller[uint32], smaller[uint8])
		}},
	}
}

// reduction joins what each makes of the values, from start on.
type reduction struct {
	start  float64
	each   func(x float64) float64
	join   func(a, b float64) float64
	finish func(x float64, n int) float64 // may be nil
}

// logAddExp is the logarithm of the sum of two exponentials.
func logAddExp(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	if math.IsInf(a, 0) || a != a {
		return a
	}
	return a + math.Log1p(math.Exp(b-a))
}

// axes are those that a node reduces: an attribute, or input 1 since some opset.
type axes struct {
	list    []int
	input   bool
	keep    bool
	nothing bool // without axes nothing is reduced
}

// newReduced reads the axes, which are an input since the opset.
func newReduced(n *node, since int) axes {
	a := axes{keep: n.truth("keepdims", true)}
	if n.version >= since {
		a.input = n.given(1)
		a.nothing = n.truth("noop_with_empty_axes", false)
		if a.input {
			n.want(1, Int64)
		}
		return a
	}
	a.list = n.ints("axes")
	if n.given(1) {
		n.fail(wrong("2 inputs: expected axes in an attribute"))
	}
	return a
}

// shapeOf finds out which dimensions of the input are reduced, and the shape that
// comes of it.
func (a *axes) shapeOf(r *run, room []int) (out []int, which [maxDims]bool, err error) {
	shape := r.in[0].shape
	list := a.list
	var given [maxDims]int
	if a.input {
		if r.in[1].n > maxDims {
			return nil, which, wrongShape("axes", r.in[1].shape, "fewer")
		}
		list = intsOf(r.in[1], given[:])
	}
	for _, axis := range list {
		axis, err := axisOf(axis, len(shape))
		if err != nil {
			return nil, which, err
		}
		which[axis] = true
	}
	for i, dim := range shape {
		if len(list) == 0 {
			which[i] = !a.nothing
		}
		switch {
		case !which[i]:
			room = append(room, dim)
		case a.keep:
			room = append(room, 1)
		}
	}
	return room, which, nil
}

// reduced sums in double and rounds once.
func reduced[T number](a axes, f reduction) kernel {
	return func(r *run) error {
		x := r.in[0]
		var room [maxDims]int
		shape, which, err := a.shapeOf(r, room[:0])
		if err != nil {
			return err
		}
		out, err := r.make(0, shape...)
		if err != nil {
			return err
		}
		if err := r.spendProduct(x.n, 3); err != nil {
			return err
		}
		sums, err := scratchOf[float64](r, 0, out.n)
		if err != nil {
			return err
		}
		for i := range sums {
			sums[i] = f.start
		}
		from, to := view[T](x), view[T](out)
		overGroups(x.shape, which[:], func(group, at, count, stride int) {
			if stride == 0 { // the run belongs to one group
				sum := sums[group]
				for _, v := range from[at : at+count] {
					sum = f.join(sum, f.each(float64(v)))
				}
				sums[group] = sum
				return
			}
			for i, v := range from[at : at+count] {
				sums[group+i] = f.join(sums[group+i], f.each(float64(v)))
			}
		})
		count := 0
		if out.n > 0 {
			count = x.n / out.n
		}
		for i, sum := range sums {
			if f.finish != nil {
				sum = f.finish(sum, count)
			}
			to[i] = T(sum)
		}
		return nil
	}
}

// overGroups calls f for runs of elements: those from at on belong to the group,
// or, with stride 1, to it and the following ones.
func overGroups(shape []int, which []bool, f func(group, at, count, stride int)) {
	n, _ := elements(shape)
	if n == 0 {
		return
	}
	if len(shape) == 0 {
		f(0, 0, 1, 0)
		return
	}
	var index, strides [maxDims]int
	size := 1
	for d := len(shape) - 1; d >= 0; d-- {
		if !which[d] {
			strides[d] = size
			size *= shape[d]
		}
	}
	last := len(shape) - 1
	count := shape[last]
	for at := 0; at < n; at += count {
		group := 0
		for d := range last {
			group += index[d] * strides[d]
		}
		f(group, at, count, strides[last])
		advance(index[:last], shape[:last])
	}
}

func buildExtreme(n *node, f32 func(a, b float32) float32, f64 func(a, b float64) float64, i64 func(a, b int64) int64, i32 func(a, b int32) int32,
	i8 func(a, b int8) int8, u64 func(a, b uint64) uint64, u32 func(a, b uint32) uint32, u8 func(a, b uint8) uint8,
) (kernel, error) {
	a := newReduced(n, 18)
	if n.in[0] == Bool { // a bool is a byte that is 0 or 1
		return n.done(extreme(a, u8), Bool)
	}
	return n.done(byNumber(n, n.in[0], extreme(a, f32), extreme(a, f64), extreme(a, i64), extreme(a, i32), nil, extreme(a, i8),
		extreme(a, u64), extreme(a, u32), nil, extreme(a, u8)), n.in[0])
}

// extreme keeps the largest or smallest.
func extreme[T number](a axes, f func(a, b T) T) kernel {
	return func(r *run) error {
		x := r.in[0]
		var room [maxDims]int
		shape, which, err := a.shapeOf(r, room[:0])
		if err != nil {
			return err
		}
		out, err := r.make(0, shape...)
		if err != nil {
			return err
		}
		if err := r.spendProduct(x.n, 3); err != nil {
			return err
		}
		from, to := view[T](x), view[T](out)
		if x.n == 0 { // the answer is what any value would beat
			for i := range to {
				to[i] = bound[T](f(0, 1) == 0)
				if x.typ == Bool {
					to[i] = min(to[i], 1)
				}
			}
			return nil
		}
		seen, err := scratchOf[uint8](r, 0, out.n)
		if err != nil {
			return err
		}
		clear(seen)
		overGroups(x.shape, which[:], func(group, at, count, stride int) {
			for i, v := range from[at : at+count] {
				g := group + i*min(stride, 1)
				if seen[g] == 0 {
					seen[g], to[g] = 1, v
				} else {
					to[g] = f(to[g], v)
				}
			}
		})
		return nil
	}
}

// bound is the smallest or the largest value of a type.
func bound[T number](largest bool) T {
	pick := func(low, high any) T {
		if largest {
			return high.(T)
		}
		return low.(T)
	}
	switch typeOf[T]() {
	case Float32:
		return pick(float32(math.Inf(-1)), float32(math.Inf(1)))
	case Float64:
		return pick(math.Inf(-1), math.Inf(1))
	case Int64:
		return pick(int64(math.MinInt64), int64(math.MaxInt64))
	case Int32:
		return pick(int32(math.MinInt32), int32(math.MaxInt32))
	case Int8:
		return pick(int8(math.MinInt8), int8(math.MaxInt8))
	case Uint64:
		return pick(uint64(0), uint64(math.MaxUint64))
	case Uint32:
		return pick(uint32(0), uint32(math.MaxUint32))
	default:
		return pick(uint8(0), uint8(math.MaxUint8))
	}
}
