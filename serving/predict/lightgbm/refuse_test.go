package lightgbm

import (
	"errors"
	"runtime"
	"strings"
	"testing"
)

// edit is a fixture with one piece of its text replaced, the first one that is there.
func edit(t *testing.T, name, old, replacement string) []byte {
	t.Helper()
	text := string(loadOne(t, name).file)
	if !strings.Contains(text, old) {
		t.Fatalf("%s does not contain %s", name, old)
	}
	return []byte(strings.Replace(text, old, replacement, 1))
}

// What we do not answer for is refused by name, with how often it is there and what
// to do instead.
func TestRefusesByName(t *testing.T) {
	t.Parallel()
	const plain = "4.7.0/regression" // 4 trees
	everywhere := func(old, replacement string) []byte {
		return []byte(strings.ReplaceAll(string(edit(t, plain, old, old)), old, replacement))
	}
	for _, c := range []struct {
		feature string
		count   int
		file    []byte
	}{
		{"objective mystery", 1, edit(t, plain, "objective=regression", "objective=mystery")},
		{"parameter power of objective regression", 1, edit(t, plain, "objective=regression", "objective=regression power:3")},
		{"version v5 of the file", 1, edit(t, plain, "version=v4", "version=v5")},
		{"version 4 of the file", 1, edit(t, plain, "version=v4", "version=4")},
		{"header line boost_from_average", 1, edit(t, plain, "label_index=0", "label_index=0\nboost_from_average")},
		{"tree line leaf_vector", 4, everywhere("is_linear=0", "is_linear=0\nleaf_vector=1 2 3")},
		{"a split with other bits in decision_type", 1, written("v4", "regression", split("0", 3<<2))},
		{"a split with other bits in decision_type", 2, written("v4", "regression", split("0", 16), split("0", -1))},
		{"a Python pickle", 1, []byte("\x80\x04\x95abc")},
		{"a model as JSON (dump_model)", 1, []byte(`{"name":"tree","version":"v4"}`)},
		{"a model as C++ code (convert_model)", 1, []byte("#include \"gbdt.h\"\n")},
	} {
		_, err := Read(c.file)
		refused, ok := errors.AsType[*UnsupportedError](err)
		if !ok {
			t.Errorf("%s: got %v, want an UnsupportedError", c.feature, err)
			continue
		}
		if f := refused.Features[0]; len(refused.Features) != 1 || !strings.HasPrefix(f.Name, c.feature) || f.Count != c.count ||
			f.Advice == "" || !strings.Contains(err.Error(), f.Advice) {
			t.Errorf("got %q, want %d times %s and advice", err, c.count, c.feature)
		}
	}

	_, err := Read([]byte(strings.Replace(string(everywhere("is_linear=0", "is_linear=0\nleaf_vector=1 2 3")), "objective=regression", "objective=mystery", 1)))
	const want = "lightgbm model: objective mystery is not supported: "
	if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "; tree line leaf_vector (4 times) is not supported: ") {
		t.Errorf("two features: got %v", err)
	}
}

// What is broken is refused with the path to it.
func TestBrokenFilesAreRefusedWithThePath(t *testing.T) {
	t.Parallel()
	const plain = "4.7.0/regression"
	edited := func(old, replacement string) []byte { return edit(t, plain, old, replacement) }
	tree := func(old, replacement string) []byte {
		const whole = "num_leaves=3\nnum_cat=0\nsplit_feature=0 1\nthreshold=0 0\ndecision_type=0 0\nleft_child=1 -1\nright_child=-3 -2\nleaf_value=1 2 3"
		if !strings.Contains(whole, old) {
			t.Fatalf("the tree does not contain %s", old)
		}
		return written("v4", "regression", split("0", 0), strings.Replace(whole, old, replacement, 1))
	}
	category := func(old, replacement string) []byte {
		const whole = "num_leaves=2\nnum_cat=1\nsplit_feature=1\nthreshold=0\ndecision_type=1\nleft_child=-1\nright_child=-2\nleaf_value=1 2\ncat_boundaries=0 1\ncat_threshold=5"
		return written("v4", "regression", strings.Replace(whole, old, replacement, 1))
	}
	linear := func(old, replacement string) []byte {
		whole := split("0", 0) + "\nis_linear=1\nleaf_const=1 2\nnum_features=1 1\nleaf_features=0  1  \nleaf_coeff=3  4  "
		return written("v4", "regression", strings.Replace(whole, old, replacement, 1))
	}
	for _, c := range []struct {
		path, message string
		file          []byte
	}{
		{"", "the file is empty", nil},
		{"", "the file is empty", []byte(" \n")},
		{"", "expected the line tree", []byte("binf\x00")},
		{"", "expected the line tree", []byte("trees\n")},
		{"", "cut off", []byte("tree")},
		{"", "cut off", []byte("tree\nversion=v4\n")},
		{"version", "is missing", []byte("tree\nend of trees\n")},
		{"num_class", "is missing", edited("num_class=1\n", "")},
		{"num_class", "whole number", edited("num_class=1", "num_class=-1")},
		{"num_class", "whole number", edited("num_class=1", "num_class")},
		{"num_class", "expected 1 to", edited("num_class=1", "num_class=0")},
		{"num_class", "expected 1 to", edited("num_class=1", "num_class=2000000000")},
		{"num_class", "appears twice", edited("num_class=1", "num_class=1\nnum_class=1")},
		{"num_class", "objective regression has one output", edited("num_class=1\nnum_tree_per_iteration=1", "num_class=2")},
		{"num_tree_per_iteration", "expected 1, one for each class", edited("num_tree_per_iteration=1", "num_tree_per_iteration=2")},
		{"num_tree_per_iteration", "4 trees: expected a multiple of 3", []byte(strings.ReplaceAll(string(edited("objective=regression", "objective=custom")), "=1\nnum_tree_per_iteration=1", "=3"))},
		{"max_feature_idx", "is missing", edited("max_feature_idx=4\n", "")},
		{"max_feature_idx", "at most", edited("max_feature_idx=4", "max_feature_idx=2000000000")},
		{"feature_names", "5 names: expected 4", edited("max_feature_idx=4", "max_feature_idx=3")},
		{"feature_names", "is missing", edited("feature_names=", "monotone_constraints=")},
		{"feature_names", "not UTF-8", edited("feature_names=C", "feature_names=\xff")},
		{"feature_infos", "6 values: expected 5", edited("feature_infos=", "feature_infos=none ")},
		{"feature_infos", "is missing", edited("feature_infos=", "monotone_constraints=")},
		{"tree_sizes", "the file has 4 trees", edited("tree_sizes=", "tree_sizes=1 ")},
		{"average_output", "no tree", edit(t, "4.7.0/zero-trees", "label_index", "average_output\nlabel_index")},
		{"objective", "is empty", edited("objective=regression", "objective=")},
		{"objective", "sigmoid: expected a number above 0", edited("objective=regression", "objective=binary sigmoid:-1")},
		{"objective", "sigmoid: expected a number above 0", edited("objective=regression", "objective=binary sigmoid")},
		{"objective", "num_class: expected 1", edited("objective=regression", "objective=multiclass num_class:7")},
		{"", "more than 64 lines", edited("label_index=0", differentLines(65))},

		{"Tree=1.num_leaves", "is missing", tree("num_leaves=3\n", "")},
		{"Tree=1.num_leaves", "expected 1 or more", tree("num_leaves=3", "num_leaves=0")},
		{"Tree=1.leaf_value", "bytes: expected 2000000000 values", tree("num_leaves=3", "num_leaves=2000000000")},
		{"Tree=1.leaf_value", "2 values: expected 3", tree("leaf_value=1 2 3", "leaf_value=1   2 ")},
		{"Tree=1.leaf_value", "more than 3 values", tree("leaf_value=1 2 3", "leaf_value=1 2 3 4")},
		{"Tree=1.leaf_value[1]", `found "x"`, tree("leaf_value=1 2", "leaf_value=1 x")},
		{"Tree=1.leaf_value[1]", "finite", tree("leaf_value=1 2", "leaf_value=1 nan")},
		{"Tree=1.leaf_value[1]", "finite", tree("leaf_value=1 2", "leaf_value=1 inf")},
		{"Tree=1.leaf_value[1]", "finite", tree("leaf_value=1 2", "leaf_value=1 1e999")},
		{"Tree=1.threshold[0]", `found "nan"`, tree("threshold=0", "threshold=nan")},
		{"Tree=1.threshold", "is missing", tree("threshold=0 0\n", "")},
		{"Tree=1.decision_type", "is missing", tree("decision_type=0 0\n", "")},
		{"Tree=1.decision_type[0]", "32-bit", tree("decision_type=0", "decision_type=99999999999")},
		{"Tree=1.num_cat", "is missing", tree("num_cat=0\n", "")},
		{"Tree=1.split_feature[1]", "the model has 2 features", tree("split_feature=0 1", "split_feature=0 2")},
		{"Tree=1.split_feature[0]", "the model has 2 features", tree("split_feature=0 1", "split_feature=-1 1")},
		{"Tree=1.left_child[0]", "child 2: expected a split, 1 to 1, or a leaf, -1 to -3", tree("left_child=1", "left_child=2")},
		{"Tree=1.left_child[0]", "child 0: expected", tree("left_child=1", "left_child=0")},
		{"Tree=1.left_child[0]", "child -4: expected", tree("left_child=1", "left_child=-4")},
		{"Tree=1.left_child[0]", "child -2147483648: expected", tree("left_child=1", "left_child=-2147483648")},
		{"Tree=1.left_child[1]", "child 1 is the child of another, too", tree("left_child=1 -1", "left_child=1 1")}, // a cycle
		{"Tree=1.right_child[0]", "child 1 is the child of another, too", tree("right_child=-3", "right_child=1")},
		{"Tree=1.right_child[1]", "child -3 is the child of another, too", tree("right_child=-3 -2", "right_child=-3 -3")},
		{"Tree=1.left_child", "3 of 5 nodes are reached", tree("left_child=1 -1", "left_child=-1 1")},
		{"Tree=0.num_leaves", "appears twice", written("v4", "regression", split("0", 0)+"\nnum_leaves=2")},

		{"Tree=0.threshold[0]", "the tree has 1 sets", category("threshold=0", "threshold=1")},
		{"Tree=0.threshold[0]", "the tree has 1 sets", category("threshold=0", "threshold=-1")},
		{"Tree=0.threshold[0]", "the tree has 1 sets", category("threshold=0", "threshold=0.5")},
		{"Tree=0.threshold[0]", "the tree has 1 sets", category("threshold=0", "threshold=inf")},
		{"Tree=0.cat_boundaries[0]", "ascending numbers from 0", category("cat_boundaries=0 1", "cat_boundaries=1 1")},
		{"Tree=0.cat_boundaries[1]", "ascending numbers from 0", category("cat_boundaries=0 1", "cat_boundaries=0 -1")},
		{"Tree=0.cat_threshold", "bytes: expected 2000000000 values", category("cat_boundaries=0 1", "cat_boundaries=0 2000000000")},
		{"Tree=0.cat_threshold[0]", "32 bits", category("cat_threshold=5", "cat_threshold=-5")},
		{"Tree=0.cat_boundaries", "bytes: expected 2000000001", category("num_cat=1", "num_cat=2000000000")},
		{"Tree=0.threshold[0]", "the tree has 0 sets", category("num_cat=1", "num_cat=0")},

		{"Tree=0.is_linear", "expected 0 or 1", linear("is_linear=1", "is_linear=2")},
		{"Tree=0.leaf_const", "1 values: expected 2", linear("leaf_const=1 2", "leaf_const=1   ")},
		{"Tree=0.num_features[0]", "expected 0 to", linear("num_features=1 1", "num_features=-1 1")},
		{"Tree=0.leaf_features", "bytes: expected 4000001 values", linear("num_features=1 1", "num_features=1 4000000")},
		{"Tree=0.leaf_features[1]", "the model has 2 features", linear("leaf_features=0  1", "leaf_features=0  2")},
		{"Tree=0.leaf_coeff[1]", "finite", linear("leaf_coeff=3  4", "leaf_coeff=3  nan")},
		{"Tree=0.leaf_coeff", "is missing", linear("\nleaf_coeff=3  4", "")},
	} {
		_, err := Read(c.file)
		format, ok := errors.AsType[*FormatError](err)
		if !ok || format.Path != c.path || !strings.Contains(format.Message, c.message) {
			t.Errorf("got %v, want %s: ...%s...", err, c.path, c.message)
		}
	}
}

func differentLines(n int) string {
	var text strings.Builder
	for i := range n {
		text.WriteString(strings.Repeat("x", i+1) + "\n")
	}
	return text.String()
}

// A number in the file that is not borne out by what follows costs no memory. Not
// parallel, as memory is measured.
func TestNumbersAreNotTrusted(t *testing.T) {
	const many = "2000000000"
	for _, file := range [][]byte{
		[]byte("tree\nversion=v4\nnum_class=" + many + "\n"),
		[]byte("tree\nversion=v4\nnum_class=1\nmax_feature_idx=" + many + "\nfeature_names=a\nfeature_infos=none\nend of trees\n"),
		written("v4", "regression", "num_leaves="+many+"\nnum_cat=0\nleaf_value=1 2\nsplit_feature=0"),
		written("v4", "regression", strings.Replace(split("0", 0), "num_cat=0", "num_cat="+many+"\ncat_boundaries=0 1", 1)),
		written("v4", "regression", strings.Replace(split("0", 0), "num_cat=0", "num_cat=1\ncat_boundaries=0 "+many+"\ncat_threshold=1", 1)),
		written("v4", "regression", split("0", 0)+"\nis_linear=1\nleaf_const=1 2\nnum_features=4000000 4000000\nleaf_features=\nleaf_coeff="),
		[]byte("tree\n" + strings.Repeat("a", 100)),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Read(file)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%.80q: got no error", file)
		}
		if bytes := after.TotalAlloc - before.TotalAlloc; bytes > 1<<16 {
			t.Errorf("%.80q: %d bytes were allocated", file, bytes)
		}
	}
}

// However many things a file has that are not supported, the error is short.
func TestUnsupportedIsBounded(t *testing.T) {
	t.Parallel()
	var tree strings.Builder
	tree.WriteString(split("0", 0))
	for c := byte('A'); c < 'A'+40; c++ {
		tree.WriteString("\n" + strings.Repeat(string(rune(c)), 1000))
	}
	_, err := Read(written("v4", "regression", tree.String()))
	refused, ok := errors.AsType[*UnsupportedError](err)
	if !ok || len(refused.Features) != maxFeaturesNamed || len(err.Error()) > 4000 {
		t.Errorf("got %d bytes: %v", len(err.Error()), err)
	}
}
