package events

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
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
	for name, value := range map[string]string{
		"correlationid": f.CorrelationID, "causationid": f.CausationID, "partitionkey": f.Subject,
		"traceparent": f.TraceParent, "tracestate": f.TraceState,
	} {
		if value != "" {
			e.SetExtension(name, value)
		}
	}
	data, err := json.Marshal(f.Data)
	if err != nil {
		return e, fmt.Errorf("event %s: data: %w", f.ID, err)
	}
	if err := e.SetData(cloudevents.ApplicationJSON, json.RawMessage(data)); err != nil {
		return e, fmt.Errorf("event %s: data: %w", f.ID, err)
	}
	return e, e.Validate()
}

// Request is a command to be published.
type Request struct {
	Type          Type
	Source, ID    string
	Subject       string
	Time          time.Time
	CorrelationID string
	Data          any
}

// Event is the request as a CloudEvent.
func (r Request) Event() (cloudevents.Event, error) {
	e := cloudevents.New()
	e.SetID(r.ID)
	e.SetSource(r.Source)
	e.SetType(r.Type.With(Requested).String())
	e.SetSubject(r.Subject)
	e.SetTime(r.Time.UTC())
	if r.CorrelationID != "" {
		e.SetExtension("correlationid", r.CorrelationID)
	}
	data, err := json.Marshal(r.Data)
	if err != nil {
		return e, fmt.Errorf("command %s: data: %w", r.ID, err)
	}
	if err := e.SetData(cloudevents.ApplicationJSON, json.RawMessage(data)); err != nil {
		return e, fmt.Errorf("command %s: data: %w", r.ID, err)
	}
	return e, e.Validate()
}
