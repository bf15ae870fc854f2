package lightgbm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"
)

const benchFeatures = 50

// grown is the file of a model of full trees with random splits, as large as models
// get that people serve.
func grown(trees, depth int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	splits := 1<<depth - 1
	var text strings.Builder
	list := func(key string, n int, at func(i int) any) {
		text.WriteString(key)
		for i := range n {
			text.WriteByte("= "[min(i, 1)])
			fmt.Fprint(&text, at(i))
		}
		text.WriteByte('\n')
	}
	noise := func(int) any { return random.Float64() - 0.5 }
	text.WriteString("tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\n")
	fmt.Fprintf(&text, "max_feature_idx=%d\nobjective=binary sigmoid:1\n", benchFeatures-1)
	list("feature_names", benchFeatures, func(i int) any { return fmt.Sprint("f", i) })
	list("feature_infos", benchFeatures, func(int) any { return "[-0.5:0.5]" })
	child := func(i int) any { // of a heap: splits first, then leaves
		if i < splits {
			return i
		}
		return ^(i - splits)
	}
	for i := range trees {
		fmt.Fprintf(&text, "\nTree=%d\nnum_leaves=%d\nnum_cat=0\n", i, splits+1)
		list("split_feature", splits, func(int) any { return random.IntN(benchFeatures) })
		list("split_gain", splits, noise)
		list("threshold", splits, noise)
		list("decision_type", splits, func(int) any { return 8 + 2*random.IntN(2) })
		list("left_child", splits, func(i int) any { return child(2*i + 1) })
		list("right_child", splits, func(i int) any { return child(2*i + 2) })
		list("leaf_value", splits+1, noise)
		list("leaf_weight", splits+1, noise)
		list("leaf_count", splits+1, func(int) any { return 20 + random.IntN(1000) })
		list("internal_value", splits, noise)
		text.WriteString("is_linear=0\nshrinkage=1\n\n")
	}
	text.WriteString("end of trees\n\nfeature_importances:\n")
	return []byte(text.String())
}

// bare walks the same trees one after the other, and knows nothing of missing values,
// categories, linear leaves, links and several outputs.
func bare(m *Model, dst, rows []float64) {
	for r := range dst {
		row := rows[r*m.features : (r+1)*m.features]
		sum := 0.0
		for _, root := range m.roots[0] {
			n := &m.nodes[root.at]
			for n.left != 0 {
				next := n.left
				if !(row[n.split&featureMask] <= n.value) {
					next++
				}
				n = &m.nodes[next]
			}
			sum += n.value
		}
		dst[r] = sum
	}
}

// BenchmarkPredict answers one row and 256 rows at once. The metric times-bare is
// the time of Predict over that of a bare loop over the same rows in the same run.
func BenchmarkPredict(b *testing.B) {
	m, err := Read(grown(500, 8))
	if err != nil {
		b.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 4))
	pool := make([]float64, 1024*benchFeatures)
	for i := range pool {
		pool[i] = random.Float64() - 0.5
		if random.IntN(20) == 0 {
			pool[i] = math.NaN()
		}
	}
	for _, n := range []int{1, 256} {
		b.Run(fmt.Sprintf("rows=%d", n), func(b *testing.B) {
			answers := make([]float64, n)
			b.ReportAllocs()
			var ours, loop time.Duration
			for i := 0; b.Loop(); i++ {
				from := i * n % 1024 * benchFeatures // another row each time: branches are not to be learned by heart
				other := (i*n + 512) % 1024 * benchFeatures
				begin := time.Now()
				if err := m.Predict(answers, pool[from:from+n*benchFeatures]); err != nil {
					b.Fatal(err)
				}
				middle := time.Now()
				bare(m, answers, pool[other:other+n*benchFeatures])
				ours, loop = ours+middle.Sub(begin), loop+time.Since(middle)
			}
			b.ReportMetric(float64(ours.Nanoseconds())/float64(b.N*n), "ns/row")
			b.ReportMetric(float64(ours)/float64(loop), "times-bare")
			b.ReportMetric(0, "ns/op") // of both together
		})
	}
}

func BenchmarkRead(b *testing.B) {
	file := grown(500, 8)
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(file); err != nil {
			b.Fatal(err)
		}
	}
	reportMemory(b, file)
}

// reportMemory reports what a model of the file occupies for each byte of that: as
// it says itself, and as the heap grows.
func reportMemory(b *testing.B, file []byte) {
	b.Helper()
	heap := func() float64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return float64(s.HeapAlloc)
	}
	before := heap()
	m, err := Read(file)
	if err != nil {
		b.Fatal(err)
	}
	grown := heap() - before
	b.ReportMetric(float64(m.MemoryBytes())/float64(len(file)), "memory-B/file-B")
	b.ReportMetric(grown/float64(len(file)), "heap-B/file-B")
	runtime.KeepAlive(m)
}

// Not parallel, as allocations are counted.
func TestPredictDoesNotAllocate(t *testing.T) {
	for _, name := range []string{"4.7.0/linear-categorical", "4.7.0/rf-multiclass", "4.7.0/missing-zero"} {
		m := loadOne(t, name).model(t)
		row, answer := make([]float64, m.NumFeatures()), make([]float64, m.NumOutputs())
		if n := testing.AllocsPerRun(100, func() { _ = m.Predict(answer, row) }); n != 0 {
			t.Errorf("%s: got %v allocations for one row, want 0", name, n)
		}
	}
}
