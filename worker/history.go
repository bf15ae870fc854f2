package worker

import (
	"context"
	"encoding/json"
	"fmt"

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

// said is what an event says to the history of a deployment, and nothing more:
// there may be many to read.
type said struct {
	ID          string                  `json:"-"`
	Command     CommandRef              `json:"command"`
	Deployment  *deployment.State       `json:"deployment"`
	Replacement *deployment.Replacement `json:"replacement"`
	Renamed     *deployment.Renamed     `json:"renamed"`
	Failure     *Failure                `json:"failure"`
}

func readSaid(m jetstream.Message) (s said, err error) {
	e, err := events.Decode(m.Header, m.Body)
	if err == nil {
		s.ID, err = e.ID(), json.Unmarshal(e.Data(), &s)
	}
	if err != nil {
		return s, fmt.Errorf("read event %d on %s: %w", m.Sequence, m.Subject, err)
	}
	return s, nil
}

// ReadHistory is which models have served under the name, by all that the ledger
// says now. Only what has completed changes what serves.
func ReadHistory(ctx context.Context, ledger Past, name string) (h deployment.History, err error) {
	filter := jetstream.EventSubject(string(deployment.KindDeployment), name, "*", string(events.Completed))
	err = ledger.Events(ctx, filter, 1, func(m jetstream.Message) error { return addCompleted(&h, m) })
	return h, err
}

func addCompleted(h *deployment.History, m jetstream.Message) error {
	s, err := readSaid(m)
	if err != nil {
		return err
	}
	h.Add(deployment.Completed{EventID: s.ID, Actor: s.Command.Actor, After: s.Deployment, Replacement: s.Replacement, Renamed: s.Renamed})
	return nil
}

// ReadVersions are the versions of the deployments that have had the name, the
// oldest first, by all that the ledger says now: also those that have failed.
func ReadVersions(ctx context.Context, ledger Past, name string) ([]deployment.Version, error) {
	var (
		h      deployment.History
		before jetstream.Message                // of a failure: what was shown while it ran
		failed = map[int][]deployment.Version{} // by how many had served before
	)
	err := ledger.Events(ctx, jetstream.Fence(string(deployment.KindDeployment), name), 1, func(m jetstream.Message) error {
		defer func() { before = m }()
		switch _, _, _, outcome, _ := jetstream.ParseEventSubject(m.Subject); events.Outcome(outcome) {
		case events.Completed:
			return addCompleted(&h, m)
		case events.Failed:
			version, err := failedVersion(m, before)
			if version != nil {
				failed[len(h.Served)] = append(failed[len(h.Served)], *version)
			}
			return err
		default:
			return nil
		}
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
// nil if the model was not to change. before is the event before that.
func failedVersion(m, before jetstream.Message) (*deployment.Version, error) {
	if before.Sequence == 0 { // it never began
		return nil, nil //nolint:nilnil // no change, no version
	}
	running, err := readSaid(before)
	shown := running.Deployment
	if err != nil || shown == nil || shown.Status != deployment.StatusDeploying && shown.Status != deployment.StatusReplacing {
		return nil, err
	}
	s, err := readSaid(m)
	if err != nil {
		return nil, err
	}
	version := &deployment.Version{
		Status: deployment.VersionFailed, At: s.Command.StoredAt, By: s.Command.Source, Actor: s.Command.Actor, EventID: s.ID,
	}
	if f := s.Failure; f != nil {
		version.Failure = &deployment.VersionFailure{Code: f.Code, Message: f.Message}
	}
	if r := s.Replacement; r != nil {
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
