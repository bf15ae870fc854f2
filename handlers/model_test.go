package handlers_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/handlers"
)

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
			ledger: map[deployment.Name]*deployment.History{},
			serves: map[deployment.Name]int{}, served: map[deployment.Name]int{}, contents: map[deployment.Name]int{},
			changes: map[deployment.Name]uint64{}, revisions: map[deployment.Name]uint64{}, known: map[deployment.Name]description{},
			history: map[deployment.Name][]deployment.Name{}, inactive: map[deployment.Name]bool{}, deleted: map[deployment.Name]bool{},
			drift: map[deployment.Name]deployment.DriftTracking{}, versions: map[deployment.Name][]version{}, operations: operations,
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
			w.versions[name] = append(w.versions[name], version{w.changes[name], ""})
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
				changes := rapid.SampledFrom([]string{"", "model", "version"}).Draw(t, "changes")
				code := w.refusal(name, changes != "")
				var id deployment.Name
				var variant int
				switch changes {
				case "model":
					var known bool
					data.ModelChoice, id, variant, known = choose(t)
					code = w.refusalOf(name, id, variant, known, code)
				case "version":
					data.Version = drawVersion(t)
					id, code = w.atVersion(name, data.Version, code)
					variant = w.contents[id]
				}
				expect(t, w.carryOut(t, deployment.KindDeployment, "update", name, data), code)
				switch {
				case code != "":
				case changes != "":
					w.known[name] = want
					rollOut(name, id, variant)
				case want != w.known[name]:
					w.known[name] = want
					w.revisions[name]++
				}
			},
			"rename": func(t *rapid.T) {
				name, data := names.Draw(t, "name"), handlers.Rename{Version: drawVersion(t)}
				text := rapid.SampledFrom([]string{"", "spring", "autumn"}).Draw(t, "text")
				if text != "" {
					data.Name = &text
				}
				code := w.refusal(name, false)
				at := slices.IndexFunc(w.versions[name], func(v version) bool { return v.number == data.Version })
				if code == "" && at < 0 {
					code = deployment.CodeVersionNotFound
				}
				expect(t, w.carryOut(t, deployment.KindDeployment, "rename", name, data), code)
				if code == "" {
					w.versions[name][at].name = text
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
				code := w.refusalOf(name, id, variant, known, w.refusal(name, true))
				expect(t, w.carryOut(t, deployment.KindDeployment, "replace", name, handlers.Replace{Reason: deployment.ReasonOther, ModelChoice: choice}), code)
				if code == "" {
					rollOut(name, id, variant)
				}
			},
			"rollback": func(t *rapid.T) {
				name := names.Draw(t, "name")
				data := handlers.Rollback{Reason: deployment.ReasonErrors}
				history := w.history[name]
				switch rapid.SampledFrom([]string{"", "model", "version", "both"}).Draw(t, "by") {
				case "model":
					data.ModelID = ids.Draw(t, "model")
				case "both":
					data.ModelID = ids.Draw(t, "model")
					fallthrough
				case "version":
					data.Version = drawVersion(t)
				}
				if data.Version > 0 {
					to, code := w.atVersion(name, data.Version, w.refusal(name, true))
					if to != "" && data.ModelID != "" && data.ModelID != to {
						code = deployment.CodeInvalidField
					}
					expect(t, w.carryOut(t, deployment.KindDeployment, "rollback", name, data), code)
					if code == "" {
						rollOut(name, to, w.contents[to])
					}
					return
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
					w.history[name], w.versions[name] = nil, nil
					w.changes[name]++
					w.revisions[name]++
				}
			},
			"validate": func(t *rapid.T) {
				name := names.Draw(t, "name")
				choice, id, variant, known := choose(t)
				var code deployment.Code
				if code = w.refusal(name, false); code == "" && !known {
					code = deployment.CodeModelNotFound
				}
				expect(t, w.carryOut(t, deployment.KindDeployment, "validate", name, handlers.Validate{ModelChoice: choice}), code)
				if code != "" {
					return
				}
				want := deployment.Passing
				if w.inactive[name] || w.deployments[name].Model.ID == id || !fits(w.serves[name], variant) {
					want = deployment.Failing
				}
				if w.verdict != want {
					t.Fatalf("verdict on %s for %s: got %s, want %s", id, name, w.verdict, want)
				}
			},
			"": func(t *rapid.T) {
				for name, state := range w.deployments {
					w.remembered(t, name)
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
