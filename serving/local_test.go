package serving

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-ml/slipway/deployment"
)

// world is the serving and the servers bucket in memory, with prediction servers
// that answer every write at once.
type world struct {
	mu       sync.Mutex
	desired  Desired
	revision uint64
	observed map[string]Observed
	servers  map[string]Server
	changed  chan struct{}
	answers  func(server string, d Desired) *Observed // nil: does not answer

	history []Desired
	meddle  func() // is called before a Swap, once
	fault   error  // of Load
}

// newWorld has two live servers that do as they should.
func newWorld() *world {
	w := &world{observed: map[string]Observed{}, servers: live("a", "b"), changed: make(chan struct{})}
	w.answers = obey
	return w
}

// obey is what a server without trouble answers.
func obey(_ string, d Desired) *Observed {
	o := &Observed{}
	if d.Active != nil {
		o.Serving = d.Active.ID
	}
	if d.Target != nil {
		o.Prepared = d.Target.ID
	}
	return o
}

func (w *world) Load(context.Context, string) (Desired, uint64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.desired, w.revision, w.fault
}

func (w *world) Swap(_ context.Context, key string, d Desired, revision uint64) (bool, error) {
	if meddle := w.meddle; meddle != nil {
		w.meddle = nil
		meddle()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if key != "desired.churn" || d.Deployment != "churn" {
		return false, fmt.Errorf("wrote %+v under %s", d, key)
	}
	if w.revision != revision {
		return false, nil
	}
	w.write(d)
	return true, nil
}

// write changes the entry and lets the servers answer.
func (w *world) write(d Desired) {
	w.desired = d
	w.revision++
	w.history = append(w.history, d)
	for id := range w.servers {
		w.answer(id)
	}
}

func (w *world) answer(id string) {
	o := w.answers(id, w.desired)
	if o == nil {
		return
	}
	o.Deployment, o.Server, o.Instance, o.Token, o.Round = "churn", id, w.servers[id].Instance, w.desired.Token, w.desired.Round
	w.observed[id] = *o
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *world) List(context.Context, string) (map[string]Server, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.servers), nil
}

func (w *world) Watch(ctx context.Context, prefix string, changed func(key string, value *Observed)) error {
	if prefix != "observed.churn." {
		return fmt.Errorf("watches %s", prefix)
	}
	for first := true; ; first = false {
		w.mu.Lock()
		all, more := maps.Clone(w.observed), w.changed
		w.mu.Unlock()
		for id, o := range all {
			changed(prefix+id, &o)
		}
		if first {
			changed("", nil)
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// local writes to and reads from the world.
func (w *world) local() *Local { return &Local{Desired: w, Observed: w, Servers: w} }

func quiet(string) {}

// wantHistory checks what was written as "token: active target", without rounds,
// and that the rounds count the writes.
func wantHistory(t *testing.T, w *world, want ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var got []string
	id := func(m *deployment.ModelRef) string {
		if m == nil {
			return "-"
		}
		return string(m.ID)
	}
	for i, d := range w.history {
		got = append(got, fmt.Sprintf("%d: %s %s", d.Token, id(d.Active), id(d.Target)))
		if d.Round != uint64(i+1) {
			t.Errorf("write %d has round %d", i+1, d.Round)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("wrote %q, want %q", got, want)
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	w := newWorld()
	var told []string
	if err := w.local().Apply(t.Context(), "churn", deployment.Serve{Model: *ref("m-1")}, 1, func(text string) { told = append(told, text) }); err != nil {
		t.Fatal(err)
	}
	wantHistory(t, w, "1: - m-1", "1: m-1 -")
	for _, text := range []string{"preparing model m-1", "switching to model m-1"} {
		if !slices.Contains(told, text) {
			t.Errorf("told %q, want %q among it", told, text)
		}
	}
	// Twice is the same as once; a new claim only has its token written.
	for _, token := range []uint64{1, 2, 2} {
		if err := w.local().Apply(t.Context(), "churn", deployment.Serve{Model: *ref("m-1")}, token, quiet); err != nil {
			t.Fatal(err)
		}
	}
	wantHistory(t, w, "1: - m-1", "1: m-1 -", "2: m-1 -")
	if err := w.local().Apply(t.Context(), "churn", deployment.Serve{Model: *ref("m-2")}, 3, quiet); err != nil {
		t.Fatal(err)
	}
	wantHistory(t, w, "1: - m-1", "1: m-1 -", "2: m-1 -", "3: m-1 m-2", "3: m-2 -")
}

func TestApplyIsFenced(t *testing.T) {
	t.Parallel()
	newer := func(w *world) func() {
		return func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			d := w.desired
			w.write(Desired{Deployment: "churn", Token: 9, Round: d.Round + 1, Active: d.Active, Target: ref("m-9")})
		}
	}
	t.Run("before", func(t *testing.T) {
		t.Parallel()
		w := newWorld()
		newer(w)()
		if err := w.local().Apply(t.Context(), "churn", deployment.Serve{Model: *ref("m-1")}, 5, quiet); !errors.Is(err, ErrSuperseded) {
			t.Errorf("got %v, want ErrSuperseded", err)
		}
		wantHistory(t, w, "9: - m-9")
	})
	t.Run("between load and swap", func(t *testing.T) {
		t.Parallel()
		w := newWorld()
		w.meddle = newer(w)
		if err := w.local().Apply(t.Context(), "churn", deployment.Serve{Model: *ref("m-1")}, 5, quiet); !errors.Is(err, ErrSuperseded) {
			t.Errorf("got %v, want ErrSuperseded", err)
		}
		wantHistory(t, w, "9: - m-9")
	})
	t.Run("while waiting", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.answers = func(string, Desired) *Observed { return nil }
			ended := make(chan error)
			go func() { ended <- w.local().Apply(t.Context(), "churn", deployment.Serve{Model: *ref("m-1")}, 5, quiet) }()
			synctest.Wait()
			newer(w)()
			if err := <-ended; !errors.Is(err, ErrSuperseded) {
				t.Errorf("got %v, want ErrSuperseded", err)
			}
			wantHistory(t, w, "5: - m-1", "9: - m-9")
		})
	})
}

func TestApplyLooksAgainAfterAMissedWrite(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.meddle = func() { // an earlier claim withdraws
		w.mu.Lock()
		defer w.mu.Unlock()
		w.write(Desired{Deployment: "churn", Token: 3, Round: 1, Active: ref("m-0")})
	}
	if err := w.local().Apply(t.Context(), "churn", deployment.Serve{Model: *ref("m-1")}, 5, quiet); err != nil {
		t.Fatal(err)
	}
	wantHistory(t, w, "3: m-0 -", "5: m-0 m-1", "5: m-1 -")
}

func TestApplyWithdrawsWhatOneServerCannot(t *testing.T) {
	t.Parallel()
	for _, retryable := range []bool{false, true} {
		t.Run(fmt.Sprintf("retryable %v", retryable), func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.write(Desired{Deployment: "churn", Token: 1, Round: 1, Active: ref("m-1")})
			w.answers = func(server string, d Desired) *Observed {
				o := obey(server, d)
				if server == "b" && d.Target != nil {
					o.Prepared, o.Error = "", &Failure{Model: d.Target.ID, Code: "artifact_invalid", Message: "deliberate", Retryable: retryable}
				}
				return o
			}
			err := w.local().Apply(t.Context(), "churn", deployment.Serve{Model: *ref("m-2")}, 5, quiet)
			const want = "prediction server b cannot serve model m-2: artifact_invalid: deliberate"
			failure, permanent := errors.AsType[*deployment.Failure](err)
			if err == nil || !strings.Contains(err.Error(), want) || permanent == retryable {
				t.Errorf("got %v, want %s", err, want)
			}
			if permanent && (failure.Code != deployment.CodeServerFailed || failure.Message != want) {
				t.Errorf("got %+v", failure)
			}
			wantHistory(t, w, "1: m-1 -", "5: m-1 m-2", "5: m-1 -")

			// The same claim may try again, and is not misled by the old answer.
			w.answers = obey
			if err := w.local().Apply(t.Context(), "churn", deployment.Serve{Model: *ref("m-2")}, 5, quiet); err != nil {
				t.Error(err)
			}
			wantHistory(t, w, "1: m-1 -", "5: m-1 m-2", "5: m-1 -", "5: m-1 m-2", "5: m-2 -")
		})
	}
}

func TestApplyOfWhatIsActiveNeverFailsForGood(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.answers = func(server string, d Desired) *Observed {
		if d.Target != nil {
			return obey(server, d)
		}
		return &Observed{Error: &Failure{Model: "m-1", Code: "artifact_invalid", Message: "deliberate"}}
	}
	err := w.local().Apply(t.Context(), "churn", deployment.Serve{Model: *ref("m-1")}, 5, quiet)
	if _, permanent := errors.AsType[*deployment.Failure](err); err == nil || permanent {
		t.Errorf("got %v, want an error that may pass", err)
	}
	wantHistory(t, w, "5: - m-1", "5: m-1 -")
}

func TestApplyWithoutServers(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.servers = nil
	err := w.local().Apply(t.Context(), "churn", deployment.Serve{Model: *ref("m-1")}, 5, quiet)
	if err == nil || !strings.Contains(err.Error(), "prediction_server_unavailable") {
		t.Errorf("got %v, want prediction_server_unavailable", err)
	}
	wantHistory(t, w)
}

func TestApplyThatIsCancelledWithdraws(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.answers = func(server string, d Desired) *Observed { return nil }
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error)
		go func() { ended <- w.local().Apply(ctx, "churn", deployment.Serve{Model: *ref("m-1")}, 5, quiet) }()
		synctest.Wait()
		cause := errors.New("worker stops")
		cancel(cause)
		if err := <-ended; !errors.Is(err, cause) {
			t.Errorf("got %v, want the cause", err)
		}
		wantHistory(t, w, "5: - m-1", "5: - -")
	})
}

func TestServersComeAndGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.answers = func(server string, d Desired) *Observed {
			if server != "a" {
				return nil // b is dead, c is slow
			}
			return obey(server, d)
		}
		ended := make(chan error, 1)
		go func() { ended <- w.local().Apply(t.Context(), "churn", deployment.Serve{Model: *ref("m-1")}, 5, quiet) }()
		wait := func() { // for two looks
			<-time.After(2 * time.Second)
			synctest.Wait()
		}
		wait()
		w.mu.Lock()
		delete(w.servers, "b")
		w.servers["c"] = Server{ID: "c", Instance: "c-1"}
		w.mu.Unlock()
		wait()
		wantHistory(t, w, "5: - m-1")
		w.mu.Lock()
		w.answers = obey
		w.answer("c")
		w.mu.Unlock()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		wantHistory(t, w, "5: - m-1", "5: m-1 -")
	})
}

func TestApplyNamesTheFault(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.fault = errors.New("no responders")
	err := w.local().Apply(t.Context(), "churn", deployment.Serve{Model: *ref("m-1")}, 5, quiet)
	const want = "apply churn: no responders; withdraw the target: no responders"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// pinner is a store that has every artifact, in two parts.
type pinner struct{ err error }

func (p pinner) Pin(_ context.Context, a deployment.Artifact, progress func(done, total int64)) (string, error) {
	progress(a.Size/2, a.Size)
	progress(a.Size, a.Size)
	return "path-of-" + string(a.Digest), p.err
}

func TestInspect(t *testing.T) {
	t.Parallel()
	model := deployment.Model{ID: "m-1", Artifact: deployment.Artifact{Digest: "d", Size: 100}}
	l := &Local{Artifacts: pinner{}, Load: func(path string, m deployment.Model) (deployment.Inspection, error) {
		if path != "path-of-d" || m.ID != "m-1" {
			t.Errorf("loads %s as %s", path, m.ID)
		}
		return deployment.Inspection{Features: 6}, nil
	}}
	var told []string
	facts, err := l.Inspect(t.Context(), model, func(text string) { told = append(told, text) })
	if err != nil || facts.Features != 6 {
		t.Errorf("got %+v, %v", facts, err)
	}
	want := []string{"fetching the artifact", "fetched 50 of 100 bytes", "fetched 100 of 100 bytes", "loading the model and asking it for predictions"}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	rejection := deployment.Reject(deployment.CodeArtifactNotFound, "model.artifact.url", "gone")
	l.Artifacts = pinner{rejection}
	if _, err := l.Inspect(t.Context(), model, quiet); !errors.Is(err, rejection) {
		t.Errorf("got %v, want the rejection", err)
	}
}
