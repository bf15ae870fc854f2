package gateway

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/slipway-ml/slipway/deployment"
)

// problem is why a request is not done, as RFC 9457 has it.
type problem struct {
	Status int               `json:"status"`
	Title  string            `json:"title"`
	Detail string            `json:"detail"`
	Code   deployment.Code   `json:"code,omitempty"`   // as commands have them (docs/events.md)
	Errors map[string]string `json:"errors,omitempty"` // what is wrong, by header, query member, or attribute

	cause error
}

func (p *problem) Error() string { return p.Detail }
func (p *problem) Unwrap() error { return p.cause }

// refuse is a problem with what is named field of a request.
func refuse(status int, field, format string, args ...any) *problem {
	cause := fmt.Errorf(format, args...)
	return &problem{Status: status, Detail: cause.Error(), Errors: map[string]string{field: cause.Error()}, cause: cause}
}

// coded is the problem with a code.
func (p *problem) coded(c deployment.Code) *problem {
	p.Code = c
	return p
}

// unavailable is a problem of ours, which may pass.
func unavailable(format string, args ...any) *problem {
	cause := fmt.Errorf(format, args...)
	return &problem{Status: http.StatusServiceUnavailable, Detail: cause.Error(), Code: deployment.CodeStoreUnavailable, cause: cause}
}

// answerProblem answers with the error.
func answerProblem(w http.ResponseWriter, r *http.Request, err error) {
	p, known := errors.AsType[*problem](err)
	if !known {
		p = unavailable("%w", err)
	}
	switch p.Status {
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Connection", "close") // there may be a body that nobody reads
	}
	said := *p
	said.Title = cmp.Or(p.Title, http.StatusText(p.Status))
	answer(w, "application/problem+json", said.Status, said)
	if p.Status != http.StatusUnauthorized && p.Status != http.StatusRequestTimeout {
		readOn(w, r)
	}
}

const (
	mostUnread = 256 << 20        // bytes of a body that are read after a refusal
	unreadTime = 30 * time.Second // that they may take
)

// readOn reads on, to no use, after a refusal: a client that sends all of a body
// before it looks for the answer would find the connection closed, and no answer.
func readOn(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	if r.ContentLength > mostUnread || control.SetReadDeadline(time.Now().Add(unreadTime)) != nil || control.Flush() != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, mostUnread) // whatever comes of it
}

// answerJSON answers with the value.
func answerJSON(w http.ResponseWriter, status int, value any) error {
	answer(w, "application/json", status, value)
	return nil
}

func answer(w http.ResponseWriter, contentType string, status int, value any) {
	text, err := json.Marshal(value)
	if err != nil { // nothing that is answered cannot be said
		panic(err)
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}
