package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/schemas"
	"github.com/slipway-ml/slipway/worker"
)

// history is what the two streams say after a run.
type history struct {
	violation func(format string, args ...any)
	schemas   *schemas.Set

	events   []entry
	ended    map[uint64]*entry // first terminal event by sequence of its command
	commands []stored
}

// stored is a command as it is in the stream.
type stored struct {
	jetstream.Message
	id string // message id
}

func newHistory(tb testing.TB) *history {
	tb.Helper()
	set, err := schemas.Load()
	if err != nil {
		tb.Fatal(err)
	}
	return &history{schemas: set, ended: make(map[uint64]*entry)}
}

// readEvents reads the events that are new.
func (h *history) readEvents(ctx context.Context, ledger *jetstream.Ledger) error {
	var from uint64 = 1
	if len(h.events) > 0 {
		from = h.events[len(h.events)-1].Stored.Sequence + 1
	}
	return ledger.Events(ctx, jetstream.AllEvents, from, func(m jetstream.Message) error {
		e, err := readEntry(m)
		if err != nil {
			return err
		}
		h.events = append(h.events, e)
		if e.Outcome.Terminal() && h.ended[e.Command.Sequence] == nil {
			h.ended[e.Command.Sequence] = &e
		}
		return nil
	})
}

// readCommands reads all commands.
func (h *history) readCommands(ctx context.Context, js natsjs.JetStream) error {
	stream, err := js.Stream(ctx, jetstream.CommandsStream)
	if err != nil {
		return err
	}
	h.commands = nil
	last := stream.CachedInfo().State.LastSeq
	consumer, err := stream.OrderedConsumer(ctx, natsjs.OrderedConsumerConfig{DeliverPolicy: natsjs.DeliverAllPolicy})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	for n := uint64(0); n < last; {
		msg, err := messages.Next(natsjs.NextContext(ctx))
		if err != nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		n = meta.Sequence.Stream
		h.commands = append(h.commands, stored{
			jetstream.Message{Subject: msg.Subject(), Sequence: n, Time: meta.Timestamp, Header: msg.Headers(), Body: msg.Data()},
			msg.Headers().Get(natsjs.MsgIDHeader),
		})
	}
	return nil
}

// tail is the newest events about a deployment or model.
func (h *history) tail(kind, name string) string {
	var lines []string
	for _, e := range h.events {
		if e.Kind == kind && e.Subject == name {
			lines = append(lines, fmt.Sprintf("    event %d: command %d %s %s attempt %d by %s at %s, watermark %d, previous %d: %s",
				e.Stored.Sequence, e.Command.Sequence, e.Op, e.Outcome, e.Attempt, e.Worker, e.Stored.Time.Format("15:04:05.000"), e.Ledger.Watermark, e.Ledger.Previous, e.detail()))
		}
	}
	return strings.Join(lines[max(0, len(lines)-12):], "\n")
}

// checkEvents: one outcome for each command, in the order of the commands of
// each deployment, in an unbroken chain, by the schema, each with its own id.
func (h *history) checkEvents() {
	fold := worker.NewFold()
	ids := make(map[string]uint64)
	outcomes := make(map[string]uint64) // sequence of the newest finished command
	for _, e := range h.events {
		fold.Add(e.Stored)
		ce, err := events.Decode(e.Stored.Header, e.Stored.Body)
		if err != nil {
			h.violation("event %d: %v", e.Stored.Sequence, err)
			continue
		}
		if first, again := ids[ce.ID()]; again {
			h.violation("events %d and %d have the same id %s\n%s", first, e.Stored.Sequence, ce.ID(), h.tail(e.Kind, e.Subject))
		}
		ids[ce.ID()] = e.Stored.Sequence
		for _, finding := range h.schemas.Check(e.String(), ce.Data()) {
			h.violation("event %d %s: %s: %s", e.Stored.Sequence, e.Type, finding.Path, finding.Message)
		}
		if who := e.Kind + "." + e.Subject; e.Outcome.Terminal() {
			if e.Command.Sequence <= outcomes[who] {
				h.violation("event %d: command %d of %s is finished after %d\n%s", e.Stored.Sequence, e.Command.Sequence, who, outcomes[who], h.tail(e.Kind, e.Subject))
			}
			outcomes[who] = e.Command.Sequence
		}
	}
	for _, v := range fold.Violations {
		h.violation("event %d of %s %s: %s: %s\n%s", v.Sequence, v.Kind, v.Name, v.Rule, v.Message, h.tail(v.Kind, v.Name))
	}
}

// checkCommands: what was acknowledged is stored, as it was published, once.
func (h *history) checkCommands(orders []*order) {
	bySequence := make(map[uint64]stored, len(h.commands))
	byID := make(map[string]uint64)
	for _, s := range h.commands {
		bySequence[s.Sequence] = s
		if first, again := byID[s.id]; again {
			h.violation("command %s is stored twice, as %d and %d", s.id, first, s.Sequence)
		}
		byID[s.id] = s.Sequence
		if h.ended[s.Sequence] == nil {
			h.violation("command %d on %s has no outcome", s.Sequence, s.Subject)
		}
	}
	for _, o := range orders {
		s, found := bySequence[o.sequence]
		if o.sequence > 0 && (!found || s.id != o.messageID() || s.Subject != o.subject || !bytes.Equal(s.Body, o.body)) {
			h.violation("acknowledged, and not stored as it was published: %v; at %d there is %s on %s", o, o.sequence, s.id, s.Subject)
		}
	}
}

// checkOutcomes carries out the commands once more, in the order of the stream,
// as simply as can be, and compares what each has come to. It returns the model
// that answers predictions of each deployment; "": none.
func (h *history) checkOutcomes(orders []*order) (serves map[string]deployment.Name) {
	orders = slices.DeleteFunc(slices.Clone(orders), func(o *order) bool { return o.sequence == 0 || h.ended[o.sequence] == nil })
	slices.SortFunc(orders, func(a, b *order) int { return int(a.sequence) - int(b.sequence) }) //nolint:gosec // small numbers
	cancels := make(map[string]uint64)                                                          // newest one by id of what it cancels
	for _, o := range orders {
		if o.op == handlers.OpCancel {
			cancels[o.target.id] = o.sequence
		}
	}
	lives := make(map[string]*life)
	models := make(map[string]deployment.Name) // content by id
	for _, o := range orders {
		l := lives[o.name]
		if l == nil {
			l = &life{}
		}
		if o.kind == deployment.KindDeployment {
			lives[o.name] = l
		}
		got := h.ended[o.sequence]
		want := []events.Outcome{h.expected(o, l, models)}
		if o.nature == expiring && want[0] != events.Duplicate {
			want = append(want, events.Expired)
		}
		if (o.nature == natural || o.nature == expiring) && o.kind == deployment.KindDeployment && o.op != handlers.OpCancel && cancels[o.id] > o.sequence {
			want = append(want, events.Cancelled)
		}
		if !slices.Contains(want, got.Outcome) {
			h.violation("%v: ended as %s (%s), want %v, by event %d\n%s", o, got.Outcome, got.detail(), want, got.Stored.Sequence, h.tail(string(o.kind), o.name))
		}
		if got.Outcome != events.Completed {
			continue
		}
		if o.op == "register" {
			models[o.name] = o.model
		} else {
			l.carryOut(o)
		}
	}
	serves = make(map[string]deployment.Name)
	for name, l := range lives {
		if serves[name] = l.model; l.inactive {
			serves[name] = ""
		}
		if got := h.state(name); got != serves[name] {
			h.violation("%s: the ledger says that %q serves, want %q\n%s", name, got, serves[name], h.tail("deployment", name))
		}
	}
	return serves
}

// life is a deployment, as simply as can be.
type life struct {
	model    deployment.Name // "": there is no deployment
	earlier  deployment.Name // the model before that one
	served   []deployment.Name
	inactive bool
}

// goesTo is the model that the command leads to; "": there is none.
func (l *life) goesTo(o *order) deployment.Name {
	if o.op == "rollback" && o.model == "" {
		return l.earlier
	}
	return o.model
}

func (l *life) carryOut(o *order) {
	switch o.op {
	case "deploy":
		*l = life{model: o.model, served: []deployment.Name{o.model}}
	case "replace", "rollback", "update":
		model := l.goesTo(o)
		if o.op == "update" && model == "" {
			break // of the label alone
		}
		l.model, l.earlier, l.served = model, l.model, append(l.served, model)
	case "deactivate", "activate":
		l.inactive = o.op == "deactivate"
	case "delete":
		*l = life{}
	}
}

// expected is how a command ends that nobody cancels and that does not expire
// before its turn.
func (h *history) expected(o *order, l *life, models map[string]deployment.Name) events.Outcome {
	switch {
	case o.id == "" || o.nature == repeated && o.changed || o.nature == invalidOrder:
		return events.Rejected
	case o.nature == repeated:
		return events.Duplicate
	case o.nature == expired:
		return events.Expired
	}
	ok := false
	switch o.op {
	case handlers.OpCancel:
		target := o.target
		if target.again != nil {
			target = target.again
		}
		end := h.ended[target.sequence]
		ok = target.id != "" && end != nil && end.Outcome == events.Cancelled
	case "register":
		content, known := models[o.name]
		ok = !known || content == o.model
	case "deploy":
		ok = l.model == "" && (!o.byID || models[string(o.model)] != "")
	case "replace", "update":
		if ok = l.model != ""; o.op == "update" && o.model == "" { // of the label alone
			break
		}
		ok = ok && !l.inactive && l.model != o.model && (!o.byID || models[string(o.model)] != "")
	case "rollback":
		to := l.goesTo(o)
		ok = l.model != "" && !l.inactive && l.model != to && slices.Contains(l.served, to)
	case "deactivate", "activate":
		ok = l.model != "" && l.inactive == (o.op == "activate")
	case "drift":
		ok = l.model != "" && !l.inactive
	case "delete":
		ok = l.model != ""
	}
	if ok {
		return events.Completed
	}
	return events.Rejected
}

// state is the model that the newest event about a deployment says answers
// predictions.
func (h *history) state(name string) (model deployment.Name) {
	for _, e := range h.events {
		if e.Kind != string(deployment.KindDeployment) || e.Subject != name {
			continue
		}
		if model = ""; e.Deployment.Serves() {
			model = e.Deployment.Model.ID
		}
	}
	return model
}
