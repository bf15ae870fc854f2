package worker_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/jetstream/embedded"
	"github.com/slipway-ml/slipway/worker"
)

// load is how hard something is worked.
type load struct {
	sync        string // lazy or fsync
	server      string // embedded or separate
	workers     int
	concurrency int // effects at a time, of each worker
	deployments int // each with one command at a time on its way
	commands    int
	effect      time.Duration
}

// result is what came of a load.
type result struct {
	rate     float64 // commands a second
	cpu      float64 // us of processor time per command, of this process
	p50, p99 time.Duration
	sizes    map[events.Outcome]int // bytes of events, on average
}

// system is a broker of its own with as many deployments as the load has.
func (l load) system(tb testing.TB) *system {
	tb.Helper()
	var every time.Duration // fsync: before it acknowledges
	if l.sync == "lazy" {
		every = time.Minute
	}
	options := embedded.Options{Dir: tb.TempDir(), Port: -1, SyncInterval: every}
	if l.server == "separate" {
		return newSystemAt(tb, separateServer(tb, options))
	}
	s := newSystemIn(tb, options)
	if err := jetstream.Provision(tb.Context(), s.js, 1, 30*time.Second); err != nil { // tests have commands delivered again sooner
		tb.Fatal(err)
	}
	return s
}

// product has workers replace models; grouped says whether their events may
// travel together.
func (l load) product(tb testing.TB, grouped bool) result {
	tb.Helper()
	s := l.prepared(tb, grouped)
	l.start(s)
	result := l.drive(s)
	result.sizes = s.sizes()
	return result
}

// queued is product with all commands published before the workers start, by
// turns of the deployments.
func (l load) queued(tb testing.TB, grouped bool) result {
	tb.Helper()
	s := l.prepared(tb, grouped)
	for i := range l.commands {
		s.publishAsync(replaceRequest(fmt.Sprint("d", i%l.deployments), fmt.Sprint("r", i), 1+i/l.deployments%2))
		if i%256 == 255 {
			<-s.js.PublishAsyncComplete()
		}
	}
	<-s.js.PublishAsyncComplete()
	return l.measure(s, func() { l.start(s) }, func(string) {})
}

// prepared is a system whose deployments are there.
func (l load) prepared(tb testing.TB, grouped bool) *system {
	tb.Helper()
	s := l.system(tb)
	s.deployed(l.deployments)
	if !grouped {
		s.withoutBatches()
	}
	if l.effect > 0 {
		s.target.apply = pause(l.effect)
	}
	return s
}

func (l load) start(s *system) {
	s.tb.Helper()
	for i := range l.workers {
		w := s.worker(fmt.Sprint("w", i))
		w.ShowAfter = 200 * time.Millisecond // as the product has it
		s.runWith(w, worker.Limits{Concurrency: l.concurrency, Window: 16 * l.concurrency, AckWait: 30 * time.Second, Drain: time.Second, Reconcile: time.Hour})
	}
}

// sizes are how many bytes the events of replacements have, on average.
func (s *system) sizes() map[events.Outcome]int {
	s.tb.Helper()
	sizes, number := map[events.Outcome]int{}, map[events.Outcome]int{}
	if err := s.ledger.Events(s.tb.Context(), "slipway.events.deployment.*.replace.>", 1, func(m jetstream.Message) error {
		outcome := events.Outcome(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:])
		sizes[outcome] += len(m.Body)
		number[outcome]++
		return nil
	}); err != nil {
		s.tb.Fatal(err)
	}
	for outcome := range sizes {
		sizes[outcome] /= number[outcome]
	}
	return sizes
}

// bare is the JetStream operations of a replacement and nothing else: no events
// are read, checked or decided on. They have the given sizes.
func (l load) bare(tb testing.TB, sizes map[events.Outcome]int) result {
	tb.Helper()
	s := l.system(tb)
	lanes := &bareLanes{named: make(map[string]*bareLane)}
	for range l.workers {
		b := &bareLoop{system: s, effect: l.effect, sizes: sizes, lanes: lanes, slots: make(chan struct{}, l.concurrency)}
		b.start()
	}
	return l.drive(s)
}

// drive keeps one command of each deployment on its way, and measures from its
// being published to its completed event.
func (l load) drive(s *system) result {
	s.tb.Helper()
	sent := make(map[string]time.Time, l.deployments)
	took := make([]time.Duration, 0, l.commands)
	published, models := 0, make(map[string]int, l.deployments)
	next := func(name string) {
		if published < l.commands {
			sent[name] = time.Now()
			s.publishAsync(replaceRequest(name, fmt.Sprint("r", published), 1+models[name]%2)) // never the one that serves
			published++
			models[name]++
		}
	}
	result := l.measure(s, func() {
		for i := range l.deployments {
			next(fmt.Sprint("d", i))
		}
	}, func(name string) {
		took = append(took, time.Since(sent[name]))
		next(name)
	})
	slices.Sort(took)
	result.p50, result.p99 = took[len(took)/2], took[len(took)*99/100]
	return result
}

// measure counts the completed events of a load, and calls completed for each,
// from when begin is called until there are as many as commands.
func (l load) measure(s *system, begin func(), completed func(name string)) result {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(s.tb.Context(), 5*time.Minute)
	defer cancel()
	stream, err := s.js.Stream(ctx, jetstream.EventsStream)
	if err != nil {
		s.tb.Fatal(err)
	}
	var began time.Time
	var before int64
	seen := 0
	ready := func() {
		began, before = time.Now(), cpu()
		begin()
	}
	err = s.ledger.Follow(ctx, "slipway.events.deployment.*.replace.completed", stream.CachedInfo().State.LastSeq+1, ready, func(m jetstream.Message) error {
		completed(strings.Split(m.Subject, ".")[3])
		if seen++; seen == l.commands {
			return errFound
		}
		return nil
	})
	if err != errFound { //nolint:errorlint // our own, returned bare
		s.tb.Fatalf("%+v: after %d of %d commands: %v", l, seen, l.commands, err)
	}
	return result{rate: float64(l.commands) / time.Since(began).Seconds(), cpu: float64(cpu()-before) / 1e3 / float64(l.commands)}
}

// deployed has n deployments, d0 and so on, made by a worker.
func (s *system) deployed(n int) {
	s.tb.Helper()
	stop := s.run(s.worker("first"))
	var last uint64
	for i := range n {
		last = s.publish(deployRequest(fmt.Sprint("d", i), fmt.Sprint("d", i), 0))
	}
	s.outcomeOf(last)
	stop()
}

func (s *system) withoutBatches() {
	s.tb.Helper()
	stream, err := s.js.Stream(s.tb.Context(), jetstream.EventsStream)
	if err != nil {
		s.tb.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.AllowAtomicPublish = false
	if _, err := s.js.UpdateStream(s.tb.Context(), config); err != nil {
		s.tb.Fatal(err)
	}
}

// cpu is the processor time that this process has taken, in nanoseconds.
func cpu() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}
