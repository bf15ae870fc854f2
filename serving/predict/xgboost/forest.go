package xgboost

import "fmt"

// maxNodes is how many nodes all trees may have together: indexes have 32 bits.
const maxNodes = 1 << 30

// forest is the trees of a file while they are read.
type forest struct {
	count    int     // num_trees
	parallel int     // num_parallel_tree
	groups   []int32 // tree_info: the group each tree belongs to
	indptr   []int32 // iteration_indptr
	starts   []root
	nodes    []node
	sets     []categories

	weights  []float32 // of dart
	weighted int       // how many places of the file have weights

	widest  int // the largest feature index of any split, and where it is
	widestT int
	widestN int

	// The tree being read, and where its nodes go. Their memory is reused.
	tree    tree
	order   []int32
	parents []int32
}

// member reads one member of gradient_booster.model.
func (f *forest) member(r *reader, key string) error {
	switch key {
	case "gbtree_model_param":
		return r.object(func(key string) error {
			switch key {
			case "num_trees":
				return r.decimal(&f.count)
			case "num_parallel_tree":
				return r.decimal(&f.parallel)
			}
			return r.skip()
		})
	case "tree_info":
		return r.ints(&f.groups)
	case "iteration_indptr":
		return r.ints(&f.indptr)
	case "weight_drop": // since 3.4 (rule 5)
		f.weighted++
		return r.floats(&f.weights)
	case "cats":
		return r.object(func(key string) error {
			if key == "enc" {
				return refuseEncoder(r)
			}
			return r.skip()
		})
	case "trees":
		return r.array(func(i int, tok token) error {
			return f.readTree(r, i, tok)
		})
	}
	return r.skip()
}

// refuseEncoder accepts the empty re-coder that every model since 3.1 has, and
// refuses one with content (rule 7): it would change the input before the trees see it.
func refuseEncoder(r *reader) error {
	return r.array(func(int, token) error {
		return &UnsupportedError{
			Feature: "a category re-coder inside the model (cats.enc)",
			Advice:  "train on the codes of the categories as numbers with feature type c, not on a data frame with categorical columns",
		}
	})
}

func (f *forest) check(features, groups int, dart bool) error {
	n := len(f.starts)
	switch {
	case f.count != n:
		return under("trees", wrong("%d trees: gbtree_model_param.num_trees says %d", n, f.count))
	case len(f.groups) != n:
		return under("tree_info", wrong("%d values: expected %d, one for each tree", len(f.groups), n))
	case n > 0 && f.widest >= features:
		return under(fmt.Sprintf("trees[%d].split_indices[%d]", f.widestT, f.widestN),
			wrong("feature %d: the model has %d features", f.widest, features))
	}
	for i, group := range f.groups {
		if group < 0 || int(group) >= groups {
			return under("tree_info", underIndex(i, wrong("output %d: the model has %d outputs", group, groups)))
		}
	}
	switch {
	case dart && f.weighted == 0, f.weighted > 0 && len(f.weights) != n:
		return under("weight_drop", wrong("%d weights: expected %d, one for each tree", len(f.weights), n))
	case f.weighted > 1:
		return under("weight_drop", wrong("the weights of the trees are in more than one place"))
	}
	return nil
}

// applyWeights multiplies each leaf by the weight of its tree. XGBoost does so at
// each prediction; the product is the same.
func (f *forest) applyWeights() {
	for i, w := range f.weights {
		last := len(f.nodes)
		if i+1 < len(f.starts) {
			last = int(f.starts[i+1].at)
		}
		for j := int(f.starts[i].at); j < last; j++ {
			if n := &f.nodes[j]; n.left == 0 {
				n.value *= w
			}
		}
	}
}

// rounds is the number of boosting rounds, each of which adds one tree (or
// num_parallel_tree) to each group.
func (f *forest) rounds(groups int) int {
	if len(f.indptr) > 0 { // absent in files of the 1.x line
		return len(f.indptr) - 1
	}
	return len(f.starts) / (max(1, f.parallel) * groups)
}
