package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
)

// ContentType is the Content-Type of what Encode writes.
const ContentType = "application/cloudevents+json; charset=utf-8"

const headerPrefix = "ce-"

// Header are the headers of a NATS message; names are compared without regard
// to case.
type Header map[string][]string

// Decode reads a CloudEvent from a NATS message, structured or binary, with
// header names in any case and attribute values percent-encoded or not
// (jetstream.md section 6). It does not validate the event.
func Decode(header Header, body []byte) (cloudevents.Event, error) {
	attributes, contentType, err := fold(header)
	if err != nil {
		return cloudevents.Event{}, err
	}
	switch mediaType := mediaType(contentType); {
	case mediaType == "application/cloudevents+json" || mediaType == "application/cloudevents":
		return decodeStructured(body)
	case strings.HasPrefix(mediaType, "application/cloudevents"):
		return cloudevents.Event{}, fmt.Errorf("content type %q: expected one event as application/cloudevents+json", contentType)
	case attributes["specversion"] != "":
		return decodeBinary(attributes, contentType, body)
	default:
		return decodeStructured(body)
	}
}

// Encode writes an event in structured mode.
func Encode(e cloudevents.Event) (Header, []byte, error) {
	if strings.HasSuffix(mediaType(e.DataContentType()), "+json") {
		e.DataBase64 = true // else the SDK writes the JSON as a string
	}
	body, err := e.MarshalJSON() // not by json.Marshal, which writes & in another way
	if err != nil {
		return nil, nil, fmt.Errorf("encode event %s: %w", e.ID(), err)
	}
	if !json.Valid(body) {
		return nil, nil, fmt.Errorf("encode event %s: the data is no JSON", e.ID())
	}
	return Header{"Content-Type": {ContentType}}, body, nil
}

// EncodeBinary writes an event in binary mode: its attributes as headers, its data
// as the body.
func EncodeBinary(e cloudevents.Event) (Header, []byte, error) {
	header, attributes := Header{"Content-Type": {e.DataContentType()}}, maps.Clone(e.Extensions())
	if attributes == nil {
		attributes = make(map[string]any)
	}
	for name, value := range map[string]string{
		"specversion": e.SpecVersion(), "id": e.ID(), "source": e.Source(), "type": e.Type(), "subject": e.Subject(), "dataschema": e.DataSchema(),
	} {
		if value != "" {
			attributes[name] = value
		}
	}
	if !e.Time().IsZero() {
		attributes["time"] = e.Time()
	}
	for name, value := range attributes {
		text, err := types.Format(value)
		if err != nil {
			return nil, nil, fmt.Errorf("encode event %s: attribute %s: %w", e.ID(), name, err)
		}
		header[headerPrefix+name] = []string{percentEncode(text)}
	}
	return header, e.Data(), nil
}

// percentEncode writes what no header can hold, and what would be read as more
// than it is, as %XX.
func percentEncode(s string) string {
	var out strings.Builder
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '%' {
			fmt.Fprintf(&out, "%%%02X", c)
			continue
		}
		out.WriteByte(c)
	}
	return out.String()
}

func decodeStructured(body []byte) (cloudevents.Event, error) {
	if !utf8.Valid(body) {
		return cloudevents.Event{}, errors.New("body: expected a CloudEvent as a JSON object in UTF-8")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return cloudevents.Event{}, fmt.Errorf("body: expected a CloudEvent as a JSON object: %w", err)
	}
	data, encoded := members["data"], members["data_base64"]
	delete(members, "data")
	delete(members, "data_base64")
	e, err := decodeAttributes(members)
	switch {
	case err != nil:
		return cloudevents.Event{}, err
	case given(encoded) && data != nil:
		return cloudevents.Event{}, errors.New("body: expected data or data_base64, got both")
	case given(encoded):
		if encoded[0] != '"' || json.Unmarshal(encoded, &e.DataEncoded) != nil {
			return cloudevents.Event{}, fmt.Errorf("data_base64: expected a string in base64, got %s", orNothing(encoded))
		}
		e.DataBase64 = true
	case data != nil && isJSON(mediaType(e.DataContentType())):
		e.DataEncoded = data
	case given(data):
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return cloudevents.Event{}, fmt.Errorf("body: expected a CloudEvent whose data of %q is a string: %w", e.DataContentType(), err)
		}
		e.DataEncoded = []byte(text)
	}
	return e, nil
}

func decodeBinary(attributes map[string]string, contentType string, body []byte) (cloudevents.Event, error) {
	if attributes["datacontenttype"] == "" && contentType != "" {
		attributes["datacontenttype"] = contentType
	}
	members := make(map[string]json.RawMessage, len(attributes))
	for name, value := range attributes {
		text, err := json.Marshal(value)
		if err != nil {
			return cloudevents.Event{}, fmt.Errorf("attribute %s: %w", name, err)
		}
		members[name] = text
	}
	e, err := decodeAttributes(members)
	switch {
	case err != nil:
		return cloudevents.Event{}, err
	case isJSON(mediaType(e.DataContentType())) && utf8.Valid(body) && json.Valid(body):
		e.DataEncoded = bytes.TrimSpace(body)
	case len(body) > 0:
		e.DataEncoded, e.DataBase64 = body, true
	}
	return e, nil
}

// decodeAttributes reads an event without data. The data is not for the SDK: it
// panics on a data_base64 that is no string, and does not take every one that is.
func decodeAttributes(members map[string]json.RawMessage) (cloudevents.Event, error) {
	if version := members["specversion"]; string(version) != `"1.0"` {
		return cloudevents.Event{}, fmt.Errorf(`attribute specversion: expected "1.0", got %s`, orNothing(version))
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !given(members[name]) {
			delete(members, name)
		} else if !isAttributeName(name) { // after an empty name, the SDK reads nothing more
			return cloudevents.Event{}, fmt.Errorf("attribute %q: expected a name of letters and digits", name)
		}
	}
	if e, ok := plainAttributes(members); ok {
		return e, nil
	}
	return anyAttributes(members)
}

// anyAttributes has the SDK read the attributes.
func anyAttributes(members map[string]json.RawMessage) (cloudevents.Event, error) {
	text, err := json.Marshal(members)
	if err != nil {
		return cloudevents.Event{}, fmt.Errorf("body: expected a CloudEvent: %w", err)
	}
	var e cloudevents.Event
	if err := json.Unmarshal(text, &e); err != nil {
		return cloudevents.Event{}, fmt.Errorf("body: expected a CloudEvent: %w", err)
	}
	if raw := members["source"]; given(raw) {
		var source string
		if err := json.Unmarshal(raw, &source); err != nil {
			return cloudevents.Event{}, fmt.Errorf("attribute source: %w", err)
		}
		keepSource(&e, source)
	}
	return e, nil
}

// keepSource has e say the source as it was given. The SDK writes URIs in its
// own way, but source and id identify a command as they are, letter by letter.
func keepSource(e *cloudevents.Event, source string) {
	if v1, ok := e.Context.(*cloudevents.EventContextV1); ok && e.Source() != source && e.Source() != "" {
		v1.Source.URL = url.URL{Opaque: source}
	}
}

// given reports whether a member is there: null is the same as none.
func given(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

func isAttributeName(name string) bool {
	return name != "" && strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	}) < 0
}

// fold collects the ce- headers as attributes by lower-case name.
func fold(header Header) (attributes map[string]string, contentType string, err error) {
	attributes = make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(header)) { // in order, so that errors are the same every time
		values, lower := header[name], strings.ToLower(name)
		attribute, isAttribute := strings.CutPrefix(lower, headerPrefix)
		if !isAttribute && lower != "content-type" || len(values) == 0 {
			continue
		}
		if len(slices.Compact(slices.Sorted(slices.Values(values)))) > 1 {
			return nil, "", fmt.Errorf("header %s: expected one value, got %d different ones", lower, len(values))
		}
		value := values[0]
		if isAttribute {
			value = percentDecode(value)
		}
		switch other, seen := attributes[attribute]; {
		case !utf8.ValidString(value):
			return nil, "", fmt.Errorf("header %s: expected percent-encoded UTF-8", lower)
		case !isAttribute && contentType != "" && contentType != value, isAttribute && seen && other != value:
			return nil, "", fmt.Errorf("header %s: given twice with different values", lower)
		case !isAttribute:
			contentType = value
		case attribute == "data" || !isAttributeName(attribute):
			return nil, "", fmt.Errorf("header %s: %q is no name of an attribute", lower, attribute)
		default:
			attributes[attribute] = value
		}
	}
	return attributes, contentType, nil
}

// percentDecode decodes %XX once and leaves a percent sign that starts no such
// triple as it is: senders that do not encode are understood too.
func percentDecode(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var out bytes.Buffer
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			out.WriteByte(unhex(s[i+1])<<4 | unhex(s[i+2]))
			i += 2
			continue
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	default:
		return c - 'a' + 10
	}
}

// mediaType is a content type without its parameters, as the SDK takes it.
func mediaType(contentType string) string {
	name, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(name))
}

func isJSON(mediaType string) bool {
	return mediaType == "" || mediaType == "application/json" || mediaType == "text/json" || strings.HasSuffix(mediaType, "+json")
}

func orNothing(raw json.RawMessage) string {
	if len(raw) == 0 {
		return "nothing"
	}
	if len(raw) > 64 {
		raw = raw[:64]
	}
	return string(raw)
}
