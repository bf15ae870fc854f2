package worker

import (
	"context"
	"time"

	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
)

// publish appends an event about the command under the fence.
func (a *attempt) publish(ctx context.Context, outcome events.Outcome, data Data) (sequence uint64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for {
		complete := data
		a.complete(outcome, &complete)
		write, err := a.write(outcome, complete)
		if err != nil {
			return 0, err
		}
		sequence, appended, err := a.Ledger.Append(ctx, write)
		if err != nil {
			return 0, err
		}
		if appended {
			a.last = sequence
			return sequence, nil
		}
		own, err := a.ownLast(ctx)
		if err != nil {
			return 0, err
		}
		if own <= a.last {
			return 0, errSuperseded
		}
		a.last = own // its acknowledgement was lost
	}
}

// ownLast is the sequence of the newest event if this try has published it and
// the claim still holds; else 0.
func (a *attempt) ownLast(ctx context.Context) (uint64, error) {
	rec, err := a.newest(ctx, a.rec.Who)
	if err != nil {
		return 0, err
	}
	if c := rec.Claim; c == nil || c.Token != a.token || c.Worker != a.ID || c.Attempt != a.number {
		return 0, nil
	}
	return rec.Sequence, nil
}

// complete adds what every event says.
func (a *attempt) complete(outcome events.Outcome, data *Data) {
	data.Command = a.ref()
	if data.Checks != nil {
		data.Checks = clipChecks(data.Checks)
	}
	if data.Failure != nil {
		data.Failure.Message = clip(data.Failure.Message)
	}
	data.Message = clip(data.Message)
	data.Worker, data.Attempt = a.ID, a.number
	data.Ledger.Previous = a.last
	if outcome.Terminal() {
		return
	}
	data.Deployment, data.Model = a.rec.Subject.Deployment, a.rec.Subject.Model
	data.Ledger.Committed = a.rec.Subject.Deployment
	if a.shown != nil {
		data.Deployment = a.shown
	}
	data.Ledger.Watermark, data.Ledger.RegisteredBy = a.rec.Watermark, a.rec.RegisteredBy
	data.Ledger.Claim = a.claimed
}

func (a *attempt) ref() CommandRef {
	ref := CommandRef{Source: a.cmd.Source, ID: a.cmd.ID, Actor: a.cmd.AuthID, Token: a.token, Digest: a.digest, Sequence: a.msg.Sequence, StoredAt: a.msg.Time.UTC()}
	if a.proven {
		ref.Key = a.cmd.AuthKey
	}
	if a.cmd.Type.Op != "" {
		ref.Type = a.cmd.Type.String()
	}
	return ref
}

func (a *attempt) write(outcome events.Outcome, data Data) (jetstream.Write, error) {
	typ := events.Type{Kind: string(a.rec.Who.Kind), Op: a.op, Outcome: outcome}
	var revision uint64
	if data.Deployment != nil {
		revision = data.Deployment.Revision
	}
	header, body, err := events.Fact{
		Type: typ, ID: events.FactID(a.token, outcome, a.ordinal(outcome)), Subject: a.rec.Who.Name, Time: time.Now(),
		Schema: a.Schemas.File(typ.String()), Revision: revision,
		CorrelationID: a.cmd.CorrelationID, CausationID: a.cmd.ID, AuthType: a.cmd.AuthType, AuthID: a.cmd.AuthID, TraceParent: a.cmd.TraceParent, TraceState: a.cmd.TraceState,
		Data: data,
	}.Encode()
	return jetstream.Write{
		Subject: jetstream.EventSubject(typ.Kind, a.rec.Who.Name, typ.Op, string(outcome)),
		Header:  header, Body: body, Fence: a.rec.Who.Fence, Last: a.last,
	}, err
}

// ordinal tells apart the events with the same outcome of one command.
func (a *attempt) ordinal(outcome events.Outcome) uint64 {
	switch {
	case a.first != nil: // there are other events with this token
		return a.msg.Sequence
	case outcome == events.Progress:
		return a.last
	case !outcome.Terminal():
		return uint64(a.number) //nolint:gosec // never negative
	default:
		return 0
	}
}
