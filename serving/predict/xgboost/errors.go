package xgboost

import (
	"errors"
	"fmt"
)

// FormatError says what in a model file is not as XGBoost writes it. Such a file
// is broken or was never a model: save it again.
type FormatError struct {
	Path    string // such as learner.gradient_booster.model.trees[3].left_children[7]; "" for the file as a whole
	Message string // what is there and what was expected
}

func (e *FormatError) Error() string {
	if e.Path == "" {
		return "xgboost model: " + e.Message
	}
	return "xgboost model: " + e.Path + ": " + e.Message
}

// UnsupportedError names a feature that the file uses, correctly, and that this
// package does not answer for.
type UnsupportedError struct {
	Feature string // such as "objective reg:mystery"
	Advice  string // what to do instead
}

func (e *UnsupportedError) Error() string {
	return "xgboost model: " + e.Feature + " is not supported: " + e.Advice
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
