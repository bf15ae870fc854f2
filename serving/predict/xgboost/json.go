package xgboost

import "bytes"

// jsonTokens reads JSON as XGBoost writes it. encoding/json will not do: files of
// versions before 3.2 hold a bare NaN at every categorical split (rule 6), and
// Infinity is possible, too.
type jsonTokens struct {
	b     []byte
	pos   int
	open  []kind // object or array, outermost first
	state jsonState
}

type jsonState uint8

const (
	wantValue jsonState = iota
	wantValueOrEnd
	wantKey
	wantKeyOrEnd
	wantCommaOrEnd
)

func (t *jsonTokens) next() (token, error) {
	for {
		c, err := t.peek()
		if err != nil {
			return token{}, err
		}
		switch {
		case t.state == wantCommaOrEnd && c == ',':
			t.pos++
			t.state = wantValue
			if t.inObject() {
				t.state = wantKey
			}
		case c == '}' && t.inObject() && (t.state == wantCommaOrEnd || t.state == wantKeyOrEnd),
			c == ']' && t.inArray() && (t.state == wantCommaOrEnd || t.state == wantValueOrEnd):
			t.pos++
			t.open = t.open[:len(t.open)-1]
			t.state = wantCommaOrEnd
			return token{kind: end}, nil
		case c == '"' && (t.state == wantKey || t.state == wantKeyOrEnd):
			return t.key()
		case t.state == wantValue || t.state == wantValueOrEnd:
			return t.value(c)
		default:
			return token{}, t.unexpected(c)
		}
	}
}

func (t *jsonTokens) key() (token, error) {
	key, err := t.string()
	if err != nil {
		return token{}, err
	}
	c, err := t.peek()
	if err != nil {
		return token{}, err
	}
	if c != ':' {
		return token{}, t.unexpected(c)
	}
	t.pos++
	t.state = wantValue
	return key, nil
}

func (t *jsonTokens) value(c byte) (token, error) {
	switch c {
	case '{':
		return t.enter(object, wantKeyOrEnd)
	case '[':
		return t.enter(array, wantValueOrEnd)
	}
	t.state = wantCommaOrEnd
	switch {
	case c == '"':
		return t.string()
	case c >= '0' && c <= '9', c == '-' && !t.at("-Infinity"):
		start := t.pos
		for t.pos < len(t.b) && numberByte(t.b[t.pos]) {
			t.pos++
		}
		return token{kind: number, bytes: t.b[start:t.pos]}, nil
	case t.at("true"):
		return t.literal(token{kind: boolean, elem: 1}, "true")
	case t.at("false"):
		return t.literal(token{kind: boolean}, "false")
	case t.at("null"):
		return t.literal(token{kind: null}, "null")
	}
	for _, word := range [...]string{"NaN", "Infinity", "-Infinity"} {
		if t.at(word) {
			return t.literal(token{kind: number}, word)
		}
	}
	return token{}, t.unexpected(c)
}

func (t *jsonTokens) enter(k kind, state jsonState) (token, error) {
	if len(t.open) == maxDepth {
		return token{}, wrong("nested more than %d deep at byte %d", maxDepth, t.pos)
	}
	t.pos++
	t.open = append(t.open, k)
	t.state = state
	return token{kind: k}, nil
}

// string reads from the opening to the closing quote.
func (t *jsonTokens) string() (token, error) {
	start := t.pos + 1
	escaped := false
	for i := start; i < len(t.b); i++ {
		switch t.b[i] {
		case '"':
			t.pos = i + 1
			return token{kind: text, bytes: t.b[start:i], escaped: escaped}, nil
		case '\\':
			escaped = true
			i++ // whatever is escaped, it does not end the string
		}
	}
	return token{}, wrong("the file ends inside a string that begins at byte %d: it was cut off", start-1)
}

func (t *jsonTokens) literal(tok token, word string) (token, error) {
	tok.bytes = t.b[t.pos : t.pos+len(word)]
	t.pos += len(word)
	return tok, nil
}

// peek is the next byte that is not white space.
func (t *jsonTokens) peek() (byte, error) {
	for ; t.pos < len(t.b); t.pos++ {
		switch c := t.b[t.pos]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c, nil
		}
	}
	return 0, wrong("the file ends after %d bytes in the middle of the model: it was cut off", len(t.b))
}

func (t *jsonTokens) rest() int { return len(bytes.TrimLeft(t.b[t.pos:], " \t\r\n")) }

func (t *jsonTokens) at(word string) bool { return bytes.HasPrefix(t.b[t.pos:], []byte(word)) }

func (t *jsonTokens) inObject() bool { return len(t.open) > 0 && t.open[len(t.open)-1] == object }

func (t *jsonTokens) inArray() bool { return len(t.open) > 0 && t.open[len(t.open)-1] == array }

func (t *jsonTokens) unexpected(c byte) error {
	expected := [...]string{"a value", "a value or ]", "a key in quotes", "a key in quotes or }", "a comma or the end of the list"}[t.state]
	return wrong("expected %s at byte %d, found %q: not JSON", expected, t.pos, c)
}

func numberByte(c byte) bool {
	return c >= '0' && c <= '9' || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E'
}
