package worker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Field is one member of a value that differs from what the ledger says.
type Field struct {
	Path string          `json:"path"`           // dotted; "" when the whole value is not JSON
	From json.RawMessage `json:"from,omitempty"` // in the bucket; none: it is not there
	To   json.RawMessage `json:"to,omitempty"`   // by the ledger; none: it must not be there
}

// same reports whether two values say the same. Nil is no value.
func same(a, b []byte) bool {
	if (a == nil) != (b == nil) {
		return false
	}
	if bytes.Equal(a, b) {
		return true
	}
	left, err := decodeJSON(a)
	if err != nil {
		return false
	}
	right, err := decodeJSON(b)
	return err == nil && reflect.DeepEqual(left, right)
}

func decodeJSON(text []byte) (value any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	return value, nil
}

// describeDifference says how have differs from want.
func describeDifference(have, want []byte) (kind DifferenceKind, fields []Field) {
	switch {
	case have == nil:
		return Missing, nil
	case want == nil:
		return Extra, nil
	}
	left, err := decodeJSON(have)
	if err != nil {
		return Differs, []Field{{From: quote(clip(string(have)))}}
	}
	right, err := decodeJSON(want)
	if err != nil {
		return Differs, []Field{{To: quote(clip(string(want)))}}
	}
	from, to := make(map[string]json.RawMessage), make(map[string]json.RawMessage)
	flatten("", left, from)
	flatten("", right, to)
	all := maps.Clone(from)
	maps.Copy(all, to)
	for _, path := range slices.Sorted(maps.Keys(all)) {
		if !bytes.Equal(from[path], to[path]) {
			fields = append(fields, Field{Path: path, From: from[path], To: to[path]})
		}
	}
	return Differs, fields
}

// flatten writes the members of a value by their path. Empty objects and lists
// are members themselves.
func flatten(path string, value any, into map[string]json.RawMessage) {
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			flatten(strings.TrimPrefix(path+"."+name, "."), member, into)
		}
		if len(value) > 0 {
			return
		}
	case []any:
		for i, element := range value {
			flatten(strings.TrimPrefix(fmt.Sprintf("%s.%d", path, i), "."), element, into)
		}
		if len(value) > 0 {
			return
		}
	}
	text, err := json.Marshal(value)
	if err != nil { // it was read from JSON
		panic(err)
	}
	into[path] = text
}

func quote(s string) json.RawMessage {
	text, err := json.Marshal(s)
	if err != nil { // a string always can be
		panic(err)
	}
	return text
}
