package predict

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// envelope is what a request has around its tensors.
type envelope struct {
	id                          string
	hasID                       bool
	parameters, inputs, outputs span // from 0: not there
}

func (e *envelope) read(d document) error {
	end, err := d.object(d.space(0), func(name []byte, value span) (err error) {
		switch string(name) {
		case "id":
			if !d.isNull(value) {
				e.hasID = true
				e.id, err = d.text("id", value)
			}
		case "parameters":
			if err = d.parameters("parameters", value); err == nil {
				err = e.parameters.set(value)
			}
		case "inputs":
			err = e.inputs.set(value)
		case "outputs":
			err = e.outputs.set(value)
		default:
			err = d.check(value)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	return d.ends(end)
}

// ends checks that nothing follows the value of the whole document.
func (d document) ends(end int) error {
	if end = d.space(end); end < len(d) {
		return fmt.Errorf("request: more after the end of the object: %s", d.show(end))
	}
	return nil
}

// outputNames calls each for the name of every output that is asked for.
func (d document) outputNames(at span, each func(name string) error) error {
	err := d.array(at.from, func(value span) error {
		var name string
		_, err := d.object(value.from, func(member []byte, value span) (err error) {
			switch string(member) {
			case "name":
				name, err = d.text("name", value)
			case "parameters":
				err = d.parameters("parameters", value)
			default:
				err = d.check(value)
			}
			return err
		})
		if err == nil {
			err = each(name)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("outputs: %w", err)
	}
	return nil
}

// tensorSpans are the members of one input.
type tensorSpans struct {
	name              string
	shape, kind, data span
}

func (t *tensorSpans) read(d document, at span) error {
	if _, err := d.object(at.from, func(name []byte, value span) (err error) {
		switch string(name) {
		case "name":
			t.name, err = d.text("name", value)
		case "shape":
			err = t.shape.set(value)
		case "datatype":
			err = t.kind.set(value)
		case "parameters":
			err = d.parameters("parameters", value)
		case "data":
			err = t.data.set(value)
		default:
			err = d.check(value)
		}
		return err
	}); err != nil {
		return err
	}
	switch {
	case t.name == "":
		return fmt.Errorf("name: missing")
	case t.shape.from == 0:
		return fmt.Errorf("%s: shape: missing", t.name)
	case t.kind.from == 0:
		return fmt.Errorf("%s: datatype: missing", t.name)
	case t.data.from == 0:
		return fmt.Errorf("%s: data: missing", t.name)
	}
	return nil
}

// text reads the string at a span.
func (d document) text(name string, at span) (text string, err error) {
	if d[at.from] != '"' {
		return "", fmt.Errorf("%s: expected a string, got %s", name, d.show(at.from))
	}
	if err := json.Unmarshal(d[at.from:at.to], &text); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return text, nil
}

// parameters checks that there is an object of text, numbers and truths at a span,
// as the protocol has it; what they mean is for its extensions.
func (d document) parameters(name string, at span) error {
	if d.isNull(at) {
		return nil
	}
	if d[at.from] != '{' {
		return fmt.Errorf("%s: expected an object, got %s", name, d.show(at.from))
	}
	if err := d.check(at); err != nil {
		return err
	}
	if !utf8.Valid(d[at.from:at.to]) {
		return fmt.Errorf("%s: is not UTF-8", name)
	}
	_, err := d.object(at.from, func(member []byte, value span) error {
		if c := d[value.from]; c == '{' || c == '[' {
			return fmt.Errorf("%s: %s: expected text, a number, true or false, got %s", name, member, d.show(value.from))
		}
		return nil
	})
	return err
}
