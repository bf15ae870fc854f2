package worker

import "context"

// shows looks whether v is shown, and notes at which revision the next state of
// the deployment can be stored.
func (p *Projections) shows(ctx context.Context, v View) (bool, error) {
	if v.ofDeployment() {
		have, revision, err := p.Deployments.Load(ctx, v.Who.Name)
		if err != nil || v.Deployment != nil && !v.keepsDeployment(have) || v.Deployment == nil && revision > 0 {
			return false, err
		}
		p.own.Store(v.Who.Name, own{revision, have.LedgerSequence})
	}
	if v.Registered != nil {
		if known, err := p.model(ctx, string(v.Registered.ID)); err != nil || known == nil || !v.keepsModel(*known) {
			return false, err
		}
	}
	if v.Operation != nil {
		if have, _, err := p.Operations.Load(ctx, v.Operation.Token); err != nil || !v.keepsOperation(have) {
			return false, err
		}
	}
	if v.Ends {
		p.shown.Store(v.Who.Fence, v.Sequence)
	}
	return true, nil
}

// own is a value that this process stored or saw: nothing else is there, as long as
// the revision is the same.
type own struct{ revision, sequence uint64 }

// hint is the revision at which a value for the event with this sequence can be
// stored without a look at what is there: that of an older one of our own, or 0
// for none. fresh is false when a look is needed.
func (p *Projections) hint(key string, sequence uint64) (revision uint64, fresh bool) {
	known, ok := p.own.Load(key)
	if !ok {
		return 0, true
	}
	last, _ := known.(own)
	return last.revision, last.sequence < sequence
}

// project stores value under key unless what is there is to be kept. If hinted,
// it first tries without a look, at the revision hint.
func project[T any](ctx context.Context, bucket Bucket[T], key string, value T, hint uint64, hinted bool, keep func(have T) bool) (revision uint64, changed bool, err error) {
	for {
		if hinted {
			if next, err := bucket.Store(ctx, key, value, hint); err != nil || next > 0 {
				return next, err == nil, err
			}
		}
		have, revision, err := bucket.Load(ctx, key)
		if err != nil || revision > 0 && keep(have) {
			return revision, false, err
		}
		hint, hinted = revision, true
	}
}
