package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"slices"
	"strings"
	"unicode/utf8"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
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
	mediaType, _, _ := mime.ParseMediaType(contentType)
	switch {
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
	body, err := json.Marshal(e)
	if err != nil {
		return nil, nil, fmt.Errorf("encode event %s: %w", e.ID(), err)
	}
	return Header{"Content-Type": {ContentType}}, body, nil
}

func decodeStructured(body []byte) (cloudevents.Event, error) {
	var probe map[string]json.RawMessage
	if err := json.Unmarshal(body, &probe); err != nil {
		return cloudevents.Event{}, fmt.Errorf("body: expected a CloudEvent as a JSON object: %w", err)
	}
	if string(probe["specversion"]) != `"1.0"` {
		return cloudevents.Event{}, fmt.Errorf(`attribute specversion: expected "1.0", got %s`, orNothing(probe["specversion"]))
	}
	var e cloudevents.Event
	if err := json.Unmarshal(body, &e); err != nil {
		return cloudevents.Event{}, fmt.Errorf("body: expected a CloudEvent: %w", err)
	}
	return e, nil
}

func decodeBinary(attributes map[string]string, contentType string, body []byte) (cloudevents.Event, error) {
	if v := attributes["specversion"]; v != "1.0" {
		return cloudevents.Event{}, fmt.Errorf(`attribute specversion: expected "1.0", got %q`, v)
	}
	if attributes["datacontenttype"] == "" && contentType != "" {
		attributes["datacontenttype"] = contentType
	}
	mediaType, _, _ := mime.ParseMediaType(attributes["datacontenttype"])
	object := make(map[string]any, len(attributes)+1)
	for name, value := range attributes {
		object[name] = value
	}
	if isJSON(mediaType) && json.Valid(body) {
		object["data"] = json.RawMessage(body)
	} else if len(body) > 0 {
		object["data_base64"] = body
	}
	text, err := json.Marshal(object)
	if err != nil {
		return cloudevents.Event{}, fmt.Errorf("body: %w", err)
	}
	return decodeStructured(text)
}

// fold collects the ce- headers as attributes by lower-case name.
func fold(header Header) (attributes map[string]string, contentType string, err error) {
	attributes = make(map[string]string)
	for name, values := range header {
		lower := strings.ToLower(name)
		attribute, isAttribute := strings.CutPrefix(lower, headerPrefix)
		if !isAttribute && lower != "content-type" {
			continue
		}
		if len(slices.Compact(slices.Sorted(slices.Values(values)))) > 1 {
			return nil, "", fmt.Errorf("header %s: expected one value, got %d different ones", name, len(values))
		}
		if len(values) == 0 {
			continue
		}
		if !isAttribute {
			contentType = values[0]
			continue
		}
		value := percentDecode(values[0])
		if !utf8.ValidString(value) {
			return nil, "", fmt.Errorf("header %s: expected percent-encoded UTF-8", name)
		}
		if other, seen := attributes[attribute]; seen && other != value {
			return nil, "", fmt.Errorf("header %s: given twice with different values", name)
		}
		attributes[attribute] = value
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
