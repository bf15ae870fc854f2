package xgboost

import "slices"

// node is a split or a leaf, 12 bytes so that five share a cache line. The
// children of a split are neighbours, the right one after the left one.
type node struct {
	value float32 // threshold of a split, value of a leaf, for categories the bits of an index in sets
	split uint32  // feature index and flags
	left  uint32  // index of the left child in Model.nodes; 0 for a leaf, as nothing has the first root as child
}

// The flags of node.split.
const (
	defaultLeft uint32 = 1 << 31 // a missing value goes left
	categorical uint32 = 1 << 30 // the split asks for categories
	featureMask uint32 = 1<<30 - 1
)

// root is where a tree begins. A plain one has no splits for categories.
type root struct {
	at    uint32 // in Model.nodes
	plain bool
}

// deletedFeature is the split index that pruning leaves in a node it cut off (rule 10).
const deletedFeature = 1<<31 - 1

// tree is one element of gradient_booster.model.trees: parallel arrays with one
// value per node, and those of the categorical splits.
type tree struct {
	id          int64
	nodes       int // num_nodes
	leafVector  int // size_leaf_vector
	left        []int32
	right       []int32
	feature     []int32
	condition   []float32
	defaultLeft []int32
	splitType   []int32 // 1: categorical; empty in old files

	categoryNodes  []int32 // ascending; the next two are parallel to it
	categoryStarts []int32 // where in category the node's begin
	categorySizes  []int32
	category       []int32
}

// readTree reads the tree that tok begins and appends its reachable nodes.
func (f *forest) readTree(r *reader, i int, tok token) error {
	if tok.kind != object {
		return wrong("expected an object, found %v", tok.kind)
	}
	t := &f.tree
	t.reset()
	if err := r.members(func(key string) error { return t.member(r, key) }); err != nil {
		return err
	}
	if err := t.check(int64(i)); err != nil {
		return err
	}
	return f.add(t)
}

func (t *tree) reset() {
	t.id, t.nodes, t.leafVector = -1, 0, 0
	for _, a := range []*[]int32{
		&t.left, &t.right, &t.feature, &t.defaultLeft, &t.splitType,
		&t.categoryNodes, &t.categoryStarts, &t.categorySizes, &t.category,
	} {
		*a = (*a)[:0]
	}
	t.condition = t.condition[:0]
}

func (t *tree) member(r *reader, key string) error {
	switch key {
	case "id":
		tok, err := r.tokens.next()
		if err == nil {
			t.id, err = tok.integer()
		}
		return err
	case "tree_param":
		return r.object(func(key string) error {
			switch key {
			case "num_nodes":
				return r.decimal(&t.nodes)
			case "size_leaf_vector":
				return r.decimal(&t.leafVector)
			}
			return r.skip()
		})
	case "left_children":
		return r.ints(&t.left)
	case "right_children":
		return r.ints(&t.right)
	case "split_indices":
		return r.ints(&t.feature)
	case "split_conditions":
		return r.floats(&t.condition)
	case "default_left":
		return r.ints(&t.defaultLeft)
	case "split_type":
		return r.ints(&t.splitType)
	case "categories_nodes":
		return r.ints(&t.categoryNodes)
	case "categories_segments":
		return r.ints(&t.categoryStarts)
	case "categories_sizes":
		return r.ints(&t.categorySizes)
	case "categories":
		return r.ints(&t.category)
	}
	return r.skip() // statistics of the training
}

func (t *tree) check(id int64) error {
	switch {
	case t.leafVector > 1: // first: the arrays of such a tree have other shapes
		return &UnsupportedError{
			Feature: "a vector in each leaf (size_leaf_vector above 1)",
			Advice:  "train with multi_strategy one_output_per_tree",
		}
	case t.id != id:
		return under("id", wrong("found %d, expected %d, the place of the tree", t.id, id))
	case t.nodes < 1:
		return under("tree_param.num_nodes", wrong("expected 1 or more, found %d", t.nodes))
	}
	for _, a := range []struct {
		key    string
		length int
	}{
		{"left_children", len(t.left)},
		{"right_children", len(t.right)},
		{"split_indices", len(t.feature)},
		{"split_conditions", len(t.condition)},
		{"default_left", len(t.defaultLeft)},
	} {
		if a.length != t.nodes {
			return under(a.key, wrong("%d values: expected %d, one for each node", a.length, t.nodes))
		}
	}
	if n := len(t.splitType); n != 0 && n != t.nodes {
		return under("split_type", wrong("%d values: expected %d, one for each node", n, t.nodes))
	}
	return t.checkCategories()
}

// add appends the nodes that are reachable from the root, level by level. Pruned
// trees keep deleted nodes, whose slots hold anything (rule 10): those are left
// out. Each node may have one parent, the root none, so this ends.
func (f *forest) add(t *tree) error {
	base := uint32(len(f.nodes))
	if uint64(base)+uint64(t.nodes) > maxNodes {
		return wrong("more than %d nodes in the model", maxNodes)
	}
	parents := slices.Grow(f.parents[:0], t.nodes)[:t.nodes] // of each node, plus 1; 0: not seen yet
	clear(parents)
	f.parents = parents
	order := append(f.order[:0], 0)
	plain := true
	f.nodes = slices.Grow(f.nodes, t.nodes)
	for i := 0; i < len(order); i++ {
		at := int(order[i])
		left, right := t.left[at], t.right[at]
		if left == -1 {
			f.nodes = append(f.nodes, node{value: t.condition[at]})
			continue
		}
		for _, child := range [...]struct {
			key   string
			index int32
		}{{"left_children", left}, {"right_children", right}} {
			if child.index <= 0 || int(child.index) >= t.nodes {
				return under(child.key, underIndex(at, wrong("node %d: expected 1 to %d, or -1 in a leaf", child.index, t.nodes-1)))
			}
			if p := parents[child.index]; p != 0 {
				return under(child.key, underIndex(at, wrong("node %d is a child of node %d, too: not a tree", child.index, p-1)))
			}
			parents[child.index] = int32(at) + 1
		}
		n, err := f.split(t, at)
		if err != nil {
			return err
		}
		n.left = base + uint32(len(order))
		plain = plain && n.split&categorical == 0
		f.nodes = append(f.nodes, n)
		order = append(order, left, right)
	}
	f.order = order
	f.starts = append(f.starts, root{base, plain})
	return nil
}

// split is the node at an index of t that is not a leaf.
func (f *forest) split(t *tree, at int) (node, error) {
	feature := t.feature[at]
	switch {
	case feature == deletedFeature:
		return node{}, under("split_indices", underIndex(at, wrong("the node is marked as deleted, but is a child of another")))
	case feature < 0 || feature >= maxFeatures:
		return node{}, under("split_indices", underIndex(at, wrong("feature %d is out of range", feature)))
	}
	if int(feature) > f.widest {
		f.widest, f.widestT, f.widestN = int(feature), len(f.starts), at
	}
	n := node{value: t.condition[at], split: uint32(feature)}
	if t.defaultLeft[at] != 0 {
		n.split |= defaultLeft
	}
	if len(t.splitType) > 0 && t.splitType[at] != 0 {
		return f.categoricalSplit(t, at, n)
	}
	return n, nil
}
