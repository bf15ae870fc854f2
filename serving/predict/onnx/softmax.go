package onnx

import (
	"math"
	"slices"
)

func buildLpNormalization(n *node) (kernel, error) {
	n.want(0, allFloats...)
	axis, p := n.int("axis", -1), n.int("p", 2)
	if p != 1 && p != 2 {
		n.fail(wrong("attribute p: %d: expected 1 or 2", p))
	}
	f := func(values []float64) {
		norm := 0.0
		for _, v := range values {
			if p == 1 {
				norm += math.Abs(v)
			} else {
				norm += v * v
			}
		}
		if p == 2 {
			norm = math.Sqrt(norm)
		}
		for i := range values {
			if norm != 0 {
				values[i] /= norm
			}
		}
	}
	return n.done(byFloat(n, n.in[0], along[float32](axis, false, f), along[float64](axis, false, f)), n.in[0])
}

// along calls f for the values along an axis; flat: for all from the axis on.
func along[T float](axis int, flat bool, f func(values []float64)) kernel {
	return func(r *run) error {
		x := r.in[0]
		axis := axis
		if flat && axis == len(x.shape) {
			axis-- // nothing is after the last one
		}
		axis, err := axisOf(axis, len(x.shape))
		if err != nil {
			return err
		}
		out, err := r.make(0, x.shape...)
		if err != nil || out.n == 0 {
			return err
		}
		if err := r.spendProduct(out.n, 12); err != nil {
			return err
		}
		size, stride := x.shape[axis], 1
		for _, dim := range x.shape[axis+1:] {
			if flat {
				size *= dim
			} else {
				stride *= dim
			}
		}
		values, err := scratchOf[float64](r, 0, size)
		if err != nil {
			return err
		}
		to, from := view[T](out), view[T](x)
		for i := 0; i < out.n; i += size * stride {
			for j := range stride {
				for k := range values {
					values[k] = float64(from[i+j+k*stride])
				}
				f(values)
				for k, v := range values {
					to[i+j+k*stride] = T(v)
				}
			}
		}
		return nil
	}
}

// buildSoftmax works along one axis since opset 13, before on all values from the
// axis on.
func buildSoftmax(n *node, f func(values []float64)) (kernel, error) {
	n.want(0, allFloats...)
	flat, axis := n.version < 13, -1
	if flat {
		axis = 1
	}
	axis = n.int("axis", axis)
	n.inPlace = true
	return n.done(byFloat(n, n.in[0], along[float32](axis, flat, f), along[float64](axis, flat, f)), n.in[0])
}

func softmax(values []float64) {
	most, sum := slices.Max(values), 0.0
	for i, v := range values {
		values[i] = math.Exp(v - most)
		sum += values[i]
	}
	for i := range values {
		values[i] /= sum
	}
}

func logSoftmax(values []float64) {
	most, sum := slices.Max(values), 0.0
	for _, v := range values {
		sum += math.Exp(v - most)
	}
	log := math.Log(sum)
	for i, v := range values {
		values[i] = v - most - log
	}
}

// hardmax is 1 for the first of the largest values.
func hardmax(values []float64) {
	best := 0
	for i, v := range values {
		if v > values[best] {
			best = i
		}
	}
	clear(values)
	values[best] = 1
}
