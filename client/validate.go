package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/worker"
)

// Validate asks for a verdict on a model that is to replace the current one of a
// deployment (datarobot.md R13). It is answered at once, leaves no trace in the
// ledger, and a failing verdict is no error. Its error is an *Error when there
// can be no verdict. Of cmd, name, source and actor count.
//
// For a verdict that is kept, Publish a command for handlers.OpValidate.
func (c *Client) Validate(ctx context.Context, cmd Command, data handlers.Validate) (v worker.Verdict, err error) {
	if _, err := deployment.ParseName(cmd.Name); err != nil {
		return v, refused(handlers.OpValidate, cmd.Name, deployment.Reject(deployment.CodeInvalidName, "subject", "%v", err))
	}
	header, body, err := c.question(cmd, data)
	if err != nil {
		return v, fmt.Errorf("validate %s: %w", cmd.Name, err)
	}
	answer, err := jetstream.Ask(ctx, c.JetStream.Conn(), jetstream.Request{Subject: jetstream.ValidateSubject(cmd.Name), Header: header, Body: body})
	if said, ok := errors.AsType[*jetstream.RequestError](err); ok {
		failure := worker.Failure{Message: said.Message}
		_ = json.Unmarshal(said.Body, &failure) // else what the headers say has to do
		return v, &Error{Op: handlers.OpValidate, Name: cmd.Name, Outcome: events.Rejected, Failure: failure}
	}
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(answer, &v); err != nil {
		return v, fmt.Errorf("validate %s: read the answer: %w", cmd.Name, err)
	}
	return v, nil
}

// question is a validate command in binary mode: so it can be signed as commands are.
func (c *Client) question(cmd Command, data handlers.Validate) (events.Header, []byte, error) {
	request := events.Request{
		Type:   events.Type{Kind: string(deployment.KindDeployment), Op: handlers.OpValidate},
		Source: cmp.Or(cmd.Source, c.Source), ID: cmp.Or(cmd.ID, newID()), Subject: cmd.Name, Time: time.Now(), Data: data,
	}
	wipe, err := c.forActor(&request, cmd.Actor)
	if err != nil {
		return nil, nil, err
	}
	defer wipe()
	e, err := request.Event()
	if err != nil {
		return nil, nil, err
	}
	return events.EncodeBinary(e)
}
