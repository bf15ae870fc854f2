package predict

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/serving"
)

// keeper makes one deployment serve what is desired for it. It works on the
// newest entry only, in a goroutine of its own, so that a slow or broken model
// holds up nobody else.
type keeper struct {
	server  *Server
	name    deployment.Name
	slot    slot
	wake    chan struct{}                   // has an element after want has changed
	want    atomic.Pointer[serving.Desired] // the newest entry; nil: the deployment is gone
	stopped atomic.Bool                     // it was told to be inactive, and no model answers since
	settled atomic.Bool                     // what was active when the keeper last looked is served

	mu      sync.Mutex
	loading *deployment.ModelRef // what is being loaded now
	abort   context.CancelFunc   // of that load

	// Of the goroutine alone.
	drained uint64           // requests that ran on the old model at the last switch and have ended
	leaving *holding         // of the version that was let go last, unless others have it; nil: none was
	expired <-chan time.Time // when the previous version need not be kept any more; nil: there is none
}

// tell makes the entry the newest, unless a newer one is known already: of two
// claims the one with the higher token counts. A load that it has no use for is
// given up.
func (k *keeper) tell(desired *serving.Desired) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if old := k.want.Load(); old != nil && desired != nil &&
		(desired.Token < old.Token || desired.Token == old.Token && desired.Round <= old.Round) {
		return
	}
	if desired != nil && desired.Inactive {
		k.stopped.Store(true)
	}
	k.want.Store(desired)
	if k.loading != nil && !wants(desired, *k.loading) {
		k.abort()
	}
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// wanted reports whether the entry is of a deployment that there is: not when its first rollout
// was taken back or when it is deleted, of which an entry without models stays.
func wanted(want *serving.Desired) bool {
	return want != nil && (want.Active != nil || want.Target != nil)
}

// inactive reports whether the deployment of the entry is inactive. It is so from
// the moment on that is known here, whatever still runs, and until a model answers.
func (k *keeper) inactive(want *serving.Desired) bool {
	return want != nil && (want.Inactive || wanted(want) && k.stopped.Load())
}

// run converges to the newest entry and reports what came of it, again after
// every change and, while something cannot be had, again after a pause.
func (k *keeper) run(ctx context.Context) {
	log := k.server.Log.With("deployment", string(k.name), "server", k.server.ID)
	var pause backoff
	var reported *serving.Observed // nil: there is no entry of ours
	for {
		want := k.want.Load()
		observed := k.converge(ctx, want)
		if ctx.Err() != nil {
			return
		}
		if want != k.want.Load() {
			continue // the answer is outdated
		}
		again := false
		if observed != nil && observed.Error != nil {
			again = observed.Error.Retryable
			if reported == nil || reported.Error == nil || *reported.Error != *observed.Error {
				log.WarnContext(ctx, "model cannot be served", "model", string(observed.Error.Model), "err", observed.Error.Message, "retry", again)
			}
		}
		if err := k.report(ctx, reported, observed); err != nil {
			log.WarnContext(ctx, "observation not written", "err", err)
			again = true
		} else {
			reported = observed
		}
		k.server.checkReady(ctx)
		var retry <-chan time.Time
		if again {
			retry = time.After(pause.next())
		}
		select {
		case <-k.wake:
			pause.reset()
		case <-retry:
		case <-k.expired:
			k.forget()
		case <-ctx.Done():
			return
		}
	}
}

// converge makes the deployment serve and prepare what is wanted, as far as that
// can be had, and returns what is so afterwards; nil when the deployment is gone.
func (k *keeper) converge(ctx context.Context, want *serving.Desired) *serving.Observed {
	if want == nil {
		k.slot.put(&k.slot.candidate, nil)
		k.switchTo(ctx, nil)
		k.settled.Store(true)
		return nil
	}
	observed := &serving.Observed{
		Deployment: k.name, Server: k.server.ID, Instance: k.server.instance, Token: want.Token, Round: want.Round,
	}
	if !k.slot.current.is(want.Active) { // only this goroutine changes it
		next, err := k.take(ctx, want.Active)
		if err != nil {
			observed.Error = failure(*want.Active, err)
			// It did fit once. Room for it may come again.
			observed.Error.Retryable = observed.Error.Retryable || observed.Error.Code == string(deployment.CodeMemoryExceeded)
		} else {
			k.switchTo(ctx, next)
		}
	}
	k.settled.Store(k.slot.current.is(want.Active))
	if err := k.prepare(ctx, want); err != nil {
		observed.Error = failure(*want.Target, err) // rather than that of Active: somebody waits for it
	} else if want.Target != nil {
		observed.Prepared = want.Target.ID
	}
	if k.slot.current != nil {
		observed.Serving = k.slot.current.id
	}
	observed.Drained = k.drained
	return observed
}

// prepare makes the target, if there is one, ready to be switched to.
func (k *keeper) prepare(ctx context.Context, want *serving.Desired) error {
	target := want.Target
	if target == nil || k.slot.current.is(target) {
		k.slot.put(&k.slot.candidate, nil)
		return nil
	}
	if !k.slot.candidate.is(target) {
		k.slot.put(&k.slot.candidate, nil) // let go of the old one before the new one is loaded
	}
	next, err := k.take(ctx, target)
	if err == nil {
		err = checkGolden(next.model, want.Golden)
	}
	if err != nil {
		if next != nil && next != k.slot.candidate {
			next.release()
		}
		next = nil
	}
	k.slot.put(&k.slot.candidate, next)
	return err
}

// take is the model as a version ready to be switched to: one that is loaded
// already, or else a newly loaded one, before which the one that is kept goes, so
// that there are never more than two. No model is no version.
func (k *keeper) take(ctx context.Context, ref *deployment.ModelRef) (*version, error) {
	switch {
	case ref == nil:
		return nil, nil
	case k.slot.candidate.is(ref):
		return k.slot.candidate, nil
	}
	if before := k.slot.back(ref); before != nil {
		return before, nil
	}
	k.forget()
	ctx, abort := context.WithCancel(ctx)
	defer abort()
	k.mu.Lock()
	k.loading, k.abort = ref, abort
	outdated := !wants(k.want.Load(), *ref)
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		k.loading = nil
		k.mu.Unlock()
	}()
	if outdated {
		return nil, context.Canceled
	}
	v, err := k.load(ctx, *ref)
	k.server.tidy(ref.Size) // what the file took
	return v, err
}

// switchTo makes next answer predictions from now on, keeps the old model for a
// while, so that going back to it is a switch and nothing else, and waits until
// the requests that run on it have ended: those that do not end in time hold up
// nobody, and the model is freed when they do.
func (k *keeper) switchTo(ctx context.Context, next *version) {
	begin := time.Now()
	keep := k.server.Keep > 0 && next != nil
	old, running := k.slot.swap(next, keep)
	k.expired = nil
	if next != nil {
		k.stopped.Store(false)
	}
	m := k.server.gear().metrics
	m.switched(k.name, next, old)
	if old == nil {
		return
	}
	if keep {
		k.expired = time.After(k.server.Keep)
	}
	late := time.NewTimer(cmp.Or(k.server.Grace, DefaultGrace))
	defer late.Stop()
	log := k.server.Log.With("deployment", string(k.name), "server", k.server.ID, "model", string(old.id))
	select {
	case <-old.done:
		k.drained = uint64(running)
		m.drainedOff(k.name, running, time.Since(begin))
		log.InfoContext(ctx, "model drained", "drained", running, "took", time.Since(begin))
	case <-late.C:
		left := old.refs.Load()
		k.drained = uint64(max(running-left, 0))
		m.drainedOff(k.name, max(running-left, 0), time.Since(begin))
		log.WarnContext(ctx, "model not drained", "running", left, "after", time.Since(begin))
	case <-ctx.Done():
	}
}

// forget lets go of the version that is kept.
func (k *keeper) forget() {
	if before := k.slot.kept(); before != nil {
		if before.holding.alone() {
			k.leaving = before.holding
		}
		if k.slot.letGo(before) {
			k.server.tidy(before.size)
		}
	}
	k.expired = nil
}

// report writes what is observed, if that is news; nil deletes the entry.
func (k *keeper) report(ctx context.Context, reported, observed *serving.Observed) error {
	key := serving.ObservedKey(k.name, k.server.ID)
	if observed == nil {
		return k.server.Observed.Delete(ctx, key)
	}
	if reported != nil && equal(*reported, *observed) {
		return nil
	}
	observed.At = time.Now().UTC()
	return k.server.Observed.Put(ctx, key, *observed)
}

// failure says why the model cannot be served, and whether that may pass.
func failure(ref deployment.ModelRef, err error) *serving.Failure {
	if rejection, ok := errors.AsType[*deployment.Rejection](err); ok {
		return &serving.Failure{Model: ref.ID, Code: string(rejection.Code), Message: rejection.Error()}
	}
	return &serving.Failure{
		Model: ref.ID, Code: string(deployment.CodeStoreUnavailable), Message: fmt.Sprint(err), Retryable: true,
	}
}

// wants reports whether the entry has a use for the model.
func wants(desired *serving.Desired, ref deployment.ModelRef) bool {
	if desired == nil {
		return false
	}
	for _, wanted := range []*deployment.ModelRef{desired.Active, desired.Target} {
		if wanted != nil && wanted.ID == ref.ID && wanted.Digest == ref.Digest {
			return true
		}
	}
	return false
}

// equal reports whether two observations say the same, at whatever time.
func equal(a, b serving.Observed) bool {
	if (a.Error == nil) != (b.Error == nil) || a.Error != nil && *a.Error != *b.Error {
		return false
	}
	a.Error, b.Error, a.At, b.At = nil, nil, time.Time{}, time.Time{}
	return a == b
}
