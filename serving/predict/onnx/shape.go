package onnx

import (
	"fmt"
	"slices"
)

// shapeOperators look at shapes, or change them without touching a value.
func shapeOperators() []operator {
	one := [2]int{1, 1}
	return []operator{
		{name: "Identity", versions: []int{1, 13, 14, 16, 19, 21, 23, 24, 25}, inputs: one, build: func(n *node) (kernel, error) {
			n.shares, n.keepsLabels = true, true
			return n.done(shareSame, n.in[0])
		}},
		{
			name: "Dropout", versions: []int{7, 10, 12, 13, 22}, inputs: [2]int{1, 3}, build: buildDropout,
			note: "leaves everything as it is; not with training_mode that is not known to be false",
		},
		{name: "Shape", versions: []int{1, 13, 15, 19, 21, 23, 24, 25}, inputs: one, build: buildShape},
		{name: "Size", versions: []int{1, 13, 19, 21, 23, 24, 25}, inputs: one, build: func(n *node) (kernel, error) {
			return n.done(func(r *run) error {
				out, err := r.make(0)
				if err == nil {
					view[int64](out)[0] = int64(r.in[0].n)
				}
				return err
			}, Int64)
		}},
		{name: "Reshape", versions: []int{5, 13, 14, 19, 21, 23, 24, 25}, inputs: [2]int{2, 2}, build: buildReshape},
		{name: "Flatten", versions: []int{1, 9, 11, 13, 21, 23, 24, 25}, inputs: one, build: buildFlatten},
		{name: "Squeeze", versions: []int{1, 11, 13, 21, 23, 24, 25}, inputs: [2]int{1, 2}, build: buildSqueeze},
		{name: "Unsqueeze", versions: []int{1, 11, 13, 21, 23, 24, 25}, inputs: [2]int{1, 2}, build: buildUnsqueeze},
	}
}

func buildDropout(n *node) (kernel, error) {
	n.ignore("ratio", "seed")
	if mode := n.constIn(2); n.given(2) && (mode == nil || mode.typ != Bool || mode.n != 1 || view[bool](mode)[0]) {
		n.refuse("export the model for inference", "training_mode")
	}
	if len(n.wanted) < 2 || !n.wanted[1] {
		n.shares = true
		return n.done(shareSame, n.in[0])
	}
	mask := Bool
	if n.version < 10 {
		mask = n.in[0]
	}
	move := bySize(n.in[0], copied[uint8], copied[uint16], copied[uint32], copied[uint64], copied[string])
	return n.done(func(r *run) error {
		if err := move(r); err != nil {
			return err
		}
		out, err := r.make(1, r.in[0].shape...)
		if err != nil {
			return err
		}
		switch mask {
		case Float32:
			fill(view[float32](out), 1)
		case Float64:
			fill(view[float64](out), 1)
		default:
			fill(view[bool](out), true)
		}
		return nil
	}, n.in[0], mask)
}

func fill[T any](values []T, v T) {
	if len(values) > 0 {
		values[0] = v
	}
	for n := 1; n < len(values); n *= 2 {
		copy(values[n:], values[:n])
	}
}

func copied[T any](r *run) error {
	out, err := r.make(0, r.in[0].shape...)
	if err == nil {
		copy(view[T](out), view[T](r.in[0]))
	}
	return err
}

func buildShape(n *node) (kernel, error) {
	start, end := n.int("start", 0), n.int("end", maxDims)
	return n.done(func(r *run) error {
		shape := r.in[0].shape
		from, to := within(start, len(shape)), within(end, len(shape))
		shape = shape[min(from, to):to]
		out, err := r.make(0, len(shape))
		if err != nil {
			return err
		}
		for i, dim := range shape {
			view[int64](out)[i] = int64(dim)
		}
		return nil
	}, Int64)
}

// within brings a place that may count from the end into 0 to n.
func within(i, n int) int {
	if i < 0 {
		i += n
	}
	return min(max(i, 0), n)
}

// buildReshape: 0 keeps a dimension unless allowzero says it is one, -1 is what is
// left.
func buildReshape(n *node) (kernel, error) {
	n.want(1, Int64)
	zero := n.truth("allowzero", false)
	n.shares = true
	return n.done(func(r *run) error {
		if r.in[1].n > maxDims {
			return wrongShape("the new shape", r.in[1].shape, fmt.Sprintf("at most %d dimensions", maxDims))
		}
		var room [maxDims]int
		shape := intsOf(r.in[1], room[:])
		open, known := -1, 1
		for i, dim := range shape {
			if dim == 0 && !zero {
				if i >= len(r.in[0].shape) {
					return fmt.Errorf("the new shape %v keeps dimension %d: there are %d", slices.Clone(shape), i, len(r.in[0].shape))
				}
				dim = r.in[0].shape[i]
				shape[i] = dim
			}
			switch {
			case dim == -1 && open < 0:
				open = i
			case dim < 0 || dim > 0 && known > maxElements/dim:
				return fmt.Errorf("the new shape is %v", slices.Clone(shape))
			default:
				known *= dim
			}
		}
		if open >= 0 {
			if known == 0 || r.in[0].n%known > 0 {
				return fmt.Errorf("%d values of shape %v do not fit shape %v", r.in[0].n, slices.Clone(r.in[0].shape), slices.Clone(shape))
			}
			shape[open] = r.in[0].n / known
		}
		return r.share(shape...)
	}, n.in[0])
}

func buildFlatten(n *node) (kernel, error) {
	axis := n.int("axis", 1)
	n.shares = true
	return n.done(func(r *run) error {
		shape, axis := r.in[0].shape, axis
		if axis < 0 {
			axis += len(shape)
		}
		if axis < 0 || axis > len(shape) {
			return fmt.Errorf("axis %d: expected one of %d dimensions", axis, len(shape))
		}
		before, _ := elements(shape[:axis])
		after, _ := elements(shape[axis:])
		return r.share(before, after)
	}, n.in[0])
}

// listed is a list of integers that is an attribute before some opset and an input
// since.
type listed struct {
	list  []int
	input bool // input 1
	given bool
}

func newListed(n *node, name string, since int) listed {
	if n.version < since {
		if n.given(1) {
			n.fail(wrong("2 inputs: expected %s in an attribute", name))
		}
		return listed{list: n.ints(name), given: n.has(name)}
	}
	if n.given(1) {
		n.want(1, indices...)
	}
	return listed{input: true, given: n.given(1)}
}

// values are the integers, nil if there are none.
func (l *listed) values(r *run, room []int) ([]int, error) {
	if !l.given || !l.input {
		return l.list, nil
	}
	if r.in[1].n > maxDims {
		return nil, wrongShape("input 1", r.in[1].shape, "a value for each dimension at most")
	}
	return intsOf(r.in[1], room), nil
}

func buildSqueeze(n *node) (kernel, error) {
	axes := newListed(n, "axes", 13)
	n.shares = true
	return n.done(func(r *run) error {
		var room, room2 [maxDims]int
		list, err := axes.values(r, room[:])
		if err != nil {
			return err
		}
		var gone [maxDims]bool
		shape := r.in[0].shape
		for _, axis := range list {
			axis, err := axisOf(axis, len(shape))
			if err != nil {
				return err
			}
			if shape[axis] != 1 {
				return fmt.Errorf("dimension %d of shape %v is not 1", axis, slices.Clone(shape))
			}
			gone[axis] = true
		}
		left := room2[:0]
		for i, dim := range shape {
			if !gone[i] && (axes.given || dim != 1) {
				left = append(left, dim)
			}
		}
		return r.share(left...)
	}, n.in[0])
}

func buildUnsqueeze(n *node) (kernel, error) {
	axes := newListed(n, "axes", 13)
	if !axes.given {
		n.fail(wrong("axes: are missing"))
	}
	n.shares = true
	return n.done(func(r *run) error {
		var room, room2 [maxDims]int
		list, err := axes.values(r, room[:])
		if err != nil {
			return err
		}
		old := r.in[0].shape
		rank := len(old) + len(list)
		if rank > maxDims {
			return fmt.Errorf("more than %d dimensions", maxDims)
		}
		shape := room2[:rank]
		for _, axis := range list {
			axis, err := axisOf(axis, rank)
			if err != nil {
				return err
			}
			if shape[axis] == 1 {
				return fmt.Errorf("axis %d stands twice", axis)
			}
			shape[axis] = 1
		}
		next := 0
		for i := range shape {
			if shape[i] == 0 {
				shape[i] = old[next]
				next++
				continue
			}
		}
		return r.share(shape...)
	}, n.in[0])
}
