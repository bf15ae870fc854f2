package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
)

// order is a command that the driver publishes, and what it knows of it.
type order struct {
	number  int // from 1; also its message id
	kind    deployment.Kind
	name    string
	op      string
	id      string
	nature  nature
	model   deployment.Name // that it names or gives; "": none
	byID    bool            // it names the model
	again   *order          // of which it is the same command, published again
	changed bool            // with other content than that
	target  *order          // of a cancel
	expires time.Time

	subject string
	header  nats.Header
	body    []byte

	sequence uint64 // once it is acknowledged
}

// nature is what is to be expected of a command.
type nature string

const (
	natural      nature = "natural"  // ends as the state of the deployment says
	invalidOrder nature = "invalid"  // rejected
	expired      nature = "expired"  // was it before it was published
	expiring     nature = "expiring" // may be it when its turn comes
	repeated     nature = "repeated" // same source and id as an earlier one
)

const chaosSource = "/chaos"

// driver makes up commands. It is used by one goroutine.
type driver struct {
	*rand.Rand
	facts       func(variant int) handlers.ModelFacts
	deployments int
	models      int // ids of models that were made up so far
	orders      []*order
	of          map[string][]*order // by kind and name
}

// Which of the two files a model has is said by its variant: by whether that is
// even. The variant of a registered model is in its id.
const (
	chaosModels   = 5000 // at most
	chaosVariants = 12   // of models that are given inline
)

func chaosModel(n int) deployment.Name { return deployment.Name(fmt.Sprint("model-", n)) }

// next is the next command.
func (d *driver) next() *order {
	o := &order{number: len(d.orders) + 1, kind: deployment.KindDeployment, nature: natural}
	o.id = fmt.Sprint("c-", o.number)
	o.name = fmt.Sprint("deployment-", d.IntN(d.deployments))
	if last := d.last(); last != nil && last.kind == o.kind && d.IntN(2) == 0 { // a burst
		o.name = last.name
	}
	before := d.of[string(o.kind)+o.name]
	switch dice := d.IntN(100); {
	case o.number <= 4 || dice < 10:
		d.register(o)
	case dice < 20 && len(before) > 0:
		o.op, o.target = handlers.OpCancel, before[len(before)-1-d.IntN(min(3, len(before)))]
		d.encode(o, handlers.Cancel{Source: chaosSource, ID: o.target.id})
	case dice < 28 && len(before) > 0:
		d.repeat(o, before[d.IntN(len(before))])
	case dice < 32:
		d.invalid(o)
	case len(before) == 0 || dice < 42:
		d.deploy(o)
	case dice < 62:
		d.operate(o, dice)
	default:
		d.replace(o)
	}
	d.orders = append(d.orders, o)
	d.of[string(o.kind)+o.name] = append(d.of[string(o.kind)+o.name], o)
	return o
}

func (d *driver) last() *order {
	if len(d.orders) == 0 {
		return nil
	}
	return d.orders[len(d.orders)-1]
}

func (d *driver) register(o *order) {
	n := d.recent()
	if d.models < chaosModels && d.IntN(2) == 0 {
		n = d.models
		d.models++
	}
	o.kind, o.name, o.op = deployment.KindModel, string(chaosModel(n)), "register"
	variant := n
	if d.IntN(4) == 0 {
		variant += 100 // other content, from the same file
	}
	facts := d.facts(variant)
	o.model = facts.Named("").ContentID()
	d.encode(o, handlers.Register{ModelFacts: facts})
}

// recent is a model that was made up before, most often just before: it may not
// be registered yet when its id is used.
func (d *driver) recent() int {
	if d.IntN(2) == 0 {
		return max(0, d.models-1-d.IntN(3))
	}
	return d.IntN(max(1, d.models))
}

func (d *driver) choose(o *order) handlers.ModelChoice {
	if o.byID = d.IntN(2) == 0; o.byID {
		o.model = chaosModel(d.recent())
		return handlers.ModelChoice{ModelID: o.model}
	}
	facts := d.facts(d.IntN(chaosVariants))
	o.model = facts.Named("").ContentID()
	return handlers.ModelChoice{Model: &facts}
}

func (d *driver) perhapsExpires(o *order) {
	switch d.IntN(20) {
	case 0:
		o.nature, o.expires = expired, time.Now().Add(-time.Hour)
	case 1:
		o.nature, o.expires = expiring, time.Now().Add(300*time.Millisecond)
	}
}

func (d *driver) deploy(o *order) {
	o.op = "deploy"
	d.perhapsExpires(o)
	d.encode(o, handlers.Deploy{Label: o.name, ModelChoice: d.choose(o)})
}

func (d *driver) replace(o *order) {
	o.op = "replace"
	d.perhapsExpires(o)
	d.encode(o, handlers.Replace{Reason: deployment.ReasonDataDrift, ReasonText: o.id, ModelChoice: d.choose(o)})
}

// operate changes something else than the model that is given.
func (d *driver) operate(o *order, dice int) {
	switch {
	case dice < 49:
		o.op = "rollback"
		if d.IntN(2) == 0 {
			o.model = d.facts(d.IntN(chaosVariants)).Named("").ContentID()
		}
		d.encode(o, handlers.Rollback{ModelID: o.model, Reason: deployment.ReasonErrors})
	case dice < 52:
		o.op = "deactivate"
		d.encode(o, handlers.Deactivate{})
	case dice < 57:
		o.op = "activate"
		d.encode(o, handlers.Activate{})
	case dice < 59:
		o.op = "delete"
		d.encode(o, handlers.Delete{})
	case dice < 60:
		o.op = "drift"
		enabled := d.IntN(2) == 0
		d.encode(o, handlers.Drift{FeatureDriftEnabled: &enabled})
	default:
		o.op = "update"
		data := handlers.Update{Label: &o.id}
		if d.IntN(2) == 0 {
			data.ModelChoice = d.choose(o)
		}
		d.encode(o, data)
	}
}

func (d *driver) repeat(o, earlier *order) {
	for earlier.again != nil {
		earlier = earlier.again
	}
	*o = order{ // not its sequence, which is the publisher's
		number: o.number, again: earlier, nature: repeated,
		kind: earlier.kind, name: earlier.name, op: earlier.op, id: earlier.id, model: earlier.model, byID: earlier.byID,
		target: earlier.target, expires: earlier.expires, subject: earlier.subject, header: earlier.header, body: earlier.body,
	}
	if o.changed = o.op == "replace" && d.IntN(3) == 0; o.changed {
		d.encode(o, handlers.Replace{Reason: deployment.ReasonAccuracy, ReasonText: fmt.Sprint("not ", o.id), ModelChoice: d.choose(o)})
	}
}

func (d *driver) invalid(o *order) {
	o.op, o.nature = "deploy", invalidOrder
	switch d.IntN(4) {
	case 0:
		d.encode(o, map[string]any{"label": "x", "model_id": "model-1"})
	case 1:
		d.encode(o, map[string]any{})
	case 2:
		o.op = "explode"
		d.encode(o, map[string]any{"label": "x"})
	case 3:
		d.encode(o, map[string]any{})
		o.id, o.body = "", []byte("not even JSON")
	}
}

// encode is deterministic but for times: the same seed, the same commands.
func (d *driver) encode(o *order, data any) {
	o.subject = jetstream.CommandSubject(string(o.kind), o.name, o.op)
	e, err := events.Request{
		Type: events.Type{Kind: string(o.kind), Op: o.op}, Source: chaosSource, ID: o.id, Subject: o.name, Time: time.Now(), Data: data,
	}.Event()
	if err != nil {
		panic(err)
	}
	if !o.expires.IsZero() {
		e.SetExtension("expirytime", o.expires.UTC().Format(time.RFC3339Nano))
	}
	header, body, err := events.Encode(e)
	if err != nil {
		panic(err)
	}
	o.header, o.body = nats.Header(header), body
}

func (o *order) messageID() string { return fmt.Sprint("chaos-", o.number) }

// publish publishes the command until it is acknowledged, under the same id.
func (o *order) publish(ctx context.Context, js natsjs.JetStream) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
		ack, err := js.PublishMsg(attempt, &nats.Msg{Subject: o.subject, Header: copyHeader(o.header), Data: o.body},
			natsjs.WithMsgID(o.messageID()), natsjs.WithExpectStream(jetstream.CommandsStream))
		cancel()
		if err == nil {
			o.sequence = ack.Sequence
			return nil
		}
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("command %d is not acknowledged: %w", o.number, err)
		}
	}
}

func copyHeader(h nats.Header) nats.Header {
	again := make(nats.Header, len(h))
	for name, values := range h {
		again[name] = slices.Clone(values)
	}
	return again
}

func (o *order) String() string {
	text, _ := json.Marshal(string(o.nature))
	return fmt.Sprintf("%s %s %s %s model %q %s sequence %d", o.messageID(), o.name, o.op, o.id, o.model, text, o.sequence)
}
