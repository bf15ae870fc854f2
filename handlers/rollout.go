package handlers

import "github.com/slipway-ml/slipway/deployment"

// rollout is a change of which model serves that nothing declared keeps from
// being made.
type rollout struct {
	chosen  chosen
	before  deployment.Subject
	facts   deployment.Facts
	command deployment.Command
	dry     bool // only what would be is wanted
}

// decide completes the decision: first the model's file has to be looked at, then
// a contract that is not written yet is written, then the model has to serve. A
// dry run ends before anything is written.
func (r rollout) decide(d deployment.Decision) deployment.Decision {
	switch {
	case !r.facts.Inspected():
		return seen(deployment.Decision{Inspect: &r.chosen.model, Shown: d.Shown}, r.dry)
	case r.dry:
		return deployment.Decision{After: r.before, Checks: d.Checks, Validation: d.Validation, Contract: r.chosen.contract}
	case r.chosen.unwritten != nil:
		return deployment.Decision{
			Shown: d.Shown, Checks: d.Checks, Validation: d.Validation,
			Write: &deployment.Writing{Reading: *r.chosen.unwritten, Digest: r.chosen.ref.Contract.Digest, Command: r.command},
		}
	}
	d.Changed, d.Contract = true, r.chosen.contract.Brief()
	d.Effects = []deployment.Effect{deployment.Serve{Model: r.chosen.ref, Golden: r.chosen.model.Golden}}
	return d
}

// seen is the decision as it is shown while it is carried out: of a dry run,
// nothing is.
func seen(d deployment.Decision, dry bool) deployment.Decision {
	if dry {
		d.Shown = nil
	}
	return d
}
