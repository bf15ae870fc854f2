package onnx

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// message is the bytes of a protocol buffers message. It is read in place: nothing
// is copied before it is known to be wanted, and no length in it is trusted.
type message []byte

// The wire types of protocol buffers that ONNX files have.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// field is one field of a message.
type field struct {
	number int
	wire   byte
	n      uint64  // of a varint or fixed field
	bytes  message // of a field with a length
}

// fields calls each for every field, in the order of the file.
func (m message) fields(each func(f field) error) error {
	for len(m) > 0 {
		f, rest, err := m.next()
		if err != nil {
			return err
		}
		if err := each(f); err != nil {
			return err
		}
		m = rest
	}
	return nil
}

// next reads the first field.
func (m message) next() (f field, rest message, err error) {
	key, n := binary.Uvarint(m)
	if n <= 0 {
		return f, nil, wrong("cut off within a field")
	}
	if key>>3 == 0 || key>>3 > 1<<29-1 {
		return f, nil, wrong("field number %d: expected 1 to %d", key>>3, 1<<29-1)
	}
	m = m[n:]
	f = field{number: int(key >> 3), wire: byte(key & 7)}
	switch f.wire {
	case wireVarint:
		if f.n, n = binary.Uvarint(m); n <= 0 {
			return f, nil, wrong("field %d: cut off within a number", f.number)
		}
	case wireFixed64:
		if n = 8; len(m) < n {
			return f, nil, wrong("field %d: cut off within a number", f.number)
		}
		f.n = binary.LittleEndian.Uint64(m)
	case wireFixed32:
		if n = 4; len(m) < n {
			return f, nil, wrong("field %d: cut off within a number", f.number)
		}
		f.n = uint64(binary.LittleEndian.Uint32(m))
	case wireBytes:
		size, k := binary.Uvarint(m)
		if k <= 0 || size > uint64(len(m)-k) {
			return f, nil, wrong("field %d: cut off: %d bytes are announced, %d are left", f.number, size, len(m))
		}
		n = k + int(size)
		f.bytes = m[k:n:n]
	default:
		return f, nil, wrong("field %d: wire type %d: expected a protocol buffers message", f.number, f.wire)
	}
	return f, m[n:], nil
}

// message is the value of a field that holds a message.
func (f field) message() (message, error) {
	if f.wire != wireBytes {
		return nil, wrong("field %d: expected a message, found a number", f.number)
	}
	return f.bytes, nil
}

// text is the value of a field that holds UTF-8.
func (f field) text() (string, error) {
	if f.wire != wireBytes {
		return "", wrong("field %d: expected text, found a number", f.number)
	}
	if !utf8.Valid(f.bytes) {
		return "", wrong("field %d: text is not UTF-8", f.number)
	}
	return string(f.bytes), nil
}

// int is the value of a field that holds an integer.
func (f field) int() (int64, error) {
	if f.wire != wireVarint {
		return 0, wrong("field %d: expected an integer", f.number)
	}
	return int64(f.n), nil
}

// float is the value of a field that holds a float.
func (f field) float() (float32, error) {
	if f.wire != wireFixed32 {
		return 0, wrong("field %d: expected a 32-bit float", f.number)
	}
	return math.Float32frombits(uint32(f.n)), nil
}

// appendInts appends a repeated integer, packed or not. What fits in dst is sized
// by the bytes that are there: a varint has one at least.
func (f field) appendInts(dst []int64) ([]int64, error) {
	switch f.wire {
	case wireVarint:
		return append(dst, int64(f.n)), nil
	case wireBytes:
		for b := f.bytes; len(b) > 0; {
			n, k := binary.Uvarint(b)
			if k <= 0 {
				return nil, wrong("field %d: cut off within an integer", f.number)
			}
			dst = append(dst, int64(n))
			b = b[k:]
		}
		return dst, nil
	}
	return nil, wrong("field %d: expected integers", f.number)
}

// appendFloats appends a repeated float, packed or not.
func (f field) appendFloats(dst []float32) ([]float32, error) {
	switch {
	case f.wire == wireFixed32:
		return append(dst, math.Float32frombits(uint32(f.n))), nil
	case f.wire == wireBytes && len(f.bytes)%4 == 0:
		for b := f.bytes; len(b) > 0; b = b[4:] {
			dst = append(dst, math.Float32frombits(binary.LittleEndian.Uint32(b)))
		}
		return dst, nil
	}
	return nil, wrong("field %d: expected 32-bit floats", f.number)
}

// appendDoubles appends a repeated double, packed or not.
func (f field) appendDoubles(dst []float64) ([]float64, error) {
	switch {
	case f.wire == wireFixed64:
		return append(dst, math.Float64frombits(f.n)), nil
	case f.wire == wireBytes && len(f.bytes)%8 == 0:
		for b := f.bytes; len(b) > 0; b = b[8:] {
			dst = append(dst, math.Float64frombits(binary.LittleEndian.Uint64(b)))
		}
		return dst, nil
	}
	return nil, wrong("field %d: expected 64-bit floats", f.number)
}
