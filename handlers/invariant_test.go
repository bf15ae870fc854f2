package handlers_test

import (
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/handlers"
)

// checkDecision holds for every decision, whatever the operation.
func checkDecision(tb testing.TB, c decideCase, d deployment.Decision) {
	tb.Helper()
	if d.Read != nil {
		if diff := gocmp.Diff(deployment.Decision{Read: d.Read, Shown: d.Shown}, d); diff != "" || c.facts.Sourced != nil {
			tb.Errorf("a contract is to be read, but there is more (-want +got):\n%s", diff)
		}
		return
	}
	if d.Write != nil {
		only := deployment.Decision{Write: d.Write, Shown: d.Shown, Checks: d.Checks, Validation: d.Validation}
		if diff := gocmp.Diff(only, d); diff != "" || c.facts.Inspection == nil || c.facts.Written != nil || d.Checks.Status() == deployment.Failing {
			tb.Errorf("a contract is to be written, but there is more, or too early (-want +got):\n%s", diff)
		}
		return
	}
	if d.Inspect != nil {
		only := deployment.Decision{Inspect: d.Inspect, Shown: d.Shown}
		if diff := gocmp.Diff(only, d); diff != "" || c.facts.Inspected() {
			tb.Errorf("a file is to be looked at, but there is more (-want +got):\n%s", diff)
		}
		return
	}
	if c.operation.Op == handlers.OpCancel { // changes another command, not the deployment
		if diff := gocmp.Diff(deployment.Decision{After: c.given, Changed: true}, d); diff != "" {
			tb.Errorf("the deployment is changed (-want +got):\n%s", diff)
		}
		return
	}
	if asked, err := c.operation.Read(c.data); err == nil && asked.Compares {
		checkValidation(tb, d)
		if d.Validation == nil {
			tb.Error("a model is compared, and there is no verdict")
		}
	}
	if c.operation.Op == handlers.OpValidate { // never changes anything, whatever the verdict (R13)
		if diff := gocmp.Diff(deployment.Decision{After: c.given, Checks: d.Checks, Validation: d.Validation}, d); diff != "" {
			tb.Errorf("a validation changes something (-want +got):\n%s", diff)
		}
		return
	}
	if c.operation.Op == "rename" { // names are beside the state
		if diff := gocmp.Diff(deployment.Decision{After: c.given, Changed: d.Changed, Renamed: d.Renamed}, d); diff != "" || d.Renamed == nil {
			tb.Errorf("the deployment is changed (-want +got):\n%s", diff)
		}
		return
	}
	if rollsOut := c.operation.Op == "deploy" || c.operation.Op == "replace" || c.operation.Op == "update"; rollsOut && !d.Changed && strings.Contains(string(c.data), `"dryRun"`) {
		if diff := gocmp.Diff(deployment.Decision{After: c.given, Checks: d.Checks, Validation: d.Validation, Contract: d.Contract}, d); diff != "" {
			tb.Errorf("a dry run changes something (-want +got):\n%s", diff)
		}
		return
	}
	if !d.Changed {
		if diff := gocmp.Diff(deployment.Decision{After: c.given, Drift: d.Drift}, d); diff != "" {
			tb.Errorf("nothing changes, and yet (-given +decision):\n%s", diff)
		}
		return
	}
	if after := d.After.Deployment; after != nil {
		checkChange(tb, c, d, c.given.Deployment, after)
	}
	if brings := d.Registered != nil || d.Replacement != nil || c.cmd.Op == "deploy"; !brings {
		return
	}
	if c.facts.Inspection == nil {
		tb.Error("decided without looking at the model's file")
	}
	if d.Checks.Status() == deployment.Failing || len(d.Checks) == 0 {
		tb.Errorf("accepted with checks %v", d.Checks)
	}
}

// mayChange are the members of a deployment that a command of each operation may
// change, besides those that every change does (datarobot.md R17).
var mayChange = map[string][]string{
	"delete":     {"Model", "Previous", "LastFailure", "Status", "Generation", "DeletedAt", "DeletedBy"},
	"activate":   {"LastFailure", "Status", "Generation"},
	"deactivate": {"Status", "Generation"},
	"rollback":   {"Model", "Previous", "LastFailure", "Status", "Generation"},
	"replace":    {"Model", "Previous", "LastFailure", "Status", "Generation"},
	"drift":      {"DriftTracking"},
	"update":     {"Label", "Description", "Importance"},
}

// checkChange holds for every decision that changes a deployment.
func checkChange(tb testing.TB, c decideCase, d deployment.Decision, before, after *deployment.State) {
	tb.Helper()
	if after.UpdatedAt != c.cmd.At || after.UpdatedBy != c.cmd.By || after.Name != c.cmd.Name {
		tb.Errorf("the state does not say who changed it and when: %+v", after)
	}
	serves := uint64(0) // changes of what is served
	if generation := after.Generation; before == nil && generation == 1 || before != nil && generation != before.Generation {
		serves = 1
		if diff := gocmp.Diff([]deployment.Effect{after.Effect()}, d.Effects); diff != "" {
			tb.Errorf("effects (-what is true of the state after it +decision):\n%s", diff)
		}
		checkShown(tb, d, before, after)
	} else if len(d.Effects) > 0 || d.Shown != nil || gocmp.Diff(before.Effect(), after.Effect()) != "" {
		tb.Errorf("the generation does not change, and yet there are effects %+v", d.Effects)
	}
	if before == nil {
		return
	}
	if after.Revision != before.Revision+1 || after.Generation != before.Generation+serves {
		tb.Errorf("got revision %d and generation %d after %d and %d, want %d and %d more",
			after.Revision, after.Generation, before.Revision, before.Generation, 1, serves)
	}
	if may, listed := mayChange[c.cmd.Op]; listed {
		if c.cmd.Op == "update" && d.Replacement != nil { // the model, too
			may = append(mayChange["replace"], may...)
		}
		ignore := cmpopts.IgnoreFields(deployment.State{}, append([]string{"Revision", "UpdatedAt", "UpdatedBy"}, may...)...)
		if diff := gocmp.Diff(before, after, ignore); diff != "" {
			tb.Errorf("%s changes more than it may (-before +after):\n%s", c.cmd.Op, diff)
		}
	}
}

// checkShown holds for every decision with effects: meanwhile, what served before
// and what will serve is shown.
func checkShown(tb testing.TB, d deployment.Decision, before, after *deployment.State) {
	tb.Helper()
	if d.Shown == nil || modelOf(d.Shown.Model) != modelOf(modelIn(before)) {
		tb.Errorf("shown meanwhile: got %+v, want what served before", d.Shown)
		return
	}
	if ends := d.Shown.Status; !strings.HasSuffix(string(ends), "ing") {
		tb.Errorf("shown meanwhile: got status %s, want one that is no end", ends)
	}
	if brings := after.Model != nil && modelOf(after.Model) != modelOf(modelIn(before)); brings && modelOf(d.Shown.Target) != modelOf(after.Model) {
		tb.Errorf("shown meanwhile: got %+v, want the target %s", d.Shown, after.Model.ID)
	}
}

func modelIn(s *deployment.State) *deployment.ModelRef {
	if s == nil {
		return nil
	}
	return s.Model
}

func modelOf(m *deployment.ModelRef) deployment.Name {
	if m == nil {
		return ""
	}
	return m.ID
}
