package client

import (
	"fmt"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/worker"
)

// Error says why a command did not complete, or a question has no answer. Of a
// command that was rejected, nothing has changed; of one that failed, was
// cancelled or has expired, what served before serves.
type Error struct {
	Op, Name string
	Outcome  events.Outcome // rejected, failed, cancelled or expired; rejected, of a question

	// Failure has Code, Class, Message, Errors by field, and Retryable
	// (datarobot.md R22). Of what was cancelled or has expired, only Message is set.
	worker.Failure

	// Checks are the verdicts on the model, where that is what it is about.
	Checks deployment.Checks
}

func (e *Error) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("%s %s: %s %s", e.Op, e.Name, e.Outcome, e.Message)
	}
	return fmt.Sprintf("%s %s: %s: %s: %s", e.Op, e.Name, e.Outcome, e.Code, e.Message)
}

// refused is the rejection as a worker would say it.
func (p Pending) refused(r *deployment.Rejection) *Error {
	return refused(p.Op, p.Name, r)
}

func refused(op, name string, r *deployment.Rejection) *Error {
	return &Error{Op: op, Name: name, Outcome: events.Rejected, Failure: *worker.Refusal(r)}
}

// UnknownOutcomeError says that a command has no outcome yet that is known here:
// the time to wait is over, or the broker does not answer. It is no failure. The
// command may be carried out, and if it was stored it will be. Wait for Pending
// again, or publish the same command again, under the same id.
type UnknownOutcomeError struct {
	Pending Pending
	Err     error // why nothing is known
}

func (e *UnknownOutcomeError) Error() string {
	return fmt.Sprintf("%s %s: outcome unknown of command %q from %q: %v", e.Pending.Op, e.Pending.Name, e.Pending.ID, e.Pending.Source, e.Err)
}

func (e *UnknownOutcomeError) Unwrap() error { return e.Err }
