package events

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	fastjson "github.com/goccy/go-json"
)

// Source is the CloudEvents source of every event that a worker publishes. It
// names the role, not the process.
const Source = "/slipway/worker"

// SchemaBase is what the dataschema of every event starts with.
const SchemaBase = "https://slipway.dev/schemas/"

// Fact is what an event says about a command.
type Fact struct {
	Type    Type
	ID      string
	Subject string // deployment or model
	Time    time.Time
	Schema  string // file name in schemas/

	Revision      uint64 // of the deployment
	CorrelationID string
	CausationID   string // id of the command
	AuthType      string // of the command
	AuthID        string // of the command
	TraceParent   string
	TraceState    string
	Data          any
}

// FactID is the id of the event with this outcome of the command with this
// token. n tells apart the events of outcomes that can occur more than once;
// 0 for the others. A worker that publishes the same event again after a crash
// gives it the same id.
func FactID(token string, o Outcome, n uint64) string {
	id := token + "." + string(o)
	if n > 0 {
		id += "." + strconv.FormatUint(n, 10)
	}
	return id
}

// Event is the fact as a CloudEvent.
func (f Fact) Event() (cloudevents.Event, error) {
	e := cloudevents.New()
	e.SetID(f.ID)
	e.SetSource(Source)
	e.SetType(f.Type.String())
	if f.Subject != "" {
		e.SetSubject(f.Subject)
	}
	e.SetTime(f.Time.UTC())
	e.SetDataSchema(SchemaBase + f.Schema)
	e.SetExtension("sequence", fmt.Sprintf("%020d", f.Revision))
	return e, complete(&e, f.Data, map[string]string{
		"correlationid": f.CorrelationID, "causationid": f.CausationID, "partitionkey": f.Subject,
		"authtype": f.AuthType, "authid": f.AuthID, "traceparent": f.TraceParent, "tracestate": f.TraceState,
	})
}

// Encode is the fact as a NATS message, in structured mode. It says what Event
// says, but is written in one go, without the SDK: workers do this several times
// for every command.
func (f Fact) Encode() (Header, []byte, error) {
	if f.ID == "" {
		return nil, nil, fmt.Errorf("event %s of %s: no id", f.Type, f.Subject)
	}
	body, err := marshal(envelope{
		SpecVersion: cloudevents.CloudEventsVersionV1, ID: f.ID, Source: Source, Type: f.Type.String(), Subject: strings.TrimSpace(f.Subject),
		DataContentType: cloudevents.ApplicationJSON, DataSchema: SchemaBase + f.Schema, Time: f.Time.UTC(), Data: f.Data,
		AuthID: f.AuthID, AuthType: f.AuthType, CausationID: f.CausationID, CorrelationID: f.CorrelationID, PartitionKey: f.Subject,
		Sequence: fmt.Sprintf("%020d", f.Revision), TraceParent: f.TraceParent, TraceState: f.TraceState,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("event %s: data: %w", f.ID, err)
	}
	return Header{"Content-Type": {ContentType}}, body, nil
}

// ReadFact reads the type and the data of a fact, as Decode and json.Unmarshal do.
// What Encode has written it reads in one go, in half the time: a worker reads the
// newest fact about a deployment before it goes on after another worker, and
// whoever replays reads them all.
func ReadFact[T any](header Header, body []byte) (typ Type, data T, err error) {
	var own struct {
		SpecVersion string `json:"specversion"`
		Source      string `json:"source"`
		Type        string `json:"type"`
		Data        *T     `json:"data"`
	}
	if slices.Equal(header["Content-Type"], []string{ContentType}) {
		err := fastjson.Unmarshal(body, &own)
		if err == nil && own.SpecVersion == cloudevents.CloudEventsVersionV1 && own.Source == Source && own.Data != nil {
			typ, err = ParseType(own.Type)
			return typ, *own.Data, err
		}
	}
	e, err := Decode(header, body)
	if err != nil {
		return typ, data, err
	}
	if typ, err = ParseType(e.Type()); err != nil {
		return typ, data, err
	}
	if err := json.Unmarshal(e.Data(), &data); err != nil {
		return typ, data, fmt.Errorf("data: %w", err)
	}
	return typ, data, nil
}

// envelope is the JSON of a fact, its members in the order in which the SDK
// writes them.
type envelope struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Subject         string    `json:"subject,omitempty"`
	DataContentType string    `json:"datacontenttype"`
	DataSchema      string    `json:"dataschema"`
	Time            time.Time `json:"time"`
	Data            any       `json:"data"`

	AuthID        string `json:"authid,omitempty"`
	AuthType      string `json:"authtype,omitempty"`
	CausationID   string `json:"causationid,omitempty"`
	CorrelationID string `json:"correlationid,omitempty"`
	PartitionKey  string `json:"partitionkey,omitempty"`
	Sequence      string `json:"sequence"`
	TraceParent   string `json:"traceparent,omitempty"`
	TraceState    string `json:"tracestate,omitempty"`
}

// complete adds data and those extensions that have a value, and validates.
func complete(e *cloudevents.Event, data any, extensions map[string]string) (err error) {
	for name, value := range extensions {
		if value != "" {
			e.SetExtension(name, value)
		}
	}
	e.SetDataContentType(cloudevents.ApplicationJSON)
	if e.DataEncoded, err = marshal(data); err != nil { // SetData would take it for bytes, or escape it
		return fmt.Errorf("event %s: data: %w", e.ID(), err)
	}
	return e.Validate()
}

// marshal writes value as json.Marshal does, in a third of the time, and without
// making < and > six bytes each for the sake of HTML.
func marshal(value any) ([]byte, error) {
	return fastjson.MarshalWithOption(value, fastjson.DisableHTMLEscape())
}
