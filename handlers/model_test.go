package handlers_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/handlers"
)

// world is what decisions lead to, and beside it an oracle that knows nothing of
// states: only which content serves where, and which content has which id.
type world struct {
	models      map[deployment.Name]*deployment.Model
	deployments map[deployment.Name]*deployment.State

	serves     map[deployment.Name]int               // content that serves
	served     map[deployment.Name]int               // content that served before
	contents   map[deployment.Name]int               // content of each registered id
	changes    map[deployment.Name]uint64            // of what serves
	revisions  map[deployment.Name]uint64            // changes of anything
	history    map[deployment.Name][]deployment.Name // ids that served, in this life
	inactive   map[deployment.Name]bool
	deleted    map[deployment.Name]bool
	drift      map[deployment.Name]deployment.DriftTracking
	known      map[deployment.Name]description // what people know it by
	operations map[string]handlers.Operation
	commands   int
}

// description is what people know a deployment by.
type description struct {
	Label, Description string // "": none
	Importance         deployment.Importance
}

func knownBy(s *deployment.State) description {
	k := description{Label: s.Label, Importance: s.Importance}
	if s.Description != nil {
		k.Description = *s.Description
	}
	return k
}

func content(variant int) handlers.ModelFacts {
	return handlers.ModelFacts{
		Format: deployment.FormatXGBoost, Type: fmt.Sprint("variant ", variant),
		Target:   deployment.Target{Name: "churned", Type: deployment.TargetBinary},
		Features: []deployment.Feature{{Name: "a", Type: deployment.FeatureNumeric}},
		Artifact: deployment.Artifact{Object: "x", Digest: "sha256:" + deployment.Digest(fmt.Sprintf("%064x", variant)), Size: 1},
	}
}

// carryOut decides as a worker does: a second time, if the file is asked for.
func (w *world) carryOut(t *rapid.T, kind deployment.Kind, op string, name deployment.Name, data any) error {
	w.commands++
	text, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	operation := w.operations[op]
	subject := deployment.Subject{Deployment: w.deployments[name]}
	if kind == deployment.KindModel {
		subject = deployment.Subject{Model: w.models[name]}
	}
	before, err := json.Marshal(subject)
	if err != nil {
		t.Fatal(err)
	}
	cmd := deployment.Command{Kind: kind, Name: name, Op: op, Token: fmt.Sprint(w.commands), By: "/test", At: time.Unix(int64(w.commands), 0)}
	id, err := operation.Names(text)
	if err != nil {
		t.Fatal(err)
	}
	facts := deployment.Facts{Model: w.models[id]}
	if operation.Recalls != nil {
		if id, err = operation.Recalls(subject, text); err != nil {
			t.Fatal(err)
		}
		facts.Model = w.models[id]
		for _, served := range w.history[name] {
			facts.History = append(facts.History, deployment.Served{ModelID: served})
		}
	}
	decision, err := operation.Decide(subject, facts, cmd, text)
	if err == nil && decision.Inspect != nil {
		facts.Inspection = &deployment.Inspection{Format: deployment.FormatXGBoost, Features: 1, Outputs: 1}
		decision, err = operation.Decide(subject, facts, cmd, text)
	}
	after, marshalErr := json.Marshal(subject)
	if marshalErr != nil || string(before) != string(after) {
		t.Fatalf("the subject changed from %s to %s", before, after)
	}
	if err != nil {
		return err
	}
	if decision.Registered != nil && w.models[decision.Registered.ID] == nil {
		w.models[decision.Registered.ID] = decision.Registered
	}
	if kind == deployment.KindDeployment {
		w.deployments[name] = decision.After.Deployment
	}
	return nil
}

// refusal is why a command about the deployment is refused whatever else it says.
func (w *world) refusal(name deployment.Name, needsActive bool) deployment.Code {
	switch {
	case w.serves[name] == 0:
		return deployment.CodeDeploymentNotFound
	case needsActive && w.inactive[name]:
		return deployment.CodeDeploymentInactive
	default:
		return ""
	}
}

// turn activates or deactivates.
func (w *world) turn(t *rapid.T, op string, name deployment.Name, data any, off bool) {
	code := w.refusal(name, false)
	if code == "" && w.inactive[name] == off {
		code = deployment.CodeAlreadyInStatus
	}
	expect(t, w.carryOut(t, deployment.KindDeployment, op, name, data), code)
	if code == "" {
		w.inactive[name] = off
		w.changes[name]++
		w.revisions[name]++
	}
}

// buried compares a tombstone with what the oracle says.
func (w *world) buried(t *rapid.T, state *deployment.State, name deployment.Name) {
	want := &deployment.State{
		Name: name, Label: w.known[name].Label, Importance: w.known[name].Importance, Status: deployment.StatusDeleted,
		DriftTracking: w.drift[name], Revision: w.revisions[name], Generation: w.changes[name], UpdatedBy: "/test", CreatedBy: "/test", DeletedBy: "/test",
	}
	if text := w.known[name].Description; text != "" {
		want.Description = &text
	}
	want.CreatedAt, want.UpdatedAt, want.DeletedAt = state.CreatedAt, *state.DeletedAt, state.DeletedAt
	if diff := cmp.Diff(want, state); diff != "" {
		t.Fatalf("tombstone of %s (-oracle +state):\n%s", name, diff)
	}
}

// expect compares what a decision came to with what the oracle says.
func expect(t *rapid.T, err error, code deployment.Code) {
	rejection, _ := errors.AsType[*deployment.Rejection](err)
	switch {
	case err == nil && code == "":
	case rejection == nil || rejection.Code != code:
		t.Fatalf("got %v, want code %q", err, code)
	}
}

// Any sequence of commands leads where the oracle says.
func TestDecisionsAgainstAnOracle(t *testing.T) {
	t.Parallel()
	operations := map[string]handlers.Operation{}
	for _, o := range handlers.All() {
		operations[o.Op] = o
	}
	names := rapid.SampledFrom([]deployment.Name{"a", "b", "c"})
	ids := rapid.SampledFrom([]deployment.Name{"m1", "m2", "m3", "m4"})
	variants := rapid.IntRange(1, 4)
	rapid.Check(t, func(t *rapid.T) {
		w := &world{
			models: map[deployment.Name]*deployment.Model{}, deployments: map[deployment.Name]*deployment.State{},
			serves: map[deployment.Name]int{}, served: map[deployment.Name]int{}, contents: map[deployment.Name]int{},
			changes: map[deployment.Name]uint64{}, revisions: map[deployment.Name]uint64{}, known: map[deployment.Name]description{},
			history: map[deployment.Name][]deployment.Name{}, inactive: map[deployment.Name]bool{}, deleted: map[deployment.Name]bool{},
			drift: map[deployment.Name]deployment.DriftTracking{}, operations: operations,
		}
		// choose is a model for a deploy or replace, its content, and whether it is known.
		choose := func(t *rapid.T) (choice handlers.ModelChoice, id deployment.Name, variant int, known bool) {
			if rapid.Bool().Draw(t, "inline") {
				variant = variants.Draw(t, "content")
				facts := content(variant)
				return handlers.ModelChoice{Model: &facts}, facts.Named("").ContentID(), variant, true
			}
			id = ids.Draw(t, "model")
			variant, known = w.contents[id]
			return handlers.ModelChoice{ModelID: id}, id, variant, known
		}
		rollOut := func(name, id deployment.Name, variant int) {
			w.served[name], w.serves[name] = w.serves[name], variant
			w.contents[id] = variant
			w.history[name] = append(w.history[name], id)
			w.changes[name]++
			w.revisions[name]++
		}
		t.Repeat(map[string]func(*rapid.T){
			"register": func(t *rapid.T) {
				id, variant := ids.Draw(t, "id"), variants.Draw(t, "content")
				have, known := w.contents[id]
				var code deployment.Code
				if known && have != variant {
					code = deployment.CodeModelExists
				}
				expect(t, w.carryOut(t, deployment.KindModel, "register", id, handlers.Register{ModelFacts: content(variant)}), code)
				if !known {
					w.contents[id] = variant
				}
			},
			"deploy": func(t *rapid.T) {
				name := names.Draw(t, "name")
				choice, id, variant, known := choose(t)
				var code deployment.Code
				switch {
				case w.serves[name] != 0:
					code = deployment.CodeDeploymentExists
				case !known:
					code = deployment.CodeModelNotFound
				}
				expect(t, w.carryOut(t, deployment.KindDeployment, "deploy", name, handlers.Deploy{Label: "x", ModelChoice: choice}), code)
				if code == "" {
					w.serves[name] = 0 // of a life before this one
					rollOut(name, id, variant)
					w.drift[name], w.deleted[name] = deployment.DriftTracking{}, false
					w.known[name] = description{Label: "x", Importance: deployment.ImportanceModerate}
				}
			},
			"update": func(t *rapid.T) {
				name := names.Draw(t, "name")
				var data handlers.Update
				want := w.known[name]
				if rapid.Bool().Draw(t, "label") {
					want.Label = rapid.SampledFrom([]string{"x", "y"}).Draw(t, "label")
					data.Label = &want.Label
				}
				if rapid.Bool().Draw(t, "description") {
					want.Description = rapid.SampledFrom([]string{"", "d", "e"}).Draw(t, "description")
					data.Description = handlers.OptionalText{Given: true, Value: &want.Description}
				}
				if rapid.Bool().Draw(t, "importance") {
					want.Importance = rapid.SampledFrom(deployment.Importances()).Draw(t, "importance")
					data.Importance = &want.Importance
				}
				code := w.refusal(name, false)
				expect(t, w.carryOut(t, deployment.KindDeployment, "update", name, data), code)
				if code == "" && want != w.known[name] {
					w.known[name] = want
					w.revisions[name]++
				}
			},
			"drift": func(t *rapid.T) {
				name := names.Draw(t, "name")
				var data handlers.Drift
				want := w.drift[name]
				if rapid.Bool().Draw(t, "target") {
					want.TargetDrift.Enabled = rapid.Bool().Draw(t, "enabled")
					data.TargetDriftEnabled = &want.TargetDrift.Enabled
				}
				if rapid.Bool().Draw(t, "feature") {
					want.FeatureDrift.Enabled = rapid.Bool().Draw(t, "enabled")
					data.FeatureDriftEnabled = &want.FeatureDrift.Enabled
				}
				code := w.refusal(name, true)
				expect(t, w.carryOut(t, deployment.KindDeployment, "drift", name, data), code)
				if code == "" && want != w.drift[name] {
					w.drift[name] = want
					w.revisions[name]++
				}
			},
			"replace": func(t *rapid.T) {
				name := names.Draw(t, "name")
				choice, id, variant, known := choose(t)
				code := w.refusal(name, true)
				switch {
				case code != "":
				case !known:
					code = deployment.CodeModelNotFound
				case w.deployments[name].Model.ID == id:
					code = deployment.CodeIsCurrentModel
				}
				expect(t, w.carryOut(t, deployment.KindDeployment, "replace", name, handlers.Replace{Reason: deployment.ReasonOther, ModelChoice: choice}), code)
				if code == "" {
					rollOut(name, id, variant)
				}
			},
			"rollback": func(t *rapid.T) {
				name := names.Draw(t, "name")
				data := handlers.Rollback{Reason: deployment.ReasonErrors}
				history := w.history[name]
				if rapid.Bool().Draw(t, "named") {
					data.ModelID = ids.Draw(t, "model")
				}
				to := data.ModelID
				if last := len(history) - 1; to == "" && last > 0 {
					to = history[last-1]
				}
				code := w.refusal(name, true)
				switch {
				case code != "":
				case to == "":
					code = deployment.CodeNoEarlierModel
				case to == history[len(history)-1]:
					code = deployment.CodeIsCurrentModel
				case !slices.Contains(history, to):
					code = deployment.CodeModelNeverServed
				}
				expect(t, w.carryOut(t, deployment.KindDeployment, "rollback", name, data), code)
				if code == "" {
					rollOut(name, to, w.contents[to])
				}
			},
			"deactivate": func(t *rapid.T) { w.turn(t, "deactivate", names.Draw(t, "name"), handlers.Deactivate{}, true) },
			"activate":   func(t *rapid.T) { w.turn(t, "activate", names.Draw(t, "name"), handlers.Activate{}, false) },
			"delete": func(t *rapid.T) {
				name := names.Draw(t, "name")
				code := w.refusal(name, false)
				expect(t, w.carryOut(t, deployment.KindDeployment, "delete", name, handlers.Delete{}), code)
				if code == "" {
					w.serves[name], w.served[name], w.inactive[name], w.deleted[name] = 0, 0, false, true
					w.history[name] = nil
					w.changes[name]++
					w.revisions[name]++
				}
			},
			"": func(t *rapid.T) {
				for name, state := range w.deployments {
					if w.deleted[name] {
						w.buried(t, state, name)
						continue
					}
					got := map[string]any{"serves": state.Model.Digest, "status": state.Status, "revision": state.Revision, "generation": state.Generation, "previous": state.Previous != nil, "known": knownBy(state), "drift": state.DriftTracking}
					want := map[string]any{
						"serves": content(w.serves[name]).Artifact.Digest, "status": map[bool]deployment.Status{true: deployment.StatusInactive, false: deployment.StatusActive}[w.inactive[name]],
						"revision": w.revisions[name], "generation": w.changes[name], "previous": w.served[name] != 0,
						"known": w.known[name], "drift": w.drift[name],
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Fatalf("%s (-oracle +state):\n%s", name, diff)
					}
					if state.Previous != nil && state.Previous.Digest != content(w.served[name]).Artifact.Digest {
						t.Fatalf("%s: served %s before, want content %d", name, state.Previous.Digest, w.served[name])
					}
				}
				if len(w.deployments) != len(w.serves) {
					t.Fatalf("got %d deployments, want %d", len(w.deployments), len(w.serves))
				}
			},
		})
	})
}
