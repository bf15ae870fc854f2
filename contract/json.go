package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// maxNesting is how deep objects and arrays may be in one another.
const maxNesting = 64

// value is JSON as it was written: members keep their order and numbers their
// digits.
type value struct {
	kind    kind
	text    string // of a string, unquoted; of a number, as it was written
	items   []value
	members []member
}

type member struct {
	name string
	value
}

type kind int

const (
	null kind = iota
	boolean
	number
	text
	array
	object
)

func (k kind) String() string {
	return [...]string{"null", "true or false", "a number", "a string", "an array", "an object"}[k]
}

// parse reads one JSON value, and nothing after it.
func parse(data []byte) (value, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // some editors begin UTF-8 with it
	if !utf8.Valid(data) {
		return value{}, errors.New("not UTF-8")
	}
	p := parser{decoder: json.NewDecoder(bytes.NewReader(data))}
	p.decoder.UseNumber()
	v, err := p.value(0)
	if err == nil {
		if _, after := p.decoder.Token(); !errors.Is(after, io.EOF) {
			err = errors.New("something follows the value")
		}
	}
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		line := 1 + bytes.Count(data[:min(p.decoder.InputOffset(), int64(len(data)))], []byte("\n"))
		return value{}, fmt.Errorf("line %d: %w", line, err)
	}
	return v, nil
}

type parser struct{ decoder *json.Decoder }

func (p parser) value(depth int) (value, error) {
	token, err := p.decoder.Token()
	if err != nil {
		return value{}, err
	}
	if depth > maxNesting {
		return value{}, fmt.Errorf("objects and arrays are nested more than %d deep", maxNesting)
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '{' {
			return p.object(depth)
		}
		return p.array(depth)
	case string:
		return value{kind: text, text: token}, nil
	case json.Number:
		return value{kind: number, text: token.String()}, nil
	case bool:
		return value{kind: boolean, text: fmt.Sprint(token)}, nil
	default:
		return value{kind: null}, nil
	}
}

func (p parser) object(depth int) (value, error) {
	v := value{kind: object}
	seen := map[string]bool{}
	for p.decoder.More() {
		token, err := p.decoder.Token()
		if err != nil {
			return value{}, err
		}
		name, _ := token.(string) // the decoder lets nothing else be a name
		if seen[name] {
			return value{}, fmt.Errorf("member %s is given twice", quote(name))
		}
		seen[name] = true
		child, err := p.value(depth + 1)
		if err != nil {
			return value{}, err
		}
		v.members = append(v.members, member{name, child})
	}
	_, err := p.decoder.Token()
	return v, err
}

func (p parser) array(depth int) (value, error) {
	v := value{kind: array}
	for p.decoder.More() {
		item, err := p.value(depth + 1)
		if err != nil {
			return value{}, err
		}
		v.items = append(v.items, item)
	}
	_, err := p.decoder.Token()
	return v, err
}

// raw writes the value again: one line, members in their order.
func (v value) raw() json.RawMessage { return v.append(nil) }

func (v value) append(b []byte) []byte {
	switch v.kind {
	case null:
		return append(b, "null"...)
	case boolean, number:
		return append(b, v.text...)
	case text:
		return append(b, bytes.TrimSuffix(encode(v.text), []byte("\n"))...)
	case array:
		b = append(b, '[')
		for i, item := range v.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.append(b)
		}
		return append(b, ']')
	default:
		b = append(b, '{')
		for i, m := range v.members {
			if i > 0 {
				b = append(b, ',')
			}
			b = value{kind: text, text: m.name}.append(b)
			b = m.append(append(b, ':'))
		}
		return append(b, '}')
	}
}

// empty reports whether the value holds nothing: older clients wrote such
// values, of whatever type, for members that were not set.
func (v value) empty() bool {
	switch v.kind {
	case null:
		return true
	case text:
		return v.text == ""
	case array, object:
		return len(v.items) == 0 && len(v.members) == 0
	default:
		return false
	}
}

// quote is text for a message: quoted, and not too long for one.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return fmt.Sprintf("%q", s)
}
