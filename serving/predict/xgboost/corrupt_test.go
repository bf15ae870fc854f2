package xgboost

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// answerOrRefuse reads a file that may be anything. It must be refused with one of
// the two errors or make a model that answers.
func answerOrRefuse(t *testing.T, file []byte) {
	t.Helper()
	m, err := Read(file)
	if err != nil {
		_, broken := errors.AsType[*FormatError](err)
		_, refused := errors.AsType[*UnsupportedError](err)
		if !broken && !refused {
			t.Fatalf("got %T: %v", err, err)
		}
		return
	}
	if m.NumFeatures() > 1<<12 || m.NumOutputs() > 1<<12 {
		return // allowed, but too slow to ask often
	}
	features, outputs := m.NumFeatures(), m.NumOutputs()
	const rows = 5 // four go through a tree at once, and one alone
	all := make([]float32, rows*features)
	for i := range features {
		all[i], all[2*features+i], all[3*features+i] = float32(math.NaN()), 1e9, -1
	}
	answers, one := make([]float32, rows*outputs), make([]float32, outputs)
	if err := m.Predict(answers, all); err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		if err := m.Predict(one, all[i*features:(i+1)*features]); err != nil {
			t.Fatal(err)
		}
		for j, v := range one {
			if together := answers[i*outputs+j]; v != together && (v == v || together == together) {
				t.Fatalf("row %d: %v alone, %v with others", i, v, together)
			}
		}
	}
	if m.MemoryBytes() <= 0 {
		t.Fatalf("got %d bytes of memory", m.MemoryBytes())
	}
}

// small are the files that every byte of is worth breaking.
func small(tb testing.TB) []fixture {
	tb.Helper()
	var out []fixture
	for _, f := range load(tb) {
		for _, name := range []string{"/base-score.", "/gblinear.", "/categorical-onehot."} {
			if strings.Contains(f.name, name) && strings.HasPrefix(f.name, "3.2.0") {
				out = append(out, f)
			}
		}
	}
	return out
}

// A file that was cut off anywhere is refused.
func TestEveryTruncationIsRefused(t *testing.T) {
	t.Parallel()
	for _, f := range small(t) {
		for n := range len(f.file) {
			if _, err := Read(f.file[:n]); err == nil {
				t.Fatalf("%s: the first %d of %d bytes were accepted", f.name, n, len(f.file))
			}
		}
	}
}

// One flipped bit anywhere, or several, never do worse than an error.
func TestFlippedBitsNeverPanic(t *testing.T) {
	t.Parallel()
	for _, f := range small(t) {
		file := make([]byte, len(f.file))
		for i := range file {
			copy(file, f.file)
			file[i] ^= 1 << (i % 8)
			answerOrRefuse(t, file)
			file[i] = 0xff
			answerOrRefuse(t, file)
		}
		random := rand.New(rand.NewPCG(5, 6))
		for range 500 {
			copy(file, f.file)
			for range 1 + random.IntN(4) {
				file[random.IntN(len(file))] = byte(random.IntN(256))
			}
			answerOrRefuse(t, file)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, fixture := range load(f) {
		if len(fixture.file) < 8<<10 { // larger ones only slow the search down
			f.Add(fixture.file)
		}
	}
	f.Add([]byte(`{"learner":{"attributes":{"best_iteration":"0"}},"version":[3,2,0]}`))
	f.Fuzz(answerOrRefuse)
}
