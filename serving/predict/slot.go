package predict

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-ml/slipway/deployment"
)

// version is one loaded model of a deployment. Who uses it holds a reference,
// and so does the slot it stands in; done is closed when the last is released.
type version struct {
	id      deployment.Name
	digest  deployment.Digest // of the artifact
	format  deployment.Format
	size    int64 // of the artifact, bytes
	model   Model
	since   time.Time // when it was made
	holding *holding  // the memory of the model; nil: none is accounted for
	refs    atomic.Int64
	done    chan struct{}
}

// newVersion is a version with one reference, that of the slot it will stand in.
func newVersion(ref deployment.ModelRef, model Model) *version {
	v := &version{id: ref.ID, digest: ref.Digest, format: ref.Format, size: ref.Size, model: model, since: time.Now(), done: make(chan struct{})}
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

// named reports whether the version has the id. No version has none.
func (v *version) named(id string) bool { return v != nil && string(v.id) == id }

// release gives a reference back. The version must not be used after it.
func (v *version) release() {
	if v.refs.Add(-1) == 0 {
		v.holding.release()
		close(v.done)
	}
}

// again is the model of the version as a version of its own, for another place.
func (v *version) again() *version {
	same := newVersion(deployment.ModelRef{ID: v.id, Digest: v.digest, Format: v.format, Size: v.size}, v.model)
	same.holding = v.holding.share()
	return same
}

// slot is where the versions of a deployment stand. The lock, and not an atomic
// pointer, is what makes reading a pointer and counting the reference one act:
// without it a version could end in between.
type slot struct {
	mu        sync.RWMutex
	current   *version // answers predictions; nil: nothing does
	candidate *version // loaded and warm, to be switched to; nil: none
	previous  *version // was current before, and is kept for a while; nil: none. Whoever needs its memory may let it go.
}

// back is the model that is kept, as a version of its own, if it is this one.
func (s *slot) back(ref *deployment.ModelRef) *version {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.previous == nil || !s.previous.is(ref) {
		return nil
	}
	return s.previous.again()
}

// kept is the version that is kept, or nil. It is not to be used, only to be let go.
func (s *slot) kept() *version {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.previous
}

// letGo lets go of the version that is kept, if it is this one.
func (s *slot) letGo(v *version) bool {
	s.mu.Lock()
	there := v != nil && s.previous == v
	if there {
		s.previous = nil
	}
	s.mu.Unlock()
	if there {
		v.release()
	}
	return there
}

// acquire is the version that answers who asks for that id, with a reference for
// the caller to release, or nil. Without an id it is the current one.
func (s *slot) acquire(id deployment.Name) *version {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, v := range [...]*version{s.current, s.candidate, s.previous} {
		if id == "" || v != nil && v.id == id {
			if v != nil {
				v.refs.Add(1)
			}
			return v
		}
	}
	return nil
}

// versions are the ids that acquire knows, that of the current version first.
func (s *slot) versions() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	ids := []string{}
	for _, v := range [...]*version{s.current, s.candidate, s.previous} {
		if v != nil && !slices.Contains(ids, string(v.id)) {
			ids = append(ids, string(v.id))
		}
	}
	return ids
}

// swap puts next in the place of the current version and returns that, with the
// exact number of requests that run on it. Its done is closed when they have
// ended, at once if there are none. If it is to be kept, its model is the previous
// one from the same moment on; else there is none.
func (s *slot) swap(next *version, keep bool) (old *version, running int64) {
	s.mu.Lock()
	old, s.current = s.current, next
	if s.candidate == next {
		s.candidate = nil
	}
	before := s.previous
	s.previous = nil
	if old != nil {
		running = old.refs.Load() - 1 // nobody can acquire it any more
		if keep {
			s.previous = old.again()
		}
	}
	s.mu.Unlock()
	for _, v := range [...]*version{old, before} {
		if v != nil {
			v.release()
		}
	}
	return old, running
}

// put lets a version stand in a place other than the current one, or nothing for
// nil, and lets go of the one that stood there.
func (s *slot) put(place **version, v *version) {
	s.mu.Lock()
	old := *place
	*place = v
	s.mu.Unlock()
	if old != nil && old != v {
		old.release()
	}
}
