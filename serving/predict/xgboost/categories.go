package xgboost

import (
	"math"
	"slices"
	"unsafe"
)

// maxCategory is the first category that a float32 cannot tell from its neighbour.
// XGBoost takes it and everything above for no category at all (rule 6).
const maxCategory = 1 << 24

// categories is the set of categories that one split sends to the right (rule 6).
// Either bits or sorted is used: a bit for each category up to the largest is fast,
// but would let a file of a few bytes demand megabytes.
type categories struct {
	bits   []uint32
	sorted []uint32
}

func newCategories(list []int32) categories {
	words := int(slices.Max(list))/32 + 1
	if words > 16+2*len(list) {
		sorted := make([]uint32, len(list))
		for i, c := range list {
			sorted[i] = uint32(c)
		}
		slices.Sort(sorted)
		return categories{sorted: sorted}
	}
	bits := make([]uint32, words)
	for _, c := range list {
		bits[c/32] |= 1 << (c % 32)
	}
	return categories{bits: bits}
}

// has reports whether a value, which is not missing, is in the set. Values between
// two categories are those of the lower one, as in XGBoost.
func (c *categories) has(v float32) bool {
	if v < 0 || v >= maxCategory {
		return false
	}
	category := uint32(v)
	if c.sorted != nil {
		_, found := slices.BinarySearch(c.sorted, category)
		return found
	}
	word := category / 32
	return word < uint32(len(c.bits)) && c.bits[word]>>(category%32)&1 != 0
}

func (c *categories) memoryBytes() int64 {
	return int64(unsafe.Sizeof(*c)) + 4*int64(cap(c.bits)+cap(c.sorted))
}

// checkCategories checks that the lists of the nodes follow each other without
// gap or overlap, as XGBoost writes them. It bounds the memory of the sets, too.
func (t *tree) checkCategories() error {
	n := len(t.categoryNodes)
	if len(t.categoryStarts) != n {
		return under("categories_segments", wrong("%d values: expected %d, one for each of categories_nodes", len(t.categoryStarts), n))
	}
	if len(t.categorySizes) != n {
		return under("categories_sizes", wrong("%d values: expected %d, one for each of categories_nodes", len(t.categorySizes), n))
	}
	next := 0
	for i, at := range t.categoryNodes {
		switch {
		case at < 0 || int(at) >= t.nodes || i > 0 && at <= t.categoryNodes[i-1]:
			return under("categories_nodes", underIndex(i, wrong("node %d: expected nodes in ascending order, below %d", at, t.nodes)))
		case int(t.categoryStarts[i]) != next:
			return under("categories_segments", underIndex(i, wrong("found %d: expected %d, where the list before ends", t.categoryStarts[i], next)))
		case t.categorySizes[i] < 1 || int(t.categorySizes[i]) > len(t.category)-next:
			return under("categories_sizes", underIndex(i, wrong("%d categories: expected 1 to %d", t.categorySizes[i], len(t.category)-next)))
		}
		next += int(t.categorySizes[i])
	}
	for i, c := range t.category {
		if c < 0 || c >= maxCategory {
			return under("categories", underIndex(i, wrong("category %d: expected 0 to %d", c, maxCategory-1)))
		}
	}
	return nil
}

// categoricalSplit makes n, which is the split at an index of t, ask for categories.
func (f *forest) categoricalSplit(t *tree, at int, n node) (node, error) {
	if t.splitType[at] != 1 {
		return node{}, under("split_type", underIndex(at, wrong("found %d: expected 0 (numerical) or 1 (categorical)", t.splitType[at])))
	}
	i, found := slices.BinarySearch(t.categoryNodes, int32(at))
	if !found {
		return node{}, under("categories_nodes", wrong("node %d is missing: it is a categorical split", at))
	}
	start := t.categoryStarts[i]
	n.split |= categorical
	n.value = math.Float32frombits(uint32(len(f.sets)))
	f.sets = append(f.sets, newCategories(t.category[start:start+t.categorySizes[i]]))
	return n, nil
}
