package onnx

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// FormatError says what in a model file is not as the ONNX standard has it. Such a
// file is broken or was never a model: export it again.
type FormatError struct {
	Path    string // such as graph.node[3] "dense" (Gemm); "" for the file as a whole
	Message string // what is there and what was expected
}

func (e *FormatError) Error() string {
	if e.Path == "" {
		return "onnx model: " + e.Message
	}
	return "onnx model: " + e.Path + ": " + e.Message
}

// UnsupportedError names everything that the file uses, correctly, and that this
// package does not answer for.
type UnsupportedError struct {
	Features []Unsupported // without repetitions, in the order of their text; not more than 100
	More     int           // uses of features beyond those
}

// Unsupported is one feature that is not supported.
type Unsupported struct {
	Feature string // such as "operator Loop (opset 13)" or "attribute mode=cubic of operator Resize (opset 19)"
	Count   int    // how often the file uses it
	Advice  string // what to do instead
}

func (e *UnsupportedError) Error() string {
	var b strings.Builder
	b.WriteString("onnx model: not supported: ")
	for i, f := range e.Features {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(f.Feature)
		if f.Count > 1 {
			fmt.Fprintf(&b, ", %d times", f.Count)
		}
		if f.Advice != "" {
			b.WriteString(": ")
			b.WriteString(f.Advice)
		}
	}
	if e.More > 0 {
		fmt.Fprintf(&b, "; and more, %d times", e.More)
	}
	return b.String()
}

// maxFeatures is how many features are told apart: a file can have any number.
const maxFeatures = 100

// add counts the feature.
func (e *UnsupportedError) add(found Unsupported) {
	for i := range e.Features {
		if e.Features[i].Feature == found.Feature {
			e.Features[i].Count++
			return
		}
	}
	if len(e.Features) == maxFeatures {
		e.More++
		return
	}
	found.Count = 1
	e.Features = append(e.Features, found)
}

// err is nil when nothing was found.
func (e *UnsupportedError) err() error {
	if len(e.Features) == 0 {
		return nil
	}
	slices.SortFunc(e.Features, func(a, b Unsupported) int { return cmp.Compare(a.Feature, b.Feature) })
	return e
}

// InputError says what is wrong with an input of Run.
type InputError struct {
	Input   string // its name
	Message string // what is there and what was expected
}

func (e *InputError) Error() string { return "input " + e.Input + ": " + e.Message }

// ValueError says that a node has no answer to the values it is given, whatever
// their shapes, such as a category that is not known.
type ValueError struct {
	Message string
}

func (e *ValueError) Error() string { return e.Message }

// LimitError says that a run would take more than the limits of the model allow.
type LimitError struct {
	Message string
}

func (e *LimitError) Error() string { return e.Message }

func wrong(format string, args ...any) error {
	return &FormatError{Message: fmt.Sprintf(format, args...)}
}

// unsupported is one found feature as an error; build collects them.
func unsupported(advice, format string, args ...any) error {
	return &UnsupportedError{Features: []Unsupported{{Feature: fmt.Sprintf(format, args...), Count: 1, Advice: advice}}}
}

// under places an error one step further down the path to what it is about.
func under(step string, err error) error {
	format, ok := errors.AsType[*FormatError](err)
	if !ok {
		return err
	}
	switch {
	case format.Path == "":
		format.Path = step
	case format.Path[0] == '[':
		format.Path = step + format.Path
	default:
		format.Path = step + "." + format.Path
	}
	return err
}

func underIndex(step string, i int, err error) error {
	return under(fmt.Sprintf("%s[%d]", step, i), err)
}
