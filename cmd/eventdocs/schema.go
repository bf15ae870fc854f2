package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway/schemas"
)

// schema is a JSON Schema as far as the schemas of this module use the language;
// a keyword that is not here is an error, so that none is left out of the page.
type schema struct {
	Draft       string `json:"$schema"`
	ID          string `json:"$id"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Ref         string `json:"$ref"`

	Type       types     `json:"type"`
	Enum       []string  `json:"enum"`
	Properties members   `json:"properties"`
	Required   []string  `json:"required"`
	Items      *schema   `json:"items"`
	OneOf      []*schema `json:"oneOf"`
	AnyOf      []*schema `json:"anyOf"` // of members only
	Not        *schema   `json:"not"`   // of members only: none of them

	AdditionalProperties  *orFalse `json:"additionalProperties"`
	UnevaluatedProperties *orFalse `json:"unevaluatedProperties"`

	Pattern         string       `json:"pattern"`
	Format          string       `json:"format"`
	ContentEncoding string       `json:"contentEncoding"`
	MinLength       *json.Number `json:"minLength"`
	MaxLength       *json.Number `json:"maxLength"`
	Minimum         *json.Number `json:"minimum"`
	Maximum         *json.Number `json:"maximum"`
	MinItems        *json.Number `json:"minItems"`
	MaxItems        *json.Number `json:"maxItems"`
	UniqueItems     bool         `json:"uniqueItems"`

	Definitions members `json:"$defs"`

	file string // that it is in
}

// types is what the keyword type says: one type or several.
type types []string

func (t *types) UnmarshalJSON(text []byte) error {
	if text[0] == '[' {
		return json.Unmarshal(text, (*[]string)(t))
	}
	*t = types{""}
	return json.Unmarshal(text, &(*t)[0])
}

// orFalse is a schema, or false: nothing fits.
type orFalse struct{ *schema }

func (o *orFalse) UnmarshalJSON(text []byte) error {
	if string(text) == "false" {
		return nil
	}
	o.schema = &schema{}
	return decode(text, o.schema)
}

// members are schemas by name, in the order of the file.
type members []member

type member struct {
	name string
	*schema
}

func (m *members) UnmarshalJSON(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if _, err := decoder.Token(); err != nil {
		return err
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return err
		}
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return err
		}
		one := member{name: fmt.Sprint(name), schema: &schema{}}
		if err := decode(raw, one.schema); err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
		*m = append(*m, one)
	}
	return nil
}

func (m members) find(name string) *schema {
	for _, one := range m {
		if one.name == name {
			return one.schema
		}
	}
	return nil
}

func decode(text []byte, into *schema) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

// library is every schema, by file.
type library map[string]*schema

func readLibrary() (library, error) {
	all := library{}
	names, err := fs.Glob(schemas.Files, "*.json")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := schemas.Files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		s := &schema{}
		if err := decode(text, s); err != nil {
			return nil, fmt.Errorf("schema %s: %w", name, err)
		}
		s.mark(name)
		all[name] = s
	}
	return all, nil
}

// mark notes the file in a schema and in all that is in it.
func (s *schema) mark(file string) {
	if s == nil {
		return
	}
	s.file = file
	s.Items.mark(file)
	for _, list := range []members{s.Properties, s.Definitions} {
		for _, one := range list {
			one.mark(file)
		}
	}
	for _, one := range s.OneOf {
		one.mark(file)
	}
	if s.AdditionalProperties != nil {
		s.AdditionalProperties.mark(file)
	}
}

// resolve is what the $ref of s leads to, s itself if it has none.
func (l library) resolve(s *schema) (*schema, error) {
	for s.Ref != "" {
		file, name, inside := strings.Cut(s.Ref, "#/$defs/")
		if file == "" {
			file = s.file
		}
		target := l[file]
		if target != nil && inside {
			target = target.Definitions.find(name)
		}
		if target == nil {
			return nil, fmt.Errorf("%s: $ref %s leads nowhere", s.file, s.Ref)
		}
		s = target
	}
	return s, nil
}

// row is a line of a table of members.
type row struct {
	member, kind, required, description string
}

// stateFile holds what is described once, in a section of its own.
const stateFile = "state.v1.json"

// rows describe the members of s, those of members included. It stops at what
// has a section of its own.
func (l library) rows(prefix string, s *schema) ([]row, error) {
	s, err := l.resolve(s)
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, m := range s.Properties {
		more, err := l.member(prefix+m.name, m.schema, slices.Contains(s.Required, m.name))
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.schema != nil {
		more, err := l.member(prefix+"<name>", s.AdditionalProperties.schema, false)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// member describes one member and those in it.
func (l library) member(name string, s *schema, required bool) ([]row, error) {
	kind, err := l.kind(s)
	if err != nil {
		return nil, err
	}
	is, err := l.resolve(s)
	if err != nil {
		return nil, err
	}
	description := s.Description
	if description == "" && section(s) == "" {
		description = is.Description
	}
	if alternatives := oneRequired(is.OneOf, "and"); alternatives != "" && section(s) == "" {
		description = strings.TrimSpace(description + " Exactly one of " + alternatives + ".")
	}
	rows := []row{{member: name, kind: kind, description: description}}
	if required {
		rows[0].required = "yes"
	}
	if section(s) != "" {
		return rows, nil
	}
	if is.Items != nil {
		name, is = name+"[]", is.Items
	}
	more, err := l.rows(name+".", is)
	return append(rows, more...), err
}

// section is the name of the section that describes what s refers to, "" if
// there is none.
func section(s *schema) string {
	file, name, inside := strings.Cut(s.Ref, "#/$defs/")
	if inside && name != "checkStatus" && (file == stateFile || file == "" && s.file == stateFile) {
		return name
	}
	return ""
}

// oneRequired are the members of which branches want one each, joined by word;
// "" if they say anything else.
func oneRequired(branches []*schema, word string) string {
	var names []string
	for _, branch := range branches {
		if branch.Not != nil {
			continue
		}
		if len(branch.Required) != 1 || len(branch.Type) > 0 || branch.Ref != "" {
			return ""
		}
		names = append(names, "`"+branch.Required[0]+"`")
	}
	last := max(len(names)-1, 0)
	if last > 1 { // a, b and c
		return strings.Join(names[:last], ", ") + " " + word + " " + names[last]
	}
	return strings.Join(names, " "+word+" ")
}

// kind says what values fit s.
func (l library) kind(s *schema) (string, error) {
	if name := section(s); name != "" {
		return link(name), nil
	}
	s, err := l.resolve(s)
	if err != nil {
		return "", err
	}
	if len(s.OneOf) == 2 && slices.Equal(s.OneOf[0].Type, types{"null"}) {
		other, err := l.kind(s.OneOf[1])
		return other + " or null", err
	}
	switch {
	case len(s.Enum) == 1:
		return "`" + s.Enum[0] + "`", nil
	case len(s.Enum) > 1:
		return "one of `" + strings.Join(s.Enum, "`, `") + "`", nil
	}
	text := strings.Join(s.Type, " or ")
	switch {
	case s.Format == "date-time":
		text = "time as in RFC 3339"
	case s.ContentEncoding != "":
		text += " in " + s.ContentEncoding
	case s.Items != nil:
		items, err := l.kind(s.Items)
		if err != nil {
			return "", err
		}
		if strings.Contains(items, ", ") && len(s.Items.Enum) == 0 {
			items = "(" + items + ")"
		}
		text += " of " + items
	}
	if s.UniqueItems {
		text += ", no two equal"
	}
	if s.Pattern != "" {
		text += ", matches `" + s.Pattern + "`"
	}
	return text + bounds(s.MinLength, s.MaxLength, " characters") + bounds(s.Minimum, s.Maximum, "") + bounds(s.MinItems, s.MaxItems, " items"), nil
}

func bounds(least, most *json.Number, unit string) string {
	switch {
	case least != nil && most != nil:
		return fmt.Sprintf(", %s to %s%s", least, most, unit)
	case least != nil:
		return fmt.Sprintf(", %s or more%s", least, unit)
	case most != nil:
		return fmt.Sprintf(", at most %s%s", most, unit)
	}
	return ""
}

func link(name string) string { return "[" + name + "](#" + strings.ToLower(name) + ")" }
