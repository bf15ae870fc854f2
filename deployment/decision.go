package deployment

import (
	"cmp"
	"time"
)

// Command is one request for a change, as a decision sees it.
type Command struct {
	Kind   Kind
	Name   Name // of the deployment or model it is about
	Op     string
	ID     string    // CloudEvents id
	Digest string    // of its content
	Token  string    // identifies the command: 26 characters
	Source string    // CloudEvents source
	By     string    // who asks: the source, or the actor if that is proven
	Actor  string    // CloudEvents authid: for whom, if the sender says so
	At     time.Time // when the command was stored, by the broker's clock
}

// Who is for whom the command was sent or, if it does not say so, its sender.
func (c Command) Who() string { return cmp.Or(c.Actor, c.By) }

// Subject is what a command is about, as the ledger has it. At most one of the
// two is set; neither is set when it does not exist yet.
type Subject struct {
	Deployment *State
	Model      *Model
}

// Facts are what a decision may know of other things. They are as of the
// command's place in the stream, never newer.
type Facts struct {
	Model      *Model          // the model the command names by id; nil: there is none
	Current    *Model          // the model that the deployment serves, if it matters; nil: its facts are not known
	Sourced    *Sourced        // what the contract that the command names comes to; nil: not read yet
	Inspection *Inspection     // what the model's file says; nil: not looked at yet
	History    []Served        // of the deployment, the oldest first; only for a command that goes back in it
	Written    *ContractChange // the contract that was written; nil: none was yet
	Refused    *Rejection      // why the model's file cannot be used; nil: not looked at yet, or it can
	Outcome    string          // how the command that the command is about has ended; "": there is no such command before it
	Servers    []string        // ids of the prediction servers that are live, if the command names one
	Policy     Policy          // what the configuration says
}

// Inspected reports whether the model's file was looked at.
func (f Facts) Inspected() bool { return f.Inspection != nil || f.Refused != nil }

// Decision is what a command comes to. It is reached again when a contract or
// the file of a model matters: one that has Read, Inspect or Write set is final
// in nothing but the refusal; the next one is made with Facts.Sourced, with
// Facts.Inspection or Facts.Refused, or with Facts.Written.
type Decision struct {
	Read    *Reading // read this contract, then decide again
	Inspect *Model   // look at this model's file, then decide again
	Write   *Writing // everything is right: write this contract, then decide again
	Shown   *State   // the deployment while effects run; nil: as before

	After       Subject         // when the command has completed
	Changed     bool            // false: it was so already
	Checks      Checks          // what was checked; published as `validated`
	Effects     []Effect        // what has to be made true before the command has completed
	Contract    *ContractChange // what was, or in a dry run would be, written
	Registered  *Model          // the model this command brought in
	Replacement *Replacement    // of the model that served
	Drift       *DriftChange    // of what drift is computed for
	Renamed     *Renamed        // a version of it
	Validation  *Validation     // the verdict on a model that is to replace another
}

// Idle reports whether the decision asks for nothing but to be written down.
func (d Decision) Idle() bool {
	return d.Read == nil && d.Inspect == nil && d.Write == nil && len(d.Effects) == 0
}

// Effect is something that has to be made true outside of the ledger. Effects
// are level-shaped: making one true twice is the same as once.
//
//sumtype:decl
type Effect interface{ effect() }

// Serve makes the deployment's predictions come from Model, once it answers the
// golden rows.
type Serve struct {
	Model  ModelRef
	Golden *Golden // nil: there are none
}

func (Serve) effect() {}

// Stop makes the deployment answer no predictions.
type Stop struct {
	Inactive bool // who asks is told that it is inactive, not that there is none
}

func (Stop) effect() {}

// Replacement is a change of the model that serves (datarobot.md R16).
type Replacement struct {
	OldModel   Name   `json:"oldModel"`
	NewModel   Name   `json:"newModel"`
	Reason     Reason `json:"reason"`
	ReasonText string `json:"reasonText,omitempty"`
	Rollback   bool   `json:"rollback,omitempty"` // the new model has served before
}

// DriftChange is what is computed of drift before and after a command that is
// about it; both are equal when nothing had to change (datarobot.md R19).
type DriftChange struct {
	Before DriftTracking `json:"before"`
	After  DriftTracking `json:"after"`
}

// Reason is why a model is replaced, in DataRobot's words (datarobot.md R9).
type Reason string

// The reasons.
const (
	ReasonAccuracy         Reason = "ACCURACY"
	ReasonDataDrift        Reason = "DATA_DRIFT"
	ReasonErrors           Reason = "ERRORS"
	ReasonScheduledRefresh Reason = "SCHEDULED_REFRESH"
	ReasonScoringSpeed     Reason = "SCORING_SPEED"
	ReasonDeprecation      Reason = "DEPRECATION"
	ReasonOther            Reason = "OTHER"
)

// Reasons are all reasons, in the order in which they are shown to people.
func Reasons() []Reason {
	return []Reason{
		ReasonAccuracy, ReasonDataDrift, ReasonErrors, ReasonScheduledRefresh,
		ReasonScoringSpeed, ReasonDeprecation, ReasonOther,
	}
}

// AfterFailure is the deployment after an effect did not succeed: what it was
// before, with the failure noted. One that was to be new is kept as failed, so
// that it can be seen and tried again.
func AfterFailure(before, shown *State, cmd Command, code Code, message string) *State {
	if shown == nil {
		return before // nothing was to change, or it is about a model: that stays unregistered
	}
	after := before.Clone()
	if after == nil {
		after = shown.Clone()
		after.Status, after.Target, after.Revision = StatusFailed, nil, 0
	}
	after.LastFailure = &LastFailure{Code: string(code), Message: message, At: cmd.At, Command: cmd.Token}
	after.touch(cmd)
	return after
}

// touch notes a change of the state and who asked for it.
func (s *State) touch(cmd Command) {
	s.Revision++
	s.UpdatedAt, s.UpdatedBy = cmd.At, cmd.By
}
