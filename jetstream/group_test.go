package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/jetstream/embedded"
	"github.com/slipway-ml/slipway/jetstream/jetstreamtest"
)

// appendAll has writers deployments append count events each, as fast as they can.
func appendAll(tb testing.TB, ledger *jetstream.Ledger, writers, count int) {
	tb.Helper()
	var together errgroup.Group
	for i := range writers {
		together.Go(func() error {
			var last uint64
			for n := range count {
				sequence, appended, err := ledger.Append(tb.Context(), event(fmt.Sprint("d", i), "started", last, fmt.Sprint(n)))
				if err != nil || !appended {
					return fmt.Errorf("event %d of d%d: %t %w", n, i, appended, err)
				}
				last = sequence
			}
			return nil
		})
	}
	if err := together.Wait(); err != nil {
		tb.Error(err)
	}
}

// checkAppended sees that what appendAll has written is there, in order, and
// returns the sizes of the groups in which it was.
func checkAppended(tb testing.TB, ledger *jetstream.Ledger, writers, count int) (groups map[string]int) {
	tb.Helper()
	next, newest := map[string]int{}, map[string]uint64{}
	groups = map[string]int{}
	if err := ledger.Events(tb.Context(), jetstream.AllEvents, 1, func(m jetstream.Message) error {
		name := strings.Split(m.Subject, ".")[3]
		if string(m.Body) != fmt.Sprint(next[name]) || m.Sequence <= newest[name] {
			tb.Errorf("event %d of %s is %s, want %d", m.Sequence, name, m.Body, next[name])
		}
		next[name]++
		newest[name] = m.Sequence
		if id := m.Header["Nats-Batch-Id"]; len(id) > 0 {
			groups[id[0]]++
		}
		return nil
	}); err != nil {
		tb.Fatal(err)
	}
	for i := range writers {
		if got := next[fmt.Sprint("d", i)]; got != count {
			tb.Errorf("d%d has %d events, want %d", i, got, count)
		}
	}
	return groups
}

// Events of different deployments travel together when there are many, each
// under its own fence, and each gets the sequence that it has.
func TestAppendInGroupsUnderLoad(t *testing.T) {
	t.Parallel()
	_, js := jetstreamtest.StartIn(t, embedded.Options{Dir: t.TempDir(), Port: -1}) // fsync always
	ledger := openLedger(t, js)
	const writers, count = 64, 20
	appendAll(t, ledger, writers, count)
	groups := checkAppended(t, ledger, writers, count)
	if len(groups) == 0 {
		t.Error("no event was in a group, want most of them")
	}
	t.Logf("%d events in %d groups", writers*count, len(groups))
}

// Where nothing else waits, an event goes alone.
func TestAppendAloneWhenIdle(t *testing.T) {
	t.Parallel()
	_, js := jetstreamtest.StartIn(t, embedded.Options{Dir: t.TempDir(), Port: -1})
	ledger := openLedger(t, js)
	appendAll(t, ledger, 1, 100)
	if groups := checkAppended(t, ledger, 1, 100); len(groups) != 0 {
		t.Errorf("%d groups, want none", len(groups))
	}
}

// In a group with stale fences only the members whose own fence is stale are
// refused.
func TestAppendGroupWithStaleMembers(t *testing.T) {
	t.Parallel()
	_, js := jetstreamtest.StartIn(t, embedded.Options{Dir: t.TempDir(), Port: -1})
	ledger := openLedger(t, js)
	const writers, rounds = 96, 8
	last := make([]uint64, writers)
	for round := range rounds {
		var together errgroup.Group
		var mu sync.Mutex
		refused := 0
		for i := range writers {
			stale := rand.N(16) == 0
			together.Go(func() error {
				w := event(fmt.Sprint("d", i), "started", last[i], fmt.Sprint(round))
				if stale {
					w.Last += 1000000
				}
				sequence, appended, err := ledger.Append(t.Context(), w)
				if err != nil || appended == stale {
					return fmt.Errorf("d%d, stale %t: appended %t, %w", i, stale, appended, err)
				}
				mu.Lock()
				defer mu.Unlock()
				if appended {
					last[i] = sequence
				} else {
					refused++
				}
				return nil
			})
		}
		if err := together.Wait(); err != nil {
			t.Fatal(err)
		}
		t.Logf("round %d: %d refused", round, refused)
	}
	for i := range writers {
		newest, err := ledger.Last(t.Context(), jetstream.Fence("deployment", fmt.Sprint("d", i)))
		if err != nil || newest.Sequence != last[i] {
			t.Errorf("newest event of d%d is %d, %v, want %d", i, newest.Sequence, err, last[i])
		}
	}
}

// A stream that takes no batches, as older versions made it, is written to all
// the same.
func TestAppendToStreamWithoutBatches(t *testing.T) {
	t.Parallel()
	_, js := jetstreamtest.StartIn(t, embedded.Options{Dir: t.TempDir(), Port: -1})
	withoutBatches(t, js)
	ledger := openLedger(t, js)
	appendAll(t, ledger, 64, 10)
	if groups := checkAppended(t, ledger, 64, 10); len(groups) != 0 {
		t.Errorf("%d groups, want none", len(groups))
	}
}

func withoutBatches(tb testing.TB, js natsjs.JetStream) {
	tb.Helper()
	stream, err := js.Stream(tb.Context(), jetstream.EventsStream)
	if err != nil {
		tb.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.AllowAtomicPublish = false
	if _, err := js.UpdateStream(tb.Context(), config); err != nil {
		tb.Fatal(err)
	}
}

// A member that is too large for a message, or whose writer gives up, does the
// others of its time no harm.
func TestAppendBesideTooLargeAndGivenUp(t *testing.T) {
	t.Parallel()
	_, js := jetstreamtest.StartIn(t, embedded.Options{Dir: t.TempDir(), Port: -1})
	ledger := openLedger(t, js)
	var others sync.WaitGroup
	for i := range 8 {
		others.Go(func() {
			for n := range 20 {
				w := event(fmt.Sprint("large", i), "started", 0, strings.Repeat("x", 2<<20))
				if _, _, err := ledger.Append(t.Context(), w); !errors.Is(err, jetstream.ErrTooLarge) {
					t.Errorf("append 2 MiB: got %v, want ErrTooLarge", err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				if _, appended, err := ledger.Append(ctx, event(fmt.Sprint("gone", i), "started", 0, "")); appended || err == nil {
					t.Errorf("append of a writer that is gone: got %t %v, want an error", appended, err)
				}
				ctx, cancel = context.WithCancel(t.Context())
				go cancel() // before, while or after it waits: it may be stored
				if _, appended, err := ledger.Append(ctx, event(fmt.Sprintf("going%d-%d", i, n), "started", 0, "0")); appended == (err != nil) {
					t.Errorf("append of a writer that gives up: got %t %v", appended, err)
				}
			}
		})
	}
	appendAll(t, ledger, 64, 10)
	others.Wait()
	checkAppended(t, ledger, 64, 10)
}

// BenchmarkAppend is events a second of n deployments, each of which waits for
// its event to be stored before it writes the next one.
func BenchmarkAppend(b *testing.B) {
	for _, sync := range []string{"fsync", "lazy"} {
		for _, writers := range []int{1, 8, 64, 256, 500} {
			for _, batches := range []string{"grouped", "single"} {
				b.Run(fmt.Sprintf("%s/writers=%d/%s", sync, writers, batches), func(b *testing.B) {
					options := embedded.Options{Dir: b.TempDir(), Port: -1}
					if sync == "lazy" {
						options.SyncInterval = time.Minute
					}
					_, js := jetstreamtest.StartIn(b, options)
					if batches == "single" {
						withoutBatches(b, js)
					}
					ledger := openLedger(b, js)
					b.ResetTimer()
					appendAll(b, ledger, writers, (b.N+writers-1)/writers)
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
				})
			}
		}
	}
}
