package handlers

import "encoding/json"

// OptionalText is a text that may be left out, may be null, or may be given:
// three things that mean three things (datarobot.md R8).
type OptionalText struct {
	Given bool
	Value *string // nil: null
}

// UnmarshalJSON is called for a member that is given, null included.
func (o *OptionalText) UnmarshalJSON(text []byte) error {
	o.Given = true
	return json.Unmarshal(text, &o.Value)
}

// MarshalJSON writes the value, or null.
func (o OptionalText) MarshalJSON() ([]byte, error) { return json.Marshal(o.Value) }

// IsZero makes omitzero leave out what was not given.
func (o OptionalText) IsZero() bool { return !o.Given }
