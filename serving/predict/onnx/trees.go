package onnx

import (
	"fmt"
	"sort"
	"unsafe"
)

func treeOperators() []operator {
	one := [2]int{1, 1}
	return []operator{
		{domain: domainML, name: "TreeEnsembleRegressor", versions: []int{1, 3, 5}, inputs: one, build: buildTreeRegressor},
		{domain: domainML, name: "TreeEnsembleClassifier", versions: []int{1, 3, 5}, inputs: one, build: buildTreeClassifier},
		{domain: domainML, name: "TreeEnsemble", versions: []int{5}, inputs: one, build: buildTreeEnsemble},
	}
}

// The modes of a node: how a value is compared. Numbered as TreeEnsemble does.
const (
	modeLEQ = iota
	modeLT
	modeGTE
	modeGT
	modeEQ
	modeNEQ
	modeMember
	modeLeaf
)

var modes = map[string]uint8{
	"BRANCH_LEQ": modeLEQ, "BRANCH_LT": modeLT, "BRANCH_GTE": modeGTE, "BRANCH_GT": modeGT,
	"BRANCH_EQ": modeEQ, "BRANCH_NEQ": modeNEQ, "LEAF": modeLeaf,
}

// treeNode is a node of a tree. A leaf has weights from yes to no.
type treeNode struct {
	value   float64
	feature int32
	yes, no int32
	mode    uint8
	missing bool // NaN goes to yes
}

// weight is what a leaf adds to one of the outputs.
type weight struct {
	value  float64
	output int32
}

// ensemble is a sum of trees.
type ensemble struct {
	nodes     []treeNode
	weights   []weight
	members   [][]float64 // sorted sets of values, for modeMember: treeNode.value is the index
	roots     []int32
	outputs   int
	features  int // the least number of values in a row
	aggregate string
	base      []float64
	transform string
	steps     int      // that a row takes at most
	walks     []walked // the nodes, if every branch is of modeLEQ and every leaf has one weight
	depths    []int32  // of each tree
	read      func(r *run) ([]float64, error)
}

// leafOf is the leaf of a tree that a row comes to. That it ends is known: no node
// has two parents, and a root has none.
func (e *ensemble) leafOf(root int32, row []float64) *treeNode {
	node := &e.nodes[root]
	for node.mode != modeLeaf {
		if x := row[node.feature]; e.holds(node, x) || x != x && node.missing {
			node = &e.nodes[node.yes]
		} else {
			node = &e.nodes[node.no]
		}
	}
	return node
}

func (e *ensemble) holds(node *treeNode, x float64) bool {
	switch node.mode {
	case modeLEQ:
		return x <= node.value
	case modeLT:
		return x < node.value
	case modeGTE:
		return x >= node.value
	case modeGT:
		return x > node.value
	case modeEQ:
		return x == node.value
	case modeNEQ:
		return x != node.value
	default:
		set := e.members[int(node.value)]
		i := sort.SearchFloat64s(set, x)
		return i < len(set) && set[i] == x
	}
}

// sum puts the leaves of all trees together, in double (serving.md section 4, rule
// 4). scored says which outputs any leaf has added to.
func (e *ensemble) sum(row, scores []float64, scored []bool) {
	clear(scores)
	clear(scored)
	if e.walks != nil && e.aggregate == "SUM" {
		e.walk(row, scores)
		return
	}
	for _, root := range e.roots {
		leaf := e.leafOf(root, row)
		for _, w := range e.weights[leaf.yes:leaf.no] {
			s := &scores[w.output]
			switch {
			case e.aggregate == "MIN" && scored[w.output]:
				*s = min(*s, w.value)
			case e.aggregate == "MAX" && scored[w.output]:
				*s = max(*s, w.value)
			default:
				*s += w.value
			}
			scored[w.output] = true
		}
	}
	if e.aggregate == "AVERAGE" {
		for k := range scores {
			scores[k] /= float64(len(e.roots))
		}
	}
}

// rows calls row with the sums of each row.
func (e *ensemble) rows(r *run, each func(i int, scores []float64, scored []bool)) error {
	rows, columns, err := rowsOf(r.in[0])
	if err != nil {
		return err
	}
	if columns < e.features {
		return fmt.Errorf("rows of %d values: expected at least %d as the trees look at", columns, e.features)
	}
	if err := r.spendProduct(rows, e.steps); err != nil {
		return err
	}
	x, err := e.read(r)
	if err != nil {
		return err
	}
	scores, err := scratchOf[float64](r, 1, e.outputs+1) // room for a second class
	if err != nil {
		return err
	}
	flags, err := scratchOf[uint8](r, 2, e.outputs)
	if err != nil {
		return err
	}
	scored := unsafe.Slice((*bool)(pointer(flags)), len(flags))
	clear(flags)
	for i := range rows {
		e.sum(x[i*columns:(i+1)*columns], scores[:e.outputs], scored)
		each(i, scores[:e.outputs], scored)
	}
	return nil
}

// readRows reads the rows of input 0 as double: comparing two floats as doubles
// is the same.
func readRows(n *node) func(r *run) ([]float64, error) {
	if n.in[0] == Float64 {
		return func(r *run) ([]float64, error) { return view[float64](r.in[0]), nil }
	}
	n.want(0, allNumbers...)
	convert := conversion(n, n.in[0], Float64)
	return func(r *run) ([]float64, error) {
		x, err := scratchOf[float64](r, 0, r.in[0].n)
		if err == nil {
			convert(over(r, Float64, x), r.in[0])
		}
		return x, err
	}
}

// check finds what no ensemble may have, and the facts that make it fast.
func (e *ensemble) check(n *node) {
	plain := true
	for i := range e.nodes {
		node := &e.nodes[i]
		if node.mode == modeLeaf {
			plain = plain && node.no-node.yes == 1
			continue
		}
		plain = plain && node.mode == modeLEQ
		if node.feature < 0 || node.feature > 1<<24 {
			n.fail(wrong("node %d: feature %d: expected 0 to %d", i, node.feature, 1<<24))
			return
		}
		e.features = max(e.features, int(node.feature)+1)
	}
	for i, w := range e.weights {
		if w.output < 0 || int(w.output) >= e.outputs {
			n.fail(wrong("weight %d is for output %d: there are %d", i, w.output, e.outputs))
			return
		}
	}
	if n.err == nil {
		e.measure()
		if plain {
			e.prepareWalks()
		}
	}
	n.trees = len(e.roots)
	n.bytes = int64(len(e.walks))*int64(unsafe.Sizeof(walked{})) +
		int64(len(e.nodes))*int64(unsafe.Sizeof(treeNode{})) + int64(len(e.weights))*int64(unsafe.Sizeof(weight{}))
}

func buildTreeRegressor(n *node) (kernel, error) {
	e, places := readTrees(n)
	e.aggregate = n.oneOf("aggregate_function", []string{"SUM", "AVERAGE", "MIN", "MAX"})
	e.outputs = n.int("n_targets", 1)
	if e.outputs < 1 || e.outputs > 1<<24 {
		n.fail(wrong("attribute n_targets: %d: expected 1 or more", e.outputs))
	}
	if n.err == nil {
		e.addWeights(n, "target", places)
	}
	e.checkBase(n)
	e.check(n)
	return n.done(e.regress, Float32)
}

func (e *ensemble) checkBase(n *node) {
	if len(e.base) > 1 && len(e.base) != e.outputs {
		n.fail(wrong("attribute base_values: %d values: expected %d", len(e.base), e.outputs))
	}
}

// regress writes the sums.
func (e *ensemble) regress(r *run) error {
	rows, _, err := rowsOf(r.in[0])
	if err != nil {
		return err
	}
	out, err := r.make(0, rows, e.outputs)
	if err != nil {
		return err
	}
	double := out.typ == Float64
	return e.rows(r, func(i int, scores []float64, _ []bool) {
		for k := range scores {
			if len(e.base) > 0 {
				scores[k] += e.base[k%len(e.base)]
			}
		}
		transform(e.transform, scores)
		for k, s := range scores {
			if double {
				view[float64](out)[i*e.outputs+k] = s
			} else {
				view[float32](out)[i*e.outputs+k] = float32(s)
			}
		}
	})
}
