// Package events reads commands from NATS messages and writes outcomes as
// CloudEvents. It is the only package that knows the CloudEvents SDK, and of
// that only the event type: the codec over headers and bytes is here.
package events

import (
	"fmt"
	"strings"
)

// Type is the meaning of a command or event: what it is about, which operation,
// and how far that operation is.
type Type struct {
	Kind    string // deployment or model
	Op      string // one word, e.g. deploy
	Outcome Outcome
}

// Outcome is the last word of an event type. Requested makes it a command.
type Outcome string

// The outcomes (DESIGN section 2).
const (
	Requested Outcome = "requested" // a command

	Started   Outcome = "started"   // a worker has claimed the command
	Validated Outcome = "validated" // the checks have been made; data has the verdict
	Progress  Outcome = "progress"  // the effects still run; renews the claim
	Retrying  Outcome = "retrying"  // an attempt did not succeed; data says when the next one is

	Completed Outcome = "completed" // it is so now, or it was so already
	Rejected  Outcome = "rejected"  // refused before any effect
	Failed    Outcome = "failed"    // an effect did not succeed; what served before serves
	Cancelled Outcome = "cancelled" // another command asked for that before it was finished
	Expired   Outcome = "expired"   // its expirytime had passed before it was its turn
	Duplicate Outcome = "duplicate" // the same command was published before
)

// Outcomes are all outcomes of a command, in the order in which they can occur.
func Outcomes() []Outcome {
	return []Outcome{Started, Validated, Progress, Retrying, Completed, Rejected, Failed, Cancelled, Expired, Duplicate}
}

// Terminal reports whether no other event about the same command follows.
func (o Outcome) Terminal() bool {
	switch o {
	case Completed, Rejected, Failed, Cancelled, Expired, Duplicate:
		return true
	case Requested, Started, Validated, Progress, Retrying:
	}
	return false
}

const (
	typePrefix  = "dev.slipway."
	typeVersion = ".v1"
)

// String is the CloudEvents type: dev.slipway.<kind>.<op>.<outcome>.v1.
func (t Type) String() string {
	return typePrefix + t.Kind + "." + t.Op + "." + string(t.Outcome) + typeVersion
}

// With is the type of another outcome of the same operation.
func (t Type) With(o Outcome) Type {
	t.Outcome = o
	return t
}

// ParseType reads what String writes.
func ParseType(s string) (Type, error) {
	rest, ok := strings.CutPrefix(s, typePrefix)
	if ok {
		rest, ok = strings.CutSuffix(rest, typeVersion)
	}
	parts := strings.Split(rest, ".")
	if !ok || len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return Type{}, fmt.Errorf("type %q: expected dev.slipway.<kind>.<operation>.<outcome>.v1", s)
	}
	return Type{Kind: parts[0], Op: parts[1], Outcome: Outcome(parts[2])}, nil
}
