package handlers

import (
	"maps"

	"github.com/slipway-ml/slipway/deployment"
)

// rollout is a change of which model serves that nothing declared keeps from
// being made.
type rollout struct {
	chosen  chosen
	before  deployment.Subject
	facts   deployment.Facts
	command deployment.Command
	dry     bool // only what would be is wanted
}

// read asks for the contract of a model that is to replace the current one, or
// refuses its source.
func (r *rollout) read(reading *deployment.Reading, err error) (deployment.Decision, error) {
	if err != nil {
		return deployment.Decision{}, err
	}
	if r := r.facts.Policy.Permit(r.command); r != nil { // nothing is fetched for who may not replace
		return deployment.Decision{}, r
	}
	return seen(deployment.Decision{Read: reading, Shown: r.before.Deployment.Going(deployment.StatusReplacing)}, r.dry), nil
}

// exchange is the decision on a model that is to serve in place of the current
// one. If strict, a warning stops it.
func (r *rollout) exchange(strict bool, why deployment.Replacement) (deployment.Decision, error) {
	state := r.before.Deployment
	verdict, rejection := checkReplace(&deployment.Candidate{Model: r.chosen.model, State: state, Command: r.command, Facts: r.facts}, strict)
	maps.Copy(verdict.Checks, r.chosen.checks)
	if rejection != nil {
		return verdict, rejection
	}
	why.OldModel, why.NewModel = state.Model.ID, r.chosen.model.ID
	return r.decide(deployment.Decision{
		Shown: state.RollingOut(deployment.StatusReplacing, r.chosen.ref), Registered: r.chosen.registered,
		After:  deployment.Subject{Deployment: state.Serving(r.command, r.chosen.ref)},
		Checks: verdict.Checks, Validation: verdict.Validation, Replacement: &why,
	}), nil
}

// decide completes the decision: first the model's file has to be looked at, then
// a contract that is not written yet is written, then the model has to serve. A
// dry run ends before anything is written.
func (r *rollout) decide(d deployment.Decision) deployment.Decision {
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
	d.Effects = []deployment.Effect{deployment.Serve{Model: r.chosen.model.Ref(), Golden: r.chosen.model.Golden}}
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
