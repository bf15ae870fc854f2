package deployment

import "time"

// Served is one model that serves or has served: an entry of the history of a
// deployment (datarobot.md R16 and section 5), and one of its versions (deeploy.md
// D22). The reason stands with the model that was retired; that of the current
// one, and of one that ended with its deployment, is nil.
type Served struct {
	Version    uint64     `json:"version"`        // the generation in which it began to serve; no other one under the name has it
	Name       string     `json:"name,omitempty"` // that people have given the version
	ModelID    Name       `json:"modelId"`
	ModelType  string     `json:"modelType"`
	Digest     Digest     `json:"digest"` // of the artifact
	DeployedAt time.Time  `json:"deployedAt"`
	DeployedBy string     `json:"deployedBy"`
	Actor      string     `json:"actor,omitempty"`    // for whom it was deployed, if the sender has said so
	Rollback   bool       `json:"rollback,omitempty"` // it had served before
	ReplacedAt *time.Time `json:"replacedAt"`
	ReplacedBy *string    `json:"replacedBy"`
	Reason     *Reason    `json:"reason"`
	ReasonText string     `json:"reasonText,omitempty"`
	EventID    string     `json:"eventId"`            // of the event that says that it serves
	Contract   *Contract  `json:"contract,omitempty"` // that it was deployed from, if any
}

// Completed is what a `completed` event says to the history of a deployment.
type Completed struct {
	EventID     string
	Actor       string
	After       *State // that holds from then on
	Replacement *Replacement
	Renamed     *Renamed
}

// History is which models have served under one name, the oldest first. It is
// read from the events of the ledger, and from nothing else.
type History struct {
	Served []Served
	life   int // index of the first model of the deployment that has the name now
}

// Add notes what the next event says.
func (h *History) Add(e Completed) {
	if e.After == nil {
		return
	}
	if e.Renamed != nil {
		h.rename(*e.Renamed)
	}
	current := h.current()
	if current != nil && e.After.Model != nil && current.ModelID == e.After.Model.ID {
		return // something else has changed
	}
	if current != nil {
		current.retire(e)
	}
	if !e.After.Exists() {
		h.life = len(h.Served)
	}
	if e.After.Model != nil {
		h.Served = append(h.Served, served(e))
	}
}

func served(e Completed) Served {
	model := e.After.Model
	return Served{
		Version: e.After.Generation, ModelID: model.ID, ModelType: model.Type, Digest: model.Digest,
		DeployedAt: e.After.UpdatedAt, DeployedBy: e.After.UpdatedBy, Actor: e.Actor,
		Rollback: e.Replacement != nil && e.Replacement.Rollback, EventID: e.EventID, Contract: clone(model.Contract),
	}
}

// retire notes that the model does not serve any more.
func (s *Served) retire(e Completed) {
	at, by := e.After.UpdatedAt, e.After.UpdatedBy
	s.ReplacedAt, s.ReplacedBy = &at, &by
	if e.Replacement != nil {
		reason := e.Replacement.Reason
		s.Reason, s.ReasonText = &reason, e.Replacement.ReasonText
	}
}

func (h *History) rename(r Renamed) {
	for i := range h.Served {
		if h.Served[i].Version == r.Version {
			h.Served[i].Name = r.Text()
		}
	}
}

// current is the model that serves, nil if there is none.
func (h *History) current() *Served {
	if last := len(h.Served) - 1; last >= h.life {
		return &h.Served[last]
	}
	return nil
}

// Life are the models of the deployment that has the name now, the oldest first;
// those of one that was deleted before are left out.
func (h *History) Life() []Served { return h.Served[h.life:] }
