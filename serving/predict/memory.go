package predict

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/slipway-ml/slipway/deployment"
)

// budget is the memory that loaded models may take together.
type budget struct {
	limit int64 // bytes; 0: any
	used  atomic.Int64
}

// take sets n bytes more aside, if they are there, or says what is missing.
func (b *budget) take(id deployment.Name, n int64) error {
	used := b.used.Add(n)
	if b.limit == 0 || used <= b.limit {
		return nil
	}
	b.used.Add(-n)
	return deployment.Reject(deployment.CodeMemoryExceeded, atArtifact,
		"model %s needs %d bytes of memory more, %d of %d are free (SLIPWAY_PREDICT_MEMORY_BYTES)", id, n, max(0, b.limit-(used-n)), b.limit)
}

func (b *budget) giveBack(n int64) { b.used.Add(-n) }

// lacks is how many bytes are missing for n more.
func (b *budget) lacks(n int64) int64 {
	if b.limit == 0 {
		return 0
	}
	return max(0, b.used.Load()+n-b.limit)
}

// load is the model as a version that is accounted for, until its last reference
// is released. What does not fit into the budget is not loaded: before the file is
// read it counts as many bytes as the file has, then as many as it takes. What
// serves meanwhile is not touched; models that are only kept go before one is refused.
func (k *keeper) load(ctx context.Context, ref deployment.ModelRef) (*version, error) {
	g := k.server.gear()
	if err := k.setAside(ctx, ref.ID, ref.Size); err != nil {
		return nil, err
	}
	model, err := k.server.open(ctx, ref)
	if err == nil {
		err = k.server.limits().accept(model)
	}
	g.budget.giveBack(ref.Size)
	if err != nil {
		return nil, err
	}
	bytes := model.MemoryBytes()
	if err := k.setAside(ctx, ref.ID, bytes); err != nil {
		return nil, err
	}
	g.metrics.loaded(k.name, ref, bytes)
	v := newVersion(ref, model)
	v.holding = newHolding(bytes, func() {
		g.budget.giveBack(bytes)
		g.metrics.loaded(k.name, ref, -bytes)
	})
	return v, nil
}

// setAside takes n bytes of the budget. If they are not there, it waits for the
// version that this deployment has let go, then lets go of what others keep.
func (k *keeper) setAside(ctx context.Context, id deployment.Name, n int64) error {
	b := k.server.gear().budget
	err := b.take(id, n)
	if err == nil {
		return nil
	}
	if k.leaving != nil {
		k.server.gone(ctx, k.leaving)
		k.leaving = nil
	}
	k.server.makeRoom(ctx, n)
	return b.take(id, n)
}

// makeRoom lets go of versions that are only kept until there is room for n bytes
// more, those that stand there longest first, and waits for the requests that run on
// them. If there would be no room without any of them, none has to go.
func (s *Server) makeRoom(ctx context.Context, n int64) {
	type kept struct {
		slot *slot
		v    *version
	}
	var all []kept
	var bytes int64
	s.mu.RLock()
	for _, k := range s.keepers {
		if v := k.slot.kept(); v != nil && v.holding.alone() {
			all = append(all, kept{&k.slot, v})
			bytes += v.holding.bytes
		}
	}
	s.mu.RUnlock()
	b := s.gear().budget
	if b.lacks(n) > bytes {
		return
	}
	slices.SortFunc(all, func(x, y kept) int { return x.v.since.Compare(y.v.since) })
	for _, old := range all {
		if b.lacks(n) == 0 {
			return
		}
		if old.slot.letGo(old.v) {
			s.Log.InfoContext(ctx, "kept model let go for its memory", "model", string(old.v.id))
			s.gone(ctx, old.v.holding)
			s.tidy(old.v.size)
		}
	}
}

// gone waits until nothing holds the model any more, within the grace period.
func (s *Server) gone(ctx context.Context, h *holding) {
	late := time.NewTimer(cmp.Or(s.Grace, DefaultGrace))
	defer late.Stop()
	select {
	case <-h.done:
	case <-late.C:
	case <-ctx.Done():
	}
}

// holding is what one loaded model takes, which several versions may share.
type holding struct {
	bytes    int64
	versions atomic.Int64
	free     func()        // called when the last of them has ended
	done     chan struct{} // closed then
}

// newHolding is that of one version.
func newHolding(bytes int64, free func()) *holding {
	m := &holding{bytes: bytes, free: free, done: make(chan struct{})}
	m.versions.Store(1)
	return m
}

// alone reports whether it is freed with the one version that has it.
func (m *holding) alone() bool { return m != nil && m.versions.Load() == 1 }

// share is for one more version.
func (m *holding) share() *holding {
	if m != nil {
		m.versions.Add(1)
	}
	return m
}

// release is for a version that has ended.
func (m *holding) release() {
	if m != nil && m.versions.Add(-1) == 0 {
		m.free()
		close(m.done)
	}
}
