package onnx

import (
	"fmt"
	"slices"
)

// broadcast appends to shape what two shapes give together: dimensions are
// compared from the last one, and one of size 1 is repeated.
func broadcast(shape, a, b []int) ([]int, error) {
	if len(a) < len(b) {
		a, b = b, a
	}
	shape = append(shape, a...)
	out := shape[len(shape)-len(a):]
	for i, dim := range b {
		j := len(a) - len(b) + i
		switch {
		case out[j] == dim || dim == 1:
		case out[j] == 1:
			out[j] = dim
		default:
			return nil, fmt.Errorf("shapes %v and %v do not go together", slices.Clone(a), slices.Clone(b))
		}
	}
	return shape, nil
}

// walk goes over two operands that are broadcast to one shape, in runs of elements
// along which each either advances by one or stands still.
type walk struct {
	dims   [maxDims]int // of the result, neighbours that behave alike joined
	a, b   [maxDims]int // strides
	rank   int
	inner  int // length of a run
	sa, sb int // strides within a run: 0 or 1
}

// newWalk is the walk over operands of shapes a and b, which are known to go
// together to shape.
func newWalk(shape, a, b []int) walk {
	var w walk
	var dims, stepsA, stepsB [maxDims]int
	strideA, strideB := 1, 1
	rank := 0
	for i := len(shape) - 1; i >= 0; i-- { // innermost first
		da, db := dimFromEnd(a, len(shape)-i), dimFromEnd(b, len(shape)-i)
		sa, sb := strideA, strideB
		strideA, strideB = strideA*da, strideB*db
		if da == 1 {
			sa = 0
		}
		if db == 1 {
			sb = 0
		}
		if shape[i] == 1 {
			continue
		}
		if k := rank - 1; k >= 0 && sa == stepsA[k]*dims[k] && sb == stepsB[k]*dims[k] {
			dims[k] *= shape[i]
			continue
		}
		dims[rank], stepsA[rank], stepsB[rank] = shape[i], sa, sb
		rank++
	}
	if rank == 0 {
		w.inner = 1
		return w
	}
	w.inner, w.sa, w.sb = dims[0], stepsA[0], stepsB[0]
	for k := rank - 1; k >= 1; k-- {
		w.dims[w.rank], w.a[w.rank], w.b[w.rank] = dims[k], stepsA[k], stepsB[k]
		w.rank++
	}
	return w
}

// dimFromEnd is the i-th dimension from the end, 1 beyond the first.
func dimFromEnd(shape []int, i int) int {
	if i > len(shape) {
		return 1
	}
	return shape[len(shape)-i]
}

// each calls run with the places of the result and the operands where each run
// begins.
func (w *walk) each(n int, run func(to, a, b int)) {
	var index [maxDims]int
	a, b := 0, 0
	for to := 0; to < n; to += w.inner {
		run(to, a, b)
		for k := w.rank - 1; k >= 0; k-- {
			index[k]++
			a += w.a[k]
			b += w.b[k]
			if index[k] < w.dims[k] {
				break
			}
			a -= w.a[k] * w.dims[k]
			b -= w.b[k] * w.dims[k]
			index[k] = 0
		}
	}
}
