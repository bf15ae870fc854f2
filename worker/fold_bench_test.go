package worker_test

import (
	"testing"

	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/worker"
)

// BenchmarkFold is the time to read an event of the ledger and fold it in.
func BenchmarkFold(b *testing.B) {
	s := newSystem(b)
	s.run(s.worker("w1"))
	for i := range 20 {
		r := replaceRequest("churn", string(rune('a'+i)), i%2)
		if i == 0 {
			r = deployRequest("churn", "a", 0)
		}
		s.outcomeOf(s.publish(r))
	}
	var all []jetstream.Message
	var bytes int
	if err := s.ledger.Replay(b.Context(), jetstream.Span{Filter: jetstream.AllEvents}, func(m jetstream.Message) error {
		all = append(all, m)
		bytes += len(m.Body)
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(bytes / len(all)))
	fold := worker.NewFold()
	for i := 0; b.Loop(); i++ {
		if i%len(all) == 0 {
			fold = worker.NewFold()
		}
		fold.Add(all[i%len(all)])
	}
}
