package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
)

// Command says what a command is about and which one it is. Only Name is needed.
type Command struct {
	Name   string // of the deployment or, to register one, the id of the model
	ID     string // the same id is the same command, however often it is published; "": a new one
	Source string // "": that of the Client
	Actor  string // for whom it is sent, if not for its source (CloudEvents authid)

	CorrelationID string // "": the id
	CausationID   string // id of the event that has led to this command
}

// Pending is a command that was published. It can be kept, for example as JSON,
// and be waited for later or elsewhere. Source and ID are enough for that.
type Pending struct {
	Kind     deployment.Kind `json:"kind"`
	Op       string          `json:"op"`
	Name     string          `json:"name"`
	Source   string          `json:"source"`
	ID       string          `json:"id"`
	Sequence uint64          `json:"sequence,omitempty"` // in the stream of commands; 0: not known
	Digest   string          `json:"digest,omitempty"`   // of what it says
}

// Token is what the ledger and the operations bucket know the command by.
func (p Pending) Token() string { return events.Token(p.Source, p.ID) }

// Publish publishes a command for the operation op with this data, which is what
// the methods named after operations do. It returns once the broker has stored
// the command: it will be carried out. Its error is
//
//   - an *Error when the name cannot even be published;
//   - an *UnknownOutcomeError when the broker does not say whether it has stored
//     the command: publish it again, with the same id;
//   - any other when it was not stored.
func (c *Client) Publish(ctx context.Context, kind deployment.Kind, op string, cmd Command, data any) (Pending, error) {
	p := Pending{
		Kind: kind, Op: op, Name: cmd.Name,
		Source: cmp.Or(cmd.Source, c.Source), ID: cmp.Or(cmd.ID, newID()),
	}
	if _, err := deployment.ParseName(p.Name); err != nil && !isToken(p.Name) {
		return p, p.refused(deployment.Reject(deployment.CodeInvalidName, "subject", "%v", err))
	}
	request := events.Request{
		Type: events.Type{Kind: string(kind), Op: op}, Source: p.Source, ID: p.ID, Subject: p.Name, Time: time.Now(),
		CorrelationID: cmd.CorrelationID, CausationID: cmd.CausationID, Data: data,
	}
	wipe, err := c.forActor(&request, cmd.Actor)
	if err != nil {
		return p, fmt.Errorf("%s %s: %w", op, p.Name, err)
	}
	defer wipe()
	e, err := request.Event()
	if err != nil {
		return p, fmt.Errorf("%s %s: %w", op, p.Name, err)
	}
	header, body, err := events.Encode(e)
	if err != nil {
		return p, fmt.Errorf("%s %s: %w", op, p.Name, err)
	}
	p.Digest = events.Command{Type: request.Type.With(events.Requested), Subject: p.Name, Data: e.Data()}.Digest()
	p.Sequence, err = c.Commands.Publish(ctx, jetstream.CommandSubject(string(kind), p.Name, op), p.Token(), header, body)
	if _, refused := errors.AsType[*natsjs.APIError](err); err != nil && !refused {
		err = &UnknownOutcomeError{Pending: p, Err: err}
	}
	return p, err
}

// isToken reports whether a command about name can be published: another one
// would be about something else. What else is wrong is said by a worker, and kept.
func isToken(name string) bool { return name != "" && !strings.ContainsAny(name, ".*> \t\r\n") }

// about is Publish for the operations on deployments.
func (c *Client) about(ctx context.Context, op string, cmd Command, data any) (Pending, error) {
	return c.Publish(ctx, deployment.KindDeployment, op, cmd, data)
}

// Register makes a model known, under the id that cmd.Name is.
func (c *Client) Register(ctx context.Context, cmd Command, model handlers.ModelFacts) (Pending, error) {
	return c.Publish(ctx, deployment.KindModel, "register", cmd, handlers.Register{ModelFacts: model})
}

// Deploy creates a deployment (datarobot.md R1).
func (c *Client) Deploy(ctx context.Context, cmd Command, data handlers.Deploy) (Pending, error) {
	return c.about(ctx, "deploy", cmd, data)
}

// Update changes label, description, importance or model; what is absent stays
// (datarobot.md R8, deeploy.md D3).
func (c *Client) Update(ctx context.Context, cmd Command, data handlers.Update) (Pending, error) {
	return c.about(ctx, "update", cmd, data)
}

// Replace serves another model, without interrupting predictions (datarobot.md R9).
func (c *Client) Replace(ctx context.Context, cmd Command, data handlers.Replace) (Pending, error) {
	return c.about(ctx, "replace", cmd, data)
}

// ReplaceAndWait is Replace and Wait (datarobot.md R10).
func (c *Client) ReplaceAndWait(ctx context.Context, cmd Command, data handlers.Replace) (Event, error) {
	p, err := c.Replace(ctx, cmd, data)
	if err != nil {
		return Event{}, err
	}
	return c.Wait(ctx, p)
}

// Rollback serves a model again that has served before: that of a version, or
// the one before the current one.
func (c *Client) Rollback(ctx context.Context, cmd Command, data handlers.Rollback) (Pending, error) {
	return c.about(ctx, "rollback", cmd, data)
}

// Rename gives a version of a deployment a name, or takes it away (deeploy.md D22).
func (c *Client) Rename(ctx context.Context, cmd Command, data handlers.Rename) (Pending, error) {
	return c.about(ctx, "rename", cmd, data)
}

// Drift switches the computing of drift on or off; what is nil stays
// (datarobot.md R19).
func (c *Client) Drift(ctx context.Context, cmd Command, data handlers.Drift) (Pending, error) {
	return c.about(ctx, "drift", cmd, data)
}

// Activate makes an inactive deployment answer predictions (datarobot.md T1).
func (c *Client) Activate(ctx context.Context, cmd Command) (Pending, error) {
	return c.about(ctx, "activate", cmd, handlers.Activate{})
}

// Deactivate makes a deployment answer no predictions.
func (c *Client) Deactivate(ctx context.Context, cmd Command) (Pending, error) {
	return c.about(ctx, "deactivate", cmd, handlers.Deactivate{})
}

// Delete ends a deployment; its history stays (datarobot.md R7).
func (c *Client) Delete(ctx context.Context, cmd Command) (Pending, error) {
	return c.about(ctx, "delete", cmd, handlers.Delete{})
}

// Cancel ends another command of the deployment that is queued or running.
func (c *Client) Cancel(ctx context.Context, cmd Command, other Pending) (Pending, error) {
	return c.about(ctx, handlers.OpCancel, cmd, handlers.Cancel{Source: other.Source, ID: other.ID})
}
