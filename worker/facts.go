package worker

import (
	"context"
	"errors"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/handlers"
)

// around gathers what a decision may know besides the model that the command
// names: what serves now, which prediction servers there are, if either
// matters, and what the configuration says.
func (w *Worker) around(ctx context.Context, asked handlers.Asked, rec *record, before uint64, facts *deployment.Facts) (err error) {
	facts.Policy = w.Policy
	if state := rec.Subject.Deployment; asked.Compares && state != nil && state.Model != nil {
		if facts.Current, err = w.servingModel(ctx, rec, state.Model.ID, before); err != nil {
			return err
		}
	}
	if asked.Server != "" {
		facts.Servers, err = w.Servers(ctx)
	}
	return err
}

// servingModel are the facts of the model that the deployment of rec serves. It
// is known since before it came to serve, and does not change: the view of it,
// once it is shown, is as good as the ledger, which is read only if the view is
// missing.
func (w *Worker) servingModel(ctx context.Context, rec *record, id deployment.Name, before uint64) (*deployment.Model, error) {
	if m := rec.Data.Registered; m != nil && m.ID == id { // by the command before, which is perhaps not shown yet
		return m, nil
	}
	if err := rec.showing.wait(); err != nil {
		return nil, err
	}
	if m, err := w.Views.Model(ctx, id, before); err != nil || m != nil {
		return m, err
	}
	return w.knownModel(ctx, NewAddress(deployment.KindModel, string(id)), before)
}

// look has the target look at the model's file. That the file cannot be used is
// a fact like others; any other error of the target may pass.
func (w *Worker) look(ctx context.Context, m deployment.Model, progress func(string), facts *deployment.Facts) error {
	inspection, err := w.Target.Inspect(ctx, m, progress)
	switch refused, ok := errors.AsType[*deployment.Rejection](err); {
	case err == nil:
		facts.Inspection = &inspection
	case ok:
		facts.Refused = refused
	default:
		return asEffectError(err, deployment.CodeStoreUnavailable)
	}
	return nil
}
