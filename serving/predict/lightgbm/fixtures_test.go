package lightgbm

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fixture is a model file that real LightGBM wrote, and what it answered
// (testdata/generate.py).
type fixture struct {
	name string // such as 4.7.0/binary
	file []byte
	rows [][]value

	predict, raw []value
}

// value is a number, or the null of a missing one, or the text of an infinite one.
type value float64

func (v *value) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case "null":
		*v = value(math.NaN())
		return nil
	case `"inf"`:
		*v = value(math.Inf(1))
		return nil
	case `"-inf"`:
		*v = value(math.Inf(-1))
		return nil
	}
	return json.Unmarshal(b, (*float64)(v))
}

// load reads every fixture; there must be some of each line of LightGBM.
func load(tb testing.TB) []fixture {
	tb.Helper()
	paths, err := filepath.Glob("testdata/*/*.expected.json")
	if err != nil || len(paths) == 0 {
		tb.Fatalf("no fixtures in testdata: %v", err)
	}
	var all []fixture
	for _, path := range paths {
		name, err := filepath.Rel("testdata", strings.TrimSuffix(path, ".expected.json"))
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, loadOne(tb, filepath.ToSlash(name)))
	}
	return all
}

// loadOne is the fixture of a name.
func loadOne(tb testing.TB, name string) fixture {
	tb.Helper()
	stem := filepath.Join("testdata", filepath.FromSlash(name))
	var expected struct {
		LightGBM     string
		Rows         [][]value
		Predict, Raw []value
	}
	if err := json.Unmarshal(read(tb, stem+".expected.json"), &expected); err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	if !strings.HasPrefix(name, expected.LightGBM+"/") {
		tb.Fatalf("%s was written by LightGBM %s", name, expected.LightGBM)
	}
	return fixture{name: name, file: read(tb, stem+".txt"), rows: expected.Rows, predict: expected.Predict, raw: expected.Raw}
}

func read(tb testing.TB, path string) []byte {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// model is the fixture's, read.
func (f fixture) model(tb testing.TB) *Model {
	tb.Helper()
	m, err := Read(f.file)
	if err != nil {
		tb.Fatalf("%s: %v", f.name, err)
	}
	return m
}

func (f fixture) matrix() []float64 {
	return floats(slices.Concat(f.rows...))
}

func floats(values []value) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = float64(v)
	}
	return out
}

// Every objective of rule 6, and those without a link, are held against the real
// LightGBM.
func TestFixturesCoverEveryObjective(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, f := range load(t) {
		m := f.model(t)
		seen[m.Objective()] = true
		seen[fmt.Sprint("v", m.Version())] = true
		if m.link == square {
			seen[m.Objective()+" sqrt"] = true
		}
	}
	for _, name := range []string{
		"binary", "multiclass", "multiclassova", "cross_entropy", "cross_entropy_lambda",
		"regression", "regression_l1", "huber", "fair", "quantile", "mape", "poisson", "gamma", "tweedie",
		"regression sqrt", "regression_l1 sqrt", "fair sqrt", "quantile sqrt", "mape sqrt",
		"lambdarank", "rank_xendcg", "custom",
		"v2", "v3", "v4",
	} {
		if !seen[name] {
			t.Errorf("no fixture was trained for %s", name)
		}
	}
}

// Raw scores are those of LightGBM bit for bit, of every version. Answers are too
// where no exponential was taken, and otherwise within two ulp.
func TestPredictEqualsLightGBM(t *testing.T) {
	t.Parallel()
	for _, f := range load(t) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			m := f.model(t)
			allowed := uint64(0)
			if m.link != identity && m.link != square {
				allowed = 2
			}
			want := floats(f.predict)
			if strings.HasPrefix(f.name, "2.2.3/rf") { // see TestForestOfV2
				want = nil
			}
			if want != nil {
				equal(t, "answer", m, f, want, allowed)
			}

			raw := *m
			raw.link, raw.average = identity, 0
			equal(t, "raw score", &raw, f, floats(f.raw), 0)
		})
	}
}

func equal(t *testing.T, what string, m *Model, f fixture, want []float64, allowed uint64) {
	t.Helper()
	got := make([]float64, len(f.rows)*m.NumOutputs())
	if err := m.Predict(got, f.matrix()); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("got %d values, want %d", len(got), len(want))
	}
	for i := range got {
		difference := math.Abs(got[i]-want[i]) / max(1, math.Abs(want[i]))
		if distance := ulp(got[i], want[i]); distance > allowed || difference > 1e-12 {
			t.Errorf("%s %d (row %v): got %v, want %v: %d ulp apart, allowed %d",
				what, i, f.rows[i/m.NumOutputs()], got[i], want[i], distance, allowed)
		}
	}
}

// ulp is how many 64-bit floats lie between two numbers.
func ulp(a, b float64) uint64 {
	if a == b || a != a && b != b {
		return 0
	}
	order := func(f float64) int64 {
		i := int64(math.Float64bits(f))
		if i < 0 {
			return math.MinInt64 - i
		}
		return i
	}
	x, y := order(a), order(b)
	return uint64(max(x, y)) - uint64(min(x, y))
}

// One row at a time and all at once are the same, also across the blocks in which
// rows are worked off.
func TestPredictManyRows(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"4.7.0/multiclass", "4.7.0/rf-multiclass", "4.7.0/linear-multiclass", "4.7.0/categorical", "4.7.0/many-trees", "4.7.0/dart", "4.7.0/missing-zero",
	} {
		f := loadOne(t, name)
		m := f.model(t)
		rows := f.matrix()
		want := make([]float64, len(f.rows)*m.NumOutputs())
		one := want
		for i := range f.rows {
			if err := m.Predict(one[:m.NumOutputs()], rows[i*m.NumFeatures():(i+1)*m.NumFeatures()]); err != nil {
				t.Fatal(err)
			}
			one = one[m.NumOutputs():]
		}
		const times = 9 // more than two blocks
		all := make([]float64, times*len(want))
		if err := m.Predict(all, slices.Repeat(rows, times)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(slices.Repeat(want, times), all); diff != "" {
			t.Fatalf("%s: alone and in a block: %s", name, diff)
		}
	}
}

// A model may be asked by any number of goroutines at once; the race detector agrees.
func TestPredictConcurrently(t *testing.T) {
	t.Parallel()
	f := loadOne(t, "4.7.0/linear-categorical")
	m := f.model(t)
	rows := f.matrix()
	want := make([]float64, len(f.rows))
	if err := m.Predict(want, rows); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			got := make([]float64, len(want))
			for range 20 {
				if err := m.Predict(got, rows); err != nil || !slices.Equal(got, want) {
					t.Errorf("got %v, %v", got, err)
					return
				}
			}
		})
	}
	wait.Wait()
}

func TestPredictChecksLengths(t *testing.T) {
	t.Parallel()
	m := loadOne(t, "4.7.0/multiclass").model(t) // 5 features, 4 outputs
	for _, lengths := range [][2]int{{4, 4}, {4, 6}, {3, 5}, {8, 5}, {0, 5}, {4, 0}} {
		dst := slices.Repeat([]float64{7}, lengths[0])
		if err := m.Predict(dst, make([]float64, lengths[1])); err == nil {
			t.Errorf("%d values for %d answers: got no error", lengths[1], lengths[0])
		}
		for _, v := range dst {
			if v != 7 {
				t.Errorf("%d values for %d answers: the answer was written", lengths[1], lengths[0])
			}
		}
	}
	if err := m.Predict(nil, nil); err != nil {
		t.Errorf("no rows: %v", err)
	}
}

func TestFactsAboutTheModel(t *testing.T) {
	t.Parallel()
	m := loadOne(t, "4.7.0/feature-names").model(t)
	if diff := cmp.Diff([]string{"age", "price_in_€", "a=b", "😀", `back\slash`}, m.FeatureNames()); diff != "" {
		t.Errorf("names: %s", diff)
	}
	if m.NumFeatures() != 5 || m.NumOutputs() != 1 || m.NumClasses() != 0 || m.NumTrees() != 1 || m.Version() != 4 ||
		m.Objective() != "regression" || m.Warnings() != nil || m.CategoricalFeatures() != nil {
		t.Errorf("got %+v", m)
	}
	if bytes := m.MemoryBytes(); bytes < 300 || bytes > 10000 {
		t.Errorf("got %d bytes of memory for a tree of 13 nodes", bytes)
	}
	for name, want := range map[string]struct{ outputs, classes, trees int }{
		"4.7.0/binary":        {1, 2, 4},
		"4.7.0/multiclass":    {4, 4, 8},
		"2.3.1/multiclassova": {4, 4, 8},
		"4.7.0/cross-entropy": {1, 0, 2},
		"3.3.5/custom":        {1, 0, 2},
	} {
		m := loadOne(t, name).model(t)
		if m.NumOutputs() != want.outputs || m.NumClasses() != want.classes || m.NumTrees() != want.trees {
			t.Errorf("%s: got %d outputs, %d classes, %d trees, want %v", name, m.NumOutputs(), m.NumClasses(), m.NumTrees(), want)
		}
	}
	if diff := cmp.Diff([]int{0, 1}, loadOne(t, "4.7.0/categorical").model(t).CategoricalFeatures()); diff != "" {
		t.Errorf("categorical features: %s", diff)
	}
}
