package predict

import (
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
	settled atomic.Bool                     // what was active when the keeper last looked is served

	mu      sync.Mutex
	loading *deployment.ModelRef // what is being loaded now
	abort   context.CancelFunc   // of that load

	// Of the goroutine alone.
	prepared *version // loaded beside the current one
	drained  uint64   // requests that ran on the old model at the last switch
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
	k.want.Store(desired)
	if k.loading != nil && !wants(desired, *k.loading) {
		k.abort()
	}
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// wanted reports whether there is such a deployment: not when its first rollout
// was taken back or when it is deleted, of which an entry without models stays.
func (k *keeper) wanted() bool {
	want := k.want.Load()
	return want != nil && (want.Active != nil || want.Target != nil)
}

// inactive reports whether the deployment is inactive. It is so from the moment
// on that is known here, whatever still runs, and until something is active.
func (k *keeper) inactive() bool {
	want := k.want.Load()
	return want != nil && want.Inactive
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
		case <-ctx.Done():
			return
		}
	}
}

// converge makes the deployment serve and prepare what is wanted, as far as that
// can be had, and returns what is so afterwards; nil when the deployment is gone.
func (k *keeper) converge(ctx context.Context, want *serving.Desired) *serving.Observed {
	if want == nil {
		k.prepared = nil
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
		} else {
			k.switchTo(ctx, next)
		}
	}
	k.settled.Store(k.slot.current.is(want.Active))
	switch target := want.Target; {
	case target == nil:
		k.prepared = nil
	case k.slot.current.is(target):
		k.prepared = nil
		observed.Prepared = target.ID
	default:
		if !k.prepared.is(target) {
			k.prepared = nil // let go of the old one before the new one is loaded
		}
		next, err := k.take(ctx, target)
		k.prepared = next
		if err != nil {
			observed.Error = failure(*target, err) // rather than that of Active: somebody waits for it
		} else {
			observed.Prepared = target.ID
		}
	}
	if k.slot.current != nil {
		observed.Serving = k.slot.current.id
	}
	observed.Drained = k.drained
	return observed
}

// take is the model as a version ready to be switched to: the prepared one, or
// a newly loaded one. No model is no version.
func (k *keeper) take(ctx context.Context, ref *deployment.ModelRef) (*version, error) {
	if ref == nil {
		return nil, nil
	}
	if k.prepared.is(ref) {
		return k.prepared, nil
	}
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
	model, err := k.server.open(ctx, *ref)
	if err != nil {
		return nil, err
	}
	return newVersion(*ref, model), nil
}

// switchTo makes next answer predictions from now on and waits until those that
// run on the old model have ended.
func (k *keeper) switchTo(ctx context.Context, next *version) {
	begin := time.Now()
	old, running := k.slot.swap(next)
	if next == k.prepared {
		k.prepared = nil
	}
	if old == nil {
		return
	}
	select {
	case <-old.done:
	case <-ctx.Done():
		return
	}
	k.drained = uint64(running)
	k.server.Log.InfoContext(ctx, "model drained", "deployment", string(k.name), "server", k.server.ID,
		"model", string(old.id), "drained", running, "took", time.Since(begin))
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

// open fetches and loads a model and asks it for predictions.
func (s *Server) open(ctx context.Context, ref deployment.ModelRef) (m Model, err error) {
	path, err := s.Artifacts.Open(ctx, ref.Digest, ref.Size)
	if err != nil {
		return nil, err
	}
	defer func() {
		if p := recover(); p != nil {
			err = deployment.Reject(deployment.CodePanic, atArtifact, "load model: panic: %v", p)
		}
	}()
	if s.read != nil {
		return s.read(path, ref.Format)
	}
	m, _, err = load(path, ref.Format)
	return m, err
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
