package client

import (
	"fmt"
	"time"

	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/worker"
)

// Event is an event of the ledger.
type Event struct {
	events.Type // kind, operation and outcome
	worker.Data
	ID      string            // CloudEvents id
	Subject string            // name of the deployment, or id of the model
	Stored  jetstream.Message // as it is stored; its Sequence is that in the ledger
}

// ReadEvent reads a message of the ledger.
func ReadEvent(m jetstream.Message) (e Event, err error) {
	e.Stored = m
	if e.Type, e.Data, err = worker.ReadEvent(m); err != nil {
		return e, err
	}
	ce, err := events.Decode(m.Header, m.Body)
	e.ID, e.Subject = ce.ID(), ce.Subject()
	return e, err
}

// Err is nil if the event is not the end of a command that did not complete;
// else it is an *Error.
func (e Event) Err() error {
	result := &Error{Op: e.Op, Name: e.Subject, Outcome: e.Outcome, Checks: e.Checks}
	switch e.Outcome {
	case events.Rejected, events.Failed:
		result.Failure = *e.Failure
	case events.Cancelled:
		result.Message = fmt.Sprintf("by command %s from %s", e.CancelledBy.ID, e.CancelledBy.Source)
	case events.Expired:
		result.Message = "at " + e.ExpiredAt.Format(time.RFC3339)
	case events.Duplicate: // says nothing of how the first one ended
	case events.Requested, events.Started, events.Validated, events.Progress, events.Retrying, events.Completed:
		return nil
	}
	return result
}
