package main

import (
	"fmt"
	"strings"

	"github.com/slipway-ml/slipway/handlers"
)

// completed says in one line what is so now.
func (e entry) completed() string {
	switch {
	case e.Op == handlers.OpValidate && e.Validation != nil:
		return fmt.Sprintf("%s: %s", e.Validation.Status, e.Validation.Message)
	case e.dryRun():
		return "would be done; nothing was changed"
	case e.Changed != nil && !*e.Changed:
		return "it was so already"
	case e.Replacement != nil && e.Op == "update":
		return fmt.Sprintf("%s -> %s, %s", e.Replacement.OldModel, e.Replacement.NewModel, e.known())
	case e.Replacement != nil && e.Replacement.Rollback:
		return fmt.Sprintf("%s -> %s, rolled back (%s)", e.Replacement.OldModel, e.Replacement.NewModel, e.Replacement.Reason)
	case e.Replacement != nil:
		return fmt.Sprintf("%s -> %s (%s)", e.Replacement.OldModel, e.Replacement.NewModel, e.Replacement.Reason)
	case e.Drift != nil:
		return fmt.Sprintf("target drift %s, feature drift %s", onOff(e.Drift.After.TargetDrift.Enabled), onOff(e.Drift.After.FeatureDrift.Enabled))
	case e.Renamed != nil && e.Renamed.Name == nil:
		return fmt.Sprintf("version %d has no name", e.Renamed.Version)
	case e.Renamed != nil:
		return fmt.Sprintf("version %d is %q", e.Renamed.Version, *e.Renamed.Name)
	case e.Op == "update":
		return e.known()
	case e.Op == "delete" || e.Op == "deactivate":
		return "is " + string(e.Deployment.Status)
	case e.Deployment != nil && e.Deployment.Model != nil:
		return "serves " + string(e.Deployment.Model.ID)
	default:
		return "registered"
	}
}

// dryRun reports whether the command was one: nothing has changed of which model
// serves, and it was not so already either.
func (e entry) dryRun() bool {
	rollsOut := e.Op == "deploy" || e.Op == "replace" || e.Op == "update" && e.Validation != nil
	return rollsOut && e.Changed != nil && !*e.Changed
}

// known is what people know the deployment by.
func (e entry) known() string {
	parts := []string{fmt.Sprintf("label %q", e.Deployment.Label)}
	if e.Deployment.Description != nil {
		parts = append(parts, fmt.Sprintf("description %q", *e.Deployment.Description))
	}
	if e.Deployment.Importance != "" {
		parts = append(parts, "importance "+string(e.Deployment.Importance))
	}
	return strings.Join(parts, ", ")
}

func onOff(enabled bool) string {
	if enabled {
		return "on"
	}
	return "off"
}
