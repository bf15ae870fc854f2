// Package onnx answers predictions of ONNX models in Go: no cgo, no shared library.
// Products of matrices have some lines of assembly for processors with AVX2 or
// AVX-512 (tiles.go); everything else, and they elsewhere, are plain Go.
//
//	b, err := os.ReadFile("iris.onnx")
//	model, err := onnx.Read(b)
//	row, err := onnx.NewTensor([]float32{5.1, 3.5, 1.4, 0.2}, 1, 4)
//	outputs, err := model.Run([]*onnx.Tensor{row})
//	labels := onnx.Values[int64](outputs[0])
//
// It has the operators that scikit-learn pipelines converted by skl2onnx and small
// dense and convolutional networks exported by PyTorch and Keras are made of;
// Operators lists them. Everything else is refused by Read, by name, and never by
// Run: an *UnsupportedError lists each operator, attribute or type that is not
// supported, how often it is there and what to do instead; a *FormatError says
// what in the file is broken and where.
//
// A model file is taken to be hostile: no length in it is trusted, reading takes
// memory and time in proportion to the bytes that are really there, and a run is
// bounded by Limits.
//
// Start reading at Read; a model is a list of steps over numbered values, planned
// once (plan.go), and a Session carries them out (session.go). What an operator
// means is said by its build function (registry.go). Comments cite the rules of
// serving.md section 4 that the code carries out.
package onnx

import (
	"sync"
)

// Model is a model that has been read and checked. It does not change, so any
// number of goroutines may use it at once.
type Model struct {
	inputs   []Value
	outputs  []Value
	values   []value
	steps    []step
	buffers  int // that values share
	trees    int
	producer string
	metadata map[string]string
	limits   Limits
	sessions sync.Pool // of *Session
	bytes    int64
}

// Value describes an input or output.
type Value struct {
	Name  string
	Type  Type
	Shape []int // -1: any size; nil: not declared

	// Labels name the columns of an output of probabilities, or of an input that
	// is declared as a map: a tensor of strings or int64; nil: they have no names.
	Labels *Tensor

	id    int
	named []string // the name of each dimension that may have any size, "" none
}

// Limits bound what one run may take, so that no model and no input can take
// memory or time without end.
type Limits struct {
	Bytes int64 // of memory for values between input and output; 0: DefaultLimits
	Steps int64 // of calculation, about a nanosecond each; 0: DefaultLimits
}

// DefaultLimits are those of Read: 1 GiB, and about a minute.
var defaultLimits = Limits{Bytes: 1 << 30, Steps: 1 << 36}

// value is a value while the model runs.
type value struct {
	name     string
	typ      Type
	isMap    bool    // declared as a map, here a tensor with labels
	constant *Tensor // nil: known only at run time
	labels   *Tensor // of the columns
	root     int     // the value whose memory this one shares; its own id if none
	buffer   int     // of the session, -1: none
}

// step is one node that is carried out at each run.
type step struct {
	name    string
	kernel  kernel
	in, out []int // value ids; -1: omitted
	shares  bool
	inPlace bool
	floor   *float32 // of output 0; nil: the kernel has none
	relu    bool     // of float32
}

// Inputs are the inputs in the order of the file. The caller must not change them.
func (m *Model) Inputs() []Value { return m.inputs }

// Outputs are the outputs in the order of the file. The caller must not change them.
func (m *Model) Outputs() []Value { return m.outputs }

// Producer is the name of the tool that wrote the file, as the file says it.
func (m *Model) Producer() string { return m.producer }

// Metadata are the properties that the file carries. The caller must not change them.
func (m *Model) Metadata() map[string]string { return m.metadata }

// NumTrees is the number of trees in all tree ensembles of the model.
func (m *Model) NumTrees() int { return m.trees }

// NumNodes is the number of nodes that are carried out at each run.
func (m *Model) NumNodes() int { return len(m.steps) }

// MemoryBytes is about how much memory the model occupies, without its sessions.
func (m *Model) MemoryBytes() int64 { return m.bytes }

// Limits are what one run may take.
func (m *Model) Limits() Limits { return m.limits }
