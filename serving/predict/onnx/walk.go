package onnx

import "math"

// walked is a node of the usual kind of tree, as small as can be: x <= value goes to
// yes. A leaf goes to itself, so that trees of different depths can be walked
// together; the bits of its value are the index of its weight.
type walked struct {
	value float32
	split uint32   // feature, and missingYes
	next  [2]int32 // no, yes
}

// missingYes is the flag of walked.split that NaN goes to yes.
const missingYes = 1 << 31

// prepareWalks makes the nodes for walk, unless a value is no float32.
func (e *ensemble) prepareWalks() {
	walks := make([]walked, len(e.nodes))
	for i, node := range e.nodes {
		if node.mode == modeLeaf {
			walks[i] = walked{value: math.Float32frombits(uint32(node.yes)), next: [2]int32{int32(i), int32(i)}}
			continue
		}
		value := float32(node.value)
		if float64(value) != node.value {
			return
		}
		walks[i] = walked{value: value, split: uint32(node.feature) | bit(node.missing)*missingYes, next: [2]int32{node.no, node.yes}}
	}
	e.walks = walks
}

// measure finds the depth of each tree and what a row may cost. Every node has one
// parent at most, so that this ends.
func (e *ensemble) measure() {
	e.depths = make([]int32, len(e.roots))
	type visit struct{ node, depth int32 }
	var open []visit
	for i, root := range e.roots {
		open = append(open[:0], visit{root, 0})
		for len(open) > 0 {
			v := open[len(open)-1]
			open = open[:len(open)-1]
			node := &e.nodes[v.node]
			if node.mode == modeLeaf {
				e.depths[i] = max(e.depths[i], v.depth)
				continue
			}
			open = append(open, visit{node.yes, v.depth + 1}, visit{node.no, v.depth + 1})
		}
	}
	for i := 0; i < len(e.roots); i += ways {
		most := int32(0)
		for _, depth := range e.depths[i:min(i+ways, len(e.roots))] {
			most = max(most, depth)
		}
		e.steps += ways * (int(most) + 4)
	}
	e.steps += len(e.weights) / max(len(e.roots), 1)
}

// ways is how many trees are walked at once: while one waits for memory or for a
// comparison, the others go on.
const ways = 4

// walk adds the leaves of all trees, in their order.
func (e *ensemble) walk(row, scores []float64) {
	nodes, t := e.walks, 0
	for ; t+ways <= len(e.roots); t += ways {
		a, b, c, d := e.roots[t], e.roots[t+1], e.roots[t+2], e.roots[t+3]
		for range max(e.depths[t], e.depths[t+1], e.depths[t+2], e.depths[t+3]) {
			a, b, c, d = nodes[a].step(row), nodes[b].step(row), nodes[c].step(row), nodes[d].step(row)
		}
		e.add(a, scores)
		e.add(b, scores)
		e.add(c, scores)
		e.add(d, scores)
	}
	for ; t < len(e.roots); t++ {
		a := e.roots[t]
		for range e.depths[t] {
			a = nodes[a].step(row)
		}
		e.add(a, scores)
	}
}

// step is where a row goes on. It is no branch, so that no guess is wrong.
func (w *walked) step(row []float64) int32 {
	x := row[w.split&^missingYes]
	return w.next[(bit(x <= float64(w.value))|bit(x != x)&(w.split>>31))&1]
}

// bit is 1 if it is so.
func bit(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// add adds the weight of a leaf.
func (e *ensemble) add(leaf int32, scores []float64) {
	w := &e.weights[math.Float32bits(e.walks[leaf].value)]
	scores[w.output] += w.value
}
