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
		return addCompleted(&h, m, data)
	})
	return h, err
}

func addCompleted(h *deployment.History, m jetstream.Message, data Data) error {
	e, err := events.Decode(m.Header, m.Body)
	if err != nil {
		return err
	}
	h.Add(deployment.Completed{
		EventID: e.ID(), Actor: data.Command.Actor, After: data.Deployment, Replacement: data.Replacement, Renamed: data.Renamed,
	})
	return nil
}

// ReadVersions are the versions of the deployments that have had the name, the
// oldest first, by all that the ledger says now: also those that have failed.
func ReadVersions(ctx context.Context, ledger Past, name string) ([]deployment.Version, error) {
	var (
		h      deployment.History
		shown  *deployment.State                // as the event before has it
		failed = map[int][]deployment.Version{} // by how many had served before
	)
	err := ledger.Events(ctx, jetstream.Fence(string(deployment.KindDeployment), name), 1, func(m jetstream.Message) error {
		typ, data, err := ReadEvent(m)
		if err != nil {
			return err
		}
		before := shown
		shown = data.Deployment
		if typ.Outcome == events.Completed {
			return addCompleted(&h, m, data)
		}
		if typ.Outcome != events.Failed {
			return nil
		}
		version, err := failedVersion(m, data, before)
		if version != nil {
			failed[len(h.Served)] = append(failed[len(h.Served)], *version)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	versions := append([]deployment.Version{}, failed[0]...)
	for i, version := range h.Versions() {
		versions = append(append(versions, version), failed[i+1]...)
	}
	return versions, nil
}

// failedVersion is the version that a command would have made which has failed;
// nil if the model was not to change. shown is the deployment while it ran.
func failedVersion(m jetstream.Message, data Data, shown *deployment.State) (*deployment.Version, error) {
	if shown == nil || shown.Status != deployment.StatusDeploying && shown.Status != deployment.StatusReplacing {
		return nil, nil //nolint:nilnil // no change, no version
	}
	e, err := events.Decode(m.Header, m.Body)
	if err != nil {
		return nil, err
	}
	version := &deployment.Version{
		Status: deployment.VersionFailed, At: data.Command.StoredAt, By: data.Command.Source, Actor: data.Command.Actor, EventID: e.ID(),
	}
	if f := data.Failure; f != nil {
		version.Failure = &deployment.VersionFailure{Code: f.Code, Message: f.Message}
	}
	if r := data.Replacement; r != nil {
		version.Reason, version.ReasonText, version.Rollback = &r.Reason, r.ReasonText, r.Rollback
	}
	if model := shown.Target; model != nil {
		version.ModelID, version.ModelType, version.Digest, version.Contract = model.ID, model.Type, model.Digest, model.Contract
	}
	return version, nil
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
