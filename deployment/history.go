package deployment

import "time"

// Served is one model that serves or has served: an entry of the history of a
// deployment (datarobot.md R16 and section 5). The reason stands with the model
// that was retired; that of the current one, and of one that ended with its
// deployment, is nil.
type Served struct {
	ModelID    Name       `json:"modelId"`
	ModelType  string     `json:"modelType"`
	DeployedAt time.Time  `json:"deployedAt"`
	DeployedBy string     `json:"deployedBy"`
	ReplacedAt *time.Time `json:"replacedAt"`
	ReplacedBy *string    `json:"replacedBy"`
	Reason     *Reason    `json:"reason"`
	ReasonText string     `json:"reasonText,omitempty"`
	EventID    string     `json:"eventId"`            // of the event that says that it serves
	Contract   *Contract  `json:"contract,omitempty"` // that it was deployed from, if any
}

// History is which models have served under one name, the oldest first. It is
// read from the events of the ledger, and from nothing else.
type History struct {
	Served []Served
	life   int // index of the first model of the deployment that has the name now
}

// Add notes the state that an event says holds from then on.
func (h *History) Add(eventID string, after *State, why *Replacement) {
	if after == nil {
		return
	}
	current := h.current()
	if current != nil && after.Model != nil && current.ModelID == after.Model.ID {
		return // something else has changed
	}
	if current != nil {
		at, by := after.UpdatedAt, after.UpdatedBy
		current.ReplacedAt, current.ReplacedBy = &at, &by
		if why != nil {
			reason := why.Reason
			current.Reason, current.ReasonText = &reason, why.ReasonText
		}
	}
	if !after.Exists() {
		h.life = len(h.Served)
	}
	if after.Model != nil {
		h.Served = append(h.Served, Served{
			ModelID: after.Model.ID, ModelType: after.Model.Type,
			DeployedAt: after.UpdatedAt, DeployedBy: after.UpdatedBy, EventID: eventID, Contract: clone(after.Model.Contract),
		})
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
