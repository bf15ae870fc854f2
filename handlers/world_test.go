package handlers_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
	ledger      map[deployment.Name]*deployment.History // of what has completed

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
	versions   map[deployment.Name][]version   // in this life
	operations map[string]handlers.Operation
	commands   int
	verdict    deployment.CheckStatus // of the newest decision
}

// version is one version as the oracle knows it.
type version struct {
	number uint64 // how often what serves had changed then
	name   string
}

// drawVersion is the number of a version, or of none.
func drawVersion(t *rapid.T) uint64 { return rapid.Uint64Range(1, 9).Draw(t, "version") }

// fits says which contents may replace each other: the last one predicts
// something else.
func fits(a, b int) bool { return (a == otherTarget) == (b == otherTarget) }

const otherTarget = 4

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
	target := "churned"
	if variant == otherTarget {
		target = "upgraded"
	}
	return handlers.ModelFacts{
		Format: deployment.FormatXGBoost, Type: fmt.Sprint("variant ", variant),
		Target:   deployment.Target{Name: target, Type: deployment.TargetBinary},
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
	asked, err := operation.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	facts := deployment.Facts{Model: w.models[asked.Names]}
	if s := subject.Deployment; asked.Compares && s.Exists() && s.Model != nil {
		facts.Current = w.models[s.Model.ID]
	}
	if asked.Recalls != nil {
		if h := w.ledger[name]; h != nil {
			facts.History = h.Life()
		}
		facts.Model = w.models[asked.Recalls(subject, facts.History)]
	}
	decision, err := asked.Decide(subject, facts, cmd)
	if err == nil && decision.Inspect != nil {
		facts.Inspection = &deployment.Inspection{Format: deployment.FormatXGBoost, Features: 1, Outputs: 1}
		decision, err = asked.Decide(subject, facts, cmd)
	}
	w.verdict = decision.Checks.Status()
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
		if w.ledger[name] == nil {
			w.ledger[name] = &deployment.History{}
		}
		w.ledger[name].Add(deployment.Completed{EventID: cmd.Token, After: decision.After.Deployment, Replacement: decision.Replacement, Renamed: decision.Renamed})
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

// refusalOf is why a model cannot replace that of the deployment, if nothing else
// is wrong.
func (w *world) refusalOf(name, id deployment.Name, variant int, known bool, code deployment.Code) deployment.Code {
	switch {
	case code != "":
		return code
	case !known:
		return deployment.CodeModelNotFound
	case w.deployments[name].Model.ID == id:
		return deployment.CodeIsCurrentModel
	case !fits(w.serves[name], variant):
		return deployment.CodeValidationFailed
	default:
		return ""
	}
}

// atVersion is the model of a version, and why one cannot go back to it, if
// nothing else is wrong. The model is "" when there is no such version.
func (w *world) atVersion(name deployment.Name, number uint64, code deployment.Code) (deployment.Name, deployment.Code) {
	at := slices.IndexFunc(w.versions[name], func(v version) bool { return v.number == number })
	switch {
	case code != "":
		return "", code
	case at < 0:
		return "", deployment.CodeVersionNotFound
	case w.history[name][at] == w.deployments[name].Model.ID:
		return w.history[name][at], deployment.CodeIsCurrentModel
	default:
		return w.history[name][at], ""
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

// remembered compares the history of a deployment with what the oracle says:
// which models served, and that each but the current one was replaced.
func (w *world) remembered(t *rapid.T, name deployment.Name) {
	life := w.ledger[name].Life()
	var ids []deployment.Name
	var versions []version
	for i, served := range life {
		ids, versions = append(ids, served.ModelID), append(versions, version{served.Version, served.Name})
		if current := i == len(life)-1; (served.ReplacedAt == nil) != current || (served.Reason == nil) != current {
			t.Fatalf("%s: got %+v, want it replaced, for a reason, unless it is the current model", name, served)
		}
	}
	if diff := cmp.Diff(w.history[name], ids); diff != "" {
		t.Fatalf("history of %s (-oracle +ledger):\n%s", name, diff)
	}
	if !slices.Equal(w.versions[name], versions) {
		t.Fatalf("versions of %s: got %v, want %v", name, versions, w.versions[name])
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
