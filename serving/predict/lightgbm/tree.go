package lightgbm

// tree is the lines of one tree of the file: parallel arrays with one value per
// split, one less than there are leaves, or one per leaf.
type tree struct {
	leaves    int
	feature   []int32
	threshold []float64
	decision  []int32
	left      []int32 // 0 or more: a split; below 0: leaf ^child (rule 4)
	right     []int32
	value     []float64 // of the leaves

	// Of categorical splits: the set with index i is sets[boundaries[i]:boundaries[i+1]].
	cats       int
	boundaries []int32
	bits       []uint32

	// Of a linear tree (rule 7): the models of the leaves one after the other.
	linear       bool
	constant     []float64
	terms        []int32 // how many of the next two belong to each leaf
	slopeFeature []int32 // features
	slopeFactor  []float64
}

// The bits of decision_type (rule 1).
const (
	decisionCategorical = 1 << 0
	decisionDefaultLeft = 1 << 1
	decisionMissing     = 2 // where the two bits of the missing type begin
	decisionKnown       = 1<<4 - 1
)

// Missing types: which values are missing (rule 2).
const (
	missingNone = iota // none: NaN is 0
	missingZero        // 0, and NaN
	missingNaN         // NaN
)

// knownTree are the lines of a tree that versions 2.0 to 4.7 write.
func knownTree(key string) bool {
	switch key {
	case "num_leaves", "num_cat", "split_feature", "threshold", "decision_type", "left_child", "right_child", "leaf_value",
		"cat_boundaries", "cat_threshold", "is_linear", "leaf_const", "num_features", "leaf_features", "leaf_coeff",
		"split_gain", "leaf_weight", "leaf_count", "internal_value", "internal_weight", "internal_count", "shrinkage": // of the training
		return true
	}
	return false
}

// read reads the lines into the memory that t has.
func (t *tree) read(b part, refused *UnsupportedError) (err error) {
	for _, p := range b {
		if !knownTree(string(p.key)) {
			refused.add("tree line "+printable(p.key), "save the model with a LightGBM of 2.0 to 4.7")
		}
	}
	if t.leaves, err = b.number("num_leaves"); err != nil {
		return err
	}
	if t.leaves < 1 {
		return under("num_leaves", wrong("expected 1 or more, found %d", t.leaves))
	}
	if t.value, err = list(b, t.value, "leaf_value", t.leaves, parseFloat); err != nil {
		return err
	}
	if err := t.readSplits(b, t.leaves-1); err != nil {
		return err
	}
	if err := t.readCategories(b); err != nil {
		return err
	}
	return t.readLinear(b)
}

// readSplits reads n splits. Trees of one leaf may lack the lines (rule 4).
func (t *tree) readSplits(b part, n int) (err error) {
	if n == 0 {
		t.feature, t.threshold, t.decision, t.left, t.right = t.feature[:0], t.threshold[:0], t.decision[:0], t.left[:0], t.right[:0]
		return nil
	}
	if t.feature, err = list(b, t.feature, "split_feature", n, parseInt); err != nil {
		return err
	}
	if t.threshold, err = list(b, t.threshold, "threshold", n, parseThreshold); err != nil {
		return err
	}
	if t.decision, err = list(b, t.decision, "decision_type", n, parseInt); err != nil {
		return err
	}
	if t.left, err = list(b, t.left, "left_child", n, parseInt); err != nil {
		return err
	}
	t.right, err = list(b, t.right, "right_child", n, parseInt)
	return err
}

func (t *tree) readCategories(b part) (err error) {
	t.boundaries, t.bits = t.boundaries[:0], t.bits[:0]
	if t.cats, err = b.number("num_cat"); err != nil || t.cats == 0 {
		return err
	}
	if t.boundaries, err = list(b, t.boundaries, "cat_boundaries", t.cats+1, parseInt); err != nil {
		return err
	}
	for i, at := range t.boundaries {
		if i == 0 && at != 0 || i > 0 && at < t.boundaries[i-1] {
			return under("cat_boundaries", underIndex(i, wrong("found %d: expected ascending numbers from 0", at)))
		}
	}
	t.bits, err = list(b, t.bits, "cat_threshold", int(t.boundaries[t.cats]), parseBits)
	return err
}

func (t *tree) readLinear(b part) (err error) {
	t.linear = false
	switch value, _ := b.find("is_linear"); string(value) { // since 3.2
	case "", "0":
		return nil
	case "1":
		t.linear = true
	default:
		return under("is_linear", wrong("expected 0 or 1, found %.40q", value))
	}
	if t.constant, err = list(b, t.constant, "leaf_const", t.leaves, parseFloat); err != nil {
		return err
	}
	if t.terms, err = list(b, t.terms, "num_features", t.leaves, parseInt); err != nil {
		return err
	}
	sum := 0
	for i, n := range t.terms {
		if n < 0 || n > maxFeatures {
			return under("num_features", underIndex(i, wrong("%d features: expected 0 to %d", n, maxFeatures)))
		}
		sum += int(n)
	}
	if t.slopeFeature, err = list(b, t.slopeFeature, "leaf_features", sum, parseInt); err != nil {
		return err
	}
	t.slopeFactor, err = list(b, t.slopeFactor, "leaf_coeff", sum, parseFloat)
	return err
}
