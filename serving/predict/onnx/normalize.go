package onnx

import (
	"fmt"
	"math"
	"slices"
)

func normalizationOperators() []operator {
	return []operator{
		{
			name: "BatchNormalization", versions: []int{7, 9, 14, 15}, inputs: [2]int{5, 5}, build: buildBatchNormalization,
			note: "not with training_mode=1 or spatial=0",
		},
		{name: "InstanceNormalization", versions: []int{6, 22}, inputs: [2]int{3, 3}, build: func(n *node) (kernel, error) {
			n.want(0, allFloats...)
			n.same(1, 2)
			epsilon := float64(n.float("epsilon", 1e-5))
			return n.done(byFloat(n, n.in[0], groupNormalization[float32](0, epsilon, true), groupNormalization[float64](0, epsilon, true)), n.in[0])
		}},
		{name: "GroupNormalization", versions: []int{18, 21}, inputs: [2]int{3, 3}, build: buildGroupNormalization},
		{name: "LayerNormalization", versions: []int{17}, inputs: [2]int{2, 3}, build: buildLayerNormalization},
		{name: "RMSNormalization", versions: []int{23}, inputs: [2]int{2, 2}, build: buildLayerNormalization},
		{name: "LpNormalization", versions: []int{1, 22}, inputs: [2]int{1, 1}, build: buildLpNormalization},
		{name: "MeanVarianceNormalization", versions: []int{9, 13}, inputs: [2]int{1, 1}, build: buildMeanVariance},
		{name: "LRN", versions: []int{1, 13}, inputs: [2]int{1, 1}, build: buildLRN},
		{name: "Softmax", versions: []int{1, 11, 13}, inputs: [2]int{1, 1}, build: func(n *node) (kernel, error) {
			return buildSoftmax(n, softmax)
		}},
		{name: "LogSoftmax", versions: []int{1, 11, 13}, inputs: [2]int{1, 1}, build: func(n *node) (kernel, error) {
			return buildSoftmax(n, logSoftmax)
		}},
		{name: "Hardmax", versions: []int{1, 11, 13}, inputs: [2]int{1, 1}, build: func(n *node) (kernel, error) {
			return buildSoftmax(n, hardmax)
		}},
	}
}

// buildBatchNormalization scales each channel by what training found out.
func buildBatchNormalization(n *node) (kernel, error) {
	n.want(0, allFloats...)
	for i := 1; i < 5; i++ {
		n.want(i, allFloats...)
	}
	epsilon := float64(n.float("epsilon", 1e-5))
	n.ignore("momentum")
	if n.truth("training_mode", false) || slices.Contains(n.wanted[min(1, len(n.wanted)):], true) {
		n.refuse("export the model for inference", "training_mode=1")
	}
	if n.version < 9 && !n.truth("spatial", true) {
		n.refuse("export for opset 9 or newer", "attribute spatial=0")
	}
	k := byFloat(n, n.in[0], batchNormalization[float32](n, epsilon), batchNormalization[float64](n, epsilon))
	return n.done(k, n.in[0])
}

func batchNormalization[T float](n *node, epsilon float64) kernel {
	var reals [5]func(to, from *Tensor)
	for i := 1; i < 5; i++ {
		reals[i] = conversion(n, n.typeIn(i), Float64)
	}
	return func(r *run) error {
		x := r.in[0]
		channels := 1
		if len(x.shape) == 0 {
			return wrongShape("the input", x.shape, "a batch and channels")
		}
		if len(x.shape) > 1 {
			channels = x.shape[1]
		}
		out, err := r.make(0, x.shape...)
		if err != nil || out.n == 0 {
			return err
		}
		terms, err := scratchOf[float64](r, 0, 4*channels)
		if err != nil {
			return err
		}
		for i := range 4 {
			if r.in[i+1].n != channels {
				return wrongShape(fmt.Sprintf("input %d", i+1), r.in[i+1].shape, fmt.Sprintf("%d values, one for each channel", channels))
			}
			reals[i+1](over(r, Float64, terms[i*channels:(i+1)*channels]), r.in[i+1])
		}
		scale, bias, mean, variance := terms[:channels], terms[channels:2*channels], terms[2*channels:3*channels], terms[3*channels:]
		for c := range channels {
			scale[c] /= math.Sqrt(variance[c] + epsilon)
			bias[c] -= mean[c] * scale[c]
		}
		size := x.n / x.shape[0] / channels
		to, from := view[T](out), view[T](x)
		for i := 0; i < x.n; i += size {
			c := i / size % channels
			s, b := scale[c], bias[c]
			plane := to[i : i+size]
			for j, v := range from[i : i+size] {
				plane[j] = T(float64(v)*s + b)
			}
		}
		return nil
	}
}

// buildLayerNormalization is also RMSNormalization, which does not take the mean
// off.
func buildLayerNormalization(n *node) (kernel, error) {
	n.want(0, allFloats...)
	n.want(1, allFloats...)
	n.same(1, 2)
	l := layer{axis: n.int("axis", -1), epsilon: float64(n.float("epsilon", 1e-5)), plain: n.op == "RMSNormalization"}
	if kind := n.int("stash_type", 1); kind != 1 {
		n.refuse("export with stash_type=1", "attribute stash_type=%d", kind)
	}
	return n.done(byFloat(n, n.in[0], layerNormalization[float32](l), layerNormalization[float64](l)), n.in[0], Float32, Float32)
}

type layer struct {
	axis    int
	epsilon float64
	plain   bool
}

func layerNormalization[T float](l layer) kernel {
	return func(r *run) error {
		x := r.in[0]
		axis, err := axisOf(l.axis, len(x.shape))
		if err != nil {
			return err
		}
		out, err := r.make(0, x.shape...)
		if err != nil {
			return err
		}
		if err := r.spendProduct(out.n, 4); err != nil {
			return err
		}
		var room [maxDims]int
		shape := append(room[:0], x.shape...)
		for i := axis; i < len(shape); i++ {
			shape[i] = 1
		}
		means, err := r.make(1, shape...)
		if err != nil {
			return err
		}
		deviations, err := r.make(2, shape...)
		if err != nil || out.n == 0 {
			return err
		}
		to, from := view[T](out), view[T](x)
		size := out.n / means.n
		for i := range means.n {
			values := from[i*size : (i+1)*size]
			mean, variance := moments(values)
			if l.plain {
				variance += mean * mean // the mean of the squares
				mean = 0
			}
			factor := 1 / math.Sqrt(variance+l.epsilon)
			view[float32](means)[i], view[float32](deviations)[i] = float32(mean), float32(factor)
			for j, v := range values {
				to[i*size+j] = T((float64(v) - mean) * factor)
			}
		}
		return scaleBy[T](out, r.in[1:])
	}
}

// scaleBy multiplies out with the first of the terms and adds the second, both
// broadcast to its shape.
func scaleBy[T float](out *Tensor, terms []*Tensor) error {
	to := view[T](out)
	for k, term := range terms {
		if term == nil {
			continue
		}
		var room [maxDims]int
		shape, err := broadcast(room[:0], out.shape, term.shape)
		if err != nil || !slices.Equal(shape, out.shape) {
			return wrongShape("a term", term.shape, fmt.Sprintf("one that goes with %v", slices.Clone(out.shape)))
		}
		from := view[T](term)
		w := newWalk(out.shape, out.shape, term.shape)
		w.each(out.n, func(i, _, b int) {
			for j := range w.inner {
				if k == 0 {
					to[i+j] *= from[b+j*w.sb]
				} else {
					to[i+j] += from[b+j*w.sb]
				}
			}
		})
	}
	return nil
}

// axisOf is an axis counted from the front.
func axisOf(axis, rank int) (int, error) {
	if axis < -rank || axis >= rank {
		return 0, fmt.Errorf("axis %d: expected one of %d dimensions", axis, rank)
	}
	if axis < 0 {
		axis += rank
	}
	return axis, nil
}
