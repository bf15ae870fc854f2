package worker

import (
	"context"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
)

// Past reads events of the ledger.
type Past interface {
	// Events calls handle for each event that filter matches and that is stored
	// now, in order.
	Events(ctx context.Context, filter string, from uint64, handle func(jetstream.Message) error) error
}

// ReadHistory is which models have served under the name, by all that the ledger
// says now. Only what has completed changes what serves.
func ReadHistory(ctx context.Context, ledger Past, name string) (h deployment.History, err error) {
	filter := jetstream.EventSubject(string(deployment.KindDeployment), name, "*", string(events.Completed))
	err = ledger.Events(ctx, filter, 1, func(m jetstream.Message) error {
		_, data, err := ReadEvent(m)
		if err != nil {
			return err
		}
		e, err := events.Decode(m.Header, m.Body)
		if err != nil {
			return err
		}
		h.Add(e.ID(), data.Deployment, data.Replacement)
		return nil
	})
	return h, err
}

// history is which models have served, in the life of the deployment that the
// command finds.
func (a *attempt) history(ctx context.Context) ([]deployment.Served, error) {
	h, err := ReadHistory(ctx, a.Ledger, a.rec.Who.Name)
	if err != nil {
		return nil, err
	}
	history := h.Life()
	if state := a.rec.Subject.Deployment; state != nil && state.Model != nil &&
		(len(history) == 0 || history[len(history)-1].ModelID != state.Model.ID) {
		return nil, &wait{why: "a replica lags", delay: lagDelay}
	}
	return history, nil
}
