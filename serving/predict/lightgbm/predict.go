package lightgbm

import "fmt"

// block is how many rows walk through a tree before the next tree's turn: its
// nodes are then in the processor's cache for all rows but the first.
const block = 64

// Predict answers any number of rows. rows holds NumFeatures values for each, one
// row after the other; NaN is a missing value. dst receives NumOutputs values for
// each row and must have exactly that length and not overlap rows. The error, if
// any, is about these lengths, and dst is then unchanged.
//
// Predict does not allocate. It may be called by several goroutines at once.
func (m *Model) Predict(dst, rows []float64) error {
	n := len(rows) / m.features
	if len(rows) != n*m.features {
		return fmt.Errorf("lightgbm: %d values are not whole rows: the model takes %d per row", len(rows), m.features)
	}
	if len(dst) != n*m.groups {
		return fmt.Errorf("lightgbm: place for %d values, expected %d: %d for each of %d rows", len(dst), n*m.groups, m.groups, n)
	}
	for n > 0 {
		k := min(n, block)
		m.predictBlock(dst[:k*m.groups], rows[:k*m.features], k)
		dst, rows, n = dst[k*m.groups:], rows[k*m.features:], n-k
	}
	return nil
}

func (m *Model) predictBlock(dst, rows []float64, n int) {
	var memory [block]float64
	for g := range m.groups {
		sums := memory[:n]
		clear(sums)
		m.addLeaves(sums, rows, g)
		for i, sum := range sums {
			if m.average > 0 {
				sum /= m.average
			}
			dst[i*m.groups+g] = m.link.apply(sum, m.sigmoid)
		}
	}
	if m.link == softmax {
		for i := range n {
			applySoftmax(dst[i*m.groups : (i+1)*m.groups])
		}
	}
}

// addLeaves adds to each row's sum the leaf it reaches in each tree of a group, in
// the order of the trees: rounding is then LightGBM's.
func (m *Model) addLeaves(sums, rows []float64, group int) {
	if len(sums) == 1 {
		sums[0] = m.sumOfOne(m.roots[group], rows)
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

// sumOfOne is the sum of the leaves that one row reaches.
func (m *Model) sumOfOne(roots []root, row []float64) float64 {
	sum := 0.0
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
// in: those of four rows through one tree, or of one row through four. No step is a branch, so that no guess is wrong, and while one way waits for
// its next node the processor goes on with the others.
func (m *Model) fourLeaves(a, b, c, d uint32, rowA, rowB, rowC, rowD []float64) (float64, float64, float64, float64) {
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
func step(nodes []node, at uint32, row []float64) uint32 {
	n := &nodes[at]
	v := row[n.split&featureMask]
	next := n.left + (bit(v > n.value) | bit(v != v)&^(n.split>>31)) // the flag nanLeft
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
func (m *Model) leaf(at uint32, row []float64) float64 {
	nodes := m.nodes
	n := &nodes[at]
	for n.left != 0 {
		v := row[n.split&featureMask]
		right := uint32(0)
		switch {
		case n.split&special != 0:
			if !m.goesLeft(n, v) {
				right = 1
			}
		case v <= n.value:
		case v == v || n.split&nanLeft == 0:
			right = 1
		}
		n = &nodes[n.left+right]
	}
	if n.split != 0 {
		return m.linear(n, row)
	}
	return n.value
}

// goesLeft decides at splits for categories, and at those where 0 is missing.
func (m *Model) goesLeft(n *node, v float64) bool {
	switch {
	case n.split&categorical != 0:
		return m.inSet(uint32(n.value), v)
	case v != v || v >= -zero && v <= zero:
		return n.split&nanLeft != 0
	}
	return v <= n.value
}

// inSet reports whether a value is in a set of categories (rule 3): the fraction
// counts for nothing, also that of -0.5; missing, negative and large values are in
// no set.
func (m *Model) inSet(index uint32, v float64) bool {
	if !(v > -1 && v < 1<<31) { // NaN, too
		return false
	}
	category, s := uint32(int32(v)), m.sets[index]
	word := category / 32
	return word < s.words && m.bits[s.first+word]>>(category%32)&1 != 0
}

// linear is the value of a linear leaf (rule 7). The conversion forbids the
// compiler to fuse the product with the sum, which some processors can, with
// another rounding.
func (m *Model) linear(n *node, row []float64) float64 {
	line := &m.lines[n.split-1]
	sum := line.constant
	for _, s := range m.slopes[line.first : line.first+line.count] {
		v := row[s.feature]
		switch {
		case v != v:
			return n.value
		case v < -zero || v > zero:
			sum += float64(s.factor * v)
		}
	}
	return sum
}
