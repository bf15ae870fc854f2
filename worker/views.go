package worker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
)

// Views are the projections of the ledger that people and programs read.
type Views interface {
	// Project makes the views show v, unless they show something newer.
	Project(ctx context.Context, v View) error
	// Repair is Project for views that may have been changed behind our back: it
	// looks, and says whether they lagged.
	Repair(ctx context.Context, v View) (repaired bool, err error)
	// Model is the model that a command older than sequence brought in.
	Model(ctx context.Context, id deployment.Name, sequence uint64) (*deployment.Model, error)
	// Operation is what became of the command with this token; nil: not known.
	Operation(ctx context.Context, token string) (*OperationView, error)
}

// View is what one event of the ledger makes the views show.
type View struct {
	Who        Address
	Sequence   uint64 // of the event
	Ends       bool   // the event is the outcome of its command
	Read       bool   // the event was read, not just stored: it is probably shown
	Deployment *deployment.State
	Registered *ModelView
	Operation  *OperationView
}

// ofDeployment reports whether the deployments bucket shows v: a deployment, or
// that there is none.
func (v View) ofDeployment() bool {
	_, err := deployment.ParseName(v.Who.Name)
	return err == nil && v.Who.Kind == deployment.KindDeployment
}

// deployment is what the deployments bucket shows of v, if there is a deployment.
func (v View) deployment() DeploymentView {
	return DeploymentView{State: *v.Deployment, LedgerSequence: v.Sequence}
}

// The guards: whether what is shown stands against v.

func (v View) keepsDeployment(have DeploymentView) bool { return have.LedgerSequence >= v.Sequence }

func (v View) keepsModel(have ModelView) bool {
	return have.LedgerSequence > 0 && have.Sequence <= v.Registered.Sequence // the first command counts
}

func (v View) keepsOperation(have OperationView) bool { return have.LedgerSequence >= v.Sequence }

// DeploymentView is a value of the deployments bucket; its key is the name.
type DeploymentView struct {
	deployment.State
	LedgerSequence uint64 `json:"ledgerSequence"` // of the event that it comes from
}

// ModelView is a value of the models bucket; its key is the id.
type ModelView struct {
	deployment.Model
	RegisteredAt   time.Time `json:"registeredAt"`
	RegisteredBy   string    `json:"registeredBy"` // CloudEvents source of the command
	Sequence       uint64    `json:"sequence"`     // of the command, in the stream of commands
	LedgerSequence uint64    `json:"ledgerSequence"`
}

// OperationView is a value of the operations bucket; its key is the command's token.
type OperationView struct {
	Token          string          `json:"token"`
	Source         string          `json:"source,omitempty"`
	ID             string          `json:"id,omitempty"`
	Kind           deployment.Kind `json:"kind"`
	Name           string          `json:"name"`
	Type           string          `json:"type,omitempty"`
	Outcome        events.Outcome  `json:"outcome"` // newest one
	Done           bool            `json:"done"`    // Outcome is terminal
	Attempt        int             `json:"attempt,omitempty"`
	Failure        *Failure        `json:"failure,omitempty"`
	Digest         string          `json:"digest,omitempty"` // of subject, type and data
	Sequence       uint64          `json:"sequence"`         // in the stream of commands
	StoredAt       time.Time       `json:"storedAt"`
	LedgerSequence uint64          `json:"ledgerSequence"`
}

// Bucket is where values of one kind of view are kept.
type Bucket[T any] interface {
	Newest(ctx context.Context) (time.Time, error)
	Load(ctx context.Context, key string) (value T, revision uint64, err error)
	// Find is Load for a key that is seldom there.
	Find(ctx context.Context, key string) (value T, revision uint64, err error)
	// Store stores value if the revision of key is still the given one, 0 if there
	// is no such key. It returns the new revision, 0 when another one was found.
	Store(ctx context.Context, key string, value T, revision uint64) (next uint64, err error)
	Remove(ctx context.Context, key string, revision uint64) (removed bool, err error)
}

// Projections are Views in buckets. They are guarded: an older event never
// overwrites what a newer one made them show.
type Projections struct {
	History     History
	Deployments Bucket[DeploymentView]
	Models      Bucket[ModelView]
	Operations  Bucket[OperationView]

	trust  trust
	shown  sync.Map // fence: sequence of the newest outcome that is known to be shown, as those before it are
	own    sync.Map // key: own
	models modelCache
}

// Project implements Views.
func (p *Projections) Project(ctx context.Context, v View) error {
	if err := p.recover(ctx); err != nil {
		return err
	}
	if shown, ok := p.shown.Load(v.Who.Fence); v.Sequence == 0 || ok && shown.(uint64) >= v.Sequence {
		return nil
	}
	if v.Read {
		if shown, err := p.shows(ctx, v); err != nil || shown {
			return err
		}
	}
	_, err := p.Repair(ctx, v)
	return err
}

// Repair implements Views.
func (p *Projections) Repair(ctx context.Context, v View) (repaired bool, err error) {
	if v.Sequence == 0 {
		return false, nil
	}
	var deployments, models, operations bool
	if v.ofDeployment() {
		deployments, err = p.projectDeployment(ctx, v)
	}
	if err == nil && v.Registered != nil {
		models, err = p.projectModel(ctx, v)
	}
	if err == nil && v.Operation != nil { // last: once it shows the outcome, the others do
		operations, err = p.projectOperation(ctx, v)
	}
	if err != nil {
		return false, fmt.Errorf("project event %d of %s: %w", v.Sequence, v.Who.Fence, err)
	}
	if v.Ends { // the event that begins a command may be shown before the outcome of the one before it
		p.shown.Store(v.Who.Fence, v.Sequence)
	}
	return deployments || models || operations, nil
}

func (p *Projections) projectDeployment(ctx context.Context, v View) (changed bool, err error) {
	if v.Deployment != nil {
		hint, fresh := p.hint(v.Who.Name, v.Sequence)
		revision, changed, err := project(ctx, p.Deployments, v.Who.Name, v.deployment(), hint, fresh && !v.Read, v.keepsDeployment)
		if changed {
			p.own.Store(v.Who.Name, own{revision, v.Sequence})
		}
		return changed, err
	}
	for {
		have, revision, err := p.Deployments.Load(ctx, v.Who.Name)
		if err != nil || revision == 0 || v.keepsDeployment(have) {
			return false, err
		}
		if removed, err := p.Deployments.Remove(ctx, v.Who.Name, revision); err != nil || removed {
			return removed, err
		}
	}
}

// projectModel looks before it writes: most models are there, given inline by
// an earlier command.
func (p *Projections) projectModel(ctx context.Context, v View) (changed bool, err error) {
	id := string(v.Registered.ID)
	if known, err := p.model(ctx, id); err != nil || known != nil && v.keepsModel(*known) {
		return false, err
	}
	p.models.forget(id)
	_, changed, err = project(ctx, p.Models, id, *v.Registered, 0, false, v.keepsModel)
	return changed, err
}

func (p *Projections) projectOperation(ctx context.Context, v View) (changed bool, err error) {
	hint, fresh := p.hint(v.Operation.Token, v.Sequence)
	revision, changed, err := project(ctx, p.Operations, v.Operation.Token, *v.Operation, hint, fresh && !v.Read, v.keepsOperation)
	switch {
	case v.Operation.Done: // hardly ever written again
		p.own.Delete(v.Operation.Token)
	case changed:
		p.own.Store(v.Operation.Token, own{revision, v.Sequence})
	}
	return changed, err
}

// Model implements Views. Models do not change: one that was seen is remembered.
func (p *Projections) Model(ctx context.Context, id deployment.Name, sequence uint64) (*deployment.Model, error) {
	view, err := p.model(ctx, string(id))
	if err != nil || view == nil || view.Sequence >= sequence {
		return nil, err
	}
	m := view.Model
	return &m, nil
}

// model is what the models bucket shows; nil: there is no such model.
func (p *Projections) model(ctx context.Context, id string) (*ModelView, error) {
	if known, ok := p.models.get(id); ok {
		return known, nil
	}
	view, revision, err := p.Models.Load(ctx, id)
	if err != nil || revision == 0 || view.LedgerSequence == 0 {
		return nil, err
	}
	p.models.put(id, &view)
	return &view, nil
}

// Operation implements Views.
func (p *Projections) Operation(ctx context.Context, token string) (*OperationView, error) {
	if err := p.recover(ctx); err != nil {
		return nil, err
	}
	view, revision, err := p.Operations.Find(ctx, token)
	if err != nil || revision == 0 {
		return nil, err
	}
	return &view, nil
}

// view is what the newest event of the record, which was read, makes the views show.
func (r *record) view() View {
	v := newView(r.Who, r.Sequence, r.Outcome, r.Data)
	v.Read = true
	return v
}

// view is what an event that this try has published makes the views show.
func (a *attempt) view(outcome events.Outcome, sequence uint64, data Data) View {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.complete(outcome, &data)
	return newView(a.rec.Who, sequence, outcome, data)
}

// newView is the one place where an event becomes what the views show. That a
// claim is renewed or a verdict given is not shown: the views stay at the event
// that began the attempt, whoever projects.
func newView(who Address, sequence uint64, outcome events.Outcome, data Data) View {
	if outcome == events.Validated || outcome == events.Progress {
		return View{Who: who}
	}
	v := View{Who: who, Sequence: sequence, Ends: outcome.Terminal(), Deployment: data.Deployment}
	if data.Registered != nil {
		v.Registered = &ModelView{
			Model: *data.Registered, RegisteredAt: data.Command.StoredAt, RegisteredBy: data.Command.by(),
			Sequence: data.Command.Sequence, LedgerSequence: sequence,
		}
	}
	if !Recorded(outcome, data) {
		return v
	}
	v.Operation = &OperationView{
		Token: data.Command.Token, Source: data.Command.Source, ID: data.Command.ID, Kind: who.Kind, Name: who.Name,
		Type: data.Command.Type, Outcome: outcome, Done: outcome.Terminal(), Attempt: data.Attempt, Failure: data.Failure,
		Digest: data.Command.Digest, Sequence: data.Command.Sequence, StoredAt: data.Command.StoredAt, LedgerSequence: sequence,
	}
	return v
}

// Recorded reports whether an event is shown in the record of its command's
// token: not when the token is that of another command, published before.
func Recorded(outcome events.Outcome, data Data) bool {
	return outcome != events.Duplicate && (data.Failure == nil || data.Failure.Code != deployment.CodeIDReused)
}
