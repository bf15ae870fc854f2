package deployment

import "time"

// State is the committed state of a deployment: what the newest terminal event
// of the deployment says. A deployment that does not exist has no State (nil).
type State struct {
	Name             Name          `json:"name"`
	Label            string        `json:"label"`
	Description      *string       `json:"description"`
	Importance       Importance    `json:"importance,omitempty"` // absent: deployed before there was one
	Status           Status        `json:"status"`
	Model            *ModelRef     `json:"model"`                      // what serves now
	Target           *ModelRef     `json:"target,omitempty"`           // what is being rolled out, while it is
	Previous         *ModelRef     `json:"previous,omitempty"`         // what served before, for rollback
	PredictionServer string        `json:"predictionServer,omitempty"` // id of the one that clients are to ask; "": any
	DriftTracking    DriftTracking `json:"driftTracking"`
	LastFailure      *LastFailure  `json:"lastFailure,omitempty"`
	Generation       uint64        `json:"generation"` // counts changes of what is served
	Revision         uint64        `json:"revision"`   // counts changes of this state
	CreatedAt        time.Time     `json:"createdAt"`
	CreatedBy        string        `json:"createdBy"` // CloudEvents source of the command
	UpdatedAt        time.Time     `json:"updatedAt"`
	UpdatedBy        string        `json:"updatedBy"`
	DeletedAt        *time.Time    `json:"deletedAt,omitempty"`
	DeletedBy        string        `json:"deletedBy,omitempty"`
}

// Status is the condition of a deployment.
type Status string

// The statuses. Those that end in -ing are shown while an operation runs; the
// others are what it can end in.
const (
	StatusDeploying Status = "deploying"
	StatusActive    Status = "active"
	StatusReplacing Status = "replacing"
	StatusStopping  Status = "stopping"
	StatusInactive  Status = "inactive"
	StatusLaunching Status = "launching"
	StatusFailed    Status = "failed"
	StatusDeleting  Status = "deleting"
	StatusDeleted   Status = "deleted"
)

// Statuses are all of them.
func Statuses() []Status {
	return []Status{
		StatusDeploying, StatusActive, StatusReplacing, StatusStopping, StatusInactive,
		StatusLaunching, StatusFailed, StatusDeleting, StatusDeleted,
	}
}

// Importance is how much depends on a deployment, in DataRobot's words
// (datarobot.md section 3 and T2).
type Importance string

// The importances.
const (
	ImportanceCritical Importance = "CRITICAL"
	ImportanceHigh     Importance = "HIGH"
	ImportanceModerate Importance = "MODERATE" // unless the command says otherwise
	ImportanceLow      Importance = "LOW"
)

// Importances are all of them, the most important one first.
func Importances() []Importance {
	return []Importance{ImportanceCritical, ImportanceHigh, ImportanceModerate, ImportanceLow}
}

// DriftTracking says which kinds of drift are computed for a deployment. For a
// new one both are off, unless the configuration says otherwise (datarobot.md R18).
type DriftTracking struct {
	TargetDrift  DriftSetting `json:"targetDrift"`
	FeatureDrift DriftSetting `json:"featureDrift"`
}

// DriftSetting is one drift switch.
type DriftSetting struct {
	Enabled bool `json:"enabled"`
}

// LastFailure is the newest operation on a deployment whose effect did not succeed.
type LastFailure struct {
	Code    string    `json:"code"`
	Message string    `json:"message"`
	At      time.Time `json:"at"`
	Command string    `json:"command"` // command token
}

// Serves reports whether the deployment has a model that answers predictions.
func (s *State) Serves() bool {
	_, serves := s.Effect().(Serve)
	return serves
}

// Effect is what has to be true outside of the ledger for a committed state to
// be true. Of no deployment, and of one that never served, nothing is served.
func (s *State) Effect() Effect {
	switch {
	case s == nil || s.Model == nil || s.Status == StatusDeleted:
		return Stop{}
	case s.Status == StatusInactive:
		return Stop{Inactive: true}
	default:
		return Serve{Model: s.Model.From(nil)} // who serves it need not know where it is from
	}
}

// Exists reports whether there is such a deployment: not any more when it is
// deleted, though its history stays.
func (s *State) Exists() bool { return s != nil && s.Status != StatusDeleted }

// Clone is a copy that shares nothing with the original. The clone of nil is
// nil.
func (s *State) Clone() *State {
	if s == nil {
		return nil
	}
	c := *s
	c.Model, c.Target, c.Previous = s.Model.clone(), s.Target.clone(), s.Previous.clone()
	c.Description, c.LastFailure = clone(s.Description), clone(s.LastFailure)
	c.DeletedAt = clone(s.DeletedAt)
	return &c
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}
