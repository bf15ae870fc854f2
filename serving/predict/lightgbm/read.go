package lightgbm

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Bounds of what a file may ask for (serving.md section 5). They are far above
// real models; what they prevent is a few bytes that demand gigabytes.
const (
	maxBytes    = 1 << 30 // of the file
	maxFeatures = 1 << 22
	maxGroups   = 1 << 16 // classes
)

// Read reads the model in b, a whole file as Booster.save_model wrote it. It
// returns a *FormatError when b is not such a file and an *UnsupportedError when
// the model needs something this package does not do. The model keeps no part of b.
func Read(b []byte) (*Model, error) {
	if err := sniff(b); err != nil {
		return nil, err
	}
	var f file
	err := f.read(b)
	if len(f.refused.Features) > 0 { // rather than what broke because of it
		return nil, &f.refused
	}
	if err != nil {
		return nil, err
	}
	return f.model()
}

// sniff refuses what is no text file of LightGBM, the first line of which is
// "tree" whatever the booster was.
func sniff(b []byte) error {
	if len(b) > maxBytes {
		return wrong("%d bytes: files of more than %d bytes are not read", len(b), maxBytes)
	}
	in := text(b)
	first, _ := in.line()
	const save = `save the model with Booster.save_model("model.txt")`
	switch start := bytes.TrimLeft(b, " \t\r\n"); {
	case len(start) == 0:
		return wrong("the file is empty")
	case string(first) == "tree":
		return nil
	case b[0] == 0x80: // the first opcode of every pickle since protocol 2
		return unsupported("a Python pickle", "load it in Python and "+save)
	case start[0] == '{':
		return unsupported("a model as JSON (dump_model)", save)
	case bytes.HasPrefix(b, []byte("#include")) || bytes.HasPrefix(b, []byte("double Predict")):
		return unsupported("a model as C++ code (convert_model)", save)
	}
	return wrong("expected the line tree, with which every model file of LightGBM begins, found %.40q", first)
}

// file is a model as the file describes it: a header, the trees and what follows
// them. Lines within a part come in any order.
type file struct {
	header  header
	forest  forest
	refused UnsupportedError
	pandas  []byte // what stands behind pandas_categorical:

	began bool // there was a tree
	part  part // the lines of the header or of the tree that is being read
}

// read goes over the lines. The part that they belong to is worked off where the
// next one begins.
func (f *file) read(b []byte) error {
	in := text(b)
	in.line() // tree
	for {
		line, ok := in.line()
		switch {
		case !ok:
			return wrong("cut off: expected the line end of trees, or the importances of the features")
		case len(line) == 0:
		case bytes.HasPrefix(line, []byte("Tree=")):
			if err := f.endPart(); err != nil {
				return err
			}
			f.began = true
		case isEnd(line):
			if err := f.endPart(); err != nil {
				return err
			}
			f.readRest(in)
			return nil
		default:
			if err := f.part.add(line); err != nil {
				return f.under(err)
			}
		}
	}
}

// isEnd reports whether the line ends the trees (rule 4): the first two did not
// write end of trees.
func isEnd(line []byte) bool {
	switch string(line) {
	case "end of trees", "feature importances:", "feature_importances:":
		return true
	}
	return false
}

// endPart works off the header or a tree.
func (f *file) endPart() (err error) {
	if f.began {
		err = f.forest.add(f.part, &f.header, &f.refused)
	} else {
		err = f.header.read(f.part, &f.refused)
	}
	if err != nil {
		return f.under(err)
	}
	f.part = f.part[:0]
	return nil
}

// under says of an error which part of the file it is in.
func (f *file) under(err error) error {
	if f.began {
		return under(fmt.Sprintf("Tree=%d", len(f.forest.roots)), err)
	}
	return err
}

// readRest looks for the one line after the trees that says anything about
// answers: importances, parameters and the parser of v4 do not.
func (f *file) readRest(in text) {
	for {
		line, ok := in.line()
		if !ok {
			return
		}
		if list, found := bytes.CutPrefix(line, []byte("pandas_categorical:")); found {
			f.pandas = list
		}
	}
}

// pandasColumns is how many columns of the data frame that the model was trained
// on were categories.
func (f *file) pandasColumns() int {
	var lists []json.RawMessage
	if json.Unmarshal(f.pandas, &lists) != nil { // null, or not there
		return 0
	}
	return len(lists)
}
