package xgboost

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
)

const benchFeatures = 50

// grown is the UBJSON of a model of full trees with random splits, as large as
// models get that people serve.
func grown(trees, depth int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	w := &ubjWriter{}
	nodes := 1<<(depth+1) - 1
	splits := nodes / 2
	w.object(func() {
		w.key("learner").object(func() {
			w.key("learner_model_param").object(func() {
				w.key("base_score").text("[5E-1]")
				w.key("num_feature").text(fmt.Sprint(benchFeatures))
			})
			w.key("objective").object(func() { w.key("name").text("binary:logistic") })
			w.key("gradient_booster").object(func() {
				w.key("name").text("gbtree")
				w.key("model").object(func() {
					w.key("gbtree_model_param").object(func() { w.key("num_trees").text(fmt.Sprint(trees)) })
					w.key("tree_info").ints('l', trees, func(int) int { return 0 })
					w.key("trees").raw("[#").int('l', trees)
					for id := range trees {
						inner := func(f func(i int) int) func(i int) int {
							return func(i int) int {
								if i < splits {
									return f(i)
								}
								return -1
							}
						}
						noise := func(int) float32 { return random.Float32() - 0.5 }
						w.object(func() {
							w.key("id").int('l', id)
							w.key("tree_param").object(func() {
								w.key("num_nodes").text(fmt.Sprint(nodes))
								w.key("size_leaf_vector").text("1")
							})
							w.key("left_children").ints('l', nodes, inner(func(i int) int { return 2*i + 1 }))
							w.key("right_children").ints('l', nodes, inner(func(i int) int { return 2*i + 2 }))
							w.key("split_indices").ints('l', nodes, func(int) int { return random.IntN(benchFeatures) })
							w.key("default_left").ints('U', nodes, func(int) int { return random.IntN(2) })
							w.key("split_type").ints('U', nodes, func(int) int { return 0 })
							for _, key := range []string{"split_conditions", "base_weights", "loss_changes", "sum_hessian"} {
								w.key(key).floats(nodes, noise)
							}
							w.key("parents").ints('l', nodes, func(i int) int { return max(0, i-1) / 2 })
						})
					}
				})
			})
		})
		w.key("version").ints('L', 3, func(i int) int { return []int{3, 2, 0}[i] })
	})
	return w.b
}

// ubjWriter writes UBJSON as XGBoost does.
type ubjWriter struct{ b []byte }

func (w *ubjWriter) raw(s string) *ubjWriter { w.b = append(w.b, s...); return w }

func (w *ubjWriter) object(members func()) {
	w.raw("{")
	members()
	w.raw("}")
}

func (w *ubjWriter) key(s string) *ubjWriter { return w.int('L', len(s)).raw(s) }

func (w *ubjWriter) text(s string) { w.raw("S").key(s) }

// int is a number with its type.
func (w *ubjWriter) int(elem byte, n int) *ubjWriter {
	w.b = append(w.b, elem)
	return w.bare(elem, n)
}

func (w *ubjWriter) bare(elem byte, n int) *ubjWriter {
	switch elem {
	case 'U':
		w.b = append(w.b, byte(n))
	case 'l':
		w.b = binary.BigEndian.AppendUint32(w.b, uint32(int32(n)))
	case 'L':
		w.b = binary.BigEndian.AppendUint64(w.b, uint64(n))
	}
	return w
}

func (w *ubjWriter) ints(elem byte, n int, at func(int) int) {
	w.raw("[$"+string(rune(elem))+"#").int('L', n)
	for i := range n {
		w.bare(elem, at(i))
	}
}

func (w *ubjWriter) floats(n int, at func(int) float32) {
	w.raw("[$d#").int('L', n)
	for i := range n {
		w.b = binary.BigEndian.AppendUint32(w.b, math.Float32bits(at(i)))
	}
}

func BenchmarkPredict(b *testing.B) {
	m, err := Read(grown(500, 8))
	if err != nil {
		b.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 4))
	pool := make([]float32, 1024*benchFeatures)
	for i := range pool {
		pool[i] = random.Float32() - 0.5
		if random.IntN(20) == 0 {
			pool[i] = float32(math.NaN())
		}
	}
	for _, n := range []int{1, 256} {
		b.Run(fmt.Sprintf("rows=%d", n), func(b *testing.B) {
			answers := make([]float32, n)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				from := i * n % 1024 * benchFeatures // another row each time: branches are not to be learned by heart
				if err := m.Predict(answers, pool[from:from+n*benchFeatures]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/row")
		})
	}
}

func BenchmarkRead(b *testing.B) {
	for name, file := range map[string][]byte{
		"ubjson": grown(500, 8),
		"json":   loadOne(b, "3.2.0/many-trees.json").file,
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(file)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Read(file); err != nil {
					b.Fatal(err)
				}
			}
			reportMemory(b, file)
		})
	}
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
	m, err := Read(grown(20, 4))
	if err != nil {
		t.Fatal(err)
	}
	row, answer := make([]float32, benchFeatures), make([]float32, 1)
	if n := testing.AllocsPerRun(100, func() { _ = m.Predict(answer, row) }); n != 0 {
		t.Errorf("got %v allocations for one row, want 0", n)
	}
}
