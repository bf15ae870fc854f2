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
	if m.link == softmax || m.link == ascending || m.link == increments {
		for i := range n {
			m.link.applyToAll(dst[i*m.outputs : (i+1)*m.outputs])
		}
	}
}

// addLeaves adds to each row's sum the leaf it reaches in each tree of a group, in
// float32 and in the order of the trees: rounding is then XGBoost's (rule 1).
func (m *Model) addLeaves(sums, rows []float32, group int) {
	if len(sums) == 1 {
		sums[0] = m.addToOne(sums[0], m.roots[group], rows)
		return
	}
	width := m.features
	for _, root := range m.roots[group] {
		i := 0
		for ; root.plain && i+4 <= len(sums); i += 4 {
			row := rows[i*width : (i+4)*width]
			a, b, c, d := m.fourLeaves(root.at, root.at, root.at, root.at,
				row[:width], row[width:2*width], row[2*width:3*width], row[3*width:])
			sums[i] += a
			sums[i+1] += b
			sums[i+2] += c
			sums[i+3] += d
		}
		for ; i < len(sums); i++ {
			sums[i] += m.leaf(root.at, rows[i*width:(i+1)*width])
		}
	}
}

// addToOne adds the leaves that one row reaches to its sum.
func (m *Model) addToOne(sum float32, roots []root, row []float32) float32 {
	for len(roots) > 0 {
		if len(roots) >= 4 && roots[0].plain && roots[1].plain && roots[2].plain && roots[3].plain {
			a, b, c, d := m.fourLeaves(roots[0].at, roots[1].at, roots[2].at, roots[3].at, row, row, row, row)
			sum = sum + a + b + c + d
			roots = roots[4:]
			continue
		}
		sum += m.leaf(roots[0].at, row)
		roots = roots[1:]
	}
	return sum
}

// fourLeaves are the values of the leaves that four ways through plain trees end
// in: those of four rows through one tree, or of one row through four. No step
// is a branch, so that no guess is wrong, and while one way waits for its next node
// the processor goes on with the others.
func (m *Model) fourLeaves(a, b, c, d uint32, rowA, rowB, rowC, rowD []float32) (float32, float32, float32, float32) {
	nodes := m.nodes
	for {
		nextA, nextB := step(nodes, a, rowA), step(nodes, b, rowB)
		nextC, nextD := step(nodes, c, rowC), step(nodes, d, rowD)
		if (nextA^a)|(nextB^b)|(nextC^c)|(nextD^d) == 0 {
			return nodes[a].value, nodes[b].value, nodes[c].value, nodes[d].value
		}
		a, b, c, d = nextA, nextB, nextC, nextD
	}
}

// step leads from a node of a plain tree to the next one; a leaf leads to itself.
func step(nodes []node, at uint32, row []float32) uint32 {
	n := &nodes[at]
	v := row[n.split&featureMask]
	right := bit(!(v < n.value)) &^ (bit(v != v) & (n.split >> 31)) // the flag defaultLeft
	next := n.left + right
	if n.left == 0 {
		next = at
	}
	return next
}

func bit(b bool) uint32 {
	var n uint32
	if b {
		n = 1
	}
	return n
}

// leaf is the value of the leaf that row reaches. Read has checked that every
// index is in range and that every way ends.
func (m *Model) leaf(at uint32, row []float32) float32 {
	nodes := m.nodes
	n := &nodes[at]
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
