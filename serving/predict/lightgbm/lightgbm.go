// Package lightgbm answers predictions of LightGBM models in plain Go: no cgo, no
// Python, nothing but the standard library.
//
// Save a model with Booster.save_model("churn.txt"), then
//
//	b, err := os.ReadFile("churn.txt")
//	model, err := lightgbm.Read(b)
//	answer := make([]float64, model.NumOutputs())
//	err = model.Predict(answer, row) // row: model.NumFeatures() values, NaN = missing
//
// Text files of versions v2, v3 and v4 are read, which LightGBM 2.0 and newer
// write. Answers are those of Booster.predict of a file that was loaded: bit for
// bit where only sums are involved, and within an ulp or two where an exponential
// is. What could be answered wrong is refused by Read, by name, and never by
// Predict: an *UnsupportedError says what to do instead, a *FormatError says what
// in the file is broken and where.
//
// A model file is taken to be hostile: no number in it is trusted, every index is
// checked once by Read so that Predict need not, and memory is proportional to the
// bytes that are really there.
//
// Comments cite the rules of serving.md section 3 that the code carries out.
package lightgbm

import "unsafe"

// Model is a model that has been read and checked. It does not change, so any
// number of goroutines may use it at once.
type Model struct {
	features    int // values per row
	groups      int // sums and outputs per row: one, or one for each class
	classes     int
	names       []string
	categorical []int
	objective   string
	version     int
	warnings    []string

	link    link    // from sums to the answer
	sigmoid float64 // factor of the link sigmoid
	average float64 // what sums are divided by before; 0: they are not

	// Trees. Those of one group are summed in the order of the file.
	trees  int
	nodes  []node
	roots  [][]root // by group
	sets   []set
	bits   []uint32     // of all sets
	lines  []linearLeaf // the leaves of linear trees
	slopes []slope      // of all linear leaves
}

// NumFeatures is the number of values in a row.
func (m *Model) NumFeatures() int { return m.features }

// NumOutputs is the number of values in the answer to a row: the number of classes
// for multiclass and multiclassova and for custom objectives with classes,
// otherwise 1.
func (m *Model) NumOutputs() int { return m.groups }

// NumClasses is how many classes the model tells apart: 2 for binary, the number
// of outputs for multiclass and multiclassova, otherwise 0.
func (m *Model) NumClasses() int { return m.classes }

// FeatureNames are the names of the features in row order. The caller must not
// change them. Who trained without names gets those that LightGBM gave: Column_0.
func (m *Model) FeatureNames() []string { return m.names }

// CategoricalFeatures are the places in a row, ascending, of the features that the
// file describes as categories: their values are codes, 0 or more. The caller must
// not change them.
func (m *Model) CategoricalFeatures() []int { return m.categorical }

// Objective is the name of the objective the model was trained for, such as
// binary, without its parameters; "custom" if it was none of LightGBM's. It
// decides what the outputs mean.
func (m *Model) Objective() string { return m.objective }

// NumTrees is the number of trees. All are used: a file holds those up to the best
// iteration, unless it was saved with another number.
func (m *Model) NumTrees() int { return m.trees }

// Version is the version of the file: 2, 3 or 4.
func (m *Model) Version() int { return m.version }

// Warnings are facts that do not prevent a correct answer but may surprise whoever
// trained the model, in sentences; usually nil. The caller must not change them.
func (m *Model) Warnings() []string { return m.warnings }

// NumNodes is the number of splits and leaves of all trees together.
func (m *Model) NumNodes() int { return len(m.nodes) }

// MemoryBytes is about how much memory the model occupies.
func (m *Model) MemoryBytes() int64 {
	bytes := int64(unsafe.Sizeof(*m)) +
		int64(cap(m.nodes))*int64(unsafe.Sizeof(node{})) +
		int64(cap(m.sets))*int64(unsafe.Sizeof(set{})) +
		int64(cap(m.bits))*int64(unsafe.Sizeof(uint32(0))) +
		int64(cap(m.lines))*int64(unsafe.Sizeof(linearLeaf{})) +
		int64(cap(m.slopes))*int64(unsafe.Sizeof(slope{})) +
		int64(cap(m.categorical))*int64(unsafe.Sizeof(0))
	for _, roots := range m.roots {
		bytes += int64(unsafe.Sizeof(roots)) + int64(cap(roots))*int64(unsafe.Sizeof(root{}))
	}
	for _, texts := range [][]string{m.names, m.warnings} {
		for _, text := range texts {
			bytes += int64(unsafe.Sizeof(text)) + int64(len(text))
		}
	}
	return bytes
}
