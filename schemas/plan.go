package schemas

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// plan is a schema that says yes fast: it reads data once and keeps nothing of
// it. What it accepts, the schema accepts, and read finds nothing in it; what it does
// not accept is left to them, also because it is written in an unusual way
// (FuzzPlan holds it against them).
type plan struct {
	text, number, boolean, null bool // types of values that are accepted as such

	enum     map[string]bool // nil: any text
	pattern  *regexp.Regexp
	min, max int // runes of a text, items of an array and value of a number
	limits   string

	object   bool
	members  map[string]member
	required uint64   // bits of members
	groups   []choice // of members

	items  *plan // nil: no array
	unique bool
}

type member struct {
	bit  uint64
	plan *plan
}

// choice is members of which at least one is wanted, or exactly one.
type choice struct {
	bits    uint64
	exactly bool
}

// planner makes plans of schemas, of which it knows as much as commands need.
type planner struct {
	documents map[string]any // by file
	file      string
}

const (
	planDepth = 16 // of schemas in one another
	noLimit   = 1 << 53
)

// plan is nil when the schema says something that plans do not know.
func (p planner) plan(node any, depth int) *plan {
	schema, ok := node.(map[string]any)
	if !ok || depth > planDepth {
		return nil
	}
	made := &plan{max: noLimit}
	if ref, ok := schema["$ref"].(string); ok {
		if made = p.referred(ref, depth); made == nil {
			return nil
		}
	}
	for keyword, value := range schema {
		switch keyword {
		case "$schema", "$id", "$defs", "$ref", "title", "description":
		default:
			if schema["$ref"] != nil || !p.keyword(made, schema, keyword, value, depth) {
				return nil
			}
		}
	}
	return made
}

// referred is the plan of another schema: file#/a/b, or #/a/b in the same file.
func (p planner) referred(ref string, depth int) *plan {
	file, pointer, _ := strings.Cut(ref, "#")
	if file != "" {
		p.file = file
	}
	node := p.documents[p.file]
	for _, step := range strings.Split(pointer, "/")[1:] {
		members, _ := node.(map[string]any)
		node = members[step]
	}
	return p.plan(node, depth+1)
}

// keyword adds what one keyword says, and reports whether it could.
func (p planner) keyword(made *plan, schema map[string]any, keyword string, value any, depth int) (known bool) {
	switch keyword {
	case "type":
		return made.types(value)
	case "enum":
		made.enum, made.text = make(map[string]bool), true
		values, _ := value.([]any)
		for _, v := range values {
			text, isText := v.(string)
			if made.enum[text] = true; !isText {
				return false
			}
		}
		return schema["type"] == nil
	case "pattern":
		text, _ := value.(string)
		var err error
		made.pattern, err = regexp.Compile(text)
		return err == nil && schema["type"] == "string"
	case "minLength", "minItems", "minimum":
		return made.limit("min", keyword, value, &made.min)
	case "maxLength", "maxItems", "maximum":
		return made.limit("max", keyword, value, &made.max)
	case "items":
		made.items = p.plan(value, depth+1)
		return made.items != nil && schema["type"] == "array"
	case "uniqueItems":
		made.unique = value == true
		return true
	case "properties":
		return p.properties(made, value, depth)
	case "additionalProperties": // what is not known is left to the schema anyway
		return value == false
	case "required":
		return p.required(schema, value, &made.required)
	case "oneOf", "anyOf":
		var bits uint64
		branches, _ := value.([]any)
		for _, name := range onlyRequired(branches) {
			var bit uint64
			if !p.required(schema, []any{name}, &bit) {
				return false
			}
			bits |= bit
		}
		made.groups = append(made.groups, choice{bits, keyword == "oneOf"})
		return bits != 0
	}
	return false
}

func (made *plan) types(value any) bool {
	names, isList := value.([]any)
	if !isList {
		names = []any{value}
	}
	for _, name := range names {
		switch name {
		case "string":
			made.text = true
		case "integer":
			made.number = true
		case "boolean":
			made.boolean = true
		case "null":
			made.null = true
		case "object":
			made.object = true
		case "array":
		default:
			return false
		}
	}
	return true
}

// names are the names of properties, in order: their bits.
func names(schema map[string]any) []string {
	properties, _ := schema["properties"].(map[string]any)
	sorted := make([]string, 0, len(properties))
	for name := range properties {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	return sorted
}

func (p planner) properties(made *plan, value any, depth int) bool {
	properties, _ := value.(map[string]any)
	made.members = make(map[string]member, len(properties))
	for i, name := range names(map[string]any{"properties": value}) {
		of := p.plan(properties[name], depth+1)
		if of == nil {
			of = &plan{} // accepts nothing
		}
		if i >= 64 {
			return false
		}
		made.members[name] = member{1 << i, of}
	}
	return true
}

func (p planner) required(schema map[string]any, value any, bits *uint64) bool {
	wanted, _ := value.([]any)
	for _, name := range wanted {
		text, _ := name.(string)
		i := slices.Index(names(schema), text)
		if i < 0 {
			return false
		}
		*bits |= 1 << i
	}
	return true
}

// limit reads a limit: a whole number. It is held against whatever value there is,
// which is stricter than the schema, so that there can be one kind of limits only.
func (made *plan) limit(side, keyword string, value any, n *int) bool {
	kind := strings.TrimPrefix(keyword, side)
	if made.limits != "" && made.limits != kind {
		return false
	}
	made.limits = kind
	number, ok := value.(interface{ Int64() (int64, error) }) // json.Number
	if !ok {
		return false
	}
	v, err := number.Int64()
	*n = int(v)
	return err == nil && v >= 0 && v <= noLimit
}

// accepts reports whether data is certainly as the schema wants it.
func (made *plan) accepts(data []byte) bool {
	s := scanner{data: data}
	return s.value(made) && s.next() == 0 && s.at == len(s.data)
}

// measure reports whether n is within the limits.
func (made *plan) measure(n int) bool { return made.min <= n && n <= made.max }

// takes reports whether a text is one that is wanted.
func (made *plan) takes(text []byte) bool {
	return made.text && (made.enum == nil || made.enum[string(text)]) && made.measure(utf8.RuneCount(text)) &&
		(made.pattern == nil || made.pattern.Match(text))
}
