package worker

import (
	"cmp"
	"context"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
)

// validated publishes the verdict that the decision rests on, if there is one.
func (a *attempt) validated(ctx context.Context, decision deployment.Decision) error {
	if len(decision.Checks) == 0 {
		return nil
	}
	data := Data{Status: decision.Checks.Status(), Checks: decision.Checks, Validation: decision.Validation}
	if data.Message = verdict(data.Status); decision.Validation != nil {
		data.Message = decision.Validation.Message
	}
	_, err := a.publish(ctx, events.Validated, data)
	return err
}

// refusedByChecks publishes the verdict of a decision that failing checks have
// refused before anything was done (datarobot.md R12), unless a try before this
// one came as far as that.
func (a *attempt) refusedByChecks(ctx context.Context, decision deployment.Decision, err error) error {
	said := a.rec.Outcome == events.Validated && a.rec.Claim == nil && a.rec.Data.Command.Sequence == a.msg.Sequence
	if err == nil || said {
		return err
	}
	return cmp.Or(a.validated(ctx, decision), err)
}

func verdict(s deployment.CheckStatus) string {
	switch s {
	case deployment.Failing:
		return "Model cannot be used: a check is failing."
	case deployment.Warning:
		return "Model can be used; a check has a warning."
	case deployment.Passing:
	}
	return "Model can be used."
}
