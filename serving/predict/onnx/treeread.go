package onnx

import (
	"math"
	"slices"
)

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
