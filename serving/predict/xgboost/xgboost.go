// Package xgboost answers predictions of XGBoost models in plain Go: no cgo, no
// Python, nothing but the standard library.
//
// Save a model with Booster.save_model("churn.ubj") (or .json), then
//
//	b, err := os.ReadFile("churn.ubj")
//	model, err := xgboost.Read(b)
//	answer := make([]float32, model.NumOutputs())
//	err = model.Predict(answer, row) // row: model.NumFeatures() values, NaN = missing
//
// Files of XGBoost 1.0 and newer are read. Answers are those of Booster.predict
// of the version that wrote the file, bit for bit where only sums are involved
// and within an ulp or two where an exponential is. What could be answered wrong
// is refused by Read, by name, and never by Predict: an *UnsupportedError says
// what to do instead, a *FormatError says what in the file is broken and where.
//
// A model file is taken to be hostile: no length in it is trusted, every index is
// checked once by Read so that Predict need not, and memory is proportional to
// the bytes that are really there.
//
// Comments cite the rules of serving.md section 2 that the code carries out.
package xgboost

import "unsafe"

// Model is a model that has been read and checked. It does not change, so any
// number of goroutines may use it at once.
type Model struct {
	features  int // values per row
	groups    int // sums per row, one for each class or target
	outputs   int // values per row in the answer
	names     []string
	types     []string
	objective string
	version   [3]int
	warnings  []string

	base     []float32 // what the sum of each group starts at
	baseLast bool      // it ends with it instead
	link     link      // from sums to the answer

	// Trees. Those of one group are summed in the order of the file.
	trees int
	nodes []node
	roots [][]root // by group
	sets  []categories

	// Instead of trees, for booster gblinear: feature*groups + group, biases last.
	weights []float32
}

// NumFeatures is the number of values in a row.
func (m *Model) NumFeatures() int { return m.features }

// NumOutputs is the number of values in the answer to a row: the number of classes
// for multi:softprob, the number of targets when there are several, otherwise 1
// (also for multi:softmax, which answers the index of the class).
func (m *Model) NumOutputs() int { return m.outputs }

// FeatureNames are the names of the features in row order, nil when the file has
// none. The caller must not change them.
func (m *Model) FeatureNames() []string { return m.names }

// FeatureTypes are the types of the features in row order as XGBoost calls them
// (float, int, i, q, c), nil when the file has none. The caller must not change them.
func (m *Model) FeatureTypes() []string { return m.types }

// Objective is the name of the objective the model was trained for, such as
// binary:logistic. It decides what the outputs mean.
func (m *Model) Objective() string { return m.objective }

// NumTrees is the number of trees; 0 for booster gblinear.
func (m *Model) NumTrees() int { return m.trees }

// Version is the version of XGBoost that wrote the file: major, minor, patch.
func (m *Model) Version() [3]int { return m.version }

// Warnings are facts that do not prevent a correct answer but may surprise whoever
// trained the model, in sentences; usually nil. The caller must not change them.
func (m *Model) Warnings() []string { return m.warnings }

// NumNodes is the number of splits and leaves of all trees together.
func (m *Model) NumNodes() int { return len(m.nodes) }

// MemoryBytes is about how much memory the model occupies.
func (m *Model) MemoryBytes() int64 {
	bytes := int64(unsafe.Sizeof(*m)) +
		int64(cap(m.nodes))*int64(unsafe.Sizeof(node{})) +
		int64(cap(m.base)+cap(m.weights))*int64(unsafe.Sizeof(float32(0)))
	for _, roots := range m.roots {
		bytes += int64(unsafe.Sizeof(roots)) + int64(cap(roots))*int64(unsafe.Sizeof(root{}))
	}
	for _, set := range m.sets {
		bytes += set.memoryBytes()
	}
	for _, texts := range [][]string{m.names, m.types, m.warnings} {
		for _, text := range texts {
			bytes += int64(unsafe.Sizeof(text)) + int64(len(text))
		}
	}
	return bytes
}
