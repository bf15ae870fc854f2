package worker

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
)

// Data is the data of every event. Which members are present depends on the
// outcome; schemas/outcome.<outcome>.v1.json says which.
type Data struct {
	Command CommandRef `json:"command"`
	Worker  string     `json:"worker"`
	Attempt int        `json:"attempt,omitempty"`

	Deployment *deployment.State `json:"deployment,omitempty"`
	Model      *deployment.Model `json:"model,omitempty"`

	Status      deployment.CheckStatus     `json:"status,omitempty"`        // validated
	Checks      deployment.Checks          `json:"checks,omitempty"`        // validated, completed, rejected
	Message     string                     `json:"message,omitempty"`       // validated, progress
	Validation  *deployment.Validation     `json:"validation,omitempty"`    // validated, completed, rejected
	NextAt      *time.Time                 `json:"nextAt,omitempty"`        // retrying
	Changed     *bool                      `json:"changed,omitempty"`       // completed
	Contract    *deployment.ContractChange `json:"contract,omitempty"`      // completed
	Registered  *deployment.Model          `json:"registered,omitempty"`    // completed
	Replacement *deployment.Replacement    `json:"replacement,omitempty"`   // completed, failed
	Drift       *deployment.DriftChange    `json:"driftTracking,omitempty"` // completed
	Renamed     *deployment.Renamed        `json:"renamed,omitempty"`       // completed
	Failure     *Failure                   `json:"failure,omitempty"`       // rejected, failed, retrying
	Raw         *Raw                       `json:"raw,omitempty"`           // rejected, what could not be read
	Original    *Original                  `json:"original,omitempty"`      // duplicate
	ExpiredAt   *time.Time                 `json:"expiredAt,omitempty"`     // expired
	CancelledBy *CancelledBy               `json:"cancelledBy,omitempty"`   // cancelled

	Ledger Thread `json:"ledger"`
}

// CommandRef names the command that an event is about.
type CommandRef struct {
	Source   string    `json:"source,omitempty"`
	ID       string    `json:"id,omitempty"`
	Token    string    `json:"token"`
	Actor    string    `json:"actor,omitempty"` // for whom it was sent, as the sender says
	Key      string    `json:"key,omitempty"`   // of Actor, that has signed it; "": nobody has checked who Actor is
	Type     string    `json:"type,omitempty"`
	Digest   string    `json:"digest,omitempty"`
	Sequence uint64    `json:"sequence"` // in the stream of commands
	StoredAt time.Time `json:"storedAt"`
}

// Failure is why a command was refused or did not succeed (datarobot.md R22).
type Failure struct {
	Code      deployment.Code      `json:"code"`
	Class     deployment.Class     `json:"class"`
	Message   string               `json:"message"`
	Errors    map[string]string    `json:"errors,omitempty"` // by field
	Findings  []deployment.Finding `json:"findings,omitempty"`
	Retryable bool                 `json:"retryable"`
}

// Raw is what is kept of a message that could not be read.
type Raw struct {
	Digest deployment.Digest `json:"digest"`
	Size   int               `json:"size"` // bytes
	Head   []byte            `json:"head"` // the first 1024 of them
}

// Original is the outcome of the first publication of a command.
type Original struct {
	Outcome  events.Outcome `json:"outcome"`
	Sequence uint64         `json:"sequence"` // in the stream of commands
}

// CancelledBy names the command that cancelled another one.
type CancelledBy struct {
	Source   string `json:"source"`
	ID       string `json:"id"`
	Sequence uint64 `json:"sequence"` // in the stream of commands
}

// Thread ties an event to the one before it of the same deployment or model.
type Thread struct {
	Previous     uint64            `json:"previous"`  // sequence of that event; 0: none
	Watermark    uint64            `json:"watermark"` // sequence of the newest finished command
	Claim        *Claim            `json:"claim,omitempty"`
	Retry        *Retry            `json:"retry,omitempty"`
	Committed    *deployment.State `json:"committed,omitempty"`    // while a command runs: what deployment was before it
	RegisteredBy uint64            `json:"registeredBy,omitempty"` // sequence of the command that registered the model
	Recent       []string          `json:"recent,omitempty"`       // of outcomes; newest last; see done
}

// Claim is a worker's hold on the command that it carries out.
type Claim struct {
	Token      string `json:"token"`
	Worker     string `json:"worker"`
	Attempt    int    `json:"attempt"`
	HandedOver int    `json:"handedOver,omitempty"` // of the attempts before: given back by a worker that was told to stop
	First      uint64 `json:"first,omitempty"`      // sequence of the started event of the first attempt, if that is another one
	Sequence   uint64 `json:"sequence,omitempty"`   // of the started event: the fencing token
}

// Retry is when the next attempt at a command is due.
type Retry struct {
	Token      string    `json:"token"`
	Attempt    int       `json:"attempt"`
	HandedOver int       `json:"handedOver,omitempty"` // of the attempts so far
	First      uint64    `json:"first,omitempty"`      // sequence of the started event of the first attempt, if one began
	NextAt     time.Time `json:"nextAt"`
}

// record is where the history of a deployment or model stands: what the newest
// event about it says.
type record struct {
	Who      Address
	Sequence uint64    // of that event; 0: there is none
	Time     time.Time // of that event, by the broker's clock; just before it was stored, by our own, if this process has just stored it
	Subject  deployment.Subject
	Outcome  events.Outcome
	Data     Data
	Thread

	showing *showing // that event, if this process has just stored it; nil: it is shown
}

func readRecord(who Address, m jetstream.Message) (record, error) {
	rec := record{Who: who, Sequence: m.Sequence, Time: m.Time}
	if m.Sequence == 0 {
		return rec, nil
	}
	typ, data, err := ReadEvent(m)
	if err != nil {
		return rec, err
	}
	rec.Outcome, rec.Data, rec.Thread = typ.Outcome, data, data.Ledger
	rec.Subject = deployment.Subject{Deployment: data.Deployment, Model: data.Model}
	if rec.Claim != nil || rec.Retry != nil {
		rec.Subject.Deployment = data.Ledger.Committed
	}
	if rec.Claim != nil && typ.Outcome == events.Started {
		claim := *rec.Claim
		claim.Sequence = m.Sequence
		rec.Claim = &claim
	}
	return rec, nil
}

// ReadEvent reads an event of the ledger.
func ReadEvent(m jetstream.Message) (typ events.Type, data Data, err error) {
	if typ, data, err = events.ReadFact[Data](m.Header, m.Body); err != nil {
		return typ, data, fmt.Errorf("read event %d on %s: %w", m.Sequence, m.Subject, err)
	}
	return typ, data, nil
}

// earlier is what the tries before came to of the command with this token.
func (r *record) earlier(token string) Retry {
	switch {
	case r.Claim != nil && r.Claim.Token == token:
		return Retry{Token: token, Attempt: r.Claim.Attempt, HandedOver: r.Claim.HandedOver, First: cmp.Or(r.Claim.First, r.Claim.Sequence)}
	case r.Retry != nil && r.Retry.Token == token:
		return *r.Retry
	default:
		return Retry{}
	}
}

// done is one finished command as Thread.Recent has it:
// token:outcome:digest:sequence.
type done struct {
	Token    string
	Outcome  events.Outcome
	Digest   string
	Sequence uint64
}

// recentKept is how many finished commands travel in the ledger.
const recentKept = 64

func (d done) String() string {
	return strings.Join([]string{d.Token, string(d.Outcome), d.Digest, strconv.FormatUint(d.Sequence, 10)}, ":")
}

func (t *Thread) find(token string) (done, bool) {
	for _, text := range t.Recent {
		if !strings.HasPrefix(text, token) {
			continue
		}
		parts := strings.Split(text, ":")
		if len(parts) != 4 || parts[0] != token {
			continue
		}
		sequence, err := strconv.ParseUint(parts[3], 10, 64)
		if err != nil {
			continue
		}
		return done{Token: parts[0], Outcome: events.Outcome(parts[1]), Digest: parts[2], Sequence: sequence}, true
	}
	return done{}, false
}

// with is the list with one more finished command.
func (t *Thread) with(d done) []string {
	recent := append(append(make([]string, 0, len(t.Recent)+1), t.Recent...), d.String())
	return recent[max(0, len(recent)-recentKept):]
}
