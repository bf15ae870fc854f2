package schemas

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// What data may be at most. The schemas ask for far less; beyond, it costs too
// much to find out what is wrong.
const (
	maxDepth    = 1000 // of objects and arrays in one another
	maxDigits   = 400  // of a number as it is written
	maxExponent = 400  // of a number; a float64 holds 308
)

// read parses data and finds what a schema cannot say: members that are given
// twice, of which one reader takes the first and another the last, and numbers
// that nobody can compute with.
func read(data []byte) (value any, found []Finding, err error) {
	r := reader{decoder: json.NewDecoder(bytes.NewReader(data))}
	r.decoder.UseNumber()
	if value, err = r.value(); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, nil, err
	}
	if _, err := r.decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("something follows the value")
	}
	return value, r.found, nil
}

type reader struct {
	decoder *json.Decoder
	at      []string // where the value is that is being read: member names, and indexes as "[2]"
	found   []Finding
}

func (r *reader) value() (any, error) {
	token, err := r.decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		if len(r.at) >= maxDepth {
			return nil, fmt.Errorf("objects and arrays are nested more than %d deep", maxDepth)
		}
		if token == '{' {
			return r.object()
		}
		return r.array()
	case json.Number:
		if tooLarge(token.String()) {
			r.add("number", "%s: expected a number of at most %d digits and an exponent of at most %d", orData(r.path()), maxDigits, maxExponent)
		}
	}
	return token, nil
}

func (r *reader) object() (any, error) {
	object := make(map[string]any)
	for r.decoder.More() {
		token, err := r.decoder.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string) // the decoder lets nothing else be a name
		r.at = append(r.at, name)
		if _, twice := object[name]; twice {
			r.add("unique", "%s is given twice", orData(r.path()))
		}
		if object[name], err = r.value(); err != nil {
			return nil, err
		}
		r.at = r.at[:len(r.at)-1]
	}
	_, err := r.decoder.Token()
	return object, err
}

func (r *reader) array() (any, error) {
	array := []any{}
	for r.decoder.More() {
		r.at = append(r.at, "["+strconv.Itoa(len(array))+"]")
		item, err := r.value()
		if err != nil {
			return nil, err
		}
		array = append(array, item)
		r.at = r.at[:len(r.at)-1]
	}
	_, err := r.decoder.Token()
	return array, err
}

func (r *reader) add(keyword, format string, args ...any) {
	r.found = append(r.found, Finding{Path: r.path(), Keyword: keyword, Message: fmt.Sprintf(format, args...)})
}

func (r *reader) path() string {
	var text strings.Builder
	for _, step := range r.at {
		if text.Len() > 0 && !strings.HasPrefix(step, "[") {
			text.WriteByte('.')
		}
		text.WriteString(step)
	}
	return text.String()
}

// tooLarge reports whether number would take long to compute with.
func tooLarge(number string) bool {
	if len(number) > maxDigits {
		return true
	}
	i := strings.IndexAny(number, "eE")
	if i < 0 {
		return false
	}
	exponent, err := strconv.Atoi(number[i+1:])
	return err != nil || exponent > maxExponent || exponent < -maxExponent
}
