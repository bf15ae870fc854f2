package onnx

import (
	"fmt"
	"slices"
)

// orderOperators compare values along an axis.
func orderOperators() []operator {
	return []operator{
		{name: "ArgMax", versions: []int{1, 11, 12, 13}, inputs: [2]int{1, 1}, build: func(n *node) (kernel, error) {
			return buildArg(n, arg(n, more[float32]), arg(n, more[float64]), arg(n, more[int64]), arg(n, more[int32]), arg(n, more[int16]),
				arg(n, more[int8]), arg(n, more[uint64]), arg(n, more[uint32]), arg(n, more[uint16]), arg(n, more[uint8]))
		}},
		{name: "ArgMin", versions: []int{1, 11, 12, 13}, inputs: [2]int{1, 1}, build: func(n *node) (kernel, error) {
			return buildArg(n, arg(n, less[float32]), arg(n, less[float64]), arg(n, less[int64]), arg(n, less[int32]), arg(n, less[int16]),
				arg(n, less[int8]), arg(n, less[uint64]), arg(n, less[uint32]), arg(n, less[uint16]), arg(n, less[uint8]))
		}},
		{name: "CumSum", versions: []int{11, 14}, inputs: [2]int{2, 2}, build: buildCumSum},
		{name: "TopK", versions: []int{1, 10, 11, 24}, inputs: [2]int{1, 2}, build: buildTopK},
	}
}

func buildArg(n *node, f32, f64, i64, i32, i16, i8, u64, u32, u16, u8 kernel) (kernel, error) {
	return n.done(byNumber(n, n.in[0], f32, f64, i64, i32, i16, i8, u64, u32, u16, u8), Int64)
}

// arg is the index of the best value along an axis, the first of equals unless the
// last is asked for.
func arg[T number](n *node, better func(a, b T) bool) kernel {
	axis, keep, last := n.int("axis", 0), n.truth("keepdims", true), n.truth("select_last_index", false)
	return func(r *run) error {
		x := r.in[0]
		axis, err := axisOf(axis, len(x.shape))
		if err != nil {
			return err
		}
		var room [maxDims]int
		shape := room[:0]
		for i, dim := range x.shape {
			switch {
			case i != axis:
				shape = append(shape, dim)
			case keep:
				shape = append(shape, 1)
			}
		}
		out, err := r.make(0, shape...)
		if err != nil || out.n == 0 {
			return err
		}
		size := x.shape[axis]
		if size == 0 {
			return wrongShape("the input", x.shape, "at least one value along the axis")
		}
		if err := r.spend(x.n); err != nil {
			return err
		}
		stride := 1
		for _, dim := range x.shape[axis+1:] {
			stride *= dim
		}
		from, to := view[T](x), view[int64](out)
		for i := range to {
			at := i/stride*stride*size + i%stride
			best := 0
			for k := 1; k < size; k++ {
				v, b := from[at+k*stride], from[at+best*stride]
				if better(v, b) || last && v == b {
					best = k
				}
			}
			to[i] = int64(best)
		}
		return nil
	}
}

func buildCumSum(n *node) (kernel, error) {
	n.want(0, Float32, Float64, Int64, Int32, Uint64, Uint32)
	n.want(1, indices...)
	exclusive, reverse := n.truth("exclusive", false), n.truth("reverse", false)
	return n.done(byNumber(n, n.in[0], cumSum[float32](exclusive, reverse), cumSum[float64](exclusive, reverse), cumSum[int64](exclusive, reverse),
		cumSum[int32](exclusive, reverse), nil, nil, cumSum[uint64](exclusive, reverse), cumSum[uint32](exclusive, reverse), nil, nil), n.in[0])
}

func cumSum[T number](exclusive, reverse bool) kernel {
	return func(r *run) error {
		x := r.in[0]
		if r.in[1].n != 1 {
			return wrongShape("axis", r.in[1].shape, "one value")
		}
		var given [1]int
		axis, err := axisOf(intsOf(r.in[1], given[:])[0], len(x.shape))
		if err != nil {
			return err
		}
		out, err := r.make(0, x.shape...)
		if err != nil || out.n == 0 {
			return err
		}
		size, stride := x.shape[axis], 1
		for _, dim := range x.shape[axis+1:] {
			stride *= dim
		}
		from, to := view[T](x), view[T](out)
		for i := 0; i < out.n; i += size * stride {
			for j := range stride {
				var sum T
				for k := range size {
					if reverse {
						k = size - 1 - k
					}
					at := i + j + k*stride
					v := from[at]
					if exclusive {
						to[at] = sum
					}
					sum += v
					if !exclusive {
						to[at] = sum
					}
				}
			}
		}
		return nil
	}
}

// buildTopK has k in an attribute before opset 10, then in input 1.
func buildTopK(n *node) (kernel, error) {
	n.want(0, allNumbers...)
	t := topper{axis: n.int("axis", -1), largest: true, k: -1}
	if n.version < 10 {
		t.k = n.int("k", -1)
		if t.k < 0 {
			n.fail(wrong("attribute k: expected 0 or more"))
		}
	} else {
		n.want(1, Int64)
	}
	if n.version >= 11 {
		t.largest = n.truth("largest", true)
		n.ignore("sorted") // sorted is also an order for those that need none
	}
	return n.done(byNumber(n, n.in[0], topK[float32](t), topK[float64](t), topK[int64](t), topK[int32](t), topK[int16](t), topK[int8](t),
		topK[uint64](t), topK[uint32](t), topK[uint16](t), topK[uint8](t)), n.in[0], Int64)
}

type topper struct {
	axis, k int
	largest bool
}

func topK[T number](t topper) kernel {
	return func(r *run) error {
		x, k := r.in[0], t.k
		if k < 0 {
			if r.in[1].n != 1 {
				return wrongShape("K", r.in[1].shape, "one value")
			}
			k = int(view[int64](r.in[1])[0])
		}
		axis, err := axisOf(t.axis, len(x.shape))
		if err != nil {
			return err
		}
		size := x.shape[axis]
		if k < 0 || k > size {
			return fmt.Errorf("the %d largest or smallest of %d are asked for", k, size)
		}
		var room [maxDims]int
		shape := append(room[:0], x.shape...)
		shape[axis] = k
		out, err := r.make(0, shape...)
		if err != nil {
			return err
		}
		where, err := r.make(1, shape...)
		if err != nil || out.n == 0 {
			return err
		}
		if err := r.spendProduct(x.n, 30); err != nil { // it sorts
			return err
		}
		order, err := scratchOf[int64](r, 0, size)
		if err != nil {
			return err
		}
		stride := 1
		for _, dim := range x.shape[axis+1:] {
			stride *= dim
		}
		from, to, places := view[T](x), view[T](out), view[int64](where)
		for i := range x.n / size {
			at := i/stride*stride*size + i%stride
			for j := range order {
				order[j] = int64(j)
			}
			slices.SortStableFunc(order, func(a, b int64) int {
				x, y := from[at+int(a)*stride], from[at+int(b)*stride]
				if t.largest {
					x, y = y, x
				}
				switch {
				case x < y:
					return -1
				case x > y:
					return 1
				default:
					return 0
				}
			})
			put := i/stride*stride*k + i%stride
			for j, best := range order[:k] {
				to[put+j*stride], places[put+j*stride] = from[at+int(best)*stride], best
			}
		}
		return nil
	}
}
