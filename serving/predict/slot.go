package predict

import (
	"sync"
	"sync/atomic"

	"github.com/slipway-ml/slipway/deployment"
)

// version is one loaded model of a deployment. Who uses it holds a reference,
// and so does the slot it stands in; done is closed when the last is released.
type version struct {
	id     deployment.Name
	digest deployment.Digest // of the artifact
	format deployment.Format
	model  Model
	refs   atomic.Int64
	done   chan struct{}
}

// newVersion is a version with one reference, that of the slot it will stand in.
func newVersion(ref deployment.ModelRef, model Model) *version {
	v := &version{id: ref.ID, digest: ref.Digest, format: ref.Format, model: model, done: make(chan struct{})}
	v.refs.Store(1)
	return v
}

// is reports whether the version is the model. No version is no model.
func (v *version) is(ref *deployment.ModelRef) bool {
	if v == nil || ref == nil {
		return v == nil && ref == nil
	}
	return v.id == ref.ID && v.digest == ref.Digest
}

// release gives a reference back. The version must not be used after it.
func (v *version) release() {
	if v.refs.Add(-1) == 0 {
		close(v.done)
	}
}

// slot is where the version of a deployment stands that answers predictions. The
// lock, and not an atomic pointer, is what makes reading the pointer and counting
// the reference one act: without it a version could end in between.
type slot struct {
	mu      sync.RWMutex
	current *version // nil: nothing answers
}

// acquire is the current version with a reference for the caller to release, or
// nil.
func (s *slot) acquire() *version {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.current != nil {
		s.current.refs.Add(1)
	}
	return s.current
}

// swap puts next in the place of the current version and returns that, with the
// exact number of requests that run on it. Its done is closed when they have
// ended, at once if there are none.
func (s *slot) swap(next *version) (old *version, running int64) {
	s.mu.Lock()
	old, s.current = s.current, next
	if old != nil {
		running = old.refs.Load() - 1 // nobody can acquire it any more
	}
	s.mu.Unlock()
	if old != nil {
		old.release()
	}
	return old, running
}
