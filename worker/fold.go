package worker

import (
	"fmt"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
)

// Fold is what the ledger says, up to a position: what every projection has to
// show, by the code that projects events as they happen, and where the ledger
// itself does not keep what it promises.
type Fold struct {
	Position uint64 // sequence of the newest event in it
	Events   int

	Deployments map[string]DeploymentView // by name
	Models      map[string]ModelView      // by id
	Operations  map[string]OperationView  // by token
	Violations  []Violation

	threads map[string]*thread // by fence
	ended   map[uint64]uint64  // terminal event by sequence of its command
	changed func(bucket, key string)
}

// Violation is an event of the ledger that must not be there as it is.
type Violation struct {
	Sequence uint64 `json:"sequence"` // of the event
	Kind     string `json:"kind"`
	Name     string `json:"name"`
	Rule     Rule   `json:"rule"`
	Message  string `json:"message"`
}

// Rule names what the ledger promises of every event.
type Rule string

// The rules.
const (
	RuleReadable  Rule = "readable"  // it is an event, on the subject of its type
	RuleChain     Rule = "chain"     // it continues the event before it of the same deployment or model
	RuleWatermark Rule = "watermark" // which never goes back
	RuleOutcome   Rule = "outcome"   // one terminal event for each command
)

// thread is the history of one deployment or model, as far as it is folded.
type thread struct {
	last      uint64 // sequence of its newest event
	watermark uint64
	running   uint64 // sequence of the command that has events but no outcome; 0: none
}

// NewFold is the fold of no events.
func NewFold() *Fold {
	return &Fold{
		Deployments: make(map[string]DeploymentView), Models: make(map[string]ModelView), Operations: make(map[string]OperationView),
		threads: make(map[string]*thread), ended: make(map[uint64]uint64),
	}
}

// Add folds in the next event of the ledger. An event at or before Position is
// in it already.
func (f *Fold) Add(m jetstream.Message) {
	typ, data, err := ReadEvent(m)
	f.add(m, typ, data, err)
}

func (f *Fold) add(m jetstream.Message, typ events.Type, data Data, unreadable error) {
	if m.Sequence <= f.Position {
		return
	}
	f.Position = m.Sequence
	f.Events++
	kind, name, op, outcome, ok := jetstream.ParseEventSubject(m.Subject)
	who := NewAddress(deployment.Kind(kind), name)
	violated := func(rule Rule, format string, args ...any) {
		f.Violations = append(f.Violations, Violation{m.Sequence, kind, name, rule, fmt.Sprintf(format, args...)})
	}
	t := f.threads[who.Fence]
	if t == nil {
		t = &thread{}
		f.threads[who.Fence] = t
	}
	previous := t.last
	t.last = m.Sequence
	if unreadable != nil {
		violated(RuleReadable, "%v", unreadable)
		return
	}
	if on := (events.Type{Kind: kind, Op: op, Outcome: events.Outcome(outcome)}); !ok || typ != on {
		violated(RuleReadable, "an event of type %s is on subject %s", typ, m.Subject)
	}
	if data.Ledger.Previous != previous {
		violated(RuleChain, "continues event %d, want %d", data.Ledger.Previous, previous)
	}
	f.order(t, typ.Outcome, data, violated)
	f.show(newView(who, m.Sequence, typ.Outcome, data))
}

// order checks the watermark and that each command has one outcome.
func (f *Fold) order(t *thread, outcome events.Outcome, data Data, violated func(rule Rule, format string, args ...any)) {
	command := data.Command.Sequence
	switch watermark := data.Ledger.Watermark; {
	case watermark < t.watermark:
		violated(RuleWatermark, "watermark %d, after %d", watermark, t.watermark)
	case outcome.Terminal() && watermark < command:
		violated(RuleWatermark, "watermark %d, at the outcome of command %d", watermark, command)
	}
	t.watermark = max(t.watermark, data.Ledger.Watermark)
	if t.running != 0 && t.running != command {
		violated(RuleOutcome, "about command %d, while command %d has no outcome", command, t.running)
	}
	first, again := f.ended[command]
	switch {
	case again && outcome.Terminal():
		violated(RuleOutcome, "a second outcome of command %d; the first is event %d", command, first)
	case again:
		violated(RuleOutcome, "about command %d, which ended with event %d", command, first)
	case outcome.Terminal():
		f.ended[command] = t.last
	}
	t.running = command
	if outcome.Terminal() {
		t.running = 0
	}
}

// show makes the views show v, as Projections.Project does.
func (f *Fold) show(v View) {
	if v.Sequence == 0 {
		return
	}
	if v.ofDeployment() {
		have, exists := f.Deployments[v.Who.Name]
		switch {
		case exists && v.keepsDeployment(have):
		case v.Deployment != nil:
			f.Deployments[v.Who.Name] = v.deployment()
			f.note(jetstream.DeploymentsBucket, v.Who.Name)
		case exists:
			delete(f.Deployments, v.Who.Name)
			f.note(jetstream.DeploymentsBucket, v.Who.Name)
		}
	}
	if v.Registered != nil {
		id := string(v.Registered.ID)
		if have, exists := f.Models[id]; !exists || !v.keepsModel(have) {
			f.Models[id] = *v.Registered
			f.note(jetstream.ModelsBucket, id)
		}
	}
	if v.Operation != nil {
		token := v.Operation.Token
		if have, exists := f.Operations[token]; !exists || !v.keepsOperation(have) {
			f.Operations[token] = *v.Operation
			f.note(jetstream.OperationsBucket, token)
		}
	}
}

func (f *Fold) note(bucket, key string) {
	if f.changed != nil {
		f.changed(bucket, key)
	}
}
