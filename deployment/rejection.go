package deployment

import (
	"fmt"
	"strings"
)

// Rejection is an error that says a request is wrong and nothing was changed.
// It becomes a `rejected` event. Every other error of an effect is either a
// *Failure (it will never succeed) or is taken to be transient.
type Rejection struct {
	Code     Code
	Class    Class
	Message  string
	Findings []Finding // each thing that is wrong; may be empty when Message says it all
}

// Finding is one thing that is wrong with a request.
type Finding struct {
	Code    Code   `json:"code"`
	Path    string `json:"path"` // of the member of data, dotted: "model.artifact.digest"; "" for the whole event
	Message string `json:"message"`
}

// Error is the message, with every finding that is not the message itself.
func (r *Rejection) Error() string {
	parts := make([]string, 0, 1+len(r.Findings))
	parts = append(parts, r.Message)
	for _, f := range r.Findings {
		if f.Message != r.Message {
			parts = append(parts, f.Path+": "+f.Message)
		}
	}
	return strings.Join(parts, "; ")
}

// Reject is a rejection with one finding, at path.
func Reject(code Code, path, format string, args ...any) *Rejection {
	message := fmt.Sprintf(format, args...)
	return &Rejection{
		Code: code, Class: code.Class(), Message: message,
		Findings: []Finding{{Code: code, Path: path, Message: message}},
	}
}

// InvalidData is the message of a rejection whose findings say which fields of the
// data are wrong (datarobot.md section 6).
const InvalidData = "Invalid field data"

// RejectField is a rejection of one field of the data.
func RejectField(code Code, path, format string, args ...any) *Rejection {
	r := Reject(code, path, format, args...)
	r.Message = InvalidData
	return r
}

// RejectAll is a rejection with several findings, whose first names the code.
// It returns nil when there is nothing to say.
func RejectAll(message string, findings []Finding) *Rejection {
	if len(findings) == 0 {
		return nil
	}
	code := findings[0].Code
	return &Rejection{Code: code, Class: code.Class(), Message: message, Findings: findings}
}

// Failure is an error that says an effect did not succeed and would not succeed
// if it were tried again. It becomes a `failed` event.
type Failure struct {
	Code      Code
	Message   string
	Retryable bool // the command may succeed if it is published again later
}

func (f *Failure) Error() string { return f.Message }
