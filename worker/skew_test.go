package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/jetstream/embedded"
	"github.com/slipway-ml/slipway/worker"
)

// skew is by how much the clocks of the workers below are wrong. What they have
// to do with it is half of it away, so that a worker that asked its own clock
// would decide the other way.
const skew = 10 * time.Minute

// newSkewSystem is a system whose broker can be reached from within a bubble.
func newSkewSystem(tb testing.TB) *system {
	tb.Helper()
	return newSystemIn(tb, embedded.Options{Dir: tb.TempDir(), SyncInterval: time.Minute})
}

// elsewhere calls f with a worker whose process has a clock that is ahead of the
// broker's, or behind it if ahead is negative. Everything that f and the worker
// call has that clock, whichever way they ask for the time; it stands still.
func (s *system) elsewhere(t *testing.T, ahead time.Duration, id string, f func(there *system, w *worker.Worker)) {
	t.Helper()
	its := time.Now().Add(ahead)
	synctest.Test(t, func(t *testing.T) {
		<-time.After(time.Until(its)) // takes no time: the bubble's clock jumps, as nobody in it is busy
		conn, err := jetstream.Connect(jetstream.Settings{URL: s.server.URL()}, id, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		js, err := jetstream.Open(t.Context(), conn)
		if err != nil {
			t.Fatal(err)
		}
		there := &system{tb: t, js: js, target: s.target}
		there.open()
		f(there, there.worker(id))
		if off := time.Since(its); off < 0 || off > time.Second {
			t.Errorf("the clock of %s is %s away from what it was set to", id, off)
		}
	})
}

// diesWithClaim lets a worker with the right clock claim the command, and be
// heard of no more.
func (s *system) diesWithClaim(id string, sequence uint64) {
	s.tb.Helper()
	dying := s.worker(id)
	dying.Ledger = &faultyLedger{Ledger: s.ledger, at: 2, dead: true}
	if _, err := dying.Advance(s.tb.Context(), addressOf("fraud"), sequence); !errors.Is(err, errInjected) {
		s.tb.Fatalf("got %v, want the injected fault", err)
	}
}

// Whether a claim has run out is not for the worker's own clock to say.
func TestClaimsWithSkewedClocks(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]time.Duration{"ahead": skew, "behind": -skew} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSkewSystem(t)
			sequence := s.publish(deployRequest("fraud", "1", 1))
			s.diesWithClaim("w1", sequence)
			s.elsewhere(t, ahead, "w2", func(there *system, w *worker.Worker) {
				w.Lease = skew / 2
				if _, err := w.Advance(there.tb.Context(), addressOf("fraud"), sequence); err == nil || !strings.Contains(err.Error(), "held by worker w1") {
					t.Errorf("got %v, want that the command is held by worker w1", err)
				}
				w.Lease = time.Nanosecond
				if _, err := w.Advance(there.tb.Context(), addressOf("fraud"), sequence); err != nil {
					t.Errorf("the claim has run out, and is not taken over: %v", err)
				}
			})
			if got := s.outcomeOf(sequence); got.Outcome != events.Completed || got.Worker != "w2" || got.Attempt != 2 {
				t.Errorf("got %s by %s in attempt %d, want completed by w2 in attempt 2", got.Outcome, got.Worker, got.Attempt)
			}
			s.unique(s.history())
		})
	}
}

// When the next attempt is due is said, and read, by the broker's clock: one
// worker may be ahead and the other one behind.
func TestRetriesWithSkewedClocks(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]time.Duration{"ahead": skew, "behind": -skew} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSkewSystem(t)
			failing := true
			s.target.apply = func(context.Context, deployment.Name, deployment.ModelRef, uint64) error {
				if failing {
					return errors.New("store is away")
				}
				return nil
			}
			sequence := s.publish(deployRequest("fraud", "1", 1))
			retry := func(backoff time.Duration) func(*system, *worker.Worker) {
				return func(there *system, w *worker.Worker) {
					w.Backoff = func(int) time.Duration { return backoff }
					if _, err := w.Advance(there.tb.Context(), addressOf("fraud"), sequence); err == nil || !strings.Contains(err.Error(), "store is away") {
						t.Errorf("got %v, want that the store is away", err)
					}
				}
			}
			// Due at once, says one; the other one tries, and says: not for minutes.
			s.elsewhere(t, ahead, "w1", retry(0))
			before := time.Now()
			s.elsewhere(t, -ahead, "w2", retry(skew/2))
			after := time.Now()
			all := s.history()
			last := all[len(all)-1]
			if last.NextAt == nil || last.Worker != "w2" || last.NextAt.Before(before.Add(skew/2)) || last.NextAt.After(after.Add(skew/2)) {
				t.Errorf("got %s by %s, next attempt at %v, want retrying by w2, at %s or just after", last.Outcome, last.Worker, last.NextAt, before.Add(skew/2))
			}
			failing = false
			for _, ahead := range []time.Duration{ahead, -ahead} {
				s.elsewhere(t, ahead, "w3", func(there *system, w *worker.Worker) {
					if _, err := w.Advance(there.tb.Context(), addressOf("fraud"), sequence); err == nil || !strings.Contains(err.Error(), "not due") {
						t.Errorf("got %v, want that the next attempt is not due", err)
					}
				})
			}
			want := []events.Outcome{events.Started, events.Validated, events.Retrying, events.Started, events.Validated, events.Retrying}
			if diff := cmp.Diff(want, outcomes(s.history(), sequence)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

// A command has expired when the broker's clock says so.
func TestExpiryWithSkewedClocks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		ahead   time.Duration // the worker's clock
		expires time.Duration // from now
		want    events.Outcome
	}{
		{"ahead, has not", skew, skew / 2, events.Completed},
		{"ahead, has", skew, -skew / 2, events.Expired},
		{"behind, has not", -skew, skew / 2, events.Completed},
		{"behind, has", -skew, -skew / 2, events.Expired},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSkewSystem(t)
			e, err := deployRequest("fraud", "1", 1).Event()
			if err != nil {
				t.Fatal(err)
			}
			e.SetExtension("expirytime", time.Now().Add(c.expires))
			header, body, err := events.Encode(e)
			if err != nil {
				t.Fatal(err)
			}
			sequence := s.publishRaw(jetstream.CommandSubject("deployment", "fraud", "deploy"), header, body)
			s.elsewhere(t, c.ahead, "w1", func(there *system, w *worker.Worker) { there.advance(w, deployment.KindDeployment, "fraud") })
			if got := s.outcomeOf(sequence); got.Outcome != c.want {
				t.Errorf("got %s %+v, want %s", got.Outcome, got.Failure, c.want)
			}
			s.history()
		})
	}
}

// How long a command has taken that another worker began is known by the
// broker's clock; only what is left of it is measured by the own one.
func TestDeadlineWithSkewedClocks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		ahead    time.Duration // the worker's clock
		deadline time.Duration
		want     events.Outcome
	}{
		{"ahead, there is time left", skew, skew / 2, events.Completed},
		{"ahead, there is none", skew, time.Nanosecond, events.Failed},
		{"behind, there is time left", -skew, skew / 2, events.Completed},
		{"behind, there is none", -skew, time.Nanosecond, events.Failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSkewSystem(t)
			s.target.apply = func(ctx context.Context, _ deployment.Name, _ deployment.ModelRef, _ uint64) error { return ctx.Err() }
			sequence := s.publish(deployRequest("fraud", "1", 1))
			s.diesWithClaim("w1", sequence)
			s.elsewhere(t, c.ahead, "w2", func(there *system, w *worker.Worker) {
				w.Lease, w.MaxAttempts = time.Nanosecond, math.MaxInt
				w.Deadline = func(string) time.Duration { return c.deadline }
				there.advance(w, deployment.KindDeployment, "fraud")
			})
			got := s.outcomeOf(sequence)
			if got.Outcome != c.want || got.Worker != "w2" || c.want == events.Failed && got.Failure.Code != deployment.CodeDeadlineExceeded {
				t.Errorf("got %s %+v by %s, want %s by w2", got.Outcome, got.Failure, got.Worker, c.want)
			}
			s.unique(s.history())
		})
	}
}
