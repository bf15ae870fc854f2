package serving

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-ml/slipway/deployment"
)

// ErrSuperseded says that a newer claim on the deployment has taken over: its
// fencing token is already written, and the older claim must not write again.
var ErrSuperseded = errors.New("superseded by a newer claim")

// The buckets below name themselves and the key in every error.

// DesiredEntries is the serving bucket as the bucket of Desired entries. Load
// returns revision 0 when there is no entry; Swap creates one for revision 0 and
// reports false when the entry is no longer at the revision.
type DesiredEntries interface {
	Load(ctx context.Context, key string) (value Desired, revision uint64, err error)
	Swap(ctx context.Context, key string, value Desired, revision uint64) (swapped bool, err error)
}

// ObservedEntries is the serving bucket as the bucket of Observed entries. Watch
// calls changed for every entry there is under the prefix, then once with an
// empty key, then for every change until ctx ends; nil is a deletion.
type ObservedEntries interface {
	Watch(ctx context.Context, prefix string, changed func(key string, value *Observed)) error
}

// ServerEntries is the servers bucket: the live prediction servers by id.
type ServerEntries interface {
	List(ctx context.Context, prefix string) (map[string]Server, error)
}

// Pinner makes an artifact ours; *artifacts.Store is one.
type Pinner interface {
	Pin(ctx context.Context, a deployment.Artifact, progress func(done, total int64)) (path string, err error)
}

// Local is the target of the embedded prediction servers, as many as there are.
type Local struct {
	Artifacts Pinner
	Load      func(path string, m deployment.Model) (deployment.Inspection, error) // predict.Inspect
	Desired   DesiredEntries
	Observed  ObservedEntries
	Servers   ServerEntries
	Look      time.Duration // between looks at the live servers; 0: 1 second
}

// withdrawTimeout is how long an Apply that was cancelled may take to withdraw
// what it asked for.
const withdrawTimeout = 5 * time.Second

// Inspect pins the artifact of the model, loads the file and asks it for
// predictions. What is wrong with the file is a *deployment.Rejection; every
// other error may pass.
func (l *Local) Inspect(ctx context.Context, m deployment.Model, progress func(string)) (deployment.Inspection, error) {
	progress("fetching the artifact")
	var quarters int64
	path, err := l.Artifacts.Pin(ctx, m.Artifact, func(done, total int64) {
		if q := 4 * done / max(total, 1); q > quarters {
			quarters = q
			progress(fmt.Sprintf("fetched %d of %d bytes", done, total))
		}
	})
	if err != nil {
		return deployment.Inspection{}, err
	}
	progress("loading the model and asking it for predictions")
	return l.Load(path, m)
}

// Apply makes every live prediction server serve the model under the name of the
// deployment, and returns once they do. Each first loads it beside what it
// serves and asks it for its golden rows; only when all have are they told to
// switch, so that nobody switches if one cannot. Twice is the same as once, and an Apply that was interrupted can be
// started again anywhere, with the same token or a higher one.
//
// It returns ErrSuperseded when a higher token is already written and a
// *deployment.Failure when a server can never serve the model; what served
// before still does then. Every other error may pass.
func (l *Local) Apply(ctx context.Context, name deployment.Name, serve deployment.Serve, token uint64, progress func(string)) error {
	err := l.apply(ctx, name, serve, token, progress)
	if err == nil || errors.Is(err, ErrSuperseded) {
		return err
	}
	// The servers need not keep what will not be switched to. The caller may
	// have given up already; it is worth a moment all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTimeout)
	defer cancel()
	if left := l.withdraw(ctx, name, token); left != nil {
		return fmt.Errorf("%w; %w", err, left)
	}
	return err
}

func (l *Local) apply(ctx context.Context, name deployment.Name, serve deployment.Serve, token uint64, progress func(string)) error {
	m := serve.Model
	var told string
	err := l.reach(ctx, name, func(d Desired, observed map[string]Observed, servers map[string]Server) step {
		s := next(d, observed, servers, m, token)
		switch s.do {
		case prepare:
			s.write.Golden = serve.Golden
		case fail:
			s.err = failure(m, s, same(d.Active, &m))
		default:
		}
		return s
	}, func(s step) {
		if text := s.text(m); text != "" && text != told {
			told = text
			progress(text)
		}
	})
	if err != nil {
		return fmt.Errorf("apply %s: %w", name, err)
	}
	return nil
}

// reach does what decide says is next, and tells of it, until all is done.
func (l *Local) reach(
	ctx context.Context, name deployment.Name,
	decide func(Desired, map[string]Observed, map[string]Server) step, tell func(step),
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	observations := l.observe(ctx, name)
	look := time.NewTicker(orSecond(l.Look))
	defer look.Stop()
	servers, err := l.Servers.List(ctx, "")
	if err != nil {
		return err
	}
	for {
		desired, revision, err := l.Desired.Load(ctx, DesiredKey(name))
		if err != nil {
			return err
		}
		desired.Deployment = name
		s := decide(desired, observations.all(), servers)
		if s.do == activate { // everybody is to be ready, also who came in the meantime
			if servers, err = l.Servers.List(ctx, ""); err != nil {
				return err
			}
			s = decide(desired, observations.all(), servers)
		}
		tell(s)
		switch s.do {
		case done:
			return nil
		case superseded:
			return ErrSuperseded
		case unavailable:
			return fmt.Errorf("%s: no prediction server is live", deployment.CodeServerUnavailable)
		case fail:
			return s.err
		case prepare, activate, stop:
			// Whether it was written or missed, the next round looks again.
			if _, err := l.Desired.Swap(ctx, DesiredKey(name), s.write, revision); err != nil {
				return err
			}
		case await:
			select {
			case <-observations.changed:
			case err := <-observations.ended:
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				return err
			case <-look.C:
				if servers, err = l.Servers.List(ctx, ""); err != nil {
					return err
				}
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
}

// withdraw takes back what the claim asked the servers to prepare, unless that
// is active already or belongs to a newer claim.
func (l *Local) withdraw(ctx context.Context, name deployment.Name, token uint64) error {
	for {
		desired, revision, err := l.Desired.Load(ctx, DesiredKey(name))
		if err != nil {
			return fmt.Errorf("withdraw the target: %w", err)
		}
		without, any := withdrawn(desired, token)
		if !any {
			return nil
		}
		swapped, err := l.Desired.Swap(ctx, DesiredKey(name), without, revision)
		if err != nil {
			return fmt.Errorf("withdraw the target: %w", err)
		}
		if swapped {
			return nil
		}
	}
}

// failure is the error of a server that cannot serve the model. Once a model is
// active it was prepared everywhere, so that a server that still cannot serve it
// is taken to be in passing trouble.
func failure(m deployment.ModelRef, s step, active bool) error {
	message := fmt.Sprintf("prediction server %s cannot serve model %s: %s: %s", s.server, m.ID, s.why.Code, s.why.Message)
	if s.why.Retryable || active {
		return errors.New(message)
	}
	code := deployment.CodeServerFailed
	if own := deployment.Code(s.why.Code); own == deployment.CodeMemoryExceeded { // what to do differs
		code = own
	}
	return &deployment.Failure{Code: code, Message: message}
}

// text tells a person what the step is about.
func (s step) text(m deployment.ModelRef) string {
	switch s.do {
	case prepare:
		return fmt.Sprintf("preparing model %s", m.ID)
	case activate:
		return fmt.Sprintf("switching to model %s", m.ID)
	case await:
		return fmt.Sprintf("%d of %d prediction servers are ready", s.ready, s.live)
	default:
		return ""
	}
}

func orSecond(d time.Duration) time.Duration {
	if d == 0 {
		return time.Second
	}
	return d
}
