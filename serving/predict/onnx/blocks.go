package onnx

import (
	"fmt"
	"slices"
)

// buildPad has the pads in an attribute before opset 11, then in input 1.
func buildPad(n *node) (kernel, error) {
	mode := n.oneOf("mode", []string{"constant", "edge", "reflect", "wrap"})
	p := padding{mode: mode}
	if n.version < 11 {
		p.pads = n.ints("pads")
		value := n.float("value", 0)
		n.want(0, allFloats...)
		p.value = constant([]float32{value})
		if n.in[0] == Float64 {
			p.value = constant([]float64{float64(value)})
		}
		if n.given(1) {
			n.fail(wrong("2 inputs: expected pads in an attribute"))
		}
	} else {
		n.want(1, Int64)
		n.same(2)
		if n.given(3) {
			n.want(3, indices...)
		}
	}
	return n.done(bySize(n.in[0], pad[uint8](p), pad[uint16](p), pad[uint32](p), pad[uint64](p), pad[string](p)), n.in[0])
}

type padding struct {
	mode  string
	pads  []int
	value *Tensor
}

// widths finds out how much is added before and after each dimension.
func (p *padding) widths(r *run, rank int, before, after []int) error {
	list := p.pads
	var axes []int
	var room [2 * maxDims]int
	var room2 [maxDims]int
	if p.pads == nil {
		if r.in[1].n > len(room) {
			return wrongShape("pads", r.in[1].shape, "two values for each dimension")
		}
		list = intsOf(r.in[1], room[:])
		if len(r.in) > 3 && r.in[3] != nil {
			if r.in[3].n > rank {
				return wrongShape("axes", r.in[3].shape, "one value for each dimension")
			}
			axes = intsOf(r.in[3], room2[:])
		}
	}
	count := rank
	if axes != nil {
		count = len(axes)
	}
	if len(list) != 2*count {
		return fmt.Errorf("%d pads: expected %d", len(list), 2*count)
	}
	for i := range count {
		axis := i
		if axes != nil {
			var err error
			if axis, err = axisOf(axes[i], rank); err != nil {
				return err
			}
		}
		before[axis], after[axis] = list[i], list[count+i]
	}
	return nil
}

func pad[T any](p padding) kernel {
	return func(r *run) error {
		x := r.in[0]
		rank := len(x.shape)
		var before, after, room, room2, index [maxDims]int
		if err := p.widths(r, rank, before[:], after[:]); err != nil {
			return err
		}
		shape := room[:rank]
		for i, dim := range x.shape {
			if max(before[i], -before[i], after[i], -after[i]) > maxElements {
				return fmt.Errorf("dimension %d is padded by %d and %d", i, before[i], after[i])
			}
			shape[i] = before[i] + dim + after[i]
			if dim == 0 && p.mode != "constant" && shape[i] > 0 {
				return fmt.Errorf("dimension %d has nothing to pad with", i)
			}
		}
		out, err := r.make(0, shape...)
		if err != nil {
			return err
		}
		if err := r.spendProduct(out.n, 4); err != nil {
			return err
		}
		var blank T
		value := p.value
		if len(r.in) > 2 && r.in[2] != nil {
			value = r.in[2]
		}
		if value != nil {
			if value.n != 1 {
				return wrongShape("the value", value.shape, "one")
			}
			blank = view[T](value)[0]
		}
		stride := strides(room2[:0], x.shape)
		from, to := view[T](x), view[T](out)
		for i := range to {
			at := 0
			for d := range rank {
				k, inside := p.source(index[d]-before[d], x.shape[d])
				if !inside {
					at = -1
					break
				}
				at += k * stride[d]
			}
			to[i] = blank
			if at >= 0 {
				to[i] = from[at]
			}
			advance(index[:rank], shape)
		}
		return nil
	}
}

// source is the element that stands at k of a dimension of the size.
func (p *padding) source(k, size int) (int, bool) {
	if uint(k) < uint(size) {
		return k, true
	}
	switch p.mode {
	case "edge":
		return min(max(k, 0), size-1), true
	case "wrap":
		return ((k % size) + size) % size, true
	case "reflect":
		if size == 1 {
			return 0, true
		}
		round := 2 * (size - 1)
		k = ((k % round) + round) % round
		return min(k, round-k), true
	default:
		return 0, false
	}
}

// blocks is the size of the blocks of DepthToSpace and SpaceToDepth.
func blocks(n *node) int {
	size := n.int("blocksize", 0)
	if size < 1 || size > 1<<20 {
		n.fail(wrong("attribute blocksize: %d: expected 1 or more", size))
	}
	return size
}

func buildDepthToSpace(n *node) (kernel, error) {
	b := blocks(n)
	columns := n.oneOf("mode", []string{"DCR", "CRD"}) == "CRD"
	return n.done(taken(n, func(r *run, shape []int, s *steps) ([]int, error) {
		x := r.in[0].shape
		if len(x) != 4 || x[1]%(b*b) > 0 {
			return nil, fmt.Errorf("shape %v: expected [batch, a multiple of %d channels, height, width]", slices.Clone(x), b*b)
		}
		plane := x[2] * x[3]
		depth := x[1] / (b * b)
		channel, row, column := plane, b*depth*plane, depth*plane // of the blocks, in the order depth, column, row
		if columns {
			channel, row, column = b*b*plane, b*plane, plane
		}
		s.add(x[0], x[1]*plane)
		s.add(depth, channel)
		s.add(x[2], x[3])
		s.add(b, row)
		s.add(x[3], 1)
		s.add(b, column)
		return append(shape, x[0], depth, x[2]*b, x[3]*b), nil
	}), n.in[0])
}

func buildSpaceToDepth(n *node) (kernel, error) {
	b := blocks(n)
	columns := n.version >= 28 && n.oneOf("mode", []string{"DCR", "CRD"}) == "CRD"
	return n.done(taken(n, func(r *run, shape []int, s *steps) ([]int, error) {
		x := r.in[0].shape
		if len(x) != 4 || x[2]%b > 0 || x[3]%b > 0 {
			return nil, fmt.Errorf("shape %v: expected [batch, channels, height, width] in blocks of %d", slices.Clone(x), b)
		}
		plane := x[2] * x[3]
		s.add(x[0], x[1]*plane)
		if columns {
			s.add(x[1], plane)
		}
		s.add(b, x[3])
		s.add(b, 1)
		if !columns {
			s.add(x[1], plane)
		}
		s.add(x[2]/b, b*x[3])
		s.add(x[3]/b, b)
		return append(shape, x[0], x[1]*b*b, x[2]/b, x[3]/b), nil
	}), n.in[0])
}

func buildTrilu(n *node) (kernel, error) {
	upper := n.truth("upper", true)
	if n.given(1) {
		n.want(1, Int64)
	}
	return n.done(bySize(n.in[0], trilu[uint8](upper), trilu[uint16](upper), trilu[uint32](upper), trilu[uint64](upper), trilu[string](upper)), n.in[0])
}

// trilu keeps what is on one side of a diagonal.
func trilu[T any](upper bool) kernel {
	return func(r *run) error {
		x := r.in[0]
		if len(x.shape) < 2 {
			return wrongShape("the input", x.shape, "a matrix or more")
		}
		diagonal := 0
		if len(r.in) > 1 && r.in[1] != nil {
			if r.in[1].n != 1 {
				return wrongShape("k", r.in[1].shape, "one value")
			}
			diagonal = int(min(max(view[int64](r.in[1])[0], -maxElements), maxElements))
		}
		out, err := r.make(0, x.shape...)
		if err != nil {
			return err
		}
		rows, columns := x.dim(-2), x.dim(-1)
		from, to := view[T](x), view[T](out)
		var none T
		for i := range to {
			row, column := i/columns%rows, i%columns
			to[i] = none
			if upper && column-row >= diagonal || !upper && column-row <= diagonal {
				to[i] = from[i]
			}
		}
		return nil
	}
}
