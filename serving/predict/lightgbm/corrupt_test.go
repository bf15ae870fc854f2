package lightgbm

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// answerOrRefuse reads a file that may be anything. It must be refused with one of
// the two errors or make a model that answers and is not large for the file.
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
	if bytes := m.MemoryBytes(); bytes <= 0 || bytes > 4<<10+64*int64(len(file))+32*int64(m.NumOutputs()) {
		t.Fatalf("got %d bytes of memory for a file of %d", bytes, len(file))
	}
	if m.NumFeatures() > 1<<12 || m.NumOutputs() > 1<<12 {
		return // allowed, but too slow to ask often
	}
	features, outputs := m.NumFeatures(), m.NumOutputs()
	const rows = 5 // four go through a tree at once, and one alone
	all := make([]float64, rows*features)
	for i := range features {
		all[i], all[2*features+i], all[3*features+i] = math.NaN(), 1e9, -1
	}
	answers, one := make([]float64, rows*outputs), make([]float64, outputs)
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
}

// small are the files that every byte of is worth breaking, up to their parameters.
func small(tb testing.TB) []fixture {
	tb.Helper()
	var out []fixture
	for _, name := range []string{"2.1.2/rf", "4.7.0/categorical", "4.7.0/linear"} {
		f := loadOne(tb, name)
		f.file, _, _ = bytes.Cut(f.file, []byte("parameters:\n"))
		out = append(out, f)
	}
	return out
}

// A file that was cut off anywhere in its trees is refused; what follows them does
// not change answers, so that the model is the same without it.
func TestEveryTruncationIsRefused(t *testing.T) {
	t.Parallel()
	for _, f := range small(t) {
		end := strings.Index(string(f.file), "end of trees")
		if end < 0 {
			end = strings.Index(string(f.file), "feature importances:")
		}
		whole := f.model(t)
		for n := range len(f.file) {
			m, err := Read(f.file[:n])
			line, _, _ := strings.Cut(string(f.file[end:]), "\n")
			switch {
			case n < end+len(line) && err == nil:
				t.Fatalf("%s: the first %d of %d bytes were accepted", f.name, n, len(f.file))
			case n >= end+len(line) && !cmp.Equal(whole, m, exported):
				t.Fatalf("%s: the first %d of %d bytes: %v, another model", f.name, n, len(f.file), err)
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
			file[i] = '9'
			answerOrRefuse(t, file)
		}
		random := rand.New(rand.NewPCG(5, 6))
		for range 500 {
			copy(file, f.file)
			for range 1 + random.IntN(4) {
				file[random.IntN(len(file))] = "0123456789-= \n"[random.IntN(14)]
			}
			answerOrRefuse(t, file)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, fixture := range load(f) {
		file, _, _ := bytes.Cut(fixture.file, []byte("parameters:\n")) // which are not read
		if len(file) < 4<<10 {                                         // larger ones only slow the search down
			f.Add(file)
		}
	}
	f.Add(written("v4", "binary sigmoid:1", split("0.5", 10)))
	f.Add(written("v3", "custom", split("0", 0)+"\nis_linear=1\nleaf_const=1 2\nnum_features=1 1\nleaf_features=0  1  \nleaf_coeff=3  4  "))
	f.Add(written("v2", "regression sqrt", "num_leaves=2\nnum_cat=1\nsplit_feature=1\nthreshold=0\ndecision_type=1\nleft_child=-1\nright_child=-2\nleaf_value=1 2\ncat_boundaries=0 1\ncat_threshold=5"))
	f.Fuzz(answerOrRefuse)
}
