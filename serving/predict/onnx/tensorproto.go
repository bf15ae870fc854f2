package onnx

import (
	"encoding/binary"
	"slices"
	"strings"
	"unsafe"
)

// tensorProto is a TensorProto. Its data stands in one typed field or in raw.
type tensorProto struct {
	name     string
	typ      Type
	dims     []int64
	floats   []float32
	ints32   []int64 // also of smaller types and bool
	ints64   []int64
	uints64  []int64 // also uint32
	doubles  []float64
	texts    []string
	raw      message
	hasRaw   bool
	external bool
	segment  bool
}

func (t *tensorProto) read(b message) error {
	return b.fields(func(f field) (err error) {
		switch f.number {
		case 1:
			t.dims, err = f.appendInts(t.dims)
			if err == nil && len(t.dims) > maxDims {
				err = wrong("dims: more than %d dimensions", maxDims)
			}
		case 2:
			var n int64
			n, err = f.int()
			t.typ = elementType(n)
		case 3:
			t.segment = true
		case 4:
			t.floats, err = f.appendFloats(t.floats)
		case 5:
			t.ints32, err = f.appendInts(t.ints32)
		case 6:
			if f.wire != wireBytes {
				return wrong("string_data: expected bytes")
			}
			t.texts = append(t.texts, string(f.bytes))
		case 7:
			t.ints64, err = f.appendInts(t.ints64)
		case 8:
			t.name, err = f.text()
		case 9:
			t.raw, err = f.message()
			t.hasRaw = true
		case 10:
			t.doubles, err = f.appendDoubles(t.doubles)
		case 11:
			t.uints64, err = f.appendInts(t.uints64)
		case 13:
			t.external = true
		case 14:
			var n int64
			n, err = f.int()
			t.external = t.external || n != 0
		}
		return err
	})
}

// tensor is the tensor that is meant. The count of its values has to be that of
// its dims (serving.md section 4, rule 2).
func (t *tensorProto) tensor() (*Tensor, error) {
	switch {
	case t.external:
		return nil, unsupported("save the model as one file: onnx.save(onnx.load(path), path)", "external data")
	case t.segment:
		return nil, unsupported("save the model again with the onnx package", "segmented tensors")
	case t.typ == 0:
		return nil, wrong("data_type: is missing")
	case t.typ.size() == 0:
		return nil, unsupportedType(t.typ)
	}
	shape := make([]int, len(t.dims))
	for i, dim := range t.dims {
		shape[i] = int(dim)
	}
	n, ok := elements(shape)
	if !ok {
		return nil, wrong("dims %v: expected 0 or more and at most %d values", t.dims, maxElements)
	}
	if t.hasRaw {
		return t.fromRaw(n, shape)
	}
	count := map[Type]int{
		Float32: len(t.floats), Float64: len(t.doubles), String: len(t.texts), Int64: len(t.ints64),
		Uint64: len(t.uints64), Uint32: len(t.uints64),
	}
	have, other := count[t.typ]
	if !other {
		have = len(t.ints32)
	}
	if have != n {
		return nil, wrong("dims %v: expected %d values of %v, got %d", t.dims, n, t.typ, have)
	}
	switch t.typ {
	case Float32:
		return NewTensor(t.floats, shape...)
	case Float64:
		return NewTensor(t.doubles, shape...)
	case String:
		return NewTensor(t.texts, shape...)
	case Int64:
		return NewTensor(t.ints64, shape...)
	case Uint64:
		return converted[uint64](t.uints64, shape)
	case Uint32:
		return converted[uint32](t.uints64, shape)
	case Int32:
		return converted[int32](t.ints32, shape)
	case Int16:
		return converted[int16](t.ints32, shape)
	case Uint16:
		return converted[uint16](t.ints32, shape)
	case Int8:
		return converted[int8](t.ints32, shape)
	case Uint8:
		return converted[uint8](t.ints32, shape)
	default:
		truths := make([]bool, n)
		for i, v := range t.ints32 {
			truths[i] = v != 0
		}
		return NewTensor(truths, shape...)
	}
}

func converted[T integer](values []int64, shape []int) (*Tensor, error) {
	out := make([]T, len(values))
	for i, v := range values {
		out[i] = T(v)
	}
	return NewTensor(out, shape...)
}

// fromRaw reads the little-endian bytes of raw_data.
func (t *tensorProto) fromRaw(n int, shape []int) (*Tensor, error) {
	if t.typ == String {
		return nil, wrong("raw_data: strings have to stand in string_data")
	}
	size := t.typ.size()
	if n > len(t.raw)/size || len(t.raw) != n*size {
		return nil, wrong("dims %v: expected raw_data of %d values of %v, got %d bytes", t.dims, n, t.typ, len(t.raw))
	}
	words := make([]uint64, (len(t.raw)+7)/8)
	out := &Tensor{typ: t.typ, shape: shape, n: n, at: unsafe.Pointer(unsafe.SliceData(words))}
	switch size {
	case 1:
		copy(view[byte](out), t.raw)
		if t.typ == Bool {
			for i, v := range view[byte](out) {
				view[byte](out)[i] = min(v, 1) // a bool of Go is nothing else
			}
		}
	case 2:
		for i := range view[uint16](out) {
			view[uint16](out)[i] = binary.LittleEndian.Uint16(t.raw[2*i:])
		}
	case 4:
		for i := range view[uint32](out) {
			view[uint32](out)[i] = binary.LittleEndian.Uint32(t.raw[4*i:])
		}
	default:
		for i := range words {
			words[i] = binary.LittleEndian.Uint64(t.raw[8*i:])
		}
	}
	return out, nil
}

// unsupportedType is the refusal of tensors of a type.
func unsupportedType(t Type) error {
	advice := "export the model in float32"
	if name := t.String(); strings.Contains(name, "int") || strings.HasPrefix(name, "type") {
		advice = "export the model without quantization"
	}
	return unsupported(advice, "tensors of %v", t)
}

// attribute is an AttributeProto.
type attribute struct {
	name    string
	kind    int64
	f       float32
	i       int64
	s       string
	t       *tensorProto
	floats  []float32
	ints    []int64
	strings []string
	tensors int
	graphs  int
	ref     string
	used    bool
}

// The kinds of attributes that are read.
const (
	kindFloat   = 1
	kindInt     = 2
	kindString  = 3
	kindTensor  = 4
	kindFloats  = 6
	kindInts    = 7
	kindStrings = 8
)

func (a *attribute) read(b message) error {
	err := b.fields(func(f field) (err error) {
		switch f.number {
		case 1:
			a.name, err = f.text()
		case 2:
			a.f, err = f.float()
		case 3:
			a.i, err = f.int()
		case 4:
			b, err = f.message()
			a.s = string(b)
		case 5:
			a.t = &tensorProto{}
			if b, err = f.message(); err == nil {
				err = a.t.read(b)
			}
		case 6, 11, 14, 15, 22, 23:
			a.graphs++
		case 7:
			a.floats, err = f.appendFloats(a.floats)
		case 8:
			a.ints, err = f.appendInts(a.ints)
		case 9:
			if b, err = f.message(); err == nil {
				a.strings = append(a.strings, string(b))
			}
		case 10:
			a.tensors++
		case 20:
			a.kind, err = f.int()
		case 21:
			a.ref, err = f.text()
		}
		return err
	})
	if err == nil && a.name == "" {
		err = under("name", wrong("is missing"))
	}
	if a.kind == 0 { // files of the first versions of the standard do not say
		a.kind = a.guess()
	}
	a.floats, a.ints, a.strings = slices.Clip(a.floats), slices.Clip(a.ints), slices.Clip(a.strings)
	return err
}

func (a *attribute) guess() int64 {
	switch {
	case a.t != nil:
		return kindTensor
	case len(a.floats) > 0:
		return kindFloats
	case len(a.ints) > 0:
		return kindInts
	case len(a.strings) > 0:
		return kindStrings
	case a.s != "":
		return kindString
	case a.f != 0:
		return kindFloat
	default:
		return kindInt
	}
}
