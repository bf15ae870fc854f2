package onnx

import (
	"fmt"
	"slices"
)

// movementOperators put values in other places.
func movementOperators() []operator {
	return []operator{
		{name: "Transpose", versions: []int{1, 13, 21, 23, 24, 25}, inputs: [2]int{1, 1}, build: buildTranspose},
		{name: "Concat", versions: []int{4, 11, 13}, inputs: [2]int{1, -1}, build: buildConcat},
		{name: "Split", versions: []int{2, 11, 13, 18}, inputs: [2]int{1, 2}, build: buildSplit},
		{name: "Slice", versions: []int{1, 10, 11, 13}, inputs: [2]int{1, 5}, build: buildSlice},
		{name: "Expand", versions: []int{8, 13}, inputs: [2]int{2, 2}, build: buildExpand},
		{name: "Tile", versions: []int{6, 13}, inputs: [2]int{2, 2}, build: buildTile},
		{
			name: "Pad", versions: []int{2, 11, 13, 18, 19, 21, 23, 24, 25}, inputs: [2]int{1, 4}, build: buildPad,
		},
		{name: "DepthToSpace", versions: []int{1, 11, 13, 28}, inputs: [2]int{1, 1}, build: buildDepthToSpace},
		{name: "SpaceToDepth", versions: []int{1, 13, 28}, inputs: [2]int{1, 1}, build: buildSpaceToDepth},
		{name: "Trilu", versions: []int{14}, inputs: [2]int{1, 2}, build: buildTrilu},
	}
}

// steps is a way through a tensor: for each dimension of the result, how far apart
// its elements are in the source.
type steps struct {
	rank         int
	dims, stride [maxDims]int
	start        int
}

func (s *steps) add(dim, stride int) {
	s.dims[s.rank], s.stride[s.rank] = dim, stride
	s.rank++
}

// take copies the elements on the way to the result, one after the other.
func take[T any](to, from []T, s *steps) {
	if len(to) == 0 {
		return
	}
	if s.rank == 0 {
		to[0] = from[s.start]
		return
	}
	last := s.rank - 1
	count, stride := s.dims[last], s.stride[last]
	var index [maxDims]int
	for at, src := 0, s.start; at < len(to); at += count {
		row := to[at : at+count]
		if stride == 1 {
			copy(row, from[src:src+count])
		} else {
			for i := range row {
				row[i] = from[src+i*stride]
			}
		}
		for d := last - 1; d >= 0; d-- {
			src += s.stride[d]
			if index[d]++; index[d] < s.dims[d] {
				break
			}
			src -= index[d] * s.stride[d]
			index[d] = 0
		}
	}
}

// strides appends how far apart the elements of each dimension are.
func strides(room, shape []int) []int {
	at := len(room)
	room = append(room, shape...)
	size := 1
	for i := len(room) - 1; i >= at; i-- {
		room[i], size = size, size*room[i]
	}
	return room
}

// taken is a kernel that copies along a way that is found at each run.
func taken(n *node, way func(r *run, shape []int, s *steps) ([]int, error)) kernel {
	move := bySize(n.in[0], takenOf[uint8], takenOf[uint16], takenOf[uint32], takenOf[uint64], takenOf[string])
	return func(r *run) error {
		var s steps
		var room [maxDims]int
		shape, err := way(r, room[:0], &s)
		if err != nil {
			return err
		}
		out, err := r.make(0, shape...)
		if err != nil {
			return err
		}
		move(out, r.in[0], &s)
		return nil
	}
}

func takenOf[T any](to, from *Tensor, s *steps) { take(view[T](to), view[T](from), s) }

func buildTranspose(n *node) (kernel, error) {
	perm := n.ints("perm")
	return n.done(taken(n, func(r *run, shape []int, s *steps) ([]int, error) {
		from := r.in[0].shape
		if perm != nil && len(perm) != len(from) {
			return nil, fmt.Errorf("perm %v is not for shape %v", perm, slices.Clone(from))
		}
		var room [maxDims]int
		stride := strides(room[:0], from)
		var seen [maxDims]bool
		for i := range from {
			j := len(from) - 1 - i
			if perm != nil {
				j = perm[i]
			}
			if j < 0 || j >= len(from) || seen[j] {
				return nil, fmt.Errorf("perm %v: expected each of %d dimensions once", perm, len(from))
			}
			seen[j] = true
			shape = append(shape, from[j])
			s.add(from[j], stride[j])
		}
		return shape, nil
	}), n.in[0])
}

func buildConcat(n *node) (kernel, error) {
	axis := n.int("axis", 1)
	if !n.has("axis") {
		n.fail(wrong("attribute axis: is missing"))
	}
	for i := range n.in {
		if !n.given(i) {
			n.fail(wrong("input %d is missing", i))
		}
		n.same(i)
	}
	return n.done(bySize(n.in[0], concat[uint8](axis), concat[uint16](axis), concat[uint32](axis), concat[uint64](axis), concat[string](axis)), n.in[0])
}

func concat[T any](axis int) kernel {
	return func(r *run) error {
		first := r.in[0].shape
		axis, err := axisOf(axis, len(first))
		if err != nil {
			return err
		}
		var room [maxDims]int
		shape := append(room[:0], first...)
		for _, in := range r.in[1:] {
			ok := len(in.shape) == len(shape)
			for i := 0; ok && i < len(shape); i++ {
				ok = i == axis || in.shape[i] == shape[i]
			}
			if !ok || in.shape[axis] > maxElements-shape[axis] {
				return fmt.Errorf("shapes %v and %v do not go together along axis %d", slices.Clone(first), slices.Clone(in.shape), axis)
			}
			shape[axis] += in.shape[axis]
		}
		out, err := r.make(0, shape...)
		if err != nil || out.n == 0 {
			return err
		}
		before, _ := elements(shape[:axis])
		row := out.n / before
		to, at := view[T](out), 0
		for _, in := range r.in {
			size := in.n / before
			from := view[T](in)
			for i := range before {
				copy(to[i*row+at:], from[i*size:(i+1)*size])
			}
			at += size
		}
		return nil
	}
}

// buildSplit has the sizes in an attribute before opset 13, then in input 1;
// without, the parts are as equal as can be.
func buildSplit(n *node) (kernel, error) {
	axis, parts := n.int("axis", 0), newListedSizes(n)
	if n.version >= 18 {
		if count := n.int("num_outputs", len(n.wanted)); count != len(n.wanted) {
			n.fail(wrong("attribute num_outputs: %d: there are %d outputs", count, len(n.wanted)))
		}
	}
	out := make([]Type, len(n.wanted))
	fill(out, n.in[0])
	return n.done(bySize(n.in[0], split[uint8](axis, parts), split[uint16](axis, parts), split[uint32](axis, parts), split[uint64](axis, parts), split[string](axis, parts)), out...)
}

func newListedSizes(n *node) listed { return newListed(n, "split", 13) }

func split[T any](axis int, parts listed) kernel {
	return func(r *run) error {
		x := r.in[0]
		axis, err := axisOf(axis, len(x.shape))
		if err != nil {
			return err
		}
		size := x.shape[axis]
		each := (size + len(r.out) - 1) / len(r.out)
		if parts.given && parts.input && r.in[1].n != len(r.out) || parts.given && !parts.input && len(parts.list) != len(r.out) {
			return fmt.Errorf("the sizes of %d parts are given: expected %d", len(parts.list), len(r.out))
		}
		var room [maxDims]int
		shape := append(room[:0], x.shape...)
		before, _ := elements(shape[:axis])
		after, _ := elements(shape[axis+1:])
		from, at := view[T](x), 0
		for i := range r.out {
			part := min(each, size-at)
			switch {
			case parts.given && parts.input && r.in[1].typ == Int64:
				part = int(view[int64](r.in[1])[i])
			case parts.given && parts.input:
				part = int(view[int32](r.in[1])[i])
			case parts.given:
				part = parts.list[i]
			}
			if part < 0 || part > size-at {
				return fmt.Errorf("part %d of dimension %d would have size %d: %d are left", i, axis, part, size-at)
			}
			shape[axis] = part
			out, err := r.make(i, shape...)
			if err != nil {
				return err
			}
			to := view[T](out)
			for j := range before {
				copy(to[j*part*after:(j+1)*part*after], from[(j*size+at)*after:])
			}
			at += part
		}
		if at != size {
			return fmt.Errorf("the parts of dimension %d make %d: expected %d", axis, at, size)
		}
		return nil
	}
}

func buildExpand(n *node) (kernel, error) {
	n.want(1, Int64)
	return n.done(taken(n, func(r *run, shape []int, s *steps) ([]int, error) {
		if r.in[1].n > maxDims {
			return nil, wrongShape("the new shape", r.in[1].shape, "fewer dimensions")
		}
		var room, room2 [maxDims]int
		from := r.in[0].shape
		wanted := intsOf(r.in[1], room[:])
		for _, dim := range wanted {
			if dim < 0 {
				return nil, fmt.Errorf("the new shape is %v", slices.Clone(wanted))
			}
		}
		shape, err := broadcast(shape, from, wanted)
		if err != nil {
			return nil, err
		}
		stride := strides(room2[:0], from)
		for i, dim := range shape {
			j := i - len(shape) + len(from)
			if j < 0 || from[j] == 1 {
				s.add(dim, 0)
			} else {
				s.add(dim, stride[j])
			}
		}
		return shape, nil
	}), n.in[0])
}

func buildTile(n *node) (kernel, error) {
	n.want(1, Int64)
	return n.done(bySize(n.in[0], tile[uint8], tile[uint16], tile[uint32], tile[uint64], tile[string]), n.in[0])
}

func tile[T any](r *run) error {
	x, repeats := r.in[0], r.in[1]
	if repeats.n != len(x.shape) {
		return wrongShape("repeats", repeats.shape, fmt.Sprintf("%d values", len(x.shape)))
	}
	var room [maxDims]int
	shape := append(room[:0], x.shape...)
	for i, times := range view[int64](repeats) {
		if times < 0 || times > 0 && int64(shape[i]) > maxElements/times {
			return fmt.Errorf("dimension %d is repeated %d times", i, times)
		}
		shape[i] *= int(times)
	}
	out, err := r.make(0, shape...)
	if err != nil || out.n == 0 {
		return err
	}
	var room2, index [maxDims]int
	stride := strides(room2[:0], x.shape)
	from, to := view[T](x), view[T](out)
	for i := range to {
		at := 0
		for d, k := range index[:len(shape)] {
			at += k % x.shape[d] * stride[d]
		}
		to[i] = from[at]
		advance(index[:len(shape)], shape)
	}
	return r.spendProduct(out.n, 4)
}
