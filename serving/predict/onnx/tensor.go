package onnx

import (
	"fmt"
	"slices"
	"strconv"
	"unsafe"
)

// Type is the type of the elements of a tensor, numbered as in the standard.
type Type uint8

// The types that tensors can have here. The others of the standard, such as
// float16, are refused when a model is read.
const (
	Float32 Type = 1
	Uint8   Type = 2
	Int8    Type = 3
	Uint16  Type = 4
	Int16   Type = 5
	Int32   Type = 6
	Int64   Type = 7
	String  Type = 8
	Bool    Type = 9
	Float64 Type = 11
	Uint32  Type = 12
	Uint64  Type = 13
)

// typeNames are the names of the standard, also of types that are refused.
var typeNames = [...]string{
	"undefined", "float", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16", "double",
	"uint32", "uint64", "complex64", "complex128", "bfloat16", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2",
	"float8e5m2fnuz", "uint4", "int4", "float4e2m1", "float8e8m0", "uint2", "int2",
}

// String is the name in the standard, such as float or int64.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "type " + strconv.Itoa(int(t))
}

// size is the number of bytes of an element, 0 if tensors cannot have the type.
func (t Type) size() int {
	switch t {
	case Uint8, Int8, Bool:
		return 1
	case Uint16, Int16:
		return 2
	case Float32, Int32, Uint32:
		return 4
	case Float64, Int64, Uint64:
		return 8
	case String:
		return int(unsafe.Sizeof(""))
	}
	return 0
}

func (t Type) isFloat() bool { return t == Float32 || t == Float64 }

// Element is what tensors are made of.
type Element interface {
	number | bool | string
}

type number interface {
	float | integer
}

type float interface{ float32 | float64 }

type integer interface {
	int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64
}

// typeOf is the type of an element.
func typeOf[T Element]() Type {
	var zero T
	switch any(zero).(type) {
	case float32:
		return Float32
	case float64:
		return Float64
	case int8:
		return Int8
	case int16:
		return Int16
	case int32:
		return Int32
	case int64:
		return Int64
	case uint8:
		return Uint8
	case uint16:
		return Uint16
	case uint32:
		return Uint32
	case uint64:
		return Uint64
	case bool:
		return Bool
	default:
		return String
	}
}

// Tensor is a shape and as many elements, row after row. The zero Tensor is not
// valid; make one with NewTensor.
type Tensor struct {
	typ   Type
	shape []int
	n     int            // product of shape
	at    unsafe.Pointer // of n elements of typ
}

// NewTensor is a tensor of the values, which it keeps and does not copy. There
// must be as many as the shape says; no shape is one value.
func NewTensor[T Element](values []T, shape ...int) (*Tensor, error) {
	n, ok := elements(shape)
	if !ok {
		return nil, fmt.Errorf("shape %v: expected at most %d dimensions of 0 or more and %d values", slices.Clone(shape), maxDims, maxElements)
	}
	if n != len(values) {
		return nil, fmt.Errorf("shape %v: expected %d values, got %d", slices.Clone(shape), n, len(values))
	}
	return &Tensor{typ: typeOf[T](), shape: slices.Clone(shape), n: n, at: unsafe.Pointer(unsafe.SliceData(values))}, nil
}

// maxElements is how many elements a tensor may have at most, whatever its type.
const maxElements = 1 << 40

// Values are the elements of the tensor, row after row, not copied. The caller
// must know their type: it panics if T is another one.
func Values[T Element](t *Tensor) []T {
	if t.typ != typeOf[T]() {
		panic(fmt.Sprintf("onnx: values of a tensor of %v read as %v", t.typ, typeOf[T]()))
	}
	return view[T](t)
}

// view is Values without the check: T has to be of the same size and, if it is
// string, the same type.
func view[T any](t *Tensor) []T { return unsafe.Slice((*T)(t.at), t.n) }

// Type is the type of the elements.
func (t *Tensor) Type() Type { return t.typ }

// Shape are the dimensions. The caller must not change them.
func (t *Tensor) Shape() []int { return t.shape }

// Len is the number of elements.
func (t *Tensor) Len() int { return t.n }

// Clone is a tensor that shares no memory with t.
func (t *Tensor) Clone() *Tensor {
	c := &Tensor{typ: t.typ, shape: slices.Clone(t.shape), n: t.n}
	if t.typ == String {
		c.at = unsafe.Pointer(unsafe.SliceData(slices.Clone(view[string](t))))
		return c
	}
	words := make([]uint64, (t.bytes()+7)/8)
	c.at = unsafe.Pointer(unsafe.SliceData(words))
	copy(raw(c), raw(t))
	return c
}

// raw are the bytes of a tensor of numbers.
func raw(t *Tensor) []byte { return unsafe.Slice((*byte)(t.at), t.bytes()) }

// bytes is how much memory the elements take; of strings, without their text.
func (t *Tensor) bytes() int { return t.n * t.typ.size() }

// dim is dimension i; negative i count from the end.
func (t *Tensor) dim(i int) int {
	if i < 0 {
		i += len(t.shape)
	}
	return t.shape[i]
}

// constant is a tensor of values that are known to fit the shape.
func constant[T Element](values []T, shape ...int) *Tensor {
	t, err := NewTensor(values, shape...)
	if err != nil {
		panic(err)
	}
	return t
}

// Reshape is a tensor of the same values in another shape.
func (t *Tensor) Reshape(shape ...int) (*Tensor, error) {
	if n, ok := elements(shape); !ok || n != t.n {
		return nil, fmt.Errorf("%d values of shape %v do not fit shape %v", t.n, t.shape, slices.Clone(shape))
	}
	return &Tensor{typ: t.typ, shape: slices.Clone(shape), n: t.n, at: t.at}, nil
}
