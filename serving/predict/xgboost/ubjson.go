package xgboost

import "math"

// ubjTokens reads the part of Universal Binary JSON (ubjson.org, draft 12) that
// XGBoost writes, and lengths of any integer type, as other writers choose them.
type ubjTokens struct {
	b    []byte
	pos  int
	open []ubjFrame // outermost first
}

type ubjFrame struct {
	kind  kind // object or array
	count int  // elements left of an array that said how many it has; -1: it ends with ]
	value bool // of an object: its key was read, its value was not
}

func (t *ubjTokens) next() (token, error) {
	if len(t.open) == 0 {
		return t.value()
	}
	f := &t.open[len(t.open)-1]
	switch {
	case f.kind == object && f.value:
		f.value = false
		return t.value()
	case f.kind == object && t.at('}'), f.kind == array && f.count < 0 && t.at(']'):
		t.pos++
		t.open = t.open[:len(t.open)-1]
		return token{kind: end}, nil
	case f.kind == object:
		f.value = true
		return t.string()
	case f.count == 0:
		t.open = t.open[:len(t.open)-1]
		return token{kind: end}, nil
	case f.count > 0:
		f.count--
	}
	return t.value()
}

func (t *ubjTokens) value() (token, error) {
	marker, err := t.take(1)
	if err != nil {
		return token{}, err
	}
	switch m := marker[0]; m {
	case '{':
		if t.at('$') || t.at('#') {
			return token{}, wrong("an object with a count at byte %d: XGBoost does not write those", t.pos)
		}
		return t.enter(ubjFrame{kind: object})
	case '[':
		return t.array()
	case 'S':
		return t.string()
	case 'Z':
		return token{kind: null}, nil
	case 'T':
		return token{kind: boolean, elem: 1}, nil
	case 'F':
		return token{kind: boolean}, nil
	default:
		size := ubjSize(m)
		if size == 0 {
			return token{}, wrong("expected a value at byte %d, found %q: not UBJSON", t.pos-1, m)
		}
		b, err := t.take(size)
		return token{kind: number, elem: m, bytes: b}, err
	}
}

func (t *ubjTokens) array() (token, error) {
	switch {
	case t.at('$'):
		head, err := t.take(3) // $, type, #
		if err != nil {
			return token{}, err
		}
		size := ubjSize(head[1])
		if size == 0 || head[2] != '#' {
			return token{}, wrong("expected the type and count of an array of numbers at byte %d, found %q", t.pos-2, head[1:])
		}
		b, err := t.counted(size)
		return token{kind: typed, elem: head[1], bytes: b}, err
	case t.at('#'):
		t.pos++
		n, err := t.length()
		if err != nil {
			return token{}, err
		}
		if n > len(t.b)-t.pos { // each element is a byte at least
			return token{}, t.cut(n)
		}
		return t.enter(ubjFrame{kind: array, count: n})
	}
	return t.enter(ubjFrame{kind: array, count: -1})
}

func (t *ubjTokens) enter(f ubjFrame) (token, error) {
	if len(t.open) == maxDepth {
		return token{}, wrong("nested more than %d deep at byte %d", maxDepth, t.pos)
	}
	t.open = append(t.open, f)
	return token{kind: f.kind}, nil
}

func (t *ubjTokens) string() (token, error) {
	b, err := t.counted(1)
	return token{kind: text, bytes: b}, err
}

// counted reads a length and that many elements of a size. The length in the file
// is compared with what is left of it before anything is done with it.
func (t *ubjTokens) counted(size int) ([]byte, error) {
	n, err := t.length()
	if err != nil {
		return nil, err
	}
	if n > (len(t.b)-t.pos)/size {
		return nil, t.cut(n)
	}
	return t.take(n * size)
}

func (t *ubjTokens) length() (int, error) {
	marker, err := t.take(1)
	if err != nil {
		return 0, err
	}
	m := marker[0]
	if ubjSize(m) == 0 || m == 'd' || m == 'D' {
		return 0, wrong("expected a length at byte %d, found %q", t.pos-1, m)
	}
	b, err := t.take(ubjSize(m))
	if err != nil {
		return 0, err
	}
	n, err := ubjInteger(m, b)
	if err == nil && (n < 0 || n > math.MaxInt32) {
		err = wrong("length %d before byte %d is out of range", n, t.pos)
	}
	return int(n), err
}

func (t *ubjTokens) take(n int) ([]byte, error) {
	if n > len(t.b)-t.pos {
		return nil, t.cut(n)
	}
	b := t.b[t.pos : t.pos+n]
	t.pos += n
	return b, nil
}

func (t *ubjTokens) rest() int { return len(t.b) - t.pos }

func (t *ubjTokens) at(c byte) bool { return t.pos < len(t.b) && t.b[t.pos] == c }

func (t *ubjTokens) cut(n int) error {
	return wrong("%d more elements were announced at byte %d, but the file ends after %d bytes: it was cut off", n, t.pos, len(t.b))
}
