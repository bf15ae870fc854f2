package onnx

import (
	"fmt"
	"slices"
)

// gatherOperators pick values by index.
func gatherOperators() []operator {
	return []operator{
		{name: "Gather", versions: []int{1, 11, 13}, inputs: [2]int{2, 2}, build: func(n *node) (kernel, error) {
			n.want(1, indices...)
			axis := n.int("axis", 0)
			return n.done(bySize(n.in[0], gather[uint8](axis), gather[uint16](axis), gather[uint32](axis), gather[uint64](axis), gather[string](axis)), n.in[0])
		}},
		{name: "GatherElements", versions: []int{11, 13}, inputs: [2]int{2, 2}, build: func(n *node) (kernel, error) {
			n.want(1, indices...)
			axis := n.int("axis", 0)
			return n.done(bySize(n.in[0], gatherElements[uint8](axis), gatherElements[uint16](axis), gatherElements[uint32](axis),
				gatherElements[uint64](axis), gatherElements[string](axis)), n.in[0])
		}},
		{name: "GatherND", versions: []int{11, 12, 13}, inputs: [2]int{2, 2}, build: func(n *node) (kernel, error) {
			n.want(1, Int64)
			batch := n.int("batch_dims", 0)
			return n.done(bySize(n.in[0], gatherND[uint8](batch), gatherND[uint16](batch), gatherND[uint32](batch), gatherND[uint64](batch), gatherND[string](batch)), n.in[0])
		}},
		{name: "ScatterElements", versions: []int{11, 13, 16, 18}, inputs: [2]int{3, 3}, build: buildScatterElements},
		{name: "ScatterND", versions: []int{11, 13, 16, 18}, inputs: [2]int{3, 3}, build: buildScatterND},
		{name: "Compress", versions: []int{9, 11, 28}, inputs: [2]int{2, 2}, build: buildCompress},
		{name: "NonZero", versions: []int{9, 13}, inputs: [2]int{1, 1}, build: func(n *node) (kernel, error) {
			if n.in[0] == Bool {
				return n.done(nonZero[uint8], Int64)
			}
			return n.done(byNumber(n, n.in[0], nonZero[float32], nonZero[float64], nonZero[int64], nonZero[int32], nonZero[int16], nonZero[int8],
				nonZero[uint64], nonZero[uint32], nonZero[uint16], nonZero[uint8]), Int64)
		}},
	}
}

// indexAt is index i of a tensor of indices, counted from the front of a dimension
// of the size.
func indexAt(t *Tensor, i, size int) (int, error) {
	k := 0
	if t.typ == Int32 {
		k = int(view[int32](t)[i])
	} else {
		k = int(view[int64](t)[i])
	}
	if k < -size || k >= size {
		return 0, &ValueError{fmt.Sprintf("index %d: there are %d", k, size)}
	}
	if k < 0 {
		k += size
	}
	return k, nil
}

func gather[T any](axis int) kernel {
	return func(r *run) error {
		x, where := r.in[0], r.in[1]
		axis, err := axisOf(axis, len(x.shape))
		if err != nil {
			return err
		}
		if len(x.shape)-1+len(where.shape) > maxDims {
			return fmt.Errorf("more than %d dimensions", maxDims)
		}
		var room [maxDims]int
		shape := append(append(append(room[:0], x.shape[:axis]...), where.shape...), x.shape[axis+1:]...)
		out, err := r.make(0, shape...)
		if err != nil || out.n == 0 {
			return err
		}
		before, _ := elements(x.shape[:axis])
		size := x.shape[axis]
		row := out.n / before / where.n
		from, to := view[T](x), view[T](out)
		for j := range where.n {
			k, err := indexAt(where, j, size)
			if err != nil {
				return err
			}
			for i := range before {
				copy(to[(i*where.n+j)*row:(i*where.n+j+1)*row], from[(i*size+k)*row:])
			}
		}
		return nil
	}
}

func gatherElements[T any](axis int) kernel {
	return func(r *run) error {
		x, where := r.in[0], r.in[1]
		axis, err := axisOf(axis, len(x.shape))
		if err != nil {
			return err
		}
		if err := samePlaces(x, where, axis); err != nil {
			return err
		}
		out, err := r.make(0, where.shape...)
		if err != nil {
			return err
		}
		if err := r.spendProduct(out.n, 4); err != nil {
			return err
		}
		from, to := view[T](x), view[T](out)
		return eachPlace(x, where, axis, func(i, at int) { to[i] = from[at] })
	}
}

// samePlaces checks that indices along an axis fit a tensor elsewhere.
func samePlaces(x, where *Tensor, axis int) error {
	ok := len(x.shape) == len(where.shape)
	for i := 0; ok && i < len(x.shape); i++ {
		ok = i == axis || where.shape[i] <= x.shape[i]
	}
	if !ok {
		return fmt.Errorf("indices of shape %v are not for shape %v", slices.Clone(where.shape), slices.Clone(x.shape))
	}
	return nil
}

// eachPlace calls f for each index with the element it points to.
func eachPlace(x, where *Tensor, axis int, f func(i, at int)) error {
	var room, index [maxDims]int
	stride := strides(room[:0], x.shape)
	for i := range where.n {
		at := 0
		for d, k := range index[:len(where.shape)] {
			if d == axis {
				var err error
				if k, err = indexAt(where, i, x.shape[axis]); err != nil {
					return err
				}
			}
			at += k * stride[d]
		}
		f(i, at)
		advance(index[:len(where.shape)], where.shape)
	}
	return nil
}

// points are the places that rows of indices point to: with depth indices each,
// they leave slices of size elements.
type points struct {
	count, depth, size int
	each               int // points in each batch
	batch              int // size of a batch
	strides            [maxDims]int
}

func newPoints(x, where *Tensor, batch int) (p points, err error) {
	if len(where.shape) == 0 || batch < 0 || batch >= len(where.shape) || batch > len(x.shape) {
		return p, wrongShape("the indices", where.shape, "rows of indices after the batch dimensions")
	}
	p.depth = where.dim(-1)
	if p.depth+batch > len(x.shape) || !slices.Equal(x.shape[:batch], where.shape[:batch]) {
		return p, fmt.Errorf("indices of shape %v are not for shape %v", slices.Clone(where.shape), slices.Clone(x.shape))
	}
	p.count, _ = elements(where.shape[:len(where.shape)-1])
	p.size, _ = elements(x.shape[batch+p.depth:])
	p.batch, _ = elements(x.shape[batch:])
	batches, _ := elements(x.shape[:batch])
	if batches > 0 {
		p.each = p.count / batches
	}
	var room [maxDims]int
	copy(p.strides[:], strides(room[:0], x.shape)[batch:])
	return p, nil
}

// at is where the slice of point i begins.
func (p *points) at(x, where *Tensor, i, batch int) (int, error) {
	at := i / max(p.each, 1) * p.batch
	for d := range p.depth {
		k, err := indexAt(where, i*p.depth+d, x.shape[batch+d])
		if err != nil {
			return 0, err
		}
		at += k * p.strides[d]
	}
	return at, nil
}

func gatherND[T any](batch int) kernel {
	return func(r *run) error {
		x, where := r.in[0], r.in[1]
		p, err := newPoints(x, where, batch)
		if err != nil {
			return err
		}
		if len(where.shape)+len(x.shape) > maxDims {
			return fmt.Errorf("more than %d dimensions", maxDims)
		}
		var room [maxDims]int
		shape := append(append(room[:0], where.shape[:len(where.shape)-1]...), x.shape[batch+p.depth:]...)
		out, err := r.make(0, shape...)
		if err != nil || out.n == 0 {
			return err
		}
		from, to := view[T](x), view[T](out)
		for i := range p.count {
			at, err := p.at(x, where, i, batch)
			if err != nil {
				return err
			}
			copy(to[i*p.size:(i+1)*p.size], from[at:])
		}
		return nil
	}
}

func buildCompress(n *node) (kernel, error) {
	n.want(1, Bool)
	axis, flat := n.int("axis", 0), !n.has("axis")
	return n.done(bySize(n.in[0], compress[uint8](axis, flat), compress[uint16](axis, flat), compress[uint32](axis, flat),
		compress[uint64](axis, flat), compress[string](axis, flat)), n.in[0])
}

// compress keeps what a condition is true for, along an axis or of all values.
func compress[T any](axis int, flat bool) kernel {
	return func(r *run) error {
		x, condition := r.in[0], view[bool](r.in[1])
		before, size, after := 1, x.n, 1
		var room [maxDims]int
		shape := append(room[:0], x.n)
		place := 0
		if !flat {
			var err error
			if place, err = axisOf(axis, len(x.shape)); err != nil {
				return err
			}
			shape = append(room[:0], x.shape...)
			before, _ = elements(x.shape[:place])
			size = x.shape[place]
			after, _ = elements(x.shape[place+1:])
		}
		kept := 0
		for i, keep := range condition {
			if keep && i < size {
				kept++
			}
		}
		shape[place] = kept
		out, err := r.make(0, shape...)
		if err != nil {
			return err
		}
		from, to := view[T](x), view[T](out)
		at := 0
		for i := range before {
			for j := range min(size, len(condition)) {
				if condition[j] {
					at += copy(to[at:at+after], from[(i*size+j)*after:])
				}
			}
		}
		return nil
	}
}

func nonZero[T number](r *run) error {
	x := r.in[0]
	count := 0
	for _, v := range view[T](x) {
		if v != 0 {
			count++
		}
	}
	rank := len(x.shape)
	out, err := r.make(0, rank, count)
	if err != nil {
		return err
	}
	to := view[int64](out)
	var index [maxDims]int
	at := 0
	for _, v := range view[T](x) {
		if v != 0 {
			for d := range rank {
				to[d*count+at] = int64(index[d])
			}
			at++
		}
		advance(index[:rank], x.shape)
	}
	return r.spendProduct(x.n, 2)
}
