package schemas

import (
	"bytes"
	"unicode/utf8"
)

// scanner reads JSON that is written as programs do, against a plan. Its methods
// report whether what was there is as wanted; it cannot be used on when it is not.
type scanner struct {
	data []byte
	at   int
}

// next is the next byte that is no space; 0 at the end.
func (s *scanner) next() byte {
	for ; s.at < len(s.data); s.at++ {
		switch c := s.data[s.at]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// skip reads one byte.
func (s *scanner) skip(c byte) bool {
	if s.next() != c {
		return false
	}
	s.at++
	return true
}

func (s *scanner) value(p *plan) bool {
	switch c := s.next(); c {
	case '"':
		text, ok := s.text()
		return ok && p.takes(text)
	case '{':
		return p.object && s.object(p)
	case '[':
		return p.items != nil && s.array(p)
	case 't':
		return p.boolean && s.word("true")
	case 'f':
		return p.boolean && s.word("false")
	case 'n':
		return p.null && s.word("null")
	default:
		return p.number && s.number(p)
	}
}

func (s *scanner) word(word string) bool {
	if !bytes.HasPrefix(s.data[s.at:], []byte(word)) {
		return false
	}
	s.at += len(word)
	return true
}

// text reads a string without escapes.
func (s *scanner) text() ([]byte, bool) {
	s.at++
	began := s.at
	for ; s.at < len(s.data); s.at++ {
		switch c := s.data[s.at]; {
		case c == '"':
			text := s.data[began:s.at]
			s.at++
			return text, utf8.Valid(text)
		case c == '\\' || c < ' ':
			return nil, false
		}
	}
	return nil, false
}

// number reads a whole number of at most 15 digits, which is exact everywhere.
func (s *scanner) number(p *plan) bool {
	n, began := 0, s.at
	for ; s.at < len(s.data) && '0' <= s.data[s.at] && s.data[s.at] <= '9'; s.at++ {
		n = 10*n + int(s.data[s.at]-'0')
		if s.at-began >= 15 {
			return false
		}
	}
	digits := s.at - began
	if digits == 0 || digits > 1 && s.data[began] == '0' {
		return false
	}
	return p.measure(n) // a fraction or exponent is what must not follow here
}

func (s *scanner) object(p *plan) bool {
	s.at++
	var seen uint64
	for first := true; ; first = false {
		if s.skip('}') {
			break
		}
		if !first && !s.skip(',') || s.next() != '"' {
			return false
		}
		name, ok := s.text()
		if !ok || !s.skip(':') {
			return false
		}
		m, known := p.members[string(name)]
		if !known || seen&m.bit != 0 || !s.value(m.plan) {
			return false
		}
		seen |= m.bit
	}
	for _, c := range p.groups {
		given := seen & c.bits
		if given == 0 || c.exactly && given&(given-1) != 0 {
			return false
		}
	}
	return seen&p.required == p.required
}

// manyItems is how many items may have to be unique here.
const manyItems = 32

func (s *scanner) array(p *plan) bool {
	s.at++
	var items [][]byte
	n := 0
	for ; ; n++ {
		if s.skip(']') {
			break
		}
		if n > 0 && !s.skip(',') {
			return false
		}
		s.next()
		began := s.at
		if !s.value(p.items) {
			return false
		}
		if p.unique {
			item := s.data[began:s.at]
			if n >= manyItems || item[0] != '"' {
				return false
			}
			for _, other := range items {
				if bytes.Equal(item, other) {
					return false
				}
			}
			items = append(items, item)
		}
	}
	return p.measure(n)
}
