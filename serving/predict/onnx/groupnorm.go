package onnx

import (
	"fmt"
	"math"
)

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
