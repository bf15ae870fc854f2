package xgboost

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"
)

// maxDepth is how deep objects and arrays may be nested (serving.md section 5).
// XGBoost's own files are nine deep.
const maxDepth = 64

// tokenizer takes a file apart from its beginning to its end. It checks grammar,
// lengths and depth; what the tokens mean is the reader's business.
type tokenizer interface {
	// next is the next token. A member of an object is two: its key, of kind text,
	// and its value.
	next() (token, error)
	// rest is the number of bytes after the outermost value.
	rest() int
}

type kind uint8

const (
	object kind = iota
	array
	end // of the innermost object or array that is open
	text
	number
	boolean
	null
	typed // a whole array of UBJSON numbers of one type
)

func (k kind) String() string {
	return [...]string{"an object", "an array", "an end", "a string", "a number", "a boolean", "null", "an array of numbers"}[k]
}

type token struct {
	kind    kind
	elem    byte   // UBJSON type of a number or of each number of an array; 0 in JSON
	escaped bool   // the string contains JSON escapes
	bytes   []byte // of a string, a number, or all numbers of an array; part of the file
}

// string is the value of a text token.
func (t token) string() (string, error) {
	s := string(t.bytes)
	if t.escaped {
		if err := json.Unmarshal([]byte(`"`+s+`"`), &s); err != nil {
			return "", wrong("broken escape in string %.40q", t.bytes)
		}
	}
	if !utf8.ValidString(s) {
		return "", wrong("string %.40q is not UTF-8", s)
	}
	return s, nil
}

// integer is the value of a number token, and 0 or 1 for a boolean: versions
// before 1.6 write default_left as booleans.
func (t token) integer() (int64, error) {
	switch {
	case t.kind == boolean:
		return int64(t.elem), nil
	case t.kind != number:
		return 0, wrong("expected an integer, found %v", t.kind)
	case t.elem != 0:
		return ubjInteger(t.elem, t.bytes)
	}
	i, err := strconv.ParseInt(string(t.bytes), 10, 64)
	if err != nil {
		return 0, wrong("expected an integer, found %.40q", t.bytes)
	}
	return i, nil
}

// float is the value of a number token, rounded once to 32 bits (rule 1).
func (t token) float() (float32, error) {
	if t.kind != number {
		return 0, wrong("expected a number, found %v", t.kind)
	}
	if t.elem != 0 {
		return ubjFloat(t.elem, t.bytes), nil
	}
	f, err := strconv.ParseFloat(string(t.bytes), 32)
	if err != nil {
		return 0, wrong("expected a number in the range of a 32-bit float, found %.40q", t.bytes)
	}
	return float32(f), nil
}

// ubjSize is the size in bytes of a UBJSON number, 0 for what is not one.
func ubjSize(elem byte) int {
	switch elem {
	case 'i', 'U':
		return 1
	case 'I':
		return 2
	case 'l', 'd':
		return 4
	case 'L', 'D':
		return 8
	}
	return 0
}

func ubjInteger(elem byte, b []byte) (int64, error) {
	switch elem {
	case 'i':
		return int64(int8(b[0])), nil
	case 'U':
		return int64(b[0]), nil
	case 'I':
		return int64(int16(binary.BigEndian.Uint16(b))), nil
	case 'l':
		return int64(int32(binary.BigEndian.Uint32(b))), nil
	case 'L':
		return int64(binary.BigEndian.Uint64(b)), nil
	}
	return 0, wrong("expected integers, found numbers of UBJSON type %q", elem)
}

func ubjFloat(elem byte, b []byte) float32 {
	switch elem {
	case 'd':
		return math.Float32frombits(binary.BigEndian.Uint32(b))
	case 'D':
		return float32(math.Float64frombits(binary.BigEndian.Uint64(b)))
	}
	i, _ := ubjInteger(elem, b) // cannot fail: every other type is an integer
	return float32(i)
}
