package onnx

import (
	"fmt"
	"math"
	"slices"
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

// nodeKey is where a node stands in the attributes: its tree and its number there.
type nodeKey struct{ tree, id int64 }

// readTrees reads the nodes as the classifier and the regressor have them: each
// attribute has a value for each node.
func readTrees(n *node) (e *ensemble, leaves map[nodeKey]int) {
	trees, ids := n.ints64("nodes_treeids"), n.ints64("nodes_nodeids")
	yes, no, features := n.ints64("nodes_truenodeids"), n.ints64("nodes_falsenodeids"), n.ints64("nodes_featureids")
	names, missing := n.texts("nodes_modes"), n.ints64("nodes_missing_value_tracks_true")
	values := n.doubles("nodes_values")
	n.ignore("nodes_hitrates", "nodes_hitrates_as_tensor")
	e = &ensemble{read: readRows(n), nodes: make([]treeNode, len(ids)), base: n.doubles("base_values"), transform: n.oneOf("post_transform", transforms)}
	count := len(ids)
	if count == 0 || len(trees) != count || len(yes) != count || len(no) != count || len(features) != count ||
		len(names) != count || len(values) != count || len(missing) != 0 && len(missing) != count {
		n.fail(wrong("%d nodes: expected as many values in each of the attributes nodes_treeids (%d), truenodeids (%d), falsenodeids (%d), featureids (%d), modes (%d), values (%d)",
			count, len(trees), len(yes), len(no), len(features), len(names), len(values)))
		return e, nil
	}
	places := make(map[nodeKey]int, count)
	for i := range ids {
		key := nodeKey{trees[i], ids[i]}
		if _, twice := places[key]; twice {
			n.fail(wrong("node %d of tree %d stands twice", ids[i], trees[i]))
			return e, nil
		}
		places[key] = i
	}
	parents := make([]bool, count)
	for i := range e.nodes {
		mode, known := modes[names[i]]
		if !known {
			n.fail(wrong("attribute nodes_modes: %.40q: expected BRANCH_LEQ, LT, GTE, GT, EQ, NEQ or LEAF", names[i]))
			return e, nil
		}
		e.nodes[i] = treeNode{value: values[i], mode: mode, missing: len(missing) > 0 && missing[i] != 0}
		if mode == modeLeaf {
			continue
		}
		e.nodes[i].feature = int32(min(max(features[i], -1), math.MaxInt32))
		for k, id := range []int64{yes[i], no[i]} {
			child, known := places[nodeKey{trees[i], id}]
			if !known || parents[child] {
				n.fail(wrong("node %d of tree %d has the child %d, which is not there or has another parent", ids[i], trees[i], id))
				return e, nil
			}
			parents[child] = true
			if k == 0 {
				e.nodes[i].yes = int32(child)
			} else {
				e.nodes[i].no = int32(child)
			}
		}
	}
	rooted := map[int64]bool{}
	for i := range e.nodes { // a root is nobody's child (serving.md section 4, rule 4)
		if !parents[i] {
			e.roots = append(e.roots, int32(i))
			rooted[trees[i]] = true
		}
	}
	for _, tree := range trees {
		if !rooted[tree] {
			n.fail(wrong("tree %d has no root: its nodes go round in a circle", tree))
			return e, nil
		}
	}
	return e, places
}

// doubles are the values of an attribute of floats, or of the tensor that may stand
// in its place since opset 3.
func (n *node) doubles(name string) []float64 {
	if !n.has(name + "_as_tensor") {
		return reals(n.floats(name))
	}
	t := n.tensor(name + "_as_tensor")
	n.ignore(name)
	return n.tensorDoubles(t)
}

// tensorDoubles are the values of a tensor of numbers.
func (n *node) tensorDoubles(t *Tensor) []float64 {
	if t == nil {
		return nil
	}
	if t.typ == Float64 {
		return view[float64](t)
	}
	out := constant(make([]float64, t.n), t.n)
	convert := conversion(n, t.typ, Float64)
	if convert == nil {
		n.fail(wrong("tensor of %v: expected numbers", t.typ))
		return nil
	}
	convert(out, t)
	return view[float64](out)
}

// addWeights gives the leaves their weights; prefix is class or target.
func (e *ensemble) addWeights(n *node, prefix string, places map[nodeKey]int) {
	trees, ids, outputs := n.ints64(prefix+"_treeids"), n.ints64(prefix+"_nodeids"), n.ints64(prefix+"_ids")
	values := n.doubles(prefix + "_weights")
	if len(trees) != len(values) || len(ids) != len(values) || len(outputs) != len(values) {
		n.fail(wrong("attributes %s_treeids, nodeids, ids and weights: %d, %d, %d and %d values: expected as many", prefix, len(trees), len(ids), len(outputs), len(values)))
		return
	}
	order := make([]int, 0, len(values))
	at := make([]int, len(values))
	for i := range values {
		place, known := places[nodeKey{trees[i], ids[i]}]
		if !known {
			n.fail(wrong("weight %d is for node %d of tree %d, which is not there", i, ids[i], trees[i]))
			return
		}
		at[i] = place
		if e.nodes[place].mode == modeLeaf { // what a branch weighs is never added
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return at[a] - at[b] })
	for _, i := range order {
		leaf := &e.nodes[at[i]]
		if leaf.no == 0 {
			leaf.yes = int32(len(e.weights))
		}
		e.weights = append(e.weights, weight{values[i], int32(min(max(outputs[i], -1), math.MaxInt32))})
		leaf.no = int32(len(e.weights))
	}
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

func buildTreeEnsemble(n *node) (kernel, error) {
	n.want(0, allFloats...)
	e := &ensemble{read: readRows(n), outputs: n.int("n_targets", 1)}
	e.transform = pick(n, "post_transform", 0, "NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
	e.aggregate = pick(n, "aggregate_function", 1, "AVERAGE", "SUM", "MIN", "MAX")
	if e.outputs < 1 || e.outputs > 1<<24 {
		n.fail(wrong("attribute n_targets: %d: expected 1 or more", e.outputs))
	}
	kinds, splits := n.tensorDoubles(n.tensor("nodes_modes")), n.tensorDoubles(n.tensor("nodes_splits"))
	features, missing := n.ints64("nodes_featureids"), n.ints64("nodes_missing_value_tracks_true")
	yes, no, yesLeaf, noLeaf := n.ints64("nodes_truenodeids"), n.ints64("nodes_falsenodeids"), n.ints64("nodes_trueleafs"), n.ints64("nodes_falseleafs")
	targets, weights, roots := n.ints64("leaf_targetids"), n.tensorDoubles(n.tensor("leaf_weights")), n.ints64("tree_roots")
	members := n.tensorDoubles(n.tensor("membership_values"))
	n.ignore("nodes_hitrates")
	count := len(features)
	if count == 0 || len(kinds) != count || len(splits) != count || len(yes) != count || len(no) != count || len(yesLeaf) != count || len(noLeaf) != count ||
		len(missing) != 0 && len(missing) != count || len(targets) != len(weights) || len(roots) == 0 {
		n.fail(wrong("%d nodes, %d leaves and %d roots: expected a value for each in every attribute", count, len(weights), len(roots)))
		return nil, n.err
	}
	leaves := int32(count) // they stand after the nodes
	e.nodes = make([]treeNode, count, count+len(weights))
	parents := make([]int, count)
	child := func(id, leaf int64) int32 {
		switch {
		case leaf != 0 && id >= 0 && id < int64(len(weights)):
			return leaves + int32(id)
		case leaf == 0 && id >= 0 && id < int64(count):
			parents[id]++
			return int32(id)
		}
		n.fail(wrong("a node has the child %d: there are %d nodes and %d leaves", id, count, len(weights)))
		return 0
	}
	for i := range e.nodes {
		node := treeNode{value: splits[i], feature: int32(min(max(features[i], -1), math.MaxInt32)), missing: len(missing) > 0 && missing[i] != 0}
		if !(kinds[i] >= modeLEQ && kinds[i] <= modeMember) {
			n.fail(wrong("attribute nodes_modes: %v: expected %d to %d", kinds[i], modeLEQ, modeMember))
			return nil, n.err
		}
		if node.mode = uint8(kinds[i]); node.mode == modeMember {
			end := slices.IndexFunc(members, func(v float64) bool { return v != v })
			if end < 0 {
				n.fail(wrong("attribute membership_values: too few sets that end with NaN"))
				return nil, n.err
			}
			set := slices.Clone(members[:end])
			slices.Sort(set)
			node.value, members = float64(len(e.members)), members[end+1:]
			e.members = append(e.members, set)
		}
		node.yes, node.no = child(yes[i], yesLeaf[i]), child(no[i], noLeaf[i])
		if node.yes == node.no && yesLeaf[i] == 0 {
			n.fail(wrong("node %d has one child twice", i))
		}
		e.nodes[i] = node
	}
	for i, v := range weights {
		e.nodes = append(e.nodes, treeNode{mode: modeLeaf, yes: int32(i), no: int32(i + 1)})
		e.weights = append(e.weights, weight{v, int32(min(max(targets[i], -1), math.MaxInt32))})
	}
	for _, root := range roots {
		if root < 0 || root >= int64(count) {
			n.fail(wrong("attribute tree_roots: %d: there are %d nodes", root, count))
			return nil, n.err
		}
		parents[root]++
		e.roots = append(e.roots, int32(root))
	}
	for i, p := range parents {
		if p > 1 {
			n.fail(wrong("node %d has two parents, or is a root with a parent", i))
		}
	}
	e.check(n)
	return n.done(e.regress, n.in[0])
}

// pick is an attribute that is the number of a name.
func pick(n *node, name string, otherwise int, names ...string) string {
	i := n.int(name, otherwise)
	if i < 0 || i >= len(names) {
		n.fail(wrong("attribute %s: %d: expected 0 to %d", name, i, len(names)-1))
		return names[otherwise]
	}
	return names[i]
}
