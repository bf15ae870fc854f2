package events

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
)

// Command is a request as its CloudEvent says it.
type Command struct {
	Type    Type
	Source  string
	ID      string
	Subject string
	Time    time.Time // zero when the event has none
	Data    json.RawMessage

	AuthType      string // what AuthID is: one of AuthTypes
	AuthID        string // for whom the command was sent, as the sender says
	AuthKey       string // public key that has signed the command, as the sender says
	AuthSig       string // its signature of Signed, in base64url; nobody has checked it
	Signed        []byte // nil: the command has no AuthSig, or cannot have one
	CorrelationID string // of the event, else its own id
	TraceParent   string
	TraceState    string
	Expires       time.Time // zero: never
}

// Problem is an attribute of an event that is not as it has to be. Attribute is
// "" when the message cannot be read as an event at all.
type Problem struct {
	Attribute string
	Message   string
}

// InvalidError says everything that keeps a message from being a command.
type InvalidError struct{ Problems []Problem }

func (e *InvalidError) Error() string {
	parts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		parts[i] = p.Message
	}
	return strings.Join(parts, "; ")
}

// maxProblem is how many bytes the message of a Problem has at most: rejections
// carry it more than once, and have to fit into one message.
const maxProblem = 500

// ReadCommand reads a command from a NATS message. Its error is an
// *InvalidError; the Command then holds what could be read.
func ReadCommand(header Header, body []byte) (Command, error) {
	e, err := Decode(header, body)
	if err != nil {
		return Command{}, invalid([]Problem{{"", err.Error()}})
	}
	cmd := Command{Source: e.Source(), ID: e.ID(), Subject: e.Subject(), Time: e.Time(), Data: e.Data()}
	problems := validate(e)
	if cmd.Type, err = ParseType(e.Type()); err != nil {
		problems = append(problems, Problem{"type", err.Error()})
	} else if cmd.Type.Outcome != Requested {
		problems = append(problems, Problem{"type", fmt.Sprintf("type %q: expected a command, dev.slipway.%s.%s.requested.v1", e.Type(), cmd.Type.Kind, cmd.Type.Op)})
	}
	problems = append(problems, cmd.readExtensions(e.Extensions())...)
	if cmd.AuthSig != "" {
		cmd.Signed, _ = signedText(e) // else no signature is one of it
	}
	problems = append(problems, cmd.clip()...)
	if !isJSON(mediaType(e.DataContentType())) || !isObject(cmd.Data) {
		problems = append(problems, Problem{"data", fmt.Sprintf("data: expected a JSON object as application/json, got %d bytes of %q", len(cmd.Data), e.DataContentType())})
	}
	if len(problems) > 0 {
		return cmd, invalid(problems)
	}
	return cmd, nil
}

// invalid is the error of a message with these problems, in a few words each.
func invalid(problems []Problem) error {
	for i, p := range problems {
		if len(p.Message) > maxProblem {
			problems[i].Message = strings.ToValidUTF8(p.Message[:maxProblem], "") + "…"
		}
	}
	return &InvalidError{problems}
}

func validate(e cloudevents.Event) []Problem {
	err := e.Validate()
	if err == nil {
		return nil
	}
	violations, ok := err.(cloudevents.ValidationError) //nolint:errorlint // Validate returns it bare
	if !ok {
		return []Problem{{"", err.Error()}}
	}
	var problems []Problem
	for attribute, why := range violations {
		if attribute == "type" && e.Type() == "" {
			continue // said by ParseType
		}
		problems = append(problems, Problem{attribute, fmt.Sprintf("attribute %s: %s", attribute, why)})
	}
	slices.SortFunc(problems, func(a, b Problem) int { return strings.Compare(a.Attribute, b.Attribute) })
	return problems
}

func (c *Command) readExtensions(extensions map[string]any) (problems []Problem) {
	text := func(name string) string {
		value, present := extensions[name]
		if !present {
			return ""
		}
		s, err := types.Format(value)
		if err != nil {
			problems = append(problems, Problem{name, fmt.Sprintf("extension %s: %s", name, err)})
		}
		return s
	}
	c.CorrelationID, c.TraceParent, c.TraceState = text("correlationid"), text("traceparent"), text("tracestate")
	if c.CorrelationID == "" {
		c.CorrelationID = c.ID
	}
	c.AuthKey, c.AuthSig = text("authkey"), text("authsig")
	if c.AuthType, c.AuthID = text("authtype"), text("authid"); c.AuthType != "" && !slices.Contains(AuthTypes(), c.AuthType) {
		problems = append(problems, Problem{"authtype", fmt.Sprintf("extension authtype %q: expected one of %s", c.AuthType, strings.Join(AuthTypes(), ", "))})
		c.AuthType = ""
	}
	if expiry := text("expirytime"); expiry != "" {
		at, err := types.ParseTime(expiry)
		if err != nil {
			problems = append(problems, Problem{"expirytime", fmt.Sprintf("extension expirytime %q: expected a time as in RFC 3339", expiry)})
		}
		c.Expires = at
	}
	return problems
}

// AuthTypes are what a command may be sent for, in the words of the CloudEvents
// auth context extension (ecosystem.md section 5).
func AuthTypes() []string {
	return []string{"app_user", "user", "service_account", "api_key", "system", "unauthenticated", "unknown"}
}

// MaxAttribute is how many bytes an attribute of a command may have: attributes
// are repeated in every event about it.
const MaxAttribute = 1024

// clip finds attributes that are too long and shortens them, so that the
// rejection can still name the command.
func (c *Command) clip() (problems []Problem) {
	for _, attribute := range []struct {
		name  string
		value *string
	}{
		{"id", &c.ID},
		{"source", &c.Source},
		{"subject", &c.Subject},
		{"type", &c.Type.Op},
		{"authid", &c.AuthID},
		{"authkey", &c.AuthKey},
		{"authsig", &c.AuthSig},
		{"correlationid", &c.CorrelationID},
		{"traceparent", &c.TraceParent},
		{"tracestate", &c.TraceState},
	} {
		if length := len(*attribute.value); length > MaxAttribute {
			problems = append(problems, Problem{attribute.name, fmt.Sprintf("attribute %s: expected %d bytes at most, got %d", attribute.name, MaxAttribute, length)})
			*attribute.value = strings.ToValidUTF8((*attribute.value)[:MaxAttribute], "")
		}
	}
	return problems
}

// Token identifies the command: 26 characters that depend on source and id only.
func (c Command) Token() string { return Token(c.Source, c.ID) }

// Digest identifies what the command says: subject, type and data. Two commands
// with equal Token and different Digest are an error of the sender. 16
// hexadecimal digits.
func (c Command) Digest() string {
	sum := sha256.Sum256([]byte(c.Subject + "\x00" + c.Type.String() + "\x00" + string(compact(c.Data))))
	return hex.EncodeToString(sum[:8])
}

// Token is the token of the command with this source and id.
func Token(source, id string) string {
	sum := sha256.Sum256([]byte(source + "\x00" + id))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:26]
}

// PlaceToken is the token of the command with this sequence in the stream while
// nothing else is known of it for sure: it cannot be read, or who has sent it is
// not proven where that has to be.
func PlaceToken(sequence uint64) string { return Token("", strconv.FormatUint(sequence, 10)) }

func isObject(data []byte) bool {
	data = bytes.TrimSpace(data)
	return len(data) > 0 && data[0] == '{' && json.Valid(data)
}
