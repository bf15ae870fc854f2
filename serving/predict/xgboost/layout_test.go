package xgboost

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The two formats are told apart by what follows the first bracket: the type of a
// length, any of the five, or a quote or space.
func TestFormatsAreToldApart(t *testing.T) {
	t.Parallel()
	text, ubj := string(loadOne(t, "3.2.0/base-score.json").file), string(loadOne(t, "3.2.0/base-score.ubj").file)
	want, err := Read([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for start, file := range map[string]string{
		"{i":   "{i\x01xZ" + ubj[1:],
		"{U":   "{U\x01xZ" + ubj[1:],
		"{I":   "{I\x00\x01xZ" + ubj[1:],
		"{l":   "{l\x00\x00\x00\x01xZ" + ubj[1:],
		"{L":   "{L\x00\x00\x00\x00\x00\x00\x00\x01xZ" + ubj[1:],
		`{"`:   text,
		"{ ":   "{ " + text[1:],
		"{\n":  "{\n" + text[1:],
		"{\t":  "{\t" + text[1:],
		"{\r":  "{\r" + text[1:],
		"\n{ ": "\n{ " + text[1:],
	} {
		got, err := Read([]byte(file))
		if err != nil || !strings.HasPrefix(file, start) {
			t.Errorf("%q: %v", start, err)
			continue
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(Model{}, node{}, root{}, categories{})); diff != "" {
			t.Errorf("%q: another model: %s", start, diff)
		}
	}
}

// Rule 1: a number is rounded once, to 32 bits. This one is just below the middle
// of two of them; rounded to 64 bits before, it would be the middle, and go up.
func TestNumbersAreRoundedOnce(t *testing.T) {
	t.Parallel()
	const text, want = "1.00000017881393432617187499", float32(1.0000001)
	var floats []float32
	r := reader{tokens: &jsonTokens{b: []byte("[" + text + "]")}}
	if err := r.floats(&floats); err != nil || !slices.Equal(floats, []float32{want}) {
		t.Errorf("in an array: got %v, %v, want %v", floats, err, want)
	}
	if base, err := baseScore(text, 1); err != nil || !slices.Equal(base, []float32{want}) {
		t.Errorf("as base_score: got %v, %v, want %v", base, err, want)
	}
}

// Rule 10: slots of pruned nodes are used again, so that a child may stand before
// its parent. The places of nodes do not matter as long as the root is the first.
func TestChildrenMayStandBeforeTheirParents(t *testing.T) {
	t.Parallel()
	f := loadOne(t, "3.2.0/deep.json")
	want, err := Read(f.file)
	if err != nil {
		t.Fatal(err)
	}
	turned := turnedRound(t, f.file)
	got, err := Read(turned)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(f.file, turned) || len(got.nodes) < 10 {
		t.Fatal("the fixture has no trees to turn round")
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Model{}, node{}, root{}, categories{})); diff != "" {
		t.Errorf("another model: %s", diff)
	}
}

// turnedRound is the file with the nodes of each tree, other than the root, in the
// opposite order.
func turnedRound(t *testing.T, file []byte) []byte {
	t.Helper()
	var all map[string]any
	d := json.NewDecoder(bytes.NewReader(file))
	d.UseNumber()
	if err := d.Decode(&all); err != nil {
		t.Fatal(err)
	}
	model := all["learner"].(map[string]any)["gradient_booster"].(map[string]any)["model"].(map[string]any)
	for _, tree := range model["trees"].([]any) {
		tree := tree.(map[string]any)
		for _, key := range []string{"left_children", "right_children"} {
			children := tree[key].([]any)
			for i, child := range children {
				at, err := child.(json.Number).Int64()
				if err != nil {
					t.Fatal(err)
				}
				if at > 0 {
					children[i] = int64(len(children)) - at
				}
			}
		}
		for _, key := range []string{"left_children", "right_children", "split_indices", "split_conditions", "default_left", "split_type"} {
			slices.Reverse(tree[key].([]any)[1:])
		}
	}
	turned, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return turned
}
