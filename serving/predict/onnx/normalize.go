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

func buildGroupNormalization(n *node) (kernel, error) {
	n.want(0, allFloats...)
	n.same(1, 2)
	groups, epsilon := n.int("num_groups", 0), float64(n.float("epsilon", 1e-5))
	n.ignore("stash_type") // sums are always of double
	if groups < 1 {
		n.fail(wrong("attribute num_groups: %d: expected 1 or more", groups))
	}
	perChannel := n.version >= 21 // before, scale and bias were those of the groups
	return n.done(byFloat(n, n.in[0], groupNormalization[float32](groups, epsilon, perChannel), groupNormalization[float64](groups, epsilon, perChannel)), n.in[0])
}

// groupNormalization takes each group of channels to mean 0 and variance 1, then
// scales each channel. No groups: each channel is one.
func groupNormalization[T float](groups int, epsilon float64, perChannel bool) kernel {
	return func(r *run) error {
		x := r.in[0]
		if len(x.shape) < 2 {
			return wrongShape("the input", x.shape, "a batch and channels")
		}
		channels, groups := x.shape[1], groups
		if groups == 0 {
			groups = channels
		}
		terms := channels
		if !perChannel {
			terms = groups
		}
		if channels == 0 || channels%groups > 0 || r.in[1].n != terms || r.in[2].n != terms {
			return fmt.Errorf("%d channels in %d groups, %d scales and %d biases do not go together", channels, groups, r.in[1].n, r.in[2].n)
		}
		out, err := r.make(0, x.shape...)
		if err != nil || out.n == 0 {
			return err
		}
		if err := r.spendProduct(out.n, 4); err != nil {
			return err
		}
		to, from, scale, bias := view[T](out), view[T](x), view[T](r.in[1]), view[T](r.in[2])
		size := x.n / x.shape[0] / channels
		each := channels / groups
		for i := 0; i < x.n; i += size * each {
			mean, variance := moments(from[i : i+size*each])
			factor := 1 / math.Sqrt(variance+epsilon)
			for c := range each {
				term := i/size%channels + c
				if !perChannel {
					term /= each
				}
				s := factor * float64(scale[term])
				b := float64(bias[term]) - mean*s
				at := i + c*size
				for j, v := range from[at : at+size] {
					to[at+j] = T(float64(v)*s + b)
				}
			}
		}
		return nil
	}
}

// moments are the mean and the variance of values.
func moments[T float](values []T) (mean, variance float64) {
	for _, v := range values {
		mean += float64(v)
	}
	mean /= float64(len(values))
	for _, v := range values {
		d := float64(v) - mean
		variance += d * d
	}
	return mean, variance / float64(len(values))
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

func buildMeanVariance(n *node) (kernel, error) {
	n.want(0, allFloats...)
	axes := n.ints("axes")
	if !n.has("axes") {
		axes = []int{0, 2, 3}
	}
	return n.done(byFloat(n, n.in[0], meanVariance[float32](axes), meanVariance[float64](axes)), n.in[0])
}

func meanVariance[T float](axes []int) kernel {
	return func(r *run) error {
		x := r.in[0]
		var reduced [maxDims]bool
		for _, axis := range axes {
			axis, err := axisOf(axis, len(x.shape))
			if err != nil {
				return err
			}
			reduced[axis] = true
		}
		groups := 1
		for i, dim := range x.shape {
			if !reduced[i] {
				groups *= dim
			}
		}
		out, err := r.make(0, x.shape...)
		if err != nil || out.n == 0 {
			return err
		}
		if err := r.spendProduct(out.n, 20); err != nil {
			return err
		}
		sums, err := scratchOf[float64](r, 0, 2*groups)
		if err != nil {
			return err
		}
		clear(sums)
		mean, square := sums[:groups], sums[groups:]
		from, to := view[T](x), view[T](out)
		count := float64(x.n / groups)
		groupsOf(x.shape, reduced[:], func(i, g int) { mean[g] += float64(from[i]) / count })
		groupsOf(x.shape, reduced[:], func(i, g int) { d := float64(from[i]) - mean[g]; square[g] += d * d / count })
		groupsOf(x.shape, reduced[:], func(i, g int) {
			to[i] = T((float64(from[i]) - mean[g]) / (math.Sqrt(square[g]) + 1e-9))
		})
		return nil
	}
}

// groupsOf calls f for every element with the group it belongs to, when the
// dimensions that are reduced do not count.
func groupsOf(shape []int, reduced []bool, f func(i, group int)) {
	var index [maxDims]int
	n, _ := elements(shape)
	for i := range n {
		g := 0
		for d, dim := range shape {
			if !reduced[d] {
				g = g*dim + index[d]
			}
		}
		f(i, g)
		advance(index[:len(shape)], shape)
	}
}

// buildLRN divides by the squares of the channels around.
func buildLRN(n *node) (kernel, error) {
	n.want(0, allFloats...)
	l := response{
		alpha: float64(n.float("alpha", 0.0001)), beta: float64(n.float("beta", 0.75)), bias: float64(n.float("bias", 1)), size: n.int("size", 0),
	}
	if l.size < 1 {
		n.fail(wrong("attribute size: %d: expected 1 or more", l.size))
	}
	return n.done(byFloat(n, n.in[0], lrn[float32](l), lrn[float64](l)), n.in[0])
}

type response struct {
	alpha, beta, bias float64
	size              int
}

func lrn[T float](l response) kernel {
	return func(r *run) error {
		x := r.in[0]
		if len(x.shape) < 3 {
			return wrongShape("the input", x.shape, "a batch, channels and a dimension or more")
		}
		out, err := r.make(0, x.shape...)
		if err != nil || out.n == 0 {
			return err
		}
		channels := x.shape[1]
		if err := r.spendProduct(out.n, min(l.size, channels)+8); err != nil {
			return err
		}
		size := x.n / x.shape[0] / channels
		from, to := view[T](x), view[T](out)
		for i, v := range from {
			c := i / size % channels
			sum := 0.0
			for k := max(0, c-(l.size-1)/2); k <= min(channels-1, c+l.size/2); k++ {
				y := float64(from[i+(k-c)*size])
				sum += y * y
			}
			to[i] = T(float64(v) / math.Pow(l.bias+l.alpha/float64(l.size)*sum, l.beta))
		}
		return nil
	}
}
