package events

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
)

// Signer has a key pair of Ed25519, such as that of a NATS user.
type Signer interface {
	PublicKey() (string, error)
	Sign(text []byte) ([]byte, error)
}

// Sign adds to a command by whom it is signed, as authkey, and the signature, as
// authsig: 64 bytes in base64url without padding. Nothing that is signed may be
// changed after that (docs/actors.md).
func Sign(e *cloudevents.Event, s Signer) error {
	key, err := s.PublicKey()
	if err != nil {
		return fmt.Errorf("sign event %s: %w", e.ID(), err)
	}
	e.SetExtension("authkey", key)
	text, err := signedText(*e)
	if err != nil {
		return fmt.Errorf("sign event %s: %w", e.ID(), err)
	}
	signature, err := s.Sign(text)
	if err != nil {
		return fmt.Errorf("sign event %s: %w", e.ID(), err)
	}
	e.SetExtension("authsig", base64.RawURLEncoding.EncodeToString(signature))
	return nil
}

// signedPrefix is what every text that is signed begins with. No text has the
// byte 0xff: so no server can have a command signed as the nonce that the same
// key signs when its user connects.
const signedPrefix = "\xffslipway.command.v1\n"

// signedText is what the signature of a command is of: one line for each
// attribute that matters, empty if there is none, and the digest of the data.
// Attributes have no line feeds, so that two commands that differ in any of it
// have different texts. In every encoding of a command it is the same.
func signedText(e cloudevents.Event) ([]byte, error) {
	extensions := e.Extensions()
	extension := func(name string) string {
		text, err := types.Format(extensions[name])
		if err != nil { // there is none, or one that is no text in any encoding
			return ""
		}
		return text
	}
	var text bytes.Buffer
	text.WriteString(signedPrefix)
	for _, line := range [][2]string{
		{"id", e.ID()},
		{"source", e.Source()},
		{"type", e.Type()},
		{"subject", e.Subject()},
		{"authtype", extension("authtype")},
		{"authid", extension("authid")},
		{"authkey", extension("authkey")},
		{"expirytime", extension("expirytime")},
	} {
		if strings.ContainsFunc(line[1], unicode.IsControl) {
			return nil, fmt.Errorf("attribute %s: expected no control characters in what is signed", line[0])
		}
		fmt.Fprintf(&text, "%s=%s\n", line[0], line[1])
	}
	fmt.Fprintf(&text, "data=%x\n", sha256.Sum256(plain(e.Data())))
	return text.Bytes(), nil
}

// plain is data as JSON without white space, whose strings have no escapes but the
// needed ones (RFC 8785, section 3.2.2.2), with members and numbers as they stand:
// what JSON.stringify of JavaScript writes. Encoders differ in no more than that.
// What is no JSON stays as it is.
func plain(data []byte) []byte {
	text := compact(data)
	if !json.Valid(text) || !bytes.ContainsRune(text, '\\') {
		return text
	}
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		size := literal(text)
		var s string
		if text[0] == '"' && bytes.ContainsRune(text[:size], '\\') && json.Unmarshal(text[:size], &s) == nil {
			out = appendString(out, s)
		} else {
			out = append(out, text[:size]...)
		}
		text = text[size:]
	}
	return out
}

// literal is the length of the string that the JSON begins with, or else of what
// comes before the next one.
func literal(text []byte) int {
	if text[0] != '"' {
		if next := bytes.IndexByte(text, '"'); next > 0 {
			return next
		}
		return len(text)
	}
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

// appendString writes a string with the escapes that JSON needs, the short ones
// where there are some.
func appendString(out []byte, s string) []byte {
	const short = "\"\\\b\f\n\r\t"
	out = append(out, '"')
	for _, c := range []byte(s) {
		switch at := strings.IndexByte(short, c); {
		case at >= 0:
			out = append(out, '\\', `"\bfnrt`[at])
		case c < ' ':
			out = fmt.Appendf(out, `\u%04x`, c)
		default:
			out = append(out, c)
		}
	}
	return append(out, '"')
}

// compact is data without white space between the tokens of its JSON. What is no
// JSON stays as it is.
func compact(data []byte) []byte {
	var text bytes.Buffer
	if json.Compact(&text, data) != nil {
		return data
	}
	return text.Bytes()
}
