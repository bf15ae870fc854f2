package main

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
)

// BenchmarkFailover is the time from killing the worker that carries out a
// command, just after it has renewed its claim, to the completed event by another
// one, for several leases. Everything else is as the product has it by default.
func BenchmarkFailover(b *testing.B) {
	for _, lease := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		b.Run(fmt.Sprint("lease=", lease), func(b *testing.B) {
			c := newFew(b, "SLIPWAY_LEASE="+lease.String(), "SLIPWAY_RECONCILE_INTERVAL=1m", "SLIPWAY_MAX_ATTEMPTS=5")
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				took = append(took, c.failover(fmt.Sprint("bench-", i)))
			}
			slices.Sort(took)
			median := took[len(took)/2]
			b.ReportMetric(median.Seconds(), "s/failover")
			b.ReportMetric(float64(median)/float64(lease), "failover/lease")
			b.ReportMetric(0, "ns/op") // most of it is what comes before
		})
	}
}

// failover lets a worker die with a command, and returns how long it takes from
// then to its outcome.
func (c *chaos) failover(name string) time.Duration {
	c.tb.Helper()
	c.heard()                             // the one that died before is back
	c.send(c.servers[0], syscall.SIGSTOP) // a rollout does not end
	sequence := c.order(name, "deploy", handlers.Deploy{Label: name, ModelChoice: c.inline(0)})
	renewed := c.await("a renewed claim", func(e entry) bool { return e.Command.Sequence == sequence && e.Outcome == events.Progress })
	holder := c.workers[slices.IndexFunc(c.workers, func(p *child) bool { return c.workerID(p) == renewed.Worker })]
	began := time.Now()
	c.kill(holder)
	c.send(c.servers[0], syscall.SIGCONT) // now it would
	if e := c.awaitOutcome(sequence); e.Outcome != events.Completed || e.Worker == renewed.Worker {
		c.tb.Fatalf("got %s by %s: %s, want completed by another worker than %s", e.Outcome, e.Worker, e.detail(), renewed.Worker)
	}
	return time.Since(began)
}
