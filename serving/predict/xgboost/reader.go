package xgboost

import (
	"encoding/binary"
	"math"
	"strconv"
)

// reader gives the tokens of a file the shapes that a model is made of. Each
// method reads one value whole.
type reader struct {
	tokens tokenizer
	seen   []map[string]bool // keys of each object that is open; reused
	depth  int
}

// object reads an object and calls member at each of its values, which member has
// to read or skip. A key that appears twice is refused: which one counts would
// depend on the parser.
func (r *reader) object(member func(key string) error) error {
	tok, err := r.tokens.next()
	if err != nil {
		return err
	}
	if tok.kind != object {
		return wrong("expected an object, found %v", tok.kind)
	}
	return r.members(member)
}

// members is object for one whose beginning was read.
func (r *reader) members(member func(key string) error) error {
	if r.depth == len(r.seen) {
		r.seen = append(r.seen, map[string]bool{})
	}
	seen := r.seen[r.depth]
	if len(seen) > 100 { // clearing takes as long as the largest object ever was
		seen = map[string]bool{}
		r.seen[r.depth] = seen
	}
	clear(seen)
	r.depth++
	defer func() { r.depth-- }()
	for {
		tok, err := r.tokens.next()
		if err != nil || tok.kind == end {
			return err
		}
		key, err := tok.string()
		if err != nil {
			return err
		}
		if seen[key] {
			return under(key, wrong("appears twice in one object"))
		}
		seen[key] = true
		if err := member(key); err != nil {
			return under(key, err)
		}
	}
}

// array reads an array and calls element at each of its values, which element has
// to read or skip.
func (r *reader) array(element func(i int, tok token) error) error {
	tok, err := r.tokens.next()
	if err != nil {
		return err
	}
	if tok.kind == typed && len(tok.bytes) == 0 {
		return nil
	}
	if tok.kind != array {
		return wrong("expected an array, found %v", tok.kind)
	}
	for i := 0; ; i++ {
		tok, err := r.tokens.next()
		if err == nil && tok.kind == end {
			return nil
		}
		if err == nil {
			err = element(i, tok)
		}
		if err != nil {
			return underIndex(i, err)
		}
	}
}

// ints reads an array of integers into dst, whose memory is reused.
func (r *reader) ints(dst *[]int32) error {
	out := (*dst)[:0]
	add := func(i int, n int64, err error) error {
		if err == nil && (n < math.MinInt32 || n > math.MaxInt32) {
			err = wrong("%d is out of the range of a 32-bit integer", n)
		}
		if err != nil {
			return underIndex(i, err)
		}
		out = append(out, int32(n))
		return nil
	}
	err := r.numbers(func(tok token) error {
		if tok.elem == 'l' { // the type of nearly all arrays deserves a short way
			for b := tok.bytes; len(b) >= 4; b = b[4:] {
				out = append(out, int32(binary.BigEndian.Uint32(b)))
			}
			return nil
		}
		size := ubjSize(tok.elem)
		for i := range len(tok.bytes) / size {
			n, err := ubjInteger(tok.elem, tok.bytes[i*size:])
			if err := add(i, n, err); err != nil {
				return err
			}
		}
		return nil
	}, func(i int, tok token) error {
		n, err := tok.integer()
		return add(i, n, err)
	})
	*dst = out
	return err
}

// floats reads an array of numbers into dst, whose memory is reused.
func (r *reader) floats(dst *[]float32) error {
	out := (*dst)[:0]
	err := r.numbers(func(tok token) error {
		if tok.elem == 'd' {
			for b := tok.bytes; len(b) >= 4; b = b[4:] {
				out = append(out, math.Float32frombits(binary.BigEndian.Uint32(b)))
			}
			return nil
		}
		size := ubjSize(tok.elem)
		for i := range len(tok.bytes) / size {
			out = append(out, ubjFloat(tok.elem, tok.bytes[i*size:]))
		}
		return nil
	}, func(i int, tok token) error {
		f, err := tok.float()
		if err != nil {
			return underIndex(i, err)
		}
		out = append(out, f)
		return nil
	})
	*dst = out
	return err
}

// numbers reads an array, whole if it is typed, otherwise one by one.
func (r *reader) numbers(whole func(token) error, each func(int, token) error) error {
	tok, err := r.tokens.next()
	if err != nil {
		return err
	}
	switch tok.kind {
	case typed:
		return whole(tok)
	case array:
	default:
		return wrong("expected an array of numbers, found %v", tok.kind)
	}
	for i := 0; ; i++ {
		tok, err := r.tokens.next()
		if err != nil || tok.kind == end {
			return err
		}
		if err := each(i, tok); err != nil {
			return err
		}
	}
}

// strings reads an array of strings; nil when it is empty.
func (r *reader) strings() (out []string, err error) {
	err = r.array(func(_ int, tok token) error {
		if tok.kind != text {
			return wrong("expected a string, found %v", tok.kind)
		}
		s, err := tok.string()
		out = append(out, s)
		return err
	})
	return out, err
}

func (r *reader) string() (string, error) {
	tok, err := r.tokens.next()
	if err != nil {
		return "", err
	}
	if tok.kind != text {
		return "", wrong("expected a string, found %v", tok.kind)
	}
	return tok.string()
}

// decimal reads an integer that XGBoost writes as a string, such as "12".
func (r *reader) decimal(dst *int) error {
	s, err := r.string()
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > math.MaxUint32 {
		return wrong("expected a whole number in quotes, found %.40q", s)
	}
	*dst = int(n)
	return nil
}

// skip reads a value of any kind that is of no interest.
func (r *reader) skip() error {
	for depth := 0; ; {
		tok, err := r.tokens.next()
		if err != nil {
			return err
		}
		switch tok.kind {
		case object, array:
			depth++
		case end:
			depth--
		default: // whole in itself
		}
		if depth == 0 {
			return nil
		}
	}
}
