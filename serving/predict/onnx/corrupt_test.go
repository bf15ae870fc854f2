package onnx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// fuzzLimits keep a run of a model that may be anything short.
var fuzzLimits = Limits{Bytes: 4 << 20, Steps: 1 << 22}

// answerOrRefuse reads a file that may be anything. It must be refused with one of
// the two errors or make a model that answers, or says why not.
func answerOrRefuse(t *testing.T, file []byte) {
	t.Helper()
	m, err := ReadWith(file, fuzzLimits)
	if err != nil {
		_, broken := errors.AsType[*FormatError](err)
		_, refused := errors.AsType[*UnsupportedError](err)
		if !broken && !refused {
			t.Fatalf("got %T: %v", err, err)
		}
		return
	}
	if m.MemoryBytes() <= 0 {
		t.Fatalf("got %d bytes of memory", m.MemoryBytes())
	}
	for _, rows := range []int{1, 3} {
		inputs := zeros(m, rows)
		if inputs == nil {
			return // too large to ask for
		}
		outputs, err := m.Run(inputs)
		if err == nil && len(outputs) != len(m.Outputs()) {
			t.Fatalf("got %d outputs, want %d", len(outputs), len(m.Outputs()))
		}
	}
}

// zeros are inputs as the model declares them; what may have any size has as many
// elements as there are rows.
func zeros(m *Model, rows int) []*Tensor {
	inputs := []*Tensor{}
	for _, in := range m.Inputs() {
		shape := append([]int{}, in.Shape...)
		for i, dim := range shape {
			if dim < 0 {
				shape[i] = rows
			}
		}
		n, ok := elements(shape)
		if !ok || n > 1<<16 {
			return nil
		}
		if in.Type == String {
			inputs = append(inputs, constant(make([]string, n), shape...))
			continue
		}
		inputs = append(inputs, wordsTensor(make([]uint64, n+1), in.Type, shape, n))
	}
	return inputs
}

// small are the files that every byte of is worth breaking.
func small(tb testing.TB) []fixture {
	tb.Helper()
	var out []fixture
	for _, folder := range []string{"sklearn", "torch", "keras", "runtime"} {
		for _, f := range fixtures(tb, folder) {
			if len(f.file) < 2500 {
				out = append(out, f)
			}
		}
	}
	return out
}

// A file that was cut off anywhere is refused, or is a whole model: the fields that
// matter may stand before others.
func TestTruncationsNeverPanic(t *testing.T) {
	t.Parallel()
	refused := 0
	for _, f := range small(t) {
		for n := 0; n < len(f.file); n += 1 + len(f.file)/200 {
			if _, err := ReadWith(f.file[:n], fuzzLimits); err != nil {
				refused++
			}
			answerOrRefuse(t, f.file[:n])
		}
	}
	if refused < 1000 {
		t.Errorf("got %d cut files refused", refused)
	}
}

// One flipped bit anywhere, or several, never do worse than an error.
func TestFlippedBitsNeverPanic(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	for _, f := range small(t) {
		file := make([]byte, len(f.file))
		for range 150 {
			copy(file, f.file)
			for range 1 + random.IntN(3) {
				i := random.IntN(len(file))
				if random.IntN(2) == 0 {
					file[i] ^= 1 << random.IntN(8)
				} else {
					file[i] = byte(random.IntN(256))
				}
			}
			answerOrRefuse(t, file)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, fixture := range small(f) {
		f.Add(fixture.file)
	}
	for i, test := range nodeTests(f) {
		if i%7 == 0 && len(test.model) < 1000 {
			f.Add(test.model)
		}
	}
	f.Fuzz(answerOrRefuse)
}

// message writers for files that no exporter writes.

func varint(field, n int) string {
	b := []byte{byte(field << 3)}
	if field > 15 {
		b = []byte{byte(field<<3 | 0x80), byte(field >> 4)}
	}
	return string(binary.AppendUvarint(b, uint64(n)))
}

func block(field int, content ...string) string {
	text := strings.Join(content, "")
	head := varint(field, len(text))
	return string([]byte{head[0] | 2}) + head[1:] + text
}

// of is a model of the graph, in the newest opsets.
func of(graph ...string) []byte {
	return []byte(varint(1, 8) + block(8, varint(2, 21)) + block(8, block(1, domainML), varint(2, 3)) + block(7, graph...))
}

// op is a node: op type, inputs and outputs by name, attributes.
func op(name, inputs, outputs string, attributes ...string) string {
	var b strings.Builder
	for in := range strings.FieldsSeq(inputs) {
		b.WriteString(block(1, strings.Trim(in, "-")))
	}
	for out := range strings.FieldsSeq(outputs) {
		b.WriteString(block(2, out))
	}
	b.WriteString(block(4, name))
	for _, a := range attributes {
		b.WriteString(block(5, a))
	}
	return block(1, b.String())
}

// tensorOf is an initializer of int64.
func tensorOf(name string, values ...int) string {
	content := varint(1, len(values)) + varint(2, int(Int64)) + block(8, name)
	for _, v := range values {
		content += varint(7, v)
	}
	return block(5, content)
}

// floatInput is an input of float with a first dimension of any size.
func floatInput(name string, dims ...int) string {
	shape := block(1, block(2, "n"))
	for _, d := range dims {
		shape += block(1, varint(1, d))
	}
	return block(11, block(1, name), block(2, block(1, varint(1, 1), block(2, shape))))
}

func output(name string) string { return block(12, block(1, name)) }

// What a small file asks for at a run is bounded: memory and time.
func TestRunsAreBounded(t *testing.T) {
	t.Parallel()
	for name, file := range map[string][]byte{
		"memory":   of(tensorOf("shape", 1<<20, 1<<20), op("ConstantOfShape", "shape", "y"), output("y")),
		"elements": of(tensorOf("shape", 1<<40, 1<<40), op("ConstantOfShape", "shape", "y"), output("y")),
		"repeats":  of(floatInput("x", 8), tensorOf("times", 1<<30, 1<<30), op("Tile", "x times", "y"), output("y")),
		"time": of(tensorOf("shape", 4000, 4000), op("ConstantOfShape", "shape", "a"), op("MatMul", "a a", "b"), op("MatMul", "b b", "c"),
			op("MatMul", "c c", "d"), output("d")),
		"padding": of(floatInput("x", 8), tensorOf("pads", 0, 0, 1<<33, 1<<33), op("Pad", "x pads", "y"), output("y")),
		"text":    of(tensorOf("shape", 1<<14, 1<<14), op("ConstantOfShape", "shape", "a", block(1, "value")+varint(20, 4)+block(5, varint(1, 1), varint(2, 8), block(6, "x"))), output("a")),
	} {
		began := time.Now()
		m, err := ReadWith(file, Limits{Bytes: 300 << 20, Steps: 1 << 30})
		if err != nil {
			if _, ok := errors.AsType[*FormatError](err); !ok || name != "elements" {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		_, err = m.Run(zeros(m, 1))
		if _, over := errors.AsType[*LimitError](err); !over {
			t.Errorf("%s: got %v, want a LimitError", name, err)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("%s: it took %v", name, took)
		}
	}
}

// What a small file says often does not take long, nor memory each time.
func TestRepetitionsAreCheap(t *testing.T) {
	t.Parallel()
	var products, unknown, inputs strings.Builder
	weights := block(5, varint(1, 256), varint(1, 256), varint(2, 1), block(8, "w"), block(9, strings.Repeat("\x00", 4*256*256)))
	products.WriteString(floatInput("h0", 256) + weights)
	for i := range 20_000 {
		products.WriteString(op("MatMul", fmt.Sprintf("h%d w", i), fmt.Sprintf("h%d", i+1)))
		unknown.WriteString(op(fmt.Sprintf("Op%d", i), "x", fmt.Sprintf("u%d", i)))
		inputs.WriteString(floatInput(fmt.Sprintf("i%d", i), 1))
	}
	m, err := Read(of(products.String(), output("h20000")))
	if err != nil || m.MemoryBytes() > 16<<20 {
		t.Errorf("products: got %v, a model of %d bytes", err, m.MemoryBytes())
	}
	_, err = Read(of(floatInput("x", 1), unknown.String(), output("x")))
	if refused, ok := errors.AsType[*UnsupportedError](err); !ok || len(refused.Features) != maxFeatures || refused.More != 20_000-maxFeatures {
		t.Errorf("unknown operators: got %.200v", err)
	}
	if _, err := Read(of(inputs.String(), output("i0"))); err == nil || !strings.Contains(err.Error(), "more than 1024 inputs") {
		t.Errorf("inputs: got %v", err)
	}
}

// Any number of goroutines may run a model, with batches of any size.
func TestRunsAtOnce(t *testing.T) {
	t.Parallel()
	m := mustRead(t, read(t, "testdata/torch/cnn.onnx"))
	var group sync.WaitGroup
	for rows := 1; rows <= 8; rows++ {
		inputs := zeros(m, rows)
		for i := range view[float32](inputs[0]) {
			view[float32](inputs[0])[i] = float32(rows)
		}
		want, err := m.NewSession().Run(inputs)
		if err != nil {
			t.Fatal(err)
		}
		group.Go(func() {
			for range 50 {
				got, err := m.Run(inputs)
				if err != nil || near(got[0], want[0], 0, 0) != nil {
					t.Errorf("%d rows: got %v, %v", rows, got, err)
					return
				}
			}
		})
	}
	group.Wait()
}

// Reading takes memory in proportion to the file, whatever numbers stand in it.
// Not parallel, as memory is measured.
func TestLengthsAreNotTrusted(t *testing.T) {
	huge := 1 << 50
	for name, file := range map[string][]byte{
		"length":          []byte("\x3a\xff\xff\xff\xff\x7f"),
		"dims":            of(block(5, varint(1, huge), varint(2, 1), block(8, "w"), block(9, "abcd")), output("w")),
		"dims of nothing": of(block(5, varint(1, 0), varint(1, huge), varint(2, 1), block(8, "w"), block(9)), output("w")),
		"folded":          of(tensorOf("shape", 1<<26), op("ConstantOfShape", "shape", "y"), output("y")),
		"folded range":    of(tensorOf("v", 0), tensorOf("w", 1<<26), tensorOf("d", 1), op("Range", "v w d", "y"), output("y")),
		"targets":         of(floatInput("x", 2), op("Split", "x", "y", block(1, "num_outputs")+varint(3, huge)+varint(20, 2)), output("y")),
		"empty blocks":    of(strings.Repeat(block(5), 1000)),
		"empty nodes":     of(strings.Repeat(block(1), 1000)),
		"deep types":      of(block(11, block(1, "x"), block(2, strings.Repeat("\x22\x00", 1000)))),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = Read(file)
		runtime.ReadMemStats(&after)
		if bytes := after.TotalAlloc - before.TotalAlloc; bytes > 4<<20 {
			t.Errorf("%s: %d bytes were allocated for a file of %d", name, bytes, len(file))
		}
	}
}
