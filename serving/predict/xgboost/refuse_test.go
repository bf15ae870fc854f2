package xgboost

import (
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// edit is a fixture with one piece of its JSON replaced, the first one that is there.
func edit(t *testing.T, name, old, replacement string) []byte {
	t.Helper()
	text := string(loadOne(t, name).file)
	if !strings.Contains(text, old) {
		t.Fatalf("%s does not contain %s", name, old)
	}
	return []byte(strings.Replace(text, old, replacement, 1))
}

// What real XGBoost wrote and we do not answer for is refused by name.
func TestRefusesRealFilesByName(t *testing.T) {
	t.Parallel()
	for pattern, feature := range map[string]string{
		"vector-leaf.*":    "size_leaf_vector", // rule 7
		"snapshot.ubj":     "memory snapshot",
		"old-binary.model": "old binary format",
	} {
		paths, err := filepath.Glob("testdata/*/refused/" + pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("no files %s: %v", pattern, err)
		}
		for _, path := range paths {
			unsupported(t, path, read(t, path), feature)
		}
	}
}

func TestRefusesByName(t *testing.T) {
	t.Parallel()
	const plain = "3.2.0/reg-squarederror.json"
	objective := func(name string) []byte {
		return edit(t, plain, `"name":"reg:squarederror"`, `"name":"`+name+`"`)
	}
	for feature, file := range map[string][]byte{
		"reg:mystery": objective("reg:mystery"), // rule 11
		"reg:expectileerror of 3 outputs with 2 levels": edit(t, "3.4.1/several-expectiles.json", "[1E-1,5E-1,9E-1]", "[1E-1,9E-1]"), // rule 4
		"reg:quantileerror of 3 outputs with 0 levels":  edit(t, "3.4.1/several-quantiles.json", "quantile_alpha", "beta"),
		"cats.enc":          edit(t, plain, `"enc":[]`, `"enc":[{"type":4,"values":[1,2]}]`), // rule 7
		"booster gbforest":  edit(t, plain, `"name":"gbtree"`, `"name":"gbforest"`),
		"a Python pickle":   []byte("\x80\x04\x95abc"),
		"old binary format": []byte("binf\x00\x00\x00\x3f"),
	} {
		unsupported(t, feature, file, feature)
	}
}

func unsupported(t *testing.T, name string, file []byte, feature string) {
	t.Helper()
	_, err := Read(file)
	refused, ok := errors.AsType[*UnsupportedError](err)
	if !ok {
		t.Errorf("%s: got %v, want an UnsupportedError", name, err)
		return
	}
	if !strings.Contains(refused.Feature, feature) || refused.Advice == "" || !strings.Contains(err.Error(), refused.Advice) {
		t.Errorf("%s: got %q, want it to name %s and to advise", name, err, feature)
	}
}

// What is broken is refused with the path to it.
func TestBrokenFilesAreRefusedWithThePath(t *testing.T) {
	t.Parallel()
	const plain = "3.2.0/base-score.json"
	const trees = "learner.gradient_booster.model.trees"
	edited := func(old, replacement string) []byte { return edit(t, plain, old, replacement) }
	for _, c := range []struct {
		path, message string
		file          []byte
	}{
		{"", "the file is empty", nil},
		{"", "the file is empty", []byte(" \n")},
		{"", "cut off", []byte("{")},
		{"version", "is missing", []byte("{}")},
		{"learner.objective.name", "is missing", edited(`"name":"binary:logistic"`, `"nom":"binary:logistic"`)},
		{"", "bytes follow the model", append(edited("x", "x"), '}')},
		{"", "bytes follow the model", append(loadOne(t, "3.2.0/base-score.ubj").file, 0)},
		{"learner", "expected an object, found a number", []byte(`{"learner":7}`)},
		{"learner", "found '}'", []byte(`{"learner":}`)},
		{"", "expected a key", []byte(`{7}`)},
		{"learner", "appears twice", []byte(`{"learner":{},"learner":{}}`)},
		{"version[1]", "found \"1.5\"", edited("[3,2,0]", "[3,1.5,0]")},
		{"version", "expected major", edited("[3,2,0]", "[0,9,0]")},
		{"version[0]", "32-bit", edited("[3,2,0]", "[99999999999,9,0]")},

		{trees + "[0].left_children[0]", "node 99: expected 1 to 10", edited(`"left_children":[1,`, `"left_children":[99,`)},
		{trees + "[0].left_children[0]", "node 0: expected", edited(`"left_children":[1,`, `"left_children":[0,`)},
		{trees + "[0].right_children[0]", "node -1: expected", edited(`"right_children":[2,`, `"right_children":[-1,`)},
		{trees + "[0].right_children[0]", "child of node 0, too", edited(`"right_children":[2,`, `"right_children":[1,`)},
		{trees + "[0].left_children[1]", "child of node 0, too", edited(`"left_children":[1,3,`, `"left_children":[1,2,`)},
		{trees + "[0].left_children", "10 values: expected 11", edited(`"left_children":[1,3,`, `"left_children":[3,`)},
		{trees + "[0].left_children[0]", "expected an integer, found a string", edited(`"left_children":[1,`, `"left_children":["1",`)},
		{trees + "[0].left_children", "expected an array of numbers, found a string", edited(`"left_children":[`, `"left_children":"","x":[`)},
		{trees + "[0].split_indices[0]", "feature 5: the model has 5 features", edited(`"split_indices":[0,`, `"split_indices":[5,`)},
		{trees + "[0].split_indices[0]", "out of range", edited(`"split_indices":[0,`, `"split_indices":[-5,`)},
		{trees + "[0].split_indices[0]", "marked as deleted", edited(`"split_indices":[0,`, `"split_indices":[2147483647,`)}, // rule 10
		{trees + "[0].split_conditions[0]", "range of a 32-bit float", edited(`"split_conditions":[-1.9171199E-1`, `"split_conditions":[1E99`)},
		{trees + "[0].split_type[0]", "found 2", edited(`"split_type":[0,`, `"split_type":[2,`)},
		{trees + "[0].categories_nodes", "node 0 is missing", edited(`"split_type":[0,`, `"split_type":[1,`)},
		{trees + "[0].id", "found 1, expected 0", edited(`"id":0`, `"id":1`)},
		{trees + "[0].tree_param.num_nodes", "whole number", edited(`"num_nodes":"11"`, `"num_nodes":"-1"`)},
		{trees, "2 trees: gbtree_model_param.num_trees says 3", edited(`"num_trees":"2"`, `"num_trees":"3"`)},
		{"learner.gradient_booster.model.tree_info", "1 values: expected 2", edited(`"tree_info":[0,0]`, `"tree_info":[0]`)},
		{"learner.gradient_booster.model.tree_info[1]", "output 1: the model has 1", edited(`"tree_info":[0,0]`, `"tree_info":[0,1]`)},

		{"learner.learner_model_param.num_feature", "expected 1 to", edited(`"num_feature":"5","num_target"`, `"num_feature":"0","num_target"`)},
		{"learner.learner_model_param.num_feature", "expected 1 to", edited(`"num_feature":"5","num_target"`, `"num_feature":"4294967295","num_target"`)},
		{"learner.learner_model_param.num_class", "at most", edited(`"num_class":"0"`, `"num_class":"4294967295"`)},
		{"learner.learner_model_param.num_target", "no such models", edited(`"num_class":"0","num_feature":"5","num_target":"1"`, `"num_class":"2","num_feature":"5","num_target":"2"`)},
		{"learner.feature_names", "1 names: expected 5", edited(`"feature_names":[]`, `"feature_names":["a"]`)},
		{"learner.feature_types", "1 types: expected 5", edited(`"feature_types":[]`, `"feature_types":["q"]`)},
		{"learner.feature_names[0]", "expected a string", edited(`"feature_names":[]`, `"feature_names":[7]`)},
		{"learner.feature_names[0]", "not UTF-8", edited(`"feature_names":[]`, "\"feature_names\":[\"\xff\"]")},
		{"learner.feature_names[0]", "broken escape", edited(`"feature_names":[]`, `"feature_names":["\q"]`)},

		{"learner.gradient_booster.model.weights", "24 weights: expected 48", edit(t, "3.2.0/gblinear-multi.json", `"num_feature":"5"`, `"num_feature":"11"`)}, // rule 8
		{"learner.gradient_booster.gbtree.model.weight_drop", "0 weights: expected 6", edit(t, "3.2.0/dart.json", `"weight_drop"`, `"lost"`)},                  // rule 5
	} {
		_, err := Read(c.file)
		format, ok := errors.AsType[*FormatError](err)
		if !ok || format.Path != c.path || !strings.Contains(format.Message, c.message) {
			t.Errorf("got %v, want %s: ...%s...", err, c.path, c.message)
		}
	}
}

// Nested without end, by ten bytes of each format.
func TestDepthIsBounded(t *testing.T) {
	t.Parallel()
	for _, file := range []string{
		`{"x":` + strings.Repeat(`[`, 1<<20),
		`{"x":` + strings.Repeat(`{"x":`, 1<<20),
		"{U\x01x" + strings.Repeat("[", 1<<20),
		"{U\x01x" + strings.Repeat("{U\x01x", 1<<20),
	} {
		if _, err := Read([]byte(file)); err == nil || !strings.Contains(err.Error(), "nested more than 64 deep") {
			t.Errorf("%.20q: got %v", file, err)
		}
	}
}

// A length in the file that is not borne out by what follows costs no memory. Not
// parallel, as memory is measured.
func TestLengthsAreNotTrusted(t *testing.T) {
	for _, tail := range []string{
		"[$d#L\x00\x00\x00\x00\x7f\xff\xff\xff",
		"[$D#L\x7f\xff\xff\xff\xff\xff\xff\xff",
		"[$U#L\xff\xff\xff\xff\xff\xff\xff\xff",
		"[$Z#L\x00\x00\x00\x00\x7f\xff\xff\xff",
		"[#L\x00\x00\x00\x00\x7f\xff\xff\xff",
		"[#l\x7f\xff\xff\xff",
		"[#S",
		"SL\x00\x00\x00\x00\x7f\xff\xff\xff",
		"Sd\x00\x00\x00\x00",
		"{$i#i\x01",
		"[$",
		"H",
		"",
	} {
		file := []byte("{U\x01x" + tail)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Read(file)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%q: got no error", file)
		}
		if bytes := after.TotalAlloc - before.TotalAlloc; bytes > 1<<16 {
			t.Errorf("%q: %d bytes were allocated", file, bytes)
		}
	}
}
