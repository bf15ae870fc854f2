package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Metadata is what metadata.json says of a model (deeploy.md section 6).
type Metadata struct {
	Features          []Feature       `json:"features,omitempty"` // in the order of the values in a row
	ProblemType       ProblemType     `json:"problemType,omitempty"`
	PredictionClasses Classes         `json:"predictionClasses,omitempty"`
	ExampleInput      json.RawMessage `json:"exampleInput,omitempty"`
	ExampleOutput     json.RawMessage `json:"exampleOutput,omitempty"`
}

// Feature is one input of the model.
type Feature struct {
	Name         string          `json:"name"`
	ObservedMin  json.Number     `json:"observedMin,omitempty"`
	ObservedMax  json.Number     `json:"observedMax,omitempty"`
	Distribution json.RawMessage `json:"distribution,omitempty"` // kept as it is
}

// ProblemType is what the model is for.
type ProblemType string

// The problem types.
const (
	Classification ProblemType = "classification"
	Regression     ProblemType = "regression"
)

// Classes are names for what a classifier answers, in the order of the file.
type Classes []Class

// Class is one name and the value it stands for: true, false, a number or a
// string.
type Class struct {
	Name  string
	Value json.RawMessage
}

// MarshalJSON writes {"credit worthy":true}.
func (c Classes) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	for i, class := range c {
		b.WriteByte("{,"[min(i, 1)])
		b.Write(value{kind: text, text: class.Name}.raw())
		b.WriteByte(':')
		b.Write(class.Value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (c *Classes) UnmarshalJSON(data []byte) error {
	v, err := parse(data)
	if err != nil || v.kind == null {
		return err
	}
	var f findings
	*c = decodeClasses(v, "predictionClasses", &f)
	if len(f) > 0 {
		return fmt.Errorf("%s: %s", f[0].Path, f[0].Message)
	}
	return nil
}

// Bytes are the metadata as metadata.json has them.
func (m Metadata) Bytes() []byte { return encode(m) }

// empty reports whether nothing is said.
func (m Metadata) empty() bool { return bytes.Equal(m.Bytes(), []byte("{}\n")) }

// number is a number member as it was written, "" when it is not there.
func (m *members) number(name string) json.Number {
	v, at, ok := m.take(name)
	if !ok {
		return ""
	}
	if v.kind != number {
		m.found.add(m.code, at, "expected a number, got %v", v.kind)
		return ""
	}
	return json.Number(v.text)
}

func checkName(name, at string, seen map[string]bool, f *findings) {
	switch {
	case strings.TrimSpace(name) == "":
		if !f.has(at) {
			f.add(CodeMetadataInvalid, at, "expected the name of the feature")
		}
	case seen[name]:
		f.add(CodeMetadataInvalid, at, "feature %s is named twice", quote(name))
	}
	seen[name] = true
}

// checkExample compares the rows of an example with the features: one value for
// each. It looks only at rows that are arrays, as in {"instances":[[39,1]]};
// what a model takes otherwise is its own affair.
func checkExample(v value, at string, features int, f *findings) {
	if v.kind != object && v.kind != array {
		f.add(CodeMetadataInvalid, at, `expected the body of a prediction request such as {"instances":[[39]]}, got %v`, v.kind)
		return
	}
	if v.kind == object {
		i := indexOf(v.members, "instances")
		if i < 0 {
			return
		}
		at, v = at+".instances", v.members[i].value
		if v.kind != array {
			f.add(CodeMetadataInvalid, at, "expected an array of rows, got %v", v.kind)
			return
		}
	}
	for i, row := range v.items {
		if row.kind != array || features == 0 || len(row.items) == features || nested(row) {
			continue
		}
		f.add(CodeMetadataInvalid, index(at, i), "has %d values: expected one for each of the %d features", len(row.items), features)
	}
}

// nested reports whether a row is a tensor of more than one dimension.
func nested(row value) bool {
	for _, v := range row.items {
		if v.kind == array || v.kind == object {
			return true
		}
	}
	return false
}

func indexOf(members []member, name string) int {
	for i, m := range members {
		if m.name == name {
			return i
		}
	}
	return -1
}

func index(at string, i int) string { return at + "[" + strconv.Itoa(i) + "]" }
