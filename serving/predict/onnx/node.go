package onnx

import (
	"fmt"
	"slices"
	"strings"
)

// node is one node of a graph while the model is read. A build function looks at
// it, says what its outputs are and returns what is to be done at each run.
type node struct {
	op      string
	domain  string
	version int       // of the operator: the opset since which it means what it means here
	in      []Type    // of the inputs; 0: omitted
	consts  []*Tensor // inputs whose values are known now; nil: not known
	wanted  []bool    // of the outputs: has a name
	attrs   []attribute

	out     []Type // of the outputs, set by build
	shares  bool   // output 0 has the values of input 0, which it shares
	inPlace bool   // output 0 may be written over input 0, element by element

	labels      *Tensor // of the columns of output labelled, if they have names
	labelled    int
	keepsLabels bool    // output 0 has the columns of input 0
	inputLabels *Tensor // of the columns of input 0, which is a map
	dropped     []bool  // inputs that the kernel has taken in, so that nobody else need keep them
	trees       int
	bytes       int64 // that the kernel keeps

	tiles tiler                  // for products of matrices
	sides map[sideKey]*rightSide // constant matrices of the model that were prepared already
	floor *float32               // what the kernel raises all of output 0 to, so that a Relu after it costs nothing; nil: it does not

	err error // the first thing that is wrong with an attribute or input
}

// kernel carries out a node.
type kernel func(r *run) error

// drop says that the kernel no longer needs the value of the input, having taken
// it in.
func (n *node) drop(i int) {
	for len(n.dropped) <= i {
		n.dropped = append(n.dropped, false)
	}
	n.dropped[i] = true
}

// fail notes what is wrong, unless something else was before.
func (n *node) fail(err error) {
	if n.err == nil {
		n.err = err
	}
}

// done is the end of a build function.
func (n *node) done(k kernel, out ...Type) (kernel, error) {
	n.out = out
	return k, n.err
}

// attr is the attribute of a name, nil if there is none.
func (n *node) attr(name string, kind int64, expected string) *attribute {
	for i := range n.attrs {
		a := &n.attrs[i]
		if a.name != name {
			continue
		}
		a.used = true
		if a.kind == kind || a.kind == kindInts && len(a.ints) == 0 && a.t == nil && a.graphs == 0 {
			return a
		}
		n.fail(under("attribute "+name, wrong("expected %s", expected)))
		return nil
	}
	return nil
}

func (n *node) has(name string) bool {
	return slices.ContainsFunc(n.attrs, func(a attribute) bool { return a.name == name })
}

func (n *node) int(name string, otherwise int) int {
	if a := n.attr(name, kindInt, "an integer"); a != nil {
		return int(a.i)
	}
	return otherwise
}

// truth is an integer attribute that is 0 or 1.
func (n *node) truth(name string, otherwise bool) bool {
	if a := n.attr(name, kindInt, "an integer"); a != nil {
		return a.i != 0
	}
	return otherwise
}

func (n *node) float(name string, otherwise float32) float32 {
	if a := n.attr(name, kindFloat, "a float"); a != nil {
		return a.f
	}
	return otherwise
}

func (n *node) text(name, otherwise string) string {
	if a := n.attr(name, kindString, "a string"); a != nil {
		return a.s
	}
	return otherwise
}

// oneOf is a text attribute that must be one of those given; the first is the
// default.
func (n *node) oneOf(name string, supported []string) string {
	value := n.text(name, supported[0])
	if !slices.Contains(supported, value) {
		n.fail(under("attribute "+name, wrong("%.40q: expected one of %s", value, strings.Join(supported, ", "))))
	}
	return value
}

func (n *node) ints(name string) []int {
	a := n.attr(name, kindInts, "integers")
	if a == nil {
		return nil
	}
	out := make([]int, len(a.ints))
	for i, v := range a.ints {
		out[i] = int(v)
	}
	return out
}

func (n *node) ints64(name string) []int64 {
	if a := n.attr(name, kindInts, "integers"); a != nil {
		return a.ints
	}
	return nil
}

func (n *node) floats(name string) []float32 {
	if a := n.attr(name, kindFloats, "floats"); a != nil {
		return a.floats
	}
	return nil
}

func (n *node) texts(name string) []string {
	if a := n.attr(name, kindStrings, "strings"); a != nil {
		return a.strings
	}
	return nil
}

func (n *node) tensor(name string) *Tensor {
	a := n.attr(name, kindTensor, "a tensor")
	if a == nil || a.t == nil {
		return nil
	}
	t, err := a.t.tensor()
	if err != nil {
		n.fail(under("attribute "+name, err))
		return nil
	}
	return t
}

// ignore marks attributes that change nothing here.
func (n *node) ignore(names ...string) {
	for i := range n.attrs {
		if slices.Contains(names, n.attrs[i].name) {
			n.attrs[i].used = true
		}
	}
}

// title names the operator and the opset of its meaning.
func (n *node) title() string { return title(n.domain, n.op, n.version) }

func title(domain, op string, version int) string {
	if domain != "" {
		op = domain + "." + op
	}
	return fmt.Sprintf("operator %s (opset %d)", op, version)
}

// refuse notes a feature of the operator that is not supported.
func (n *node) refuse(advice, format string, args ...any) {
	n.fail(unsupported(advice, "%s of %s", fmt.Sprintf(format, args...), n.title()))
}

// given reports whether the input is there.
func (n *node) given(i int) bool { return i < len(n.in) && n.in[i] != 0 }

// typeIn is the type of an input, 0 if it is omitted.
func (n *node) typeIn(i int) Type {
	if i < len(n.in) {
		return n.in[i]
	}
	return 0
}

// constIn is an input whose values are known, or nil.
func (n *node) constIn(i int) *Tensor {
	if i < len(n.consts) {
		return n.consts[i]
	}
	return nil
}

// want checks that the input is of one of the types.
func (n *node) want(i int, types ...Type) bool {
	if !n.given(i) {
		n.fail(wrong("input %d is missing", i))
		return false
	}
	if !slices.Contains(types, n.in[i]) {
		n.fail(wrong("input %d: tensor of %v: expected one of %v", i, n.in[i], types))
		return false
	}
	return true
}

// same checks that the inputs, as far as they are there, have the type of input 0.
func (n *node) same(inputs ...int) {
	for _, i := range inputs {
		if n.given(i) && n.in[i] != n.in[0] {
			n.fail(wrong("input %d: tensor of %v: expected %v as input 0", i, n.in[i], n.in[0]))
		}
	}
}

// The types that many operators take.
var (
	allNumbers = []Type{Float32, Float64, Int64, Int32, Int16, Int8, Uint64, Uint32, Uint16, Uint8}
	allFloats  = []Type{Float32, Float64}
	indices    = []Type{Int64, Int32}
	integers   = []Type{Int64, Int32, Int16, Int8, Uint64, Uint32, Uint16, Uint8}
)

// byNumber is the one of the functions that is made for the type.
func byNumber[F any](n *node, t Type, f32, f64, i64, i32, i16, i8, u64, u32, u16, u8 F) F {
	var none F
	switch t {
	case Float32:
		return f32
	case Float64:
		return f64
	case Int64:
		return i64
	case Int32:
		return i32
	case Int16:
		return i16
	case Int8:
		return i8
	case Uint64:
		return u64
	case Uint32:
		return u32
	case Uint16:
		return u16
	case Uint8:
		return u8
	default:
		n.fail(wrong("tensor of %v: expected numbers", t))
		return none
	}
}

// byFloat is the one of the functions that is made for the type.
func byFloat[F any](n *node, t Type, f32, f64 F) F {
	if t == Float64 {
		return f64
	}
	if t != Float32 {
		n.fail(wrong("tensor of %v: expected float or double", t))
	}
	return f32
}

// bySize is the one of the functions that moves elements as large as those of the
// type.
func bySize[F any](t Type, b1, b2, b4, b8, text F) F {
	switch {
	case t == String:
		return text
	case t.size() == 1:
		return b1
	case t.size() == 2:
		return b2
	case t.size() == 4:
		return b4
	default:
		return b8
	}
}
