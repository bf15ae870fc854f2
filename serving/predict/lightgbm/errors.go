package lightgbm

import (
	"errors"
	"fmt"
	"strings"
)

// FormatError says what in a model file is not as LightGBM writes it. Such a file
// is broken or was never a model: save it again.
type FormatError struct {
	Path    string // such as Tree=3.left_child[7]; "" for the file as a whole
	Message string // what is there and what was expected
}

func (e *FormatError) Error() string {
	if e.Path == "" {
		return "lightgbm model: " + e.Message
	}
	return "lightgbm model: " + e.Path + ": " + e.Message
}

// UnsupportedError names everything that the file uses and that this package does
// not answer for. There is at least one feature.
type UnsupportedError struct {
	Features []Feature
}

// Feature is something a model file can have.
type Feature struct {
	Name   string // such as "objective mystery"
	Count  int    // how often the file has it
	Advice string // what to do instead
}

func (e *UnsupportedError) Error() string {
	var text strings.Builder
	text.WriteString("lightgbm model: ")
	for i, f := range e.Features {
		if i > 0 {
			text.WriteString("; ")
		}
		text.WriteString(f.Name)
		if f.Count > 1 {
			fmt.Fprintf(&text, " (%d times)", f.Count)
		}
		text.WriteString(" is not supported: " + f.Advice)
	}
	return text.String()
}

func unsupported(name, advice string) error {
	return &UnsupportedError{Features: []Feature{{Name: name, Count: 1, Advice: advice}}}
}

// maxFeaturesNamed is how many different features an UnsupportedError names, so
// that a hostile file cannot make it long.
const maxFeaturesNamed = 16

// add counts what is found once more.
func (e *UnsupportedError) add(name, advice string) {
	for i := range e.Features {
		if e.Features[i].Name == name {
			e.Features[i].Count++
			return
		}
	}
	if len(e.Features) < maxFeaturesNamed {
		e.Features = append(e.Features, Feature{Name: name, Count: 1, Advice: advice})
	}
}

func wrong(format string, args ...any) error {
	return &FormatError{Message: fmt.Sprintf(format, args...)}
}

// under places an error one step further down the path to the value it is about.
// Paths are put together only once something is wrong, so they cost nothing.
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

func underIndex(i int, err error) error { return under(fmt.Sprintf("[%d]", i), err) }
