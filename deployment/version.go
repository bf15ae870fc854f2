package deployment

import "time"

// Version is one change of the model that a deployment serves, or one that
// failed: what it was, who has asked for it when, and why (deeploy.md D22).
type Version struct {
	Number     uint64          `json:"version,omitempty"` // by which it is named and gone back to; 0: it has failed
	Name       string          `json:"name,omitempty"`    // that people have given it
	Status     VersionStatus   `json:"status"`
	At         time.Time       `json:"at"`
	By         string          `json:"by"`              // CloudEvents source of the command
	Actor      string          `json:"actor,omitempty"` // for whom it was sent, if the sender has said so
	Reason     *Reason         `json:"reason"`          // nil: nothing was replaced, or it failed before that was looked at
	ReasonText string          `json:"reasonText,omitempty"`
	Rollback   bool            `json:"rollback,omitempty"` // the model had served before
	ModelID    Name            `json:"modelId,omitempty"`  // "": it failed before the model was known
	ModelType  string          `json:"modelType,omitempty"`
	Digest     Digest          `json:"digest,omitempty"`   // of the artifact
	Contract   *Contract       `json:"contract,omitempty"` // that it was deployed from, if any
	EventID    string          `json:"eventId"`            // of the event that says how it ended
	Failure    *VersionFailure `json:"failure,omitempty"`
}

// VersionStatus says what has become of a version.
type VersionStatus string

// The statuses of versions.
const (
	VersionCurrent VersionStatus = "current" // the deployment has it now
	VersionServed  VersionStatus = "served"  // it has served before
	VersionFailed  VersionStatus = "failed"  // it never served
)

// VersionFailure is why a version never served.
type VersionFailure struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

// Renamed is the name that people have given a version.
type Renamed struct {
	Version uint64  `json:"version"`
	Name    *string `json:"name"` // nil: it has none any more
}

// Text is the name; "": it has none.
func (r Renamed) Text() string {
	if r.Name == nil {
		return ""
	}
	return *r.Name
}

// Versions are the versions in the history, the oldest first.
func (h *History) Versions() []Version {
	versions := make([]Version, len(h.Served))
	current := h.current()
	for i, s := range h.Served {
		versions[i] = Version{
			Number: s.Version, Name: s.Name, Status: VersionServed, At: s.DeployedAt, By: s.DeployedBy, Actor: s.Actor, Rollback: s.Rollback,
			ModelID: s.ModelID, ModelType: s.ModelType, Digest: s.Digest, Contract: clone(s.Contract), EventID: s.EventID,
		}
		if &h.Served[i] == current {
			versions[i].Status = VersionCurrent
		}
		if i > 0 { // it stands with what was retired for it
			versions[i].Reason, versions[i].ReasonText = clone(h.Served[i-1].Reason), h.Served[i-1].ReasonText
		}
	}
	return versions
}
