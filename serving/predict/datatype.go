package predict

import (
	"errors"
	"math"
	"strconv"
)

// datatype is how the numbers of a tensor are to be read. A model is given float64,
// in which every number of 32 bits is exact.
type datatype struct {
	kind byte // 'f' floating point, 'i' signed, 'u' unsigned, 'b' boolean, 'v' a value of a v1 row
	bits int
}

// datatypeNamed is the numeric datatype of the Open Inference Protocol with that
// name. BYTES is not among them.
func datatypeNamed(name string) (datatype, bool) {
	switch name {
	case "FP16":
		return datatype{'f', 16}, true
	case "FP32":
		return datatype{'f', 32}, true
	case "FP64":
		return datatype{'f', 64}, true
	case "BOOL":
		return datatype{'b', 1}, true
	case "INT8", "INT16", "INT32", "INT64":
		return datatype{'i', atoi(name[3:])}, true
	case "UINT8", "UINT16", "UINT32", "UINT64":
		return datatype{'u', atoi(name[4:])}, true
	}
	return datatype{}, false
}

// atoi is the number of digits that are known to be one.
func atoi(digits string) int {
	n := 0
	for _, c := range digits {
		n = 10*n + int(c-'0')
	}
	return n
}

// What is wrong with a value.
var (
	errNotNumber = errors.New("expected a number, or null for a missing value")
	errNotWhole  = errors.New("expected a whole number, or null for a missing value")
	errNotBool   = errors.New("expected true, false, 1 or 0, or null for a missing value")
	errRange     = errors.New("out of the range of the datatype")
)

// value reads a token as a value of the datatype.
func (t datatype) value(token []byte) (float64, error) {
	if t.kind == 'v' && (string(token) == "true" || string(token) == "false") {
		t.kind = 'b'
	}
	if t.kind == 'b' {
		switch string(token) {
		case "true", "1":
			return 1, nil
		case "false", "0":
			return 0, nil
		}
		return 0, errNotBool
	}
	whole, ok := isNumber(token)
	if !ok {
		return 0, errNotNumber
	}
	// Converting in the call keeps short tokens off the heap.
	switch t.kind {
	case 'i':
		if !whole {
			return 0, errNotWhole
		}
		n, err := strconv.ParseInt(string(token), 10, t.bits)
		if err != nil {
			return 0, errRange
		}
		return float64(n), nil
	case 'u':
		if !whole {
			return 0, errNotWhole
		}
		n, err := strconv.ParseUint(string(token), 10, t.bits)
		if err != nil {
			return 0, errRange
		}
		return float64(n), nil
	default:
		x, err := strconv.ParseFloat(string(token), max(t.bits, 32))
		if t.bits == 16 {
			x = half(x)
		}
		if err != nil || x-x != 0 {
			return 0, errRange
		}
		return x, nil
	}
}

// half rounds a number to the nearest of 16 bits, to an even one if there are two,
// and to an infinite one beyond their range.
func half(x float64) float64 {
	const digits, least = 11, -24 // bits of precision; exponent of the smallest number
	_, exponent := math.Frexp(x)
	unit := math.Ldexp(1, max(exponent-digits, least))
	if x = math.RoundToEven(x/unit) * unit; math.Abs(x) > 65504 {
		return math.Copysign(math.Inf(1), x)
	}
	return x
}

// isNumber reports whether the token is a number as JSON writes them, and
// whether it has neither a fraction nor an exponent.
func isNumber(token []byte) (whole, ok bool) {
	i := 0
	digits := func() bool {
		from := i
		for i < len(token) && '0' <= token[i] && token[i] <= '9' {
			i++
		}
		return i > from
	}
	if i < len(token) && token[i] == '-' {
		i++
	}
	first := i
	if !digits() || token[first] == '0' && i > first+1 {
		return false, false
	}
	whole = true
	if i < len(token) && token[i] == '.' {
		whole = false
		i++
		if !digits() {
			return false, false
		}
	}
	if i < len(token) && (token[i] == 'e' || token[i] == 'E') {
		whole = false
		i++
		if i < len(token) && (token[i] == '+' || token[i] == '-') {
			i++
		}
		if !digits() {
			return false, false
		}
	}
	return whole, i == len(token)
}
