package lightgbm

import (
	"math"
	"slices"
)

// maxNodes is how many nodes all trees may have together: indexes have 32 bits.
const maxNodes = 1 << 30

// node is a split or a leaf, 16 bytes so that four share a cache line. The children
// of a split are neighbours, the right one after the left one.
type node struct {
	value float64 // threshold of a split, value of a leaf, for categories the index in Model.sets
	split uint32  // of a split feature index and flags; of a leaf 0 or 1 + the index in Model.lines
	left  uint32  // index of the left child in Model.nodes; 0 for a leaf, as nothing has the first root as child
}

// The flags of node.split. A node without the special ones sends v <= value to the
// left and NaN where nanLeft says.
const (
	nanLeft     uint32 = 1 << 31
	categorical uint32 = 1 << 30
	zeroMissing uint32 = 1 << 29 // 0 goes the way of NaN
	special            = categorical | zeroMissing
	featureMask uint32 = 1<<29 - 1
)

// root is where a tree begins. A plain one has neither special splits nor linear
// leaves.
type root struct {
	at    uint32
	plain bool
}

// set is the categories that one split sends to the left: bits of Model.bits.
type set struct{ first, words uint32 }

// linearLeaf is a leaf whose value depends on the row: constant + the sum of its
// slopes, or the value of its node if one of their features is missing (rule 7).
type linearLeaf struct {
	constant     float64
	first, count uint32 // in Model.slopes
}

type slope struct {
	factor  float64
	feature uint32
}

// zero is the largest number that LightGBM takes for 0: 1e-35 as a 32-bit float
// (rule 2).
const zero = float64(float32(1e-35))

// forest is the trees of a file, as they are read.
type forest struct {
	nodes  []node
	roots  []root
	sets   []set
	bits   []uint32
	lines  []linearLeaf
	slopes []slope

	// The tree being read, and where its nodes go. Their memory is reused.
	tree  tree
	order []int32
	seen  []bool
}

// add appends the tree with these lines, level by level. Each split and each leaf
// is reached exactly once, so that every way through the tree ends.
func (f *forest) add(b part, h *header, refused *UnsupportedError) error {
	t := &f.tree
	if err := t.read(b, refused); err != nil {
		return err
	}
	base := uint32(len(f.nodes))
	if uint64(base)+2*uint64(t.leaves) > maxNodes {
		return wrong("more than %d nodes in the model", maxNodes)
	}
	firstSet, firstLine, err := f.addParts(t, h)
	if err != nil {
		return err
	}
	splits := t.leaves - 1
	f.seen = slices.Grow(f.seen[:0], splits+t.leaves)[:splits+t.leaves] // splits, then leaves
	clear(f.seen)
	first := int32(0)
	if splits == 0 {
		first = ^0
	}
	plain := !t.linear
	order := append(f.order[:0], first)
	for i := 0; i < len(order); i++ {
		at := order[i]
		if at < 0 {
			leaf := node{value: t.value[^at]}
			if t.linear {
				leaf.split = 1 + firstLine + uint32(^at)
			}
			f.nodes = append(f.nodes, leaf)
			continue
		}
		if err := f.follow(t.left[at]); err != nil {
			return under("left_child", underIndex(int(at), err))
		}
		if err := f.follow(t.right[at]); err != nil {
			return under("right_child", underIndex(int(at), err))
		}
		n, err := t.split(int(at), h.features, firstSet, refused)
		if err != nil {
			return err
		}
		n.left = base + uint32(len(order))
		plain = plain && n.split&special == 0
		f.nodes = append(f.nodes, n)
		order = append(order, t.left[at], t.right[at])
	}
	f.order = order
	if len(order) != splits+t.leaves {
		return under("left_child", wrong("%d of %d nodes are reached from the root: not a tree", len(order), splits+t.leaves))
	}
	f.roots = append(f.roots, root{base, plain})
	return nil
}

// follow checks that a child is there and is nobody else's.
func (f *forest) follow(child int32) error {
	splits := int32(f.tree.leaves) - 1
	at := child // in seen
	if child < 0 {
		at = splits + ^child
	}
	switch {
	case child == 0 || child >= splits || child < ^splits:
		return wrong("child %d: expected a split, 1 to %d, or a leaf, -1 to -%d", child, splits-1, splits+1)
	case f.seen[at]:
		return wrong("child %d is the child of another, too: not a tree", child)
	}
	f.seen[at] = true
	return nil
}

// addParts appends the sets and the linear leaves of the tree, and returns where
// they begin.
func (f *forest) addParts(t *tree, h *header) (firstSet, firstLine uint32, err error) {
	firstSet, firstLine = uint32(len(f.sets)), uint32(len(f.lines))
	firstBit := uint32(len(f.bits))
	for i := range t.cats {
		f.sets = append(f.sets, set{firstBit + uint32(t.boundaries[i]), uint32(t.boundaries[i+1] - t.boundaries[i])})
	}
	f.bits = append(f.bits, t.bits...)
	if !t.linear {
		return firstSet, firstLine, nil
	}
	next := uint32(len(f.slopes))
	for i, feature := range t.slopeFeature {
		if feature < 0 || int(feature) >= h.features {
			return 0, 0, under("leaf_features", underIndex(i, wrong("feature %d: the model has %d features", feature, h.features)))
		}
		f.slopes = append(f.slopes, slope{t.slopeFactor[i], uint32(feature)})
	}
	for i, constant := range t.constant {
		count := uint32(t.terms[i])
		f.lines = append(f.lines, linearLeaf{constant, next, count})
		next += count
	}
	return firstSet, firstLine, nil
}

// split is the node at an index of t, without children.
func (t *tree) split(at, features int, firstSet uint32, refused *UnsupportedError) (node, error) {
	feature, decision := t.feature[at], t.decision[at]
	if feature < 0 || int(feature) >= features {
		return node{}, under("split_feature", underIndex(at, wrong("feature %d: the model has %d features", feature, features)))
	}
	missing := decision >> decisionMissing & 3
	if decision&^decisionKnown != 0 || missing > missingNaN {
		refused.add("a split with other bits in decision_type than category, default and missing type",
			"save the model with a LightGBM of 2.0 to 4.7")
	}
	n := node{value: t.threshold[at], split: uint32(feature)}
	if decision&decisionCategorical != 0 {
		index := n.value
		if index != math.Trunc(index) || index < 0 || index >= float64(t.cats) {
			return node{}, under("threshold", underIndex(at, wrong("set %v: the tree has %d sets of categories", index, t.cats)))
		}
		n.value += float64(firstSet)
		n.split |= categorical
		return n, nil
	}
	left := decision&decisionDefaultLeft != 0
	if missing == missingNone {
		left = n.value >= 0 // NaN is 0
	}
	if left {
		n.split |= nanLeft
	}
	if missing == missingZero {
		n.split |= zeroMissing
		return n, nil
	}
	// LightGBM replaces a value that it takes for 0 by 0 before it asks the trees.
	// Moving thresholds between these values to their edge has the same effect.
	switch {
	case n.value >= 0 && n.value < zero:
		n.value = zero
	case n.value >= -zero && n.value < 0:
		n.value = math.Nextafter(-zero, -1)
	}
	return n, nil
}
