package onnx

import (
	"errors"
)

func buildMaxPool(n *node) (kernel, error) {
	n.want(0, Float32, Float64, Int8, Uint8)
	w, columns := newWindow(n), n.truth("storage_order", false)
	if w.kernel == nil {
		n.fail(wrong("attribute kernel_shape: is missing"))
	}
	if len(n.wanted) < 2 || !n.wanted[1] {
		return n.done(byNumber(n, n.in[0], largestOf(w, n.tiles.pairs), largestOf[float64](w, nil), nil, nil, nil, largestOf[int8](w, nil), nil, nil, nil, largestOf[uint8](w, nil)), n.in[0])
	}
	return n.done(byNumber(n, n.in[0], maxPool[float32](w, columns), maxPool[float64](w, columns), nil, nil, nil, maxPool[int8](w, columns),
		nil, nil, nil, maxPool[uint8](w, columns)), n.in[0], Int64)
}

// largestOf is MaxPool when nobody asks where the largest elements stand. pairs, if
// there is one, is for windows of two by two, side by side.
func largestOf[T number](w window, pairs func(to, a, b []T)) kernel {
	return func(r *run) error {
		p, err := w.fit(r.in[0].shape, nil)
		if err != nil {
			return err
		}
		out, _, err := poolOutputs(r, &p)
		if err != nil || out.n == 0 {
			return err
		}
		from, to := view[T](r.in[0]), view[T](out)
		// All but the last dimension of a window make lines; at is where it stands.
		var at, k, lines [maxDims]int
		last := p.rank - 1
		copy(lines[:], p.kernel[:last])
		height := 1
		for _, n := range lines[:last] {
			height *= n
		}
		square := pairs != nil && p.rank == 2 && p.kernel == p.stride && p.kernel[0] == 2 && p.kernel[1] == 2 &&
			p.padBegin == [maxDims]int{} && p.out[0]*2 <= p.in[0] && p.out[1]*2 <= p.in[1] && p.dilation[0] == 1 && p.dilation[1] == 1
		for stack := range p.stacks {
			plane := from[stack*p.inSize : (stack+1)*p.inSize]
			for i := 0; square && i < p.out[0]; i++ {
				pairs(to[stack*p.outSize+i*p.out[1]:][:p.out[1]], plane[2*i*p.in[1]:], plane[(2*i+1)*p.in[1]:])
			}
			for i := 0; !square && i < p.outSize; i += p.out[last] {
				row := to[stack*p.outSize+i:][:p.out[last]]
				clear(k[:p.rank])
				found := false
				for range height {
					if line, inside := p.cover(at[:last], k[:last]); inside {
						if !largestIn(&p, row, plane[line*p.in[last]:(line+1)*p.in[last]], !found) {
							return errPadding
						}
						found = true
					}
					advance(k[:last], lines[:last])
				}
				if !found {
					return errPadding
				}
				advance(at[:last], p.out[:last])
			}
		}
		return nil
	}
}

var errPadding = errors.New("a window covers nothing but padding")

// largestIn raises each element of a row to the largest that its window covers of a
// line; first: to that of the line alone. It is false if one covers nothing.
func largestIn[T number](p *place, row, line []T, first bool) bool {
	last := p.rank - 1
	stride, dilation, kernel := p.stride[last], p.dilation[last], p.kernel[last]
	for i := range row {
		at := i*stride - p.padBegin[last]
		end := min(at+(kernel-1)*dilation+1, len(line))
		for at < 0 {
			at += dilation
		}
		if at >= end {
			return false
		}
		best := line[at]
		if !first {
			best = max(best, row[i])
		}
		for at += dilation; at < end; at += dilation {
			best = max(best, line[at])
		}
		row[i] = best
	}
	return true
}

// maxPool also says where each largest element stands; columns: counted column by
// column.
func maxPool[T number](w window, columns bool) kernel {
	return func(r *run) error {
		p, err := w.fit(r.in[0].shape, nil)
		if err != nil {
			return err
		}
		out, where, err := poolOutputs(r, &p)
		if err != nil || out.n == 0 {
			return err
		}
		from, to, places := view[T](r.in[0]), view[T](out), view[int64](where)
		var at, k [maxDims]int
		i := 0
		for stack := range p.stacks {
			plane := from[stack*p.inSize : (stack+1)*p.inSize]
			for range p.outSize {
				best, found := 0, false
				clear(k[:p.rank])
				for range p.kernelSize {
					if j, inside := p.cover(at[:p.rank], k[:p.rank]); inside && (!found || plane[j] > plane[best] || plane[j] != plane[j]) {
						best, found = j, true
					}
					advance(k[:p.rank], p.kernel[:p.rank])
				}
				if !found {
					return errPadding
				}
				to[i] = plane[best]
				if columns {
					best = p.byColumn(best)
				}
				places[i] = int64(stack*p.inSize + best)
				i++
				advance(at[:p.rank], p.out[:p.rank])
			}
		}
		return nil
	}
}

// byColumn counts an index with the first dimension moving fastest.
func (p *place) byColumn(index int) int {
	var k [maxDims]int
	for d := p.rank - 1; d >= 0; d-- {
		k[d] = index % p.in[d]
		index /= p.in[d]
	}
	for d := p.rank - 1; d >= 0; d-- {
		index = index*p.in[d] + k[d]
	}
	return index
}

func poolOutputs(r *run, p *place) (out, where *Tensor, err error) {
	var room [maxDims]int
	shape := p.shape(room[:0], r.in[0].shape[0], r.in[0].shape[1])
	if out, err = r.make(0, shape...); err != nil {
		return nil, nil, err
	}
	if err := r.spendProduct(out.n, p.kernelSize, 4); err != nil {
		return nil, nil, err
	}
	if len(r.out) > 1 {
		where, err = r.make(1, shape...)
	}
	return out, where, err
}

func buildAveragePool(n *node) (kernel, error) {
	n.want(0, allFloats...)
	w, padded := newWindow(n), n.truth("count_include_pad", false)
	if w.kernel == nil {
		n.fail(wrong("attribute kernel_shape: is missing"))
	}
	return n.done(byFloat(n, n.in[0], averagePool[float32](w, padded), averagePool[float64](w, padded)), n.in[0])
}

// averagePool divides by the elements that the window covers; padded: by those of
// the padding, too, but not by what lies beyond it.
func averagePool[T float](w window, padded bool) kernel {
	return func(r *run) error {
		p, err := w.fit(r.in[0].shape, nil)
		if err != nil {
			return err
		}
		out, _, err := poolOutputs(r, &p)
		if err != nil {
			return err
		}
		from, to := view[T](r.in[0]), view[T](out)
		var at, k [maxDims]int
		i := 0
		for stack := range p.stacks {
			plane := from[stack*p.inSize : (stack+1)*p.inSize]
			for range p.outSize {
				sum, count := 0.0, 0
				clear(k[:p.rank])
				for range p.kernelSize {
					j, inside := p.cover(at[:p.rank], k[:p.rank])
					if inside {
						sum += float64(plane[j])
					}
					if inside || padded && p.onPadding(at[:p.rank], k[:p.rank]) {
						count++
					}
					advance(k[:p.rank], p.kernel[:p.rank])
				}
				to[i] = T(sum / float64(count))
				i++
				advance(at[:p.rank], p.out[:p.rank])
			}
		}
		return nil
	}
}

// onPadding reports whether element k of the window at a place stands on the
// tensor or its padding.
func (p *place) onPadding(at, k []int) bool {
	for d := range p.rank {
		if at[d]*p.stride[d]+k[d]*p.dilation[d] >= p.in[d]+p.padBegin[d]+p.padEnd[d] {
			return false
		}
	}
	return true
}

// globally makes one value of all that each channel has.
func globally[T float](f func(values []T) T) kernel {
	return func(r *run) error {
		x := r.in[0]
		if len(x.shape) < 3 {
			return wrongShape("the input", x.shape, "a batch, channels and a dimension or more")
		}
		var room [maxDims]int
		shape := append(room[:0], x.shape...)
		for i := range shape[2:] {
			shape[2+i] = 1
		}
		out, err := r.make(0, shape...)
		if err != nil || out.n == 0 {
			return err
		}
		size := x.n / out.n
		if size == 0 {
			return wrongShape("the input", x.shape, "at least one value for each channel")
		}
		if err := r.spend(x.n); err != nil {
			return err
		}
		to, from := view[T](out), view[T](x)
		for i := range to {
			to[i] = f(from[i*size : (i+1)*size])
		}
		return nil
	}
}

func meanOf[T float](values []T) T {
	sum := 0.0
	for _, v := range values {
		sum += float64(v)
	}
	return T(sum / float64(len(values)))
}
