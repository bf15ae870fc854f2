package schemas

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// Finding is one thing that is wrong with data.
type Finding struct {
	Path    string // of the member: "model.features[2].name"; "" is data itself
	Keyword string // of JSON Schema that is not met: required, additionalProperties, enum, ...
	Message string // names the member and says what was expected
}

// findings turns the tree of a validation error into one finding for each leaf.
func (s *Set) findings(err error, value any) []Finding {
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		if err == nil {
			return nil
		}
		return []Finding{{Keyword: "schema", Message: err.Error()}}
	}
	c := collector{oneOf: s.oneOf, anyOf: s.anyOf, value: value, printer: message.NewPrinter(language.English)}
	c.collect(invalid)
	slices.SortStableFunc(c.found, func(a, b Finding) int { return strings.Compare(a.Path, b.Path) })
	return slices.Compact(c.found)
}

type collector struct {
	oneOf   map[string][]string
	anyOf   map[string][]string
	value   any
	printer *message.Printer
	found   []Finding
}

func (c *collector) add(path, keyword, text string) {
	c.found = append(c.found, Finding{Path: path, Keyword: keyword, Message: text})
}

func (c *collector) missing(path string) { c.add(path, "required", path+" is required") }

func (c *collector) collect(e *jsonschema.ValidationError) {
	at := path(e.InstanceLocation, c.value)
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, missing := range k.Missing {
			c.missing(join(at, missing))
		}
	case *kind.AdditionalProperties:
		for _, unknown := range k.Properties {
			c.add(join(at, unknown), "additionalProperties", fmt.Sprintf("%s is not a known member", join(at, unknown)))
		}
	case *kind.OneOf:
		if names := c.oneOf[e.SchemaURL]; names != nil {
			keyword := "oneOf"
			if len(k.Subschemas) == 0 { // none of them is there: the first is what is usually given
				keyword = "required"
				c.missing(join(at, names[0]))
			}
			c.add(at, keyword, fmt.Sprintf("expected exactly one of %s", strings.Join(prefixed(at, names), ", ")))
			return
		}
		c.collectAll(e.Causes)
	case *kind.AnyOf:
		if names := c.anyOf[e.SchemaURL]; names != nil {
			c.add(at, "anyOf", fmt.Sprintf("expected at least one of %s", strings.Join(prefixed(at, names), ", ")))
			return
		}
		c.collectAll(e.Causes)
	case *kind.Enum:
		c.add(at, "enum", fmt.Sprintf("%s: expected one of %s, got %s", orData(at), list(k.Want), quote(k.Got)))
	case *kind.Pattern:
		got := fmt.Sprintf(", got %q", k.Got)
		if strings.HasSuffix(at, "url") || strings.HasSuffix(at, "credentialsId") { // one may hold a password, or be taken for one
			got = ""
		}
		c.add(at, "pattern", fmt.Sprintf("%s: expected a string that matches %s%s", orData(at), k.Want, got))
	case *kind.Minimum:
		c.add(at, "minimum", fmt.Sprintf("%s: expected %s or more, got %s", orData(at), k.Want.RatString(), k.Got.RatString()))
	case *kind.Maximum:
		c.add(at, "maximum", fmt.Sprintf("%s: expected %s or less, got %s", orData(at), k.Want.RatString(), k.Got.RatString()))
	case *kind.FalseSchema: // what unevaluatedProperties comes to
		c.add(at, "unevaluatedProperties", fmt.Sprintf("%s is not a known member", at))
	default:
		if len(e.Causes) > 0 {
			c.collectAll(e.Causes)
			return
		}
		keyword := strings.Join(e.ErrorKind.KeywordPath(), "/")
		c.add(at, keyword, fmt.Sprintf("%s: %s", orData(at), e.ErrorKind.LocalizedString(c.printer)))
	}
}

func (c *collector) collectAll(causes []*jsonschema.ValidationError) {
	for _, cause := range causes {
		c.collect(cause)
	}
}

// alternatives finds, in a schema document, the members of which a oneOf wants
// exactly one, or an anyOf at least one: those whose branches say nothing but
// that a member is required, or, in one of them, that none of them is there.
func alternatives(location, keyword string, node any, found map[string][]string) {
	switch node := node.(type) {
	case map[string]any:
		if branches, ok := node[keyword].([]any); ok {
			if names := onlyRequired(branches); names != nil {
				found[location] = names
			}
		}
		for key, child := range node {
			alternatives(location+"/"+key, keyword, child, found)
		}
	case []any:
		for i, child := range node {
			alternatives(fmt.Sprintf("%s/%d", location, i), keyword, child, found)
		}
	}
}

// orNone stands in a list of members for the branch that wants none of them.
const orNone = "or none"

func onlyRequired(branches []any) (names []string) {
	for _, branch := range branches {
		members, _ := branch.(map[string]any)
		if _, not := members["not"]; not && len(members) == 1 {
			names = append(names, orNone)
			continue
		}
		required, _ := members["required"].([]any)
		if len(members) != 1 || len(required) != 1 {
			return nil
		}
		names = append(names, fmt.Sprint(required[0]))
	}
	return names
}

// path writes a location as people do: model.features[2].name.
func path(tokens []string, value any) string {
	var text strings.Builder
	for _, token := range tokens {
		if items, isArray := value.([]any); isArray {
			text.WriteString("[" + token + "]")
			var index int
			if _, err := fmt.Sscanf(token, "%d", &index); err == nil && index < len(items) {
				value = items[index]
			}
			continue
		}
		if text.Len() > 0 {
			text.WriteByte('.')
		}
		text.WriteString(token)
		if members, isObject := value.(map[string]any); isObject {
			value = members[token]
		}
	}
	return text.String()
}

func join(at, member string) string {
	if at == "" {
		return member
	}
	return at + "." + member
}

func prefixed(at string, names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		if out[i] = name; name != orNone {
			out[i] = join(at, name)
		}
	}
	return out
}

func orData(at string) string {
	if at == "" {
		return "data"
	}
	return at
}

func list(values []any) string {
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = fmt.Sprint(v)
	}
	return strings.Join(parts, ", ")
}

func quote(value any) string {
	if s, ok := value.(string); ok {
		return fmt.Sprintf("%q", s)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(text)
}

// What Check returns at most: a rejected event carries it more than once, and
// has to fit into one message.
const (
	maxFindings = 50
	maxPath     = 200 // bytes
	maxMessage  = 500 // bytes
)

// bounded leaves out what is too much, and says so.
func bounded(found []Finding) []Finding {
	if more := len(found) - maxFindings; more > 0 {
		found = append(found[:maxFindings:maxFindings], Finding{Keyword: "more", Message: fmt.Sprintf("data: %d more findings are left out", more)})
	}
	for i := range found {
		found[i].Path, found[i].Message = shortened(found[i].Path, maxPath), shortened(found[i].Message, maxMessage)
	}
	return found
}

// shortened is text without its middle when it has more than limit bytes.
func shortened(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	tail := limit / 4
	return strings.ToValidUTF8(text[:limit-tail], "") + "…" + strings.ToValidUTF8(text[len(text)-tail:], "")
}
