package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
)

// The broker is started again while hundreds of commands wait, behind some that
// are being carried out. Each is then carried out, in order and once, by the
// workers that there were.
func TestBrokerRestartsWhileCommandsWait(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*chaos){
		"stopped": func(c *chaos) { c.send(c.brokers[0], syscall.SIGTERM) },
		"killed":  func(c *chaos) { c.kill(c.brokers[0]) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newFew(t)
			const deployments, each = 20, 12
			// While the prediction server does nothing, no rollout ends.
			c.send(c.servers[0], syscall.SIGSTOP)
			var last uint64
			for i := range deployments * each {
				name := fmt.Sprint("deployment-", i%deployments)
				if i < deployments {
					last = c.order(name, "deploy", handlers.Deploy{Label: name, ModelChoice: c.inline(0)})
				} else {
					last = c.order(name, "replace", handlers.Replace{Reason: deployment.ReasonOther, ModelChoice: c.inline(i / deployments % chaosVariants)})
				}
			}
			c.await("a claim", func(e entry) bool { return e.Outcome == events.Started })
			for _, e := range c.history().events {
				if e.Outcome.Terminal() {
					t.Errorf("command %d has ended before the broker does: %s", e.Command.Sequence, e.detail())
				}
			}
			lives := c.lives()
			end(c)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			c.must(ctx, "the broker is back", func(ctx context.Context) error {
				if c.lives()[c.brokers[0].name] == lives[c.brokers[0].name] {
					return errors.New("it has not been started again")
				}
				_, err := c.Ledger.Now(ctx)
				return err
			})
			c.send(c.servers[0], syscall.SIGCONT)
			workers := map[string]bool{c.workerID(c.workers[0]): true, c.workerID(c.workers[1]): true}
			ended := make(map[uint64]bool)
			c.await("the last outcome", func(e entry) bool {
				if e.Outcome.Terminal() {
					ended[e.Command.Sequence] = true
					if e.Outcome != events.Completed || !workers[e.Worker] {
						t.Errorf("command %d: got %s by %s: %s, want completed by one of %v", e.Command.Sequence, e.Outcome, e.Worker, e.detail(), workers)
					}
				}
				return len(ended) == int(last)
			})
			lives[c.brokers[0].name]++
			if diff := cmp.Diff(lives, c.lives()); diff != "" {
				t.Errorf("how often each process was started (-want +got):\n%s", diff)
			}
			want := make(map[string]deployment.Name)
			for i := range deployments {
				want[fmt.Sprint("deployment-", i)] = c.facts((each - 1) % chaosVariants).Named("").ContentID()
			}
			c.checkServing(want)
			c.sound() // one outcome each, and in order
		})
	}
}
