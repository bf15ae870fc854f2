package onnx

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

// floatsOf is an initializer of float.
func floatsOf(name string, random *rand.Rand, dims ...int) string {
	head, n := varint(2, 1)+block(8, name), 1
	for _, d := range dims {
		head += varint(1, d)
		n *= d
	}
	raw := make([]byte, 0, 4*n)
	for range n {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits((random.Float32()-0.5)/8))
	}
	return block(5, head, block(9, string(raw)))
}

// ints is an attribute of integers.
func ints(name string, values ...int) string {
	var packed []byte
	for _, v := range values {
		packed = binary.AppendUvarint(packed, uint64(v))
	}
	return block(1, name) + varint(20, kindInts) + block(8, string(packed))
}

// dense is a network of dense layers with Relu between them, as PyTorch exports it.
func dense(sizes ...int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	graph := floatInput("h0", sizes[0])
	for i := range len(sizes) - 1 {
		w, b, h, next := fmt.Sprint("w", i), fmt.Sprint("b", i), fmt.Sprint("h", i), fmt.Sprint("h", i+1)
		graph += floatsOf(w, random, sizes[i+1], sizes[i]) + floatsOf(b, random, sizes[i+1])
		z := next
		if i < len(sizes)-2 {
			z = fmt.Sprint("z", i)
		}
		graph += op("Gemm", h+" "+w+" "+b, z, block(1, "transB")+varint(3, 1)+varint(20, kindInt))
		if z != next {
			graph += op("Relu", z, next)
		}
	}
	return of(graph, output(fmt.Sprint("h", len(sizes)-1)))
}

// pictures is a small convolutional network for pictures of 28x28.
func pictures() []byte {
	random := rand.New(rand.NewPCG(1, 2))
	return of(
		floatInput("x", 1, 28, 28),
		floatsOf("k1", random, 8, 1, 3, 3), floatsOf("c1", random, 8), floatsOf("k2", random, 16, 8, 3, 3), floatsOf("c2", random, 16),
		floatsOf("w", random, 10, 784), floatsOf("b", random, 10),
		op("Conv", "x k1 c1", "a", ints("pads", 1, 1, 1, 1)), op("Relu", "a", "a2"),
		op("MaxPool", "a2", "p", ints("kernel_shape", 2, 2), ints("strides", 2, 2)),
		op("Conv", "p k2 c2", "d", ints("pads", 1, 1, 1, 1)), op("Relu", "d", "d2"),
		op("MaxPool", "d2", "e", ints("kernel_shape", 2, 2), ints("strides", 2, 2)),
		op("Flatten", "e", "f"), op("Gemm", "f w b", "y", block(1, "transB")+varint(3, 1)+varint(20, kindInt)),
		output("y"),
	)
}

// benchmarks are the networks of serving.md section 4; testdata/compare.py times
// ONNX Runtime on the same.
var benchmarks = []struct {
	name  string
	file  func() []byte
	input []int
}{
	{"mlp-50-256-128-1", func() []byte { return dense(50, 256, 128, 1) }, []int{50}},
	{"mlp-512-1024x5-512", func() []byte { return dense(512, 1024, 1024, 1024, 1024, 1024, 512) }, []int{512}},
	{"cnn-28x28", pictures, []int{1, 28, 28}},
}

// BenchmarkBare is the plainest loop over the weights of the first network, to hold
// BenchmarkRun against in the same session.
func BenchmarkBare(b *testing.B) {
	sizes := []int{50, 256, 128, 1}
	x := [4][]float32{make([]float32, sizes[0])}
	var weights [3][]float32
	for i := range weights {
		weights[i], x[i+1] = make([]float32, sizes[i]*sizes[i+1]), make([]float32, sizes[i+1])
	}
	for b.Loop() {
		for i, w := range weights {
			for j := range x[i+1] {
				sum := float32(0)
				for k, v := range x[i] {
					sum += v * w[j*sizes[i]+k]
				}
				x[i+1][j] = max(sum, 0)
			}
		}
	}
}

// BenchmarkTrees is a forest of 500 full trees of depth 8, the size that the XGBoost
// runtime is measured with.
func BenchmarkTrees(b *testing.B) {
	m, err := Read(forestOf(500, 8, 50))
	if err != nil {
		b.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 4))
	pool := make([]float32, 1024*50)
	for i := range pool {
		pool[i] = random.Float32() - 0.5
	}
	for _, rows := range []int{1, 256} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			s := m.NewSession()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				from := i * rows % 1024 * 50 // another row each time: branches are not to be learned by heart
				in := wordsTensor(nil, Float32, []int{rows, 50}, rows*50)
				in.at = pointer(pool[from : from+rows*50])
				if _, err := s.Run([]*Tensor{in}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
		})
	}
}

// forestOf is a regressor of full trees with random splits.
func forestOf(trees, depth, features int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	var treeIDs, ids, feature, yes, no, targetTrees, targetIDs, zero []int
	var names []string
	var values, weights []float32
	nodes := 1<<(depth+1) - 1
	for t := range trees {
		for i := range nodes {
			treeIDs, ids, feature, values = append(treeIDs, t), append(ids, i), append(feature, random.IntN(features)), append(values, random.Float32()-0.5)
			if i < nodes/2 {
				names, yes, no = append(names, "BRANCH_LEQ"), append(yes, 2*i+1), append(no, 2*i+2)
				continue
			}
			names, yes, no = append(names, "LEAF"), append(yes, 0), append(no, 0)
			targetTrees, targetIDs, zero, weights = append(targetTrees, t), append(targetIDs, i), append(zero, 0), append(weights, random.Float32()-0.5)
		}
	}
	return of(floatInput("x", features), ml("TreeEnsembleRegressor", "x",
		ints("nodes_treeids", treeIDs...), ints("nodes_nodeids", ids...), ints("nodes_featureids", feature...), texts("nodes_modes", names...),
		floatsAttr("nodes_values", values...), ints("nodes_truenodeids", yes...), ints("nodes_falsenodeids", no...),
		ints("target_treeids", targetTrees...), ints("target_nodeids", targetIDs...), ints("target_ids", zero...), floatsAttr("target_weights", weights...),
		intAttr("n_targets", 1)), output("y"))
}

func BenchmarkRead(b *testing.B) {
	for name, file := range map[string][]byte{"trees": forestOf(500, 8, 50), "weights": dense(512, 1024, 1024, 512)} {
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

func BenchmarkRun(b *testing.B) {
	for _, bench := range benchmarks {
		for _, rows := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/rows=%d", bench.name, rows), func(b *testing.B) { runBench(b, bench.file(), rows, bestTiler()) })
		}
	}
}

// BenchmarkPlain is BenchmarkRun without vector instructions.
func BenchmarkPlain(b *testing.B) {
	for _, bench := range benchmarks {
		for _, rows := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/rows=%d", bench.name, rows), func(b *testing.B) { runBench(b, bench.file(), rows, plainTiler()) })
		}
	}
}

func runBench(b *testing.B, file []byte, rows int, tiles tiler) {
	b.Helper()
	m, err := readWith(file, defaultLimits, tiles)
	if err != nil {
		b.Fatal(err)
	}
	s, inputs := m.NewSession(), zeros(m, rows)
	random := rand.New(rand.NewPCG(3, 4))
	for i := range view[float32](inputs[0]) {
		view[float32](inputs[0])[i] = random.Float32() - 0.5
	}
	b.ReportAllocs()
	best := time.Hour
	for b.Loop() {
		began := time.Now()
		if _, err := s.Run(inputs); err != nil {
			b.Fatal(err)
		}
		best = min(best, time.Since(began))
	}
	b.ReportMetric(float64(best.Nanoseconds())/float64(rows), "best-ns/row") // as testdata/compare.py has it
}
