package predict

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// document is a JSON text that is read in place. encoding/json would build and
// check every number of a request twice; this walks over it once to find the
// members, and once more over those that are used.
type document []byte

// span is the place of one value in a document. No value begins at 0 but the
// whole document.
type span struct{ from, to int }

// set makes s the place of a member, which may stand only once.
func (s *span) set(value span) error {
	if s.from > 0 {
		return fmt.Errorf("member at byte %d stands twice", value.from)
	}
	*s = value
	return nil
}

// peek is the byte at i, 0 at the end.
func (d document) peek(i int) byte {
	if i < len(d) {
		return d[i]
	}
	return 0
}

// space is the first place from i on that is not white space.
func (d document) space(i int) int {
	for i < len(d) && (d[i] == ' ' || d[i] == '\n' || d[i] == '\r' || d[i] == '\t') {
		i++
	}
	return i
}

// token is the end of the number or literal at i.
func (d document) token(i int) int {
	for i < len(d) {
		switch d[i] {
		case ' ', '\n', '\r', '\t', ',', ']', '}', ':', '[', '{', '"':
			return i
		}
		i++
	}
	return i
}

// object calls member for every member of the object at i and returns its end.
// Values are not checked further than to find their end.
func (d document) object(i int, member func(name []byte, value span) error) (end int, err error) {
	if d.peek(i) != '{' {
		return 0, fmt.Errorf("expected an object, got %s", d.show(i))
	}
	i = d.space(i + 1)
	if d.peek(i) == '}' {
		return i + 1, nil
	}
	for {
		if d.peek(i) != '"' {
			return 0, fmt.Errorf("expected the name of a member, got %s", d.show(i))
		}
		end, err := d.skip(i)
		if err != nil {
			return 0, err
		}
		name := d[i+1 : end-1]
		if err := d.plain(&name, span{i, end}); err != nil {
			return 0, err
		}
		if i = d.space(end); d.peek(i) != ':' {
			return 0, fmt.Errorf("expected : after the name of a member, got %s", d.show(i))
		}
		i = d.space(i + 1)
		if end, err = d.skip(i); err != nil {
			return 0, err
		}
		if err := member(name, span{i, end}); err != nil {
			return 0, err
		}
		i = d.space(end)
		switch d.peek(i) {
		case ',':
			i = d.space(i + 1)
		case '}':
			return i + 1, nil
		default:
			return 0, fmt.Errorf("expected , or } after a member, got %s", d.show(i))
		}
	}
}

// plain resolves the escapes of a name, if it has any.
func (d document) plain(name *document, at span) error {
	for _, c := range *name {
		if c == '\\' || c < ' ' {
			text, err := d.text("name of a member", at)
			*name = document(text)
			return err
		}
	}
	return nil
}

// array calls element for every element of the array at i.
func (d document) array(i int, element func(value span) error) error {
	return d.elements(i, func(_, from int) (int, error) {
		to, err := d.skip(from)
		if err == nil {
			err = element(span{from, to})
		}
		return to, err
	})
}

// elements calls element with the number and the place of every element of the
// array at i; element returns where that ends.
func (d document) elements(i int, element func(n, from int) (end int, err error)) error {
	if d.peek(i) != '[' {
		return fmt.Errorf("expected an array, got %s", d.show(i))
	}
	i = d.space(i + 1)
	if d.peek(i) == ']' {
		return nil
	}
	for n := 0; ; n++ {
		end, err := element(n, i)
		if err != nil {
			return err
		}
		i = d.space(end)
		switch d.peek(i) {
		case ',':
			i = d.space(i + 1)
		case ']':
			return nil
		default:
			return fmt.Errorf("expected , or ] after an element, got %s", d.show(i))
		}
	}
}

// skip is the end of the value at i. Inside of arrays and objects only brackets
// and strings are looked at.
func (d document) skip(i int) (end int, err error) {
	switch d.peek(i) {
	case '"':
		return d.skipString(i)
	case '[', '{':
		for depth := 0; i < len(d); {
			switch d[i] {
			case '"':
				if i, err = d.skipString(i); err != nil {
					return 0, err
				}
				continue
			case '[', '{':
				depth++
			case ']', '}':
				depth--
			}
			if i++; depth == 0 {
				return i, nil
			}
		}
		return 0, fmt.Errorf("ends within a value")
	default:
		if end = d.token(i); end == i {
			return 0, fmt.Errorf("expected a value, got %s", d.show(i))
		}
		return end, nil
	}
}

// skipString is the end of the string at i.
func (d document) skipString(i int) (end int, err error) {
	for i++; i < len(d); i++ {
		switch d[i] {
		case '\\':
			i++
		case '"':
			return i + 1, nil
		}
	}
	return 0, fmt.Errorf("ends within a string")
}

// isNull reports whether the value is null.
func (d document) isNull(at span) bool { return string(d[at.from:at.to]) == "null" }

// check reports what is wrong with a value that is otherwise ignored.
func (d document) check(at span) error {
	if !json.Valid(d[at.from:at.to]) {
		return fmt.Errorf("%s is not JSON", d.show(at.from))
	}
	return nil
}

// show quotes what is at i, for messages.
func (d document) show(i int) string {
	if i >= len(d) {
		return "the end"
	}
	const most = 20
	text := d[i:min(i+most, len(d))]
	switch text[0] {
	case '[', '{':
	case '"':
		if to, err := text.skipString(0); err == nil {
			text = text[:to]
		}
	default:
		text = text[:text.token(1)]
	}
	return strconv.Quote(string(text)) + " at byte " + strconv.Itoa(i)
}
