package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
)

// Verdict is the answer to a request for a validation (datarobot.md section 3).
type Verdict struct {
	Deployment deployment.Name `json:"deployment"`
	deployment.Validation
	Checks deployment.Checks `json:"checks"`
}

// Validations is the endpoint at which w says, at once and without a command,
// whether a model can replace the one that a deployment serves now
// (datarobot.md R13). Its requests are validate commands in binary mode; unless they
// have to be signed, the headers ce-source and ce-authid are enough of it.
func (w *Worker) Validations(limit int, timeout time.Duration) jetstream.Endpoint {
	return jetstream.Endpoint{
		Name: handlers.OpValidate, Subject: jetstream.AllValidations, Limit: limit, Timeout: timeout,
		Busy: *requestError(&deployment.Failure{
			Code: deployment.CodeBusy, Message: fmt.Sprintf("%d requests are being answered already: ask again later", limit), Retryable: true,
		}),
		Description: "Says whether a model can replace the one that a deployment serves; nothing changes.",
		Answer: func(ctx context.Context, r jetstream.Request) (body []byte, failed *jetstream.RequestError) {
			defer func() {
				if p := recover(); p != nil {
					w.Log.ErrorContext(ctx, "panic", "subject", r.Subject, "panic", p, "stack", string(debug.Stack()))
					failed = requestError(&deployment.Failure{Code: deployment.CodePanic, Message: fmt.Sprintf("panic: %v", p)})
				}
			}()
			name, _ := jetstream.ParseValidateSubject(r.Subject)
			verdict, err := w.answer(ctx, name, r)
			if err == nil {
				body, err = json.Marshal(verdict)
			}
			if err != nil {
				return nil, requestError(err)
			}
			return body, nil
		},
	}
}

func (w *Worker) answer(ctx context.Context, name string, r jetstream.Request) (Verdict, error) {
	cmd, err := w.asked(name, r)
	if err != nil {
		return Verdict{}, err
	}
	return w.Validate(ctx, cmd, r.Body)
}

// Validate is the verdict on the model that data, of a validate command, names,
// against what the deployment serves now. Nothing is written but a copy of the
// model's file. Its error is a *deployment.Rejection when the request is wrong;
// any other may pass.
func (w *Worker) Validate(ctx context.Context, cmd deployment.Command, data json.RawMessage) (v Verdict, err error) {
	who := NewAddress(cmd.Kind, string(cmd.Name))
	typ := events.Type{Kind: string(cmd.Kind), Op: cmd.Op, Outcome: events.Requested}
	if len(data) > w.MaxCommand {
		return v, deployment.Reject(deployment.CodeTooLarge, "", "request of %d bytes: expected %d at most; give models by reference", len(data), w.MaxCommand)
	}
	if _, err := deployment.ParseName(string(cmd.Name)); err != nil {
		return v, deployment.Reject(deployment.CodeInvalidName, "", "%v", err)
	}
	if err := rejectData(w.Schemas.Check(typ.String(), data)); err != nil {
		return v, err
	}
	operation, err := handlers.Find(w.Operations, cmd.Kind, cmd.Op)
	if err != nil {
		return v, err
	}
	last, err := w.Ledger.Last(ctx, who.Fence)
	if err != nil {
		return v, err
	}
	rec, err := readRecord(who, last)
	if err != nil {
		return v, err
	}
	if rec, err = w.outcomeBefore(ctx, rec); err != nil { // what is shown meanwhile is not so yet
		return v, err
	}
	asked, err := operation.Read(data)
	if err != nil {
		return v, err
	}
	facts, err := w.factsNow(ctx, asked, rec)
	if err != nil {
		return v, err
	}
	decision, err := asked.Decide(rec.Subject, facts, cmd)
	if err == nil && decision.Read != nil {
		if err := w.read(ctx, *decision.Read, func(string) {}, &facts); err != nil {
			return v, err
		}
		decision, err = asked.Decide(rec.Subject, facts, cmd)
	}
	if err == nil && decision.Inspect != nil {
		if err := w.look(ctx, *decision.Inspect, func(string) {}, &facts); err != nil {
			return v, err
		}
		decision, err = asked.Decide(rec.Subject, facts, cmd)
	}
	if err != nil {
		return v, err
	}
	return Verdict{Deployment: cmd.Name, Validation: *decision.Validation, Checks: clipChecks(decision.Checks)}, nil
}

// factsNow are the facts of a decision that no command asks for: those that are
// so now, whatever is still to be done.
func (w *Worker) factsNow(ctx context.Context, asked handlers.Asked, rec record) (facts deployment.Facts, err error) {
	if id := asked.Names; id != "" {
		if facts.Model, err = w.knownModel(ctx, NewAddress(deployment.KindModel, string(id)), math.MaxUint64); err != nil {
			return facts, err
		}
	}
	return facts, w.around(ctx, asked, &rec, math.MaxUint64, &facts)
}

// requestError is an error as the answer to a request, with the failure that an
// event would have as its body.
func requestError(err error) *jetstream.RequestError {
	var (
		rejection *deployment.Rejection
		failed    *deployment.Failure
		transient *effectError
		failure   *Failure
	)
	switch {
	case errors.As(err, &rejection):
		failure = Refusal(rejection)
	case errors.As(err, &failed):
		failure = &Failure{Code: failed.Code, Class: failed.Code.Class(), Message: clip(failed.Message), Retryable: failed.Retryable}
	default:
		code := deployment.CodeStoreUnavailable
		if errors.As(err, &transient) {
			code = transient.code
		}
		failure = &Failure{Code: code, Class: code.Class(), Message: clip(err.Error()), Retryable: true}
	}
	body, _ := json.Marshal(failure) // it holds nothing that JSON cannot say
	return &jetstream.RequestError{Code: httpStatus(failure), Message: string(failure.Code) + ": " + failure.Message, Body: body}
}

// httpStatus is the status of a failure's class (datarobot.md R22).
func httpStatus(f *Failure) int {
	switch f.Class {
	case deployment.ClassForbidden:
		return http.StatusForbidden
	case deployment.ClassNotFound:
		return http.StatusNotFound
	case deployment.ClassConflict:
		return http.StatusConflict
	case deployment.ClassInternal:
		if f.Retryable {
			return http.StatusServiceUnavailable
		}
		return http.StatusInternalServerError
	case deployment.ClassInvalid:
	}
	return http.StatusUnprocessableEntity
}
