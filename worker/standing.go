package worker

import "sync"

// standing is where histories stood when this process last knew, after a command
// of its own or a look. Another worker may have gone on since: the fence tells,
// and then the ledger is read. What is taken from here lags, but is never wrong.
type standing struct {
	mu    sync.Mutex
	known map[string]stand // by fence
}

type stand struct {
	rec   record
	epoch uint64 // of the connection: a broker that was stopped may have lost what was shown
}

// standsKept is how many are remembered. Beyond that it begins anew.
const standsKept = 2048

// take is where the history behind fence stands; a zero record: not known.
func (s *standing) take(fence string, epoch uint64) record {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.known[fence]
	delete(s.known, fence)
	if known.epoch != epoch {
		return record{}
	}
	return known.rec
}

// clear forgets everything: other workers go on with what this one knew.
func (s *standing) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.known)
}

// put notes where a history stands whose newest event is shown.
func (s *standing) put(fence string, epoch uint64, rec record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || len(s.known) >= standsKept {
		s.known = make(map[string]stand)
	}
	rec.showing = nil
	s.known[fence] = stand{rec, epoch}
}
