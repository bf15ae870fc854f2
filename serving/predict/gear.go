package predict

// gear is what the server needs besides its fields, made when it is needed first.
type gear struct {
	turns   turns
	metrics *metrics
	tap     *tap
	log     *requestLog
	budget  *budget
}

// gear makes it once.
func (s *Server) gear() *gear {
	s.making.Do(func() {
		limits, m := s.limits(), newMetrics()
		g := &gear{
			turns: make(turns, limits.Concurrency), metrics: m,
			tap:    newTap(tapRequests, tapValues, m.dropped.Inc),
			log:    &requestLog{log: s.Log, every: uint64(max(0, s.LogEvery))},
			budget: &budget{limit: limits.Memory},
		}
		m.gauge("in_flight_requests", "Requests for predictions that are read, predicted and answered now.",
			func() float64 { return float64(len(g.turns)) })
		m.gauge("memory_used_bytes", "Memory of all loaded models, and of those that are being loaded.",
			func() float64 { return float64(g.budget.used.Load()) })
		m.gauge("memory_limit_bytes", "What they may take together; 0 if there is no limit.",
			func() float64 { return float64(g.budget.limit) })
		m.gauge("ready", "1 if the server is ready, else 0.", func() float64 {
			if s.Ready() {
				return 1
			}
			return 0
		})
		s.made = g
	})
	return s.made
}
