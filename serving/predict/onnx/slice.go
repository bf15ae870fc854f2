package onnx

import (
	"fmt"
	"math"
)

// buildSlice has everything in attributes before opset 10, then in inputs: starts,
// ends, axes, steps.
func buildSlice(n *node) (kernel, error) {
	var s slicing
	if n.version < 10 {
		s.attributes = true
		s.lists = [4][]int{n.ints("starts"), n.ints("ends"), n.ints("axes"), nil}
		if n.given(1) || !n.has("starts") || !n.has("ends") {
			n.fail(wrong("expected starts and ends in attributes"))
		}
	} else {
		n.want(1, indices...)
		n.want(2, indices...)
		for i := 3; i <= 4; i++ {
			if n.given(i) {
				n.want(i, indices...)
			}
		}
	}
	return n.done(taken(n, s.way), n.in[0])
}

type slicing struct {
	attributes bool
	lists      [4][]int
}

// list is starts, ends, axes or steps; nil: not given.
func (s *slicing) list(r *run, k int, room []int) ([]int, error) {
	if s.attributes {
		return s.lists[k], nil
	}
	if k+1 >= len(r.in) || r.in[k+1] == nil {
		return nil, nil
	}
	if r.in[k+1].n > maxDims {
		return nil, wrongShape(fmt.Sprintf("input %d", k+1), r.in[k+1].shape, "a value for each dimension at most")
	}
	return intsOf(r.in[k+1], room), nil
}

// way is the way through the input that the slice takes.
func (s *slicing) way(r *run, shape []int, way *steps) ([]int, error) {
	var rooms [4][maxDims]int
	var lists [4][]int
	for k := range lists {
		var err error
		if lists[k], err = s.list(r, k, rooms[k][:]); err != nil {
			return nil, err
		}
	}
	starts, ends, axes, skips := lists[0], lists[1], lists[2], lists[3]
	from := r.in[0].shape
	if len(starts) != len(ends) || axes != nil && len(axes) != len(starts) || skips != nil && len(skips) != len(starts) || len(starts) > len(from) {
		return nil, fmt.Errorf("%d starts, %d ends, %d axes and %d steps do not go together", len(starts), len(ends), len(axes), len(skips))
	}
	var first, count, skip [maxDims]int
	for i, dim := range from {
		count[i], skip[i] = dim, 1
	}
	for i := range starts {
		axis := i
		if axes != nil {
			var err error
			if axis, err = axisOf(axes[i], len(from)); err != nil {
				return nil, err
			}
		}
		step := 1
		if skips != nil {
			step = skips[i]
		}
		if step == 0 {
			return nil, fmt.Errorf("the step of axis %d is 0", axis)
		}
		first[axis], count[axis] = span(starts[i], ends[i], step, from[axis])
		skip[axis] = step
	}
	var room [maxDims]int
	stride := strides(room[:0], from)
	for i := range from {
		if count[i] == 1 {
			skip[i] = 1 // a step of any size is not taken
		}
		way.start += first[i] * stride[i]
		way.add(count[i], skip[i]*stride[i])
		shape = append(shape, count[i])
	}
	return shape, nil
}

// span is where a slice of a dimension begins and how many elements it has.
func span(start, end, step, size int) (first, count int) {
	step = max(step, -math.MaxInt32)
	if start < 0 {
		start += size
	}
	if end < 0 && end >= -size {
		end += size
	} else if end < 0 {
		end = -1
		if step > 0 {
			end = 0
		}
	}
	if step > 0 {
		start, end, step = min(max(start, 0), size), min(end, size), min(step, size+1)
		return start, max(0, end-start+step-1) / step
	}
	start, end = min(max(start, 0), size-1), min(max(end, -1), size)
	if start <= end {
		return 0, 0
	}
	back := min(-step, size+1)
	return start, (start - end + back - 1) / back
}
