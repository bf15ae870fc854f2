package events

import (
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
)

// Request is a command to be published.
type Request struct {
	Type          Type
	Source, ID    string
	Subject       string
	Time          time.Time
	CorrelationID string
	CausationID   string // id of what led to this command
	AuthType      string // what AuthID is: one of AuthTypes
	AuthID        string // for whom the command is sent, if not for the source itself
	Data          any
	Signer        Signer // who signs the command; nil: nobody
}

// Event is the request as a CloudEvent.
func (r Request) Event() (cloudevents.Event, error) {
	e := cloudevents.New()
	e.SetID(r.ID)
	e.SetSource(r.Source)
	keepSource(&e, r.Source)
	e.SetType(r.Type.With(Requested).String())
	e.SetSubject(r.Subject)
	e.SetTime(r.Time.UTC())
	err := complete(&e, r.Data, map[string]string{
		"correlationid": r.CorrelationID, "causationid": r.CausationID, "authtype": r.AuthType, "authid": r.AuthID,
	})
	if err == nil && r.Signer != nil {
		err = Sign(&e, r.Signer)
	}
	return e, err
}
