package serving

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/slipway-ml/slipway/deployment"
)

func TestNextStop(t *testing.T) {
	t.Parallel()
	inactive := entry(7, nil, nil)
	inactive.Inactive = true
	says := wrote(nil, nil)
	says.Inactive = true
	earlier := answer("a-0", "", "", nil)
	for _, test := range []struct {
		name     string
		desired  Desired
		observed map[string]Observed
		servers  map[string]Server
		inactive bool
		want     step
	}{
		{"it serves", entry(6, ref("old"), nil), nil, live("a"), true, step{do: stop, write: says}},
		{"it serves, and is to be no more", entry(6, ref("old"), nil), nil, live("a"), false, step{do: stop, write: wrote(nil, nil)}},
		{"a target of an earlier claim", entry(7, nil, ref("new")), nil, live("a"), false, step{do: stop, write: wrote(nil, nil)}},
		{"nothing, by an earlier claim", entry(6, nil, nil), nil, live("a"), false, step{do: stop, write: wrote(nil, nil)}},
		{"inactive, and is to be no more", inactive, nil, live("a"), false, step{do: stop, write: wrote(nil, nil)}},
		{"newer claim", entry(8, ref("old"), nil), nil, live("a"), true, step{do: superseded}},
		{"newer claim and no server", entry(8, ref("old"), nil), nil, nil, true, step{do: superseded}},

		{"nobody has answered", inactive, nil, live("a"), true, step{do: await, live: 1}},
		{"one still serves", inactive, map[string]Observed{"a": answer("a-1", "", "", nil), "b": answer("b-1", "old", "", nil)}, live("a", "b"), true, step{do: await, ready: 1, live: 2}},
		{"an earlier process has answered", inactive, map[string]Observed{"a": earlier}, live("a"), true, step{do: await, live: 1}},
		{"everybody has stopped", inactive, map[string]Observed{"a": answer("a-1", "", "", nil), "b": answer("b-1", "", "", nil)}, live("a", "b"), true, step{do: done}},
		{"one that is gone does not count", inactive, map[string]Observed{"b": answer("b-1", "old", "", nil)}, nil, true, step{do: done}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := nextStop(test.desired, test.observed, test.servers, test.inactive, 7); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	w := newWorld()
	l := w.local()
	if err := l.Apply(t.Context(), "churn", deployment.Serve{Model: *ref("m-1")}, 1, quiet); err != nil {
		t.Fatal(err)
	}
	for range 2 { // twice is the same as once
		if err := l.Stop(t.Context(), "churn", true, 2, quiet); err != nil {
			t.Fatal(err)
		}
	}
	wantHistory(t, w, "1: - m-1", "1: m-1 -", "2: - -")
	if !w.desired.Inactive {
		t.Error("the entry does not say that the deployment is inactive")
	}
	// Who asks is told so until the model answers again.
	if err := l.Apply(t.Context(), "churn", deployment.Serve{Model: *ref("m-1")}, 3, quiet); err != nil {
		t.Fatal(err)
	}
	wantHistory(t, w, "1: - m-1", "1: m-1 -", "2: - -", "3: - m-1", "3: m-1 -")
	if before, after := w.history[3].Inactive, w.history[4].Inactive; !before || after {
		t.Errorf("inactive while it prepares: %v, and then: %v, want true and false", before, after)
	}
	if err := l.Stop(t.Context(), "churn", false, 4, quiet); err != nil {
		t.Fatal(err)
	}
	if w.desired.Active != nil || w.desired.Inactive {
		t.Errorf("got %+v, want that nothing serves and nothing is inactive", w.desired)
	}
	if err := l.Stop(t.Context(), "churn", false, 3, quiet); !errors.Is(err, ErrSuperseded) {
		t.Errorf("an older claim stops: got %v, want it superseded", err)
	}
}

// Stop returns once the last server has let its requests end, and needs none.
func TestStopWaitsForEveryServer(t *testing.T) {
	t.Parallel()
	w := newWorld()
	l := w.local()
	if err := l.Apply(t.Context(), "churn", deployment.Serve{Model: *ref("m-1")}, 1, quiet); err != nil {
		t.Fatal(err)
	}
	w.answers = func(server string, d Desired) *Observed {
		if server == "b" {
			return nil
		}
		return obey(server, d)
	}
	var told []string
	err := l.Stop(t.Context(), "churn", true, 2, func(text string) {
		if told = append(told, text); text == "1 of 2 prediction servers have stopped" {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.answers = obey
			w.answer("b")
		}
	})
	if err != nil || !slices.Contains(told, "1 of 2 prediction servers have stopped") {
		t.Errorf("got %v, told %q, want it to wait for server b", err, told)
	}
	w.servers = nil
	if err := l.Stop(t.Context(), "churn", false, 3, quiet); err != nil {
		t.Errorf("without a server: %v", err)
	}
	w.fault = errors.New("no responders")
	if err := l.Stop(t.Context(), "churn", false, 4, quiet); err == nil || err.Error() != "stop churn: no responders" {
		t.Errorf("got %v, want what was done, of what, and the cause", err)
	}
}

// Whatever a Stop or an Apply was cut off in, Restore leads back from it.
func TestRestoreAfterACutOff(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]deployment.Effect{"served": deployment.Serve{Model: *ref("m-1")}, "was inactive": deployment.Stop{Inactive: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			l := w.local()
			if err := l.Restore(t.Context(), "churn", before, 1); err != nil {
				t.Fatal(err)
			}
			want := w.desired
			ctx, cancel := context.WithCancel(t.Context())
			w.answers = func(string, Desired) *Observed { cancel(); return nil }
			var err error
			if _, serves := before.(deployment.Serve); serves {
				err = l.Stop(ctx, "churn", true, 2, quiet)
			} else {
				err = l.Apply(ctx, "churn", deployment.Serve{Model: *ref("m-1")}, 2, quiet)
			}
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want it cut off", err)
			}
			if err := l.Restore(t.Context(), "churn", before, 2); err != nil {
				t.Fatal(err)
			}
			want.Token, want.Round = 2, w.desired.Round
			if !reflect.DeepEqual(w.desired, want) {
				t.Errorf("got %+v, want %+v", w.desired, want)
			}
		})
	}
}
