package lightgbm

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	nan      = math.NaN()
	infinite = math.Inf(1)
)

// written is a model file of trees, as LightGBM would write it for 2 features.
func written(version, objective string, trees ...string) []byte {
	var text strings.Builder
	fmt.Fprintf(&text, "tree\nversion=%s\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=1\nobjective=%s\n"+
		"feature_names=a b\nfeature_infos=[0:1] 2:0:1\n\n", version, objective)
	for i, tree := range trees {
		fmt.Fprintf(&text, "Tree=%d\n%s\nshrinkage=1\n\n\n", i, tree)
	}
	return []byte(text.String() + "end of trees\n\nfeature_importances:\n")
}

// split is a tree with one split, of the first feature: left is 1, right is 2.
func split(threshold string, decision int) string {
	return fmt.Sprintf("num_leaves=2\nnum_cat=0\nsplit_feature=0\nthreshold=%s\ndecision_type=%d\nleft_child=-1\nright_child=-2\nleaf_value=1 2",
		threshold, decision)
}

// ask is the model's answer to one row.
func ask(t *testing.T, file []byte, row ...float64) float64 {
	t.Helper()
	m, err := Read(file)
	if err != nil {
		t.Fatalf("%v in\n%s", err, file)
	}
	answer := make([]float64, 1)
	if err := m.Predict(answer, row); err != nil {
		t.Fatal(err)
	}
	return answer[0]
}

// Rules 1 and 2: which way a number goes, for each missing type and default.
func TestNumericalSplits(t *testing.T) {
	t.Parallel()
	const (
		left, right     = 1.0, 2.0
		none, zeros, na = 0 << 2, 1 << 2, 2 << 2
		toLeft          = 2
	)
	up := func(v float64) float64 { return math.Nextafter(v, infinite) }
	down := func(v float64) float64 { return math.Nextafter(v, -infinite) }
	for _, c := range []struct {
		threshold string
		decision  int
		value     float64
		want      float64
	}{
		{"0.5", none, 0.5, left}, // on the threshold is left
		{"0.5", none, up(0.5), right},
		{"16777217", none, 16777217, left}, // in 64 bits: a float32 cannot tell these apart
		{"16777216", none, 16777217, right},
		{"0.10000000000000001", none, 0.1, left},
		{"0.5", none, -infinite, left},
		{"0.5", none, infinite, right},
		{"inf", na | toLeft, infinite, left}, // splits off what is missing
		{"inf", na, nan, right},
		{"-inf", na | toLeft, nan, left},
		{"-inf", na | toLeft, -infinite, left},

		{"0.5", none, nan, left}, // NaN is 0, whatever the default
		{"0.5", none | toLeft, nan, left},
		{"-0.5", none, nan, right},
		{"-0.5", none | toLeft, nan, right},
		{"0", none, nan, left},
		{"-0.0", none, nan, left},

		{"0.5", na, nan, right},
		{"-0.5", na | toLeft, nan, left},
		{"-0.5", na | toLeft, 0, right}, // 0 is a number

		{"0.5", zeros, nan, right},
		{"-0.5", zeros | toLeft, nan, left},
		{"0.5", zeros, 0, right},
		{"0.5", zeros, zero, right},
		{"0.5", zeros, -zero, right},
		{"-0.5", zeros | toLeft, zero, left},
		{"0.5", zeros, up(zero), left},
		{"-0.5", zeros | toLeft, up(zero), right},
		{"0.5", zeros, down(-zero), left},

		// What is nearly 0 is 0 before it is compared.
		{"1.0000000180025095e-35", none, zero, left},
		{"1.0000000180025095e-35", none, up(zero), right},
		{"-1.0000000180025095e-35", none, -zero, right},
		{"-1.0000000180025095e-35", none, down(-zero), left},
		{"1e-36", na, zero, left},
		{"1e-36", na, up(zero), right},
		{"0", na, zero, left},
		{"-1e-36", na, -zero, right},
		{"-1e-36", na, nan, right},
		{"-1e-36", none, nan, right},
	} {
		got := ask(t, written("v4", "regression", split(c.threshold, c.decision)), c.value, 9)
		if got != c.want {
			t.Errorf("threshold %s, decision_type %d: %v goes to %v, want %v", c.threshold, c.decision, c.value, got, c.want)
		}
	}
}

// Rule 3: in the set is left; a fraction counts for nothing; missing, negative and
// outside is right. The threshold is the index of the set.
func TestCategoricalSplits(t *testing.T) {
	t.Parallel()
	// Of the second set, which is 1<<0 | 1<<3, 1<<31 in the first word and 1<<0 in the second.
	const tree = "num_leaves=2\nnum_cat=3\nsplit_feature=1\nthreshold=1\ndecision_type=%d\nleft_child=-1\nright_child=-2\nleaf_value=1 2\n" +
		"cat_boundaries=0 1 3 3\ncat_threshold=4 2147483657 1"
	for _, decision := range []int{1, 1 | 2<<2, 1 | 2, 1 | 1<<2} { // missing type and default change nothing
		file := written("v4", "regression", fmt.Sprintf(tree, decision))
		for value, want := range map[float64]float64{
			0: 1, 3: 1, 31: 1, 32: 1, 3.999: 1, -0.5: 1, math.Copysign(0, -1): 1, 1e-36: 1,
			1: 2, 2: 2, 2.999: 2, 4: 2, 33: 2, 64: 2, 1e9: 2, 1 << 31: 2, 4294967296 + 3: 2, 1e300: 2, infinite: 2,
			-1: 2, -3: 2, -1e300: 2, -infinite: 2,
		} {
			if got := ask(t, file, 9, value); got != want {
				t.Errorf("decision_type %d: category %v goes to %v, want %v", decision, value, got, want)
			}
		}
		if got := ask(t, file, 9, nan); got != 2 {
			t.Errorf("decision_type %d: a missing category goes to %v, want right", decision, got)
		}
	}
	empty := strings.Replace(fmt.Sprintf(tree, 1), "threshold=1", "threshold=2", 1)
	if got := ask(t, written("v4", "regression", empty), 9, 0); got != 2 {
		t.Errorf("empty set: got %v, want right", got)
	}
}

// Rule 4: tree i belongs to output i mod num_tree_per_iteration; trees of one leaf
// need no lines of splits; the end of the trees is where the importances begin, if
// there is no other; lines may end as those of Windows do.
func TestLayout(t *testing.T) {
	t.Parallel()
	leaf := func(value string) string { return "num_leaves=1\nnum_cat=0\nleaf_value=" + value }
	file := written("v3", "custom", leaf("1"), leaf("2"), leaf("4"), leaf("8"))
	three := strings.NewReplacer("num_class=1", "num_class=2", "num_tree_per_iteration=1", "num_tree_per_iteration=2").Replace(string(file))
	for name, text := range map[string]string{
		"as written":       three,
		"CRLF":             strings.ReplaceAll(three, "\n", "\r\n"),
		"no end of trees":  strings.Replace(three, "end of trees\n", "", 1),
		"as 2.x writes it": strings.Replace(three, "end of trees\n\nfeature_importances:", "\n\nfeature importances:", 1),
		"no importances":   strings.Replace(three, "feature_importances:\n", "", 1),
		"tree_sizes":       strings.Replace(three, "label_index", "tree_sizes=9 9 9 9\nlabel_index", 1),
		"parser":           three + "\nparameters:\n[boosting: gbdt]\nend of parameters\n\nparser:\n{\"a\":\nend of parser\n",
	} {
		m, err := Read([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := make([]float64, 2)
		if err := m.Predict(got, []float64{0, 0}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]float64{5, 10}, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for _, f := range load(t) { // real files with the ends of lines of Windows
		m, err := Read([]byte(strings.ReplaceAll(string(f.file), "\n", "\r\n")))
		if err != nil {
			t.Errorf("%s: %v", f.name, err)
			continue
		}
		if diff := cmp.Diff(f.model(t), m, exported); diff != "" {
			t.Errorf("%s: another model: %s", f.name, diff)
		}
	}
}

// exported lets cmp see into models.
var exported = cmp.AllowUnexported(Model{}, node{}, set{}, linearLeaf{}, slope{}, root{})

// Rule 5: what is averaged gets the link of its objective since v3. In v2 it does
// not, and if 2.2.3 wrote it that is wrong, so that there is a warning.
func TestForestOfV2(t *testing.T) {
	t.Parallel()
	leaves := []string{"num_leaves=1\nnum_cat=0\nleaf_value=0.25", "num_leaves=1\nnum_cat=0\nleaf_value=0.75"}
	for version, want := range map[string]float64{"v2": 0.5, "v3": 1 / (1 + math.Exp(-0.5)), "v4": 1 / (1 + math.Exp(-0.5))} {
		file := strings.Replace(string(written(version, "binary sigmoid:1", leaves...)), "label_index", "average_output\nlabel_index", 1)
		if got := ask(t, []byte(file), 0, 0); ulp(got, want) > 1 {
			t.Errorf("%s: got %v, want %v", version, got, want)
		}
	}

	old := loadOne(t, "2.2.2/rf") // which LightGBM answered as we do: TestPredictEqualsLightGBM
	new223 := loadOne(t, "2.2.3/rf")
	for _, f := range []fixture{old, new223} {
		if w := f.model(t).Warnings(); len(w) != 1 || !strings.Contains(w[0], "2.2.3") {
			t.Errorf("%s: got warnings %q", f.name, w)
		}
	}
	linked := *new223.model(t)
	linked.link = sigmoid
	equal(t, "answer of 2.2.3 with its link", &linked, new223, floats(new223.predict), 2)
	// Without a link both are the same.
	for _, name := range []string{"2.2.2/rf-regression", "2.2.3/rf-regression", "2.3.1/rf", "4.7.0/rf"} {
		if w := loadOne(t, name).model(t).Warnings(); w != nil {
			t.Errorf("%s: got warnings %q", name, w)
		}
	}
}

// Rule 6: the link of each objective, and the parameters that it depends on.
func TestLinks(t *testing.T) {
	t.Parallel()
	logistic := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	for objective, want := range map[string]func(x float64) float64{
		"binary sigmoid:1":             logistic,
		"binary sigmoid:0.7":           func(x float64) float64 { return logistic(0.7 * x) },
		"multiclassova num_class:1":    logistic,
		"ova num_class:1 sigmoid:2":    func(x float64) float64 { return logistic(2 * x) },
		"cross_entropy":                logistic,
		"xentropy":                     logistic,
		"cross_entropy_lambda":         func(x float64) float64 { return math.Log1p(math.Exp(x)) },
		"xentlambda":                   func(x float64) float64 { return math.Log1p(math.Exp(x)) },
		"poisson":                      math.Exp,
		"gamma":                        math.Exp,
		"tweedie":                      math.Exp,
		"regression sqrt":              func(x float64) float64 { return math.Copysign(x*x, x) },
		"mape sqrt":                    func(x float64) float64 { return math.Copysign(x*x, x) },
		"huber sqrt":                   func(x float64) float64 { return x },
		"poisson sqrt":                 math.Exp,
		"multiclass num_class:1":       func(float64) float64 { return 1 },
		"custom":                       func(x float64) float64 { return x },
		"none":                         func(x float64) float64 { return x },
		"lambdarank":                   func(x float64) float64 { return x },
		"regression":                   func(x float64) float64 { return x },
		"mean_squared_error sqrt":      func(x float64) float64 { return math.Copysign(x*x, x) },
		"xendcg":                       func(x float64) float64 { return x },
		"mean_absolute_error":          func(x float64) float64 { return x },
		"root_mean_squared_error sqrt": func(x float64) float64 { return math.Copysign(x*x, x) },
	} {
		for _, x := range []float64{-1.5, 0.25, 40} {
			file := written("v4", objective, fmt.Sprintf("num_leaves=1\nnum_cat=0\nleaf_value=%v", x))
			if got := ask(t, file, 0, 0); ulp(got, want(x)) > 1 {
				t.Errorf("%s of %v: got %v, want %v", objective, x, got, want(x))
			}
		}
	}
	bare := strings.Replace(string(written("v4", "x", split("1", 0))), "objective=x\n", "", 1)
	if got := ask(t, []byte(bare), 0, 0); got != 1 {
		t.Errorf("no objective: got %v, want the sum", got)
	}
}

// Rule 7: a leaf of a linear tree is its constant plus its slopes, or the plain
// value if one of their features is missing.
func TestLinearTrees(t *testing.T) {
	t.Parallel()
	file := written("v4", "regression", split("0.5", 0)+"\nis_linear=1\nleaf_const=10 20\nnum_features=2 0\nleaf_features=0 1   \nleaf_coeff=3 5   ")
	for _, c := range []struct{ a, b, want float64 }{
		{0.5, 2, 10 + 1.5 + 10},
		{0.5, nan, 1}, // the plain value of the leaf
		{nan, 2, 1},   // NaN went left as 0, but is missing here
		{0.5, -0, 11.5},
		{0.5, zero, 11.5}, // nearly 0 is 0
		{0.75, nan, 20},   // a leaf without slopes does not miss anything: its constant
	} {
		if got := ask(t, file, c.a, c.b); got != c.want {
			t.Errorf("%v, %v: got %v, want %v", c.a, c.b, got, c.want)
		}
	}
	for _, name := range []string{"3.3.5/linear", "4.7.0/linear", "4.7.0/linear-categorical"} {
		if m := loadOne(t, name).model(t); len(m.slopes) == 0 {
			t.Errorf("%s has no linear leaves", name)
		}
	}
}

// A file is cut at the best iteration when it is saved, and all of it is used.
func TestEarlyStopping(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"2.3.1/early-stopping", "3.3.5/early-stopping", "4.7.0/early-stopping"} {
		if m := loadOne(t, name).model(t); m.NumTrees() < 2 || m.NumTrees() > 20 || m.Warnings() != nil {
			t.Errorf("%s: got %d trees, warnings %q", name, m.NumTrees(), m.Warnings())
		}
	}
}

// Who trained on a data frame with categories is told to send codes.
func TestPandasCategoriesWarn(t *testing.T) {
	t.Parallel()
	for _, f := range load(t) {
		warned := false
		for _, w := range f.model(t).Warnings() {
			warned = warned || strings.Contains(w, "1 categorical columns") && strings.Contains(w, "pandas_categorical")
		}
		if want := strings.Contains(f.name, "pandas"); warned != want {
			t.Errorf("%s: warned %v, want %v", f.name, warned, want)
		}
	}
}

// One leaf, and no tree at all, are models, too.
func TestDegenerateModels(t *testing.T) {
	t.Parallel()
	for name, nodes := range map[string]int{"2.1.2/one-leaf": 0, "2.3.1/one-leaf": 1, "4.7.0/one-leaf": 1, "4.7.0/linear-one-leaf": 1, "4.7.0/zero-trees": 0} {
		if m := loadOne(t, name).model(t); m.NumTrees() != nodes || len(m.nodes) != nodes {
			t.Errorf("%s: got %d trees of %d nodes", name, m.NumTrees(), len(m.nodes))
		}
	}
}
