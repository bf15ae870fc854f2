package xgboost

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Rule 5: the weights of dart are the same in each of the three places where
// versions put them.
func TestDartWeightsInAllThreePlaces(t *testing.T) {
	t.Parallel()
	f := loadOne(t, "3.2.0/dart.json")
	text := string(f.file)
	// {"gradient_booster":{"gbtree":{"model":{...},"name":"gbtree"},"name":"dart","weight_drop":[...]}
	_, after, _ := strings.Cut(text, `"weight_drop":`)
	list, _, _ := strings.Cut(after, "]")
	weights := `"weight_drop":` + list + "]"
	flat := strings.Replace(text, `"gbtree":{"model":{`, `"model":{`, 1)
	flat = strings.Replace(flat, `,"name":"gbtree"},"name":"dart",`+weights, `,"name":"gbtree"`, 1)
	if strings.Contains(flat, "dart") || strings.Contains(flat, "weight_drop") {
		t.Fatal("the fixture is not laid out as expected")
	}
	for place, file := range map[string]string{
		"to 3.2":    text,
		"3.3":       strings.Replace(flat, `,"name":"gbtree"`, `,"name":"gbtree",`+weights, 1),
		"since 3.4": strings.Replace(flat, `"model":{`, `"model":{`+weights+`,`, 1),
	} {
		m, err := Read([]byte(file))
		if err != nil {
			t.Fatalf("%s: %v", place, err)
		}
		equal(t, "answer with weights "+place, m, f, values(f.predict), 0)
	}
	twice := strings.Replace(text, `"model":{`, `"model":{`+weights+`,`, 1)
	if _, err := Read([]byte(twice)); err == nil || !strings.Contains(err.Error(), "in more than one place") {
		t.Errorf("weights in two places: got %v", err)
	}
}

// Rule 6: in the set is right; negative, too large and absent is left, between
// two categories is the lower one. The same for both representations.
func TestCategories(t *testing.T) {
	t.Parallel()
	dense, sparse := newCategories([]int32{0, 3, 64}), newCategories([]int32{0, 3, 64, maxCategory - 1})
	if dense.bits == nil || sparse.sorted == nil {
		t.Fatal("expected bits for small categories and a list for large ones")
	}
	for v, want := range map[float32]bool{
		0: true, 3: true, 3.9: true, 64: true, float32(math.Copysign(0, -1)): true,
		-1: false, -0.5: false, 1: false, 2.999: false, 4: false, 65: false, 1000: false,
		maxCategory: false, 1e30: false, float32(math.Inf(1)): false, float32(math.Inf(-1)): false,
	} {
		if dense.has(v) != want || sparse.has(v) != want {
			t.Errorf("%v: got %v and %v, want %v", v, dense.has(v), sparse.has(v), want)
		}
	}
	if !sparse.has(maxCategory - 1) {
		t.Error("the largest category is not in the set")
	}
	if bytes := sparse.memoryBytes(); bytes > 100 {
		t.Errorf("%d bytes for 4 categories", bytes)
	}
}

// Rule 6, in real files: the negative, fractional, too large and missing values of
// the fixtures take the same way as in XGBoost. Before 3.2, thresholds there are NaN.
func TestCategoricalFixturesHoldBareNaN(t *testing.T) {
	t.Parallel()
	if f := loadOne(t, "1.7.6/categorical-partition.json"); !strings.Contains(string(f.file), "[NaN,") {
		t.Error("the fixture does not test bare NaN")
	}
	for _, name := range []string{"3.2.0/categorical-partition.ubj", "3.2.0/categorical-onehot.ubj", "1.7.6/categorical-partition.json"} {
		m, err := Read(loadOne(t, name).file)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.sets) == 0 {
			t.Errorf("%s has no categorical splits", name)
		}
	}
}

// Rule 9: all trees are used, and who stopped early is told.
func TestEarlyStoppingWarns(t *testing.T) {
	t.Parallel()
	m, err := Read(loadOne(t, "3.2.0/early-stopping.ubj").file)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Warnings()) != 1 || !strings.Contains(m.Warnings()[0], "best_iteration is 0, but all 4 rounds are used") {
		t.Errorf("got warnings %q", m.Warnings())
	}
	// The last round is the best: files of the 1.x line say so even of models that
	// never stopped early, and do not count their rounds.
	for _, f := range load(t) {
		m, err := Read(f.file)
		if err != nil {
			t.Fatal(err)
		}
		if m.Warnings() != nil && !strings.Contains(f.name, "early-stopping") {
			t.Errorf("%s: got warnings %q", f.name, m.Warnings())
		}
	}
	for name, best := range map[string]string{
		"3.2.0/forest.json":         "1",
		"3.2.0/multi-softprob.json": "any text",
	} {
		m, err := Read(edit(t, name, `"attributes":{`, `"attributes":{"best_iteration":"`+best+`"`))
		if err != nil {
			t.Fatal(err)
		}
		if m.Warnings() != nil {
			t.Errorf("%s: best_iteration %s, got warnings %q", name, best, m.Warnings())
		}
	}
}

// Rule 10: pruned files hold deleted nodes; only reachable ones are kept.
func TestDeletedNodesAreDropped(t *testing.T) {
	t.Parallel()
	f := loadOne(t, "3.2.0/pruned.json")
	m, err := Read(f.file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(f.file), `"num_deleted":"0"`) {
		t.Error("the fixture has a tree without deleted nodes")
	}
	if inFile := strings.Count(string(f.file), "2147483647"); inFile < 10 || len(m.nodes) > 40 {
		t.Errorf("got %d nodes", len(m.nodes))
	}
}

// Rule 2: which numbers base_score may hold, and what they become.
func TestBaseScore(t *testing.T) {
	t.Parallel()
	logitOf := func(p float64) float32 { return float32(math.Log(p / (1 - p))) }
	for _, c := range []struct {
		base, objective string
		version         [3]int
		groups          int
		want            []float32 // nil: refused
	}{
		{"5E-1", "reg:squarederror", [3]int{1, 0, 0}, 1, []float32{0.5}},
		{"5E-1", "multi:softprob", [3]int{2, 1, 0}, 3, []float32{0.5, 0.5, 0.5}},
		{"[5E-1]", "multi:softprob", [3]int{3, 1, 0}, 2, []float32{0.5, 0.5}},
		{"[1,-2, 3E0]", "multi:softprob", [3]int{3, 1, 0}, 3, []float32{1, -2, 3}},
		{"[1,2]", "multi:softprob", [3]int{3, 1, 0}, 3, nil},
		{"[1,2", "multi:softprob", [3]int{3, 1, 0}, 2, nil},
		{"", "reg:squarederror", [3]int{3, 1, 0}, 1, nil},
		{"[]", "reg:squarederror", [3]int{3, 1, 0}, 1, nil},
		{"NaN", "reg:squarederror", [3]int{3, 1, 0}, 1, nil},
		{"Infinity", "reg:squarederror", [3]int{3, 1, 0}, 1, nil},
		{"1E39", "reg:squarederror", [3]int{3, 1, 0}, 1, nil},
		{"0.25", "binary:logistic", [3]int{3, 2, 0}, 1, []float32{logitOf(0.25)}},
		{"1", "binary:logistic", [3]int{3, 1, 3}, 1, nil}, // clamped since 3.2
		{"0", "reg:logistic", [3]int{3, 2, 0}, 1, []float32{logitOf(1e-6)}},
		{"-0.1", "reg:logistic", [3]int{3, 2, 0}, 1, nil},
		{"1.1", "reg:logistic", [3]int{4, 0, 0}, 1, nil},
		{"0.25", "binary:logitraw", [3]int{1, 3, 0}, 1, []float32{logitOf(0.25)}},
		{"0.25", "binary:logitraw", [3]int{1, 3, 1}, 1, []float32{0.25}},
		{"0.25", "binary:logitraw", [3]int{2, 0, 0}, 1, []float32{0.25}},
		{"0.25", "binary:hinge", [3]int{2, 0, 0}, 1, []float32{0.25}},
		{"1", "count:poisson", [3]int{2, 0, 0}, 1, []float32{0}},
		{"0", "count:poisson", [3]int{2, 0, 0}, 1, []float32{float32(math.Inf(-1))}},
		{"-1", "reg:gamma", [3]int{2, 0, 0}, 1, nil},
		{"7", "reg:expectileerror", [3]int{3, 3, 0}, 1, []float32{7}},
		{"[7,8,8.5]", "reg:expectileerror", [3]int{3, 3, 0}, 3, []float32{7, 0.54132324, -0.43275467}}, // the last two are log(exp(1-1e-6)-1), log(exp(0.5-1e-6)-1)
		{"[7,7]", "reg:expectileerror", [3]int{3, 3, 0}, 2, nil},
		{"[7,6]", "reg:quantileerror", [3]int{3, 4, 0}, 2, []float32{7, 6}},
		{"7", "reg:linear", [3]int{1, 0, 0}, 1, []float32{7}},
	} {
		objective, err := objectiveNamed(c.objective, c.version, c.groups, c.groups)
		if err != nil {
			t.Fatal(err)
		}
		got, err := baseScore(c.base, c.groups)
		if err == nil {
			err = objective.marginsOf(got)
		}
		if (err == nil) != (c.want != nil) {
			t.Errorf("%s %q: got %v, want %v", c.objective, c.base, err, c.want)
		}
		for i := range c.want {
			if err == nil && ulp(got[i], c.want[i]) > 1 {
				t.Errorf("%s %v %q: got %v, want %v", c.objective, c.version, c.base, got, c.want)
			}
		}
	}
}

// One leaf, and no tree at all, are models, too.
func TestDegenerateModels(t *testing.T) {
	t.Parallel()
	for name, trees := range map[string]int{"one-leaf": 2, "zero-trees": 0} {
		m, err := Read(loadOne(t, "3.2.0/"+name+".ubj").file)
		if err != nil {
			t.Fatal(err)
		}
		if m.NumTrees() != trees || len(m.nodes) != trees {
			t.Errorf("%s: got %d trees of %d nodes", name, m.NumTrees(), len(m.nodes))
		}
	}
}

// What other writers of the two formats may do and XGBoost's own reader understands.
func TestFormatsInOtherSpellings(t *testing.T) {
	t.Parallel()
	f := loadOne(t, "3.2.0/base-score.json")
	want, err := Read(f.file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(f.file)
	swapped := strings.Replace(text, `,"version":[3,2,0]}`, `}`, 1)
	ubj := string(loadOne(t, "3.2.0/base-score.ubj").file)
	short := strings.ReplaceAll(ubj, "L\x00\x00\x00\x00\x00\x00\x00", "U") // lengths in one byte
	list := strings.Replace(ubj, "[$L#L\x00\x00\x00\x00\x00\x00\x00\x03"+
		"\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00", "[i\x03U\x02I\x00\x00]", 1)
	if swapped == text || short == ubj {
		t.Fatal("the fixture is not laid out as expected")
	}
	for name, file := range map[string]string{
		"spaces":        "\n " + strings.NewReplacer(`":`, "\"\t:\r\n ", `,"`, ` , "`).Replace(text) + "\n",
		"version first": `{"version":[3,2,0],` + swapped[1:],
		"escaped key":   strings.Replace(text, `"learner":`, `"\u006cearner":`, 1),
		"more members":  `{"more":[null,{"a":[true,false,-Infinity,Infinity,NaN,"\""]},[],{}],` + text[1:],
		"short lengths": short,
		"untyped list":  list,
		"more UBJSON":   "{U\x01a[ZTFi\x01d\x00\x00\x00\x00[#U\x01Z{}]" + ubj[1:],
	} {
		got, err := Read([]byte(file))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(Model{}, node{}, root{}, categories{})); diff != "" {
			t.Errorf("%s: another model: %s", name, diff)
		}
	}
}

// Arrays of every UBJSON type are read, as integers where they are and as floats.
func TestUBJSONNumbers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file string
		want []float32
	}{
		{"[$i#i\x02\x05\xff", []float32{5, -1}},
		{"[$U#U\x02\x05\xff", []float32{5, 255}},
		{"[$I#I\x00\x02\x00\x05\xff\xff", []float32{5, -1}},
		{"[$l#l\x00\x00\x00\x01\xff\xff\xff\xfe", []float32{-2}},
		{"[$L#i\x01\xff\xff\xff\xff\xff\xff\xff\xfd", []float32{-3}},
		{"[TFi\x02]", []float32{1, 0, 2}},
		{"[$d#i\x01\x3f\x00\x00\x00", []float32{0.5}},
		{"[$D#i\x01\x3f\xb9\x99\x99\x99\x99\x99\x9a", []float32{0.1}},
		{"[d\x3f\x00\x00\x00D\x3f\xb9\x99\x99\x99\x99\x99\x9a]", []float32{0.5, 0.1}},
	} {
		file, want := c.file, c.want
		var floats []float32
		r := reader{tokens: &ubjTokens{b: []byte(file)}}
		err := r.floats(&floats)
		if booleans := file[1] == 'T'; booleans != (err != nil) || !booleans && !slices.Equal(floats, want) {
			t.Errorf("%q as floats: got %v, %v, want %v", file, floats, err, want)
		}
		var ints []int32
		r = reader{tokens: &ubjTokens{b: []byte(file)}}
		err = r.ints(&ints)
		if fractions := want[0] == 0.5 || want[0] == 0.1; fractions != (err != nil) {
			t.Errorf("%q as integers: got %v, %v", file, ints, err)
			continue
		}
		for i, n := range ints {
			if float32(n) != want[i] {
				t.Errorf("%q as integers: got %v, want %v", file, ints, want)
			}
		}
	}
}
