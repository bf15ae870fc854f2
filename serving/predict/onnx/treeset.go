package onnx

import (
	"math"
	"slices"
)

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
