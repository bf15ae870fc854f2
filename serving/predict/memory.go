package predict

import (
	"context"
	"sync/atomic"

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

// load is the model as a version that is accounted for, until its last reference
// is released. What does not fit into the budget is not loaded: before the file is
// read it counts as many bytes as the file has, then as many as it takes. What
// serves meanwhile is not touched.
func (k *keeper) load(ctx context.Context, ref deployment.ModelRef) (*version, error) {
	g := k.server.gear()
	if err := g.budget.take(ref.ID, ref.Size); err != nil {
		return nil, err
	}
	model, err := k.server.open(ctx, ref)
	if err == nil {
		err = k.server.limits().accept(model)
	}
	if err != nil {
		g.budget.giveBack(ref.Size)
		return nil, err
	}
	bytes := model.MemoryBytes()
	g.budget.giveBack(ref.Size)
	if err := g.budget.take(ref.ID, bytes); err != nil {
		return nil, err
	}
	g.metrics.loaded(k.name, ref, bytes)
	v := newVersion(ref, model)
	v.holding = newHolding(func() {
		g.budget.giveBack(bytes)
		g.metrics.loaded(k.name, ref, -bytes)
	})
	return v, nil
}

// holding is what one loaded model takes, which several versions may share.
type holding struct {
	versions atomic.Int64
	free     func() // called when the last of them has ended
}

// newHolding is that of one version.
func newHolding(free func()) *holding {
	m := &holding{free: free}
	m.versions.Store(1)
	return m
}

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
	}
}
