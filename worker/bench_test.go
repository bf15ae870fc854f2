package worker_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/jetstream/embedded"
)

// BenchmarkQueued is how many commands a second one worker finishes that are
// queued already, of many deployments, with a target that takes no time.
func BenchmarkQueued(b *testing.B) {
	for _, sync := range []time.Duration{time.Minute, 0} {
		name := "lazy"
		if sync == 0 {
			name = "fsync"
		}
		b.Run(name, func(b *testing.B) {
			s := newSystemIn(b, embedded.Options{Dir: b.TempDir(), Port: -1, SyncInterval: sync})
			const deployments = 256
			var last uint64
			for i := range deployments {
				last = s.publish(deployRequest(fmt.Sprint("d", i), fmt.Sprint("d", i), 0))
			}
			for i := range b.N {
				last = s.publish(replaceRequest(fmt.Sprint("d", i%deployments), fmt.Sprint("r", i), 1+i/deployments))
			}
			seen := 0
			done := make(chan struct{})
			before := cpu()
			b.ResetTimer()
			w := s.worker("w1")
			w.ShowAfter = 200 * time.Millisecond // as the product has it
			s.run(w)
			go func() {
				defer close(done)
				_ = s.ledger.Follow(b.Context(), jetstream.AllEvents, 1, nil, func(m jetstream.Message) error {
					outcome := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
					if events.Outcome(outcome).Terminal() {
						if seen++; seen == int(last) {
							return errFound
						}
					}
					return nil
				})
			}()
			<-done
			b.StopTimer()
			b.ReportMetric(float64(b.N+deployments)/b.Elapsed().Seconds(), "commands/s")
			b.ReportMetric(float64(cpu()-before)/float64(b.N+deployments)/1e3, "cpu-us/command")
		})
	}
}

// cpu is the processor time that this process has taken, in nanoseconds.
func cpu() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}
