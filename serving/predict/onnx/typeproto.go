package onnx

// valueInfo is the name and the declared type of an input or output.
type valueInfo struct {
	name string
	typ  typeProto
}

// typeProto is a TypeProto. Only one of its kinds is set.
type typeProto struct {
	kind     byte // 't' tensor, 'm' map, 's' sequence, 0 nothing said, '?' another kind
	elem     Type // of a tensor; of the values of a map
	key      Type // of a map
	hasShape bool
	shape    []dimension
	of       *typeProto // of a sequence
}

// dimension is a declared dimension: a size, a name or nothing.
type dimension struct {
	size int // -1: not said
	name string
}

func readValueInfo(b message, what string, all *[]valueInfo) error {
	if len(*all) == maxNodes {
		return wrong("%s: more than %d", what, maxNodes)
	}
	var v valueInfo
	err := b.fields(func(f field) (err error) {
		switch f.number {
		case 1:
			v.name, err = f.text()
		case 2:
			var b message
			if b, err = f.message(); err == nil {
				v.typ, err = readType(b, 0)
			}
		}
		return err
	})
	if err == nil && v.name == "" {
		err = under("name", wrong("is missing"))
	}
	*all = append(*all, v)
	return underIndex(what, len(*all)-1, err)
}

func readType(b message, depth int) (t typeProto, err error) {
	if depth == maxDepth {
		return t, wrong("types nested more than %d deep", maxDepth)
	}
	err = b.fields(func(f field) error {
		if f.number == 6 {
			return nil // denotation
		}
		b, err := f.message()
		if err != nil {
			return err
		}
		switch f.number {
		case 1:
			t.kind = 't'
			return t.readTensor(b)
		case 4:
			t.kind = 's'
			return t.readSequence(b, depth)
		case 5:
			t.kind = 'm'
			return t.readMap(b, depth)
		default:
			t.kind = '?'
			return nil
		}
	})
	return t, err
}

func (t *typeProto) readTensor(b message) error {
	return b.fields(func(f field) error {
		switch f.number {
		case 1:
			n, err := f.int()
			t.elem = elementType(n)
			return err
		case 2:
			b, err := f.message()
			if err != nil {
				return err
			}
			t.hasShape = true
			return t.readShape(b)
		}
		return nil
	})
}

// elementType is the element type of a number; what is no type at all becomes one
// that is not supported.
func elementType(n int64) Type { return Type(min(max(n, 0), 255)) }

func (t *typeProto) readShape(b message) error {
	return b.fields(func(f field) error {
		if f.number != 1 {
			return nil
		}
		b, err := f.message()
		if err != nil {
			return err
		}
		d := dimension{size: -1}
		err = b.fields(func(f field) (err error) {
			switch f.number {
			case 1:
				var n int64
				if n, err = f.int(); n >= 0 && n <= maxElements {
					d.size = int(n)
				}
			case 2:
				d.name, err = f.text()
			}
			return err
		})
		if len(t.shape) == maxDims {
			return wrong("shape: more than %d dimensions", maxDims)
		}
		t.shape = append(t.shape, d)
		return err
	})
}

func (t *typeProto) readSequence(b message, depth int) error {
	return b.fields(func(f field) error {
		if f.number != 1 {
			return nil
		}
		b, err := f.message()
		if err != nil {
			return err
		}
		of, err := readType(b, depth+1)
		t.of = &of
		return err
	})
}

func (t *typeProto) readMap(b message, depth int) error {
	return b.fields(func(f field) error {
		switch f.number {
		case 1:
			n, err := f.int()
			t.key = elementType(n)
			return err
		case 2:
			b, err := f.message()
			if err != nil {
				return err
			}
			value, err := readType(b, depth+1)
			t.elem = value.elem
			return err
		}
		return nil
	})
}
