package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/schemas"
	"github.com/slipway-ml/slipway/worker"
)

// sample is an operation as it may be seen on the wire.
type sample struct {
	handlers.Operation
	name    string          // of the deployment or model
	command json.RawMessage // the CloudEvent
	outcome json.RawMessage // the CloudEvent that it ends in when all goes well
	begins  bool            // it has effects, so that it is claimed
	checks  bool            // it checks a model
}

// Of every sample.
var sampleTime = time.Date(2026, time.November, 22, 9, 0, 0, 0, time.UTC)

const sampleSource = "/pipelines/churn"

// samples carry out the example of each operation, one after the other: the
// deployment that one example makes is what the next one is about.
func samples(set *schemas.Set) ([]sample, error) {
	names := map[deployment.Kind]string{deployment.KindModel: "churn-v2", deployment.KindDeployment: "churn"}
	subjects := map[deployment.Kind]deployment.Subject{}
	recent := map[deployment.Kind][]string{}
	newest := map[deployment.Kind]uint64{} // event about the kind's name
	var ledger uint64                      // newest event of all
	var registered deployment.Model        // the newest one, by id or inline
	var history deployment.History         // of the deployment
	var all []sample
	for i, operation := range handlers.All() {
		s := sample{Operation: operation, name: names[operation.Kind]}
		sequence := uint64(i) + 1
		at := sampleTime.Add(time.Duration(i) * time.Minute)
		fail := func(err error) ([]sample, error) {
			return nil, fmt.Errorf("sample of %s %s: %w", operation.Kind, operation.Op, err)
		}
		event, err := events.Request{
			Type: events.Type{Kind: string(operation.Kind), Op: operation.Op}, Source: sampleSource, ID: fmt.Sprintf("run-%d", 4712+i),
			Subject: s.name, Time: at, Data: operation.Example,
		}.Event()
		if err != nil {
			return fail(err)
		}
		if s.command, err = pretty(event); err != nil {
			return fail(err)
		}
		cmd, err := events.ReadCommand(nil, s.command)
		if err != nil {
			return fail(err)
		}
		var decision deployment.Decision
		decision, s.begins, err = decide(operation, subjects[operation.Kind], registered, history.Life(), cmd, deployment.Command{
			Kind: operation.Kind, Name: deployment.Name(s.name), Op: operation.Op, Token: cmd.Token(), By: cmd.Source, At: at,
		})
		if err != nil {
			return fail(err)
		}
		if decision.Registered != nil {
			registered = *decision.Registered
		}
		typ := cmd.Type.With(events.Completed)
		data := worker.Data{
			Command: worker.CommandRef{
				Source: cmd.Source, ID: cmd.ID, Token: cmd.Token(), Type: cmd.Type.String(), Digest: cmd.Digest(), Sequence: sequence, StoredAt: at,
			},
			Worker: "w-dg2whahgkwk6", Attempt: 1,
			Deployment: decision.After.Deployment, Model: decision.After.Model,
			Checks: decision.Checks, Changed: &decision.Changed, Registered: decision.Registered, Replacement: decision.Replacement,
			Drift: decision.Drift, Validation: decision.Validation, Renamed: decision.Renamed,
		}
		recent[operation.Kind] = append(recent[operation.Kind], fmt.Sprintf("%s:%s:%s:%d", cmd.Token(), events.Completed, cmd.Digest(), sequence))
		s.checks = len(decision.Checks) > 0
		for _, published := range []bool{s.begins, s.checks} { // started, validated
			if published {
				ledger++
				newest[operation.Kind] = ledger
			}
		}
		data.Ledger.Previous, data.Ledger.Watermark, data.Ledger.Recent = newest[operation.Kind], sequence, recent[operation.Kind]
		var revision uint64
		if decision.After.Deployment != nil {
			revision = decision.After.Deployment.Revision
		}
		if data.Model != nil {
			data.Ledger.RegisteredBy = sequence
		}
		event, err = events.Fact{
			Type: typ, ID: events.FactID(cmd.Token(), events.Completed, 0), Subject: s.name, Time: at.Add(time.Second),
			Schema: set.File(typ.String()), Revision: revision,
			CorrelationID: cmd.CorrelationID, CausationID: cmd.ID, Data: data,
		}.Event()
		if err != nil {
			return fail(err)
		}
		if s.outcome, err = pretty(event); err != nil {
			return fail(err)
		}
		history.Add(deployment.Completed{EventID: event.ID(), After: data.Deployment, Replacement: data.Replacement, Renamed: data.Renamed})
		ledger++
		subjects[operation.Kind], newest[operation.Kind] = decision.After, ledger
		all = append(all, s)
	}
	return all, nil
}

// decide reaches the decision as a worker does, with a file that is as declared,
// and says whether the command is claimed for it.
func decide(operation handlers.Operation, before deployment.Subject, registered deployment.Model, history []deployment.Served, cmd events.Command, c deployment.Command) (d deployment.Decision, begins bool, err error) {
	var facts deployment.Facts
	asked, err := operation.Read(cmd.Data)
	if err != nil {
		return d, false, err
	}
	id := asked.Names
	if asked.Compares { // what the operation before it brought in
		current := registered
		current.ID = before.Deployment.Model.ID
		facts.Current = &current
	}
	if asked.Recalls != nil {
		facts.History = history
		id = asked.Recalls(before, history)
	}
	if id != "" {
		registered.ID = id
		facts.Model = &registered
	}
	if asked.ID != "" {
		facts.Outcome = string(events.Cancelled)
	}
	if d, err = asked.Decide(before, facts, c); err != nil || d.Inspect == nil {
		return d, len(d.Effects) > 0, err
	}
	facts.Inspection = &deployment.Inspection{
		Format: d.Inspect.Format, Objective: "binary:logistic", Features: len(d.Inspect.Features),
		FeatureNames: d.Inspect.FeatureNames(), Outputs: 1, Trees: 100,
		TargetTypes: []deployment.TargetType{deployment.TargetBinary}, Classes: 2,
	}
	d, err = asked.Decide(before, facts, c)
	return d, true, err
}

// pretty is the event as indented JSON, its members in the order in which people
// read them.
func pretty(e cloudevents.Event) (json.RawMessage, error) {
	_, body, err := events.Encode(e)
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return nil, err
	}
	var order []string
	for _, name := range []string{"specversion", "id", "source", "type", "subject", "time", "dataschema", "datacontenttype"} {
		if _, has := members[name]; has {
			order = append(order, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !slices.Contains(order, name) && name != "data" {
			order = append(order, name)
		}
	}
	parts := make([]string, 0, len(members))
	for _, name := range append(order, "data") {
		parts = append(parts, fmt.Sprintf("%q:%s", name, members[name]))
	}
	var text bytes.Buffer
	err = json.Indent(&text, []byte("{"+strings.Join(parts, ",")+"}"), "", "  ")
	return text.Bytes(), err
}
