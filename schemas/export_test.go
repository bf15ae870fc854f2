package schemas

import "encoding/json"

// Accepts reports whether there is a plan for data of eventType that accepts data.
func (s *Set) Accepts(eventType string, data json.RawMessage) bool {
	p := s.plans[s.File(eventType)]
	return p != nil && p.accepts(data)
}

// Explain is Check without plans.
func (s *Set) Explain(eventType string, data json.RawMessage) []Finding {
	return s.explain(s.File(eventType), data)
}
