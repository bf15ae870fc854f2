package xgboost

import (
	"fmt"
	"math"
)

// block is how many rows walk through a tree before the next tree's turn: its
// nodes are then in the processor's cache for all rows but the first.
const block = 64

// Predict answers any number of rows. rows holds NumFeatures values for each, one
// row after the other; NaN is a missing value. dst receives NumOutputs values for
// each row and must have exactly that length and not overlap rows. The error, if
// any, is about these lengths, and dst is then unchanged.
//
// Predict does not allocate. It may be called by several goroutines at once.
func (m *Model) Predict(dst, rows []float32) error {
	n := len(rows) / m.features
	if len(rows) != n*m.features {
		return fmt.Errorf("xgboost: %d values are not whole rows: the model takes %d per row", len(rows), m.features)
	}
	if len(dst) != n*m.outputs {
		return fmt.Errorf("xgboost: place for %d values, expected %d: %d for each of %d rows", len(dst), n*m.outputs, m.outputs, n)
	}
	for n > 0 {
		k := min(n, block)
		m.predictBlock(dst[:k*m.outputs], rows[:k*m.features], k)
		dst, rows, n = dst[k*m.outputs:], rows[k*m.features:], n-k
	}
	return nil
}

func (m *Model) predictBlock(dst, rows []float32, n int) {
	var sumOf, best [block]float32
	sums := sumOf[:n]
	for g := range m.groups {
		first, last := m.base[g], float32(0)
		if m.baseLast {
			first, last = last, first
		}
		for i := range sums {
			sums[i] = first
		}
		if m.weights != nil {
			m.addLinear(sums, rows, g)
		} else {
			m.addLeaves(sums, rows, g)
		}
		for i, sum := range sums {
			sum += last
			switch {
			case m.link != argmax:
				dst[i*m.outputs+g] = m.link.apply(sum)
			case g == 0 || sum > best[i]: // of equals, the first
				dst[i], best[i] = float32(g), sum
			}
		}
	}
	if m.link == softmax {
		for i := range n {
			applySoftmax(dst[i*m.outputs : (i+1)*m.outputs])
		}
	}
}

// addLeaves adds to each row's sum the leaf it reaches in each tree of a group, in
// float32 and in the order of the trees: rounding is then XGBoost's (rule 1).
func (m *Model) addLeaves(sums, rows []float32, group int) {
	for _, root := range m.roots[group] {
		for i := range sums {
			sums[i] += m.leaf(root, rows[i*m.features:(i+1)*m.features])
		}
	}
}

// leaf is the value of the leaf that row reaches. Read has checked that every
// index is in range and that every way ends.
//
// The comparison is a branch on purpose: the processor guesses it and fetches the
// next node meanwhile, which for one row is faster than never guessing wrong.
func (m *Model) leaf(root uint32, row []float32) float32 {
	nodes := m.nodes
	n := &nodes[root]
	for n.left != 0 {
		v := row[n.split&featureMask]
		right := uint32(0)
		switch {
		case v != v: // missing
			if n.split&defaultLeft == 0 {
				right = 1
			}
		case n.split&categorical != 0:
			if m.sets[math.Float32bits(n.value)].has(v) {
				right = 1
			}
		case !(v < n.value):
			right = 1
		}
		n = &nodes[n.left+right]
	}
	return n.value
}

// addLinear adds bias and weighted values of one group; a missing value adds
// nothing (rule 8). The conversion forbids the compiler to fuse the product with
// the sum, which some processors can, with another rounding.
func (m *Model) addLinear(sums, rows []float32, group int) {
	for i := range sums {
		sum := m.weights[m.features*m.groups+group] + sums[i]
		for f, v := range rows[i*m.features : (i+1)*m.features] {
			if v == v {
				sum += float32(v * m.weights[f*m.groups+group])
			}
		}
		sums[i] = sum
	}
}
