package worker

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
)

// History is the ledger as projections need it.
type History interface {
	// Epoch changes whenever the broker may have stopped.
	Epoch() uint64
	Replay(ctx context.Context, span jetstream.Span, handle func(jetstream.Message) error) error
}

// trust is in which epoch the views were held against the ledger.
type trust struct {
	mu    sync.Mutex
	epoch atomic.Uint64 // and one; 0: never
}

// margin is how long after its event a record may be stored: longer than a
// projection may take, tried twice.
const margin = 3 * showTime

// recover makes sure that nothing is missing from the records of operations. The
// broker does not wait for its disk when it stores them, so an unclean stop may
// have cost the newest; the ledger has them all. It looks at the start and
// whenever the connection was lost, before anything relies on the records: they
// say which commands were carried out before. What else a stop may have cost is
// seen when a deployment is next looked at, or by the reconciler.
func (p *Projections) recover(ctx context.Context) error {
	if p.trust.epoch.Load() == p.History.Epoch()+1 {
		return nil
	}
	p.trust.mu.Lock()
	defer p.trust.mu.Unlock()
	for p.trust.epoch.Load() != p.History.Epoch()+1 {
		epoch := p.History.Epoch()
		p.shown.Clear()
		p.own.Clear()
		p.models.clear()
		newest, err := p.Operations.Newest(ctx)
		if err != nil {
			return err
		}
		// Records are lost from the newest backwards: those that were stored before
		// one that is there are there too.
		span := jetstream.Span{Filter: jetstream.AllEvents}
		if !newest.IsZero() {
			span.Since = newest.Add(-margin)
		}
		if err := p.History.Replay(ctx, span, func(m jetstream.Message) error { return p.restore(ctx, m) }); err != nil {
			return fmt.Errorf("hold the records of operations against the ledger: %w", err)
		}
		p.trust.epoch.Store(epoch + 1)
	}
	return nil
}

// restore makes the views show the outcome that m is, if it is one.
func (p *Projections) restore(ctx context.Context, m jetstream.Message) error {
	kind, name, _, outcome, ok := jetstream.ParseEventSubject(m.Subject)
	if !ok || !events.Outcome(outcome).Terminal() {
		return nil
	}
	rec, err := readRecord(NewAddress(deployment.Kind(kind), name), m)
	if err != nil {
		return err
	}
	_, err = p.Repair(ctx, rec.view())
	return err
}
