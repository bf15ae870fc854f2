package serving

import (
	"errors"
	"reflect"
	"testing"

	"github.com/slipway-ml/slipway/deployment"
)

// Restore leads from wherever an Apply stopped back to what served before, and
// writes nothing when it is so already or when a newer claim has taken over.
func TestRestore(t *testing.T) {
	t.Parallel()
	a, b := &deployment.ModelRef{ID: "a"}, &deployment.ModelRef{ID: "b"}
	serve, none, inactive := deployment.Serve{Model: *a}, deployment.Stop{}, deployment.Stop{Inactive: true}
	for name, test := range map[string]struct {
		there  Desired
		to     deployment.Effect
		token  uint64
		writes bool
		err    error
	}{
		"switched":              {Desired{Token: 5, Active: b}, serve, 6, true, nil},
		"preparing":             {Desired{Token: 5, Active: a, Target: b}, serve, 5, true, nil},
		"first rollout":         {Desired{Token: 5, Active: b}, none, 5, true, nil},
		"it is so already":      {Desired{Token: 6, Active: a}, serve, 6, false, nil},
		"nothing begun":         {Desired{Token: 5, Active: a}, serve, 6, true, nil}, // fences off older claims
		"nothing there":         {Desired{}, none, 6, true, nil},
		"a newer claim has it":  {Desired{Token: 7, Active: b}, serve, 6, false, ErrSuperseded},
		"newer, though alike":   {Desired{Token: 7, Active: a}, serve, 6, false, ErrSuperseded},
		"other bytes, same id":  {Desired{Token: 5, Active: &deployment.ModelRef{ID: "a", Digest: "x"}}, serve, 6, true, nil},
		"first rollout, target": {Desired{Token: 5, Target: b}, none, 6, true, nil},
		"launching":             {Desired{Token: 5, Target: b, Inactive: true}, inactive, 6, true, nil},
		"launched":              {Desired{Token: 5, Active: b}, inactive, 6, true, nil},
		"stopped":               {Desired{Token: 5, Inactive: true}, serve, 5, true, nil},
		"inactive, and so":      {Desired{Token: 6, Inactive: true}, inactive, 6, false, nil},
		"inactive, not so":      {Desired{Token: 6}, inactive, 6, true, nil},
		"deleted, not inactive": {Desired{Token: 6, Inactive: true}, none, 6, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.desired, w.revision = test.there, 1
			if err := w.local().Restore(t.Context(), "churn", test.to, test.token); !errors.Is(err, test.err) {
				t.Fatalf("got %v, want %v", err, test.err)
			}
			if wrote := w.revision > 1; wrote != test.writes {
				t.Errorf("wrote: got %v, want %v", wrote, test.writes)
			}
			want := Desired{Active: a}
			if stop, ok := test.to.(deployment.Stop); ok {
				want = Desired{Inactive: stop.Inactive}
			}
			got := Desired{Active: w.desired.Active, Target: w.desired.Target, Inactive: w.desired.Inactive}
			if test.err == nil && !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if test.err == nil && w.desired.Token != test.token {
				t.Errorf("got token %d, want %d", w.desired.Token, test.token)
			}
			if test.writes && w.desired.Round != test.there.Round+1 {
				t.Errorf("got round %d, want %d", w.desired.Round, test.there.Round+1)
			}
		})
	}
}

// Converge writes only what differs, and leaves newer claims alone.
func TestConverge(t *testing.T) {
	t.Parallel()
	a, b := &deployment.ModelRef{ID: "a"}, &deployment.ModelRef{ID: "b"}
	serve, none, inactive := deployment.Serve{Model: *a}, deployment.Stop{}, deployment.Stop{Inactive: true}
	for name, test := range map[string]struct {
		there  Desired
		to     deployment.Effect
		writes bool
	}{
		"so already":            {Desired{Token: 3, Active: a}, serve, false},
		"another model":         {Desired{Token: 3, Active: b}, serve, true},
		"a target that stayed":  {Desired{Token: 3, Active: a, Target: b}, serve, true},
		"a newer claim":         {Desired{Token: 9, Active: b}, serve, false},
		"nothing, and so":       {Desired{Token: 3}, none, false},
		"nothing is to serve":   {Desired{Token: 3, Active: b}, none, true},
		"inactive, and so":      {Desired{Token: 3, Inactive: true}, inactive, false},
		"it is inactive":        {Desired{Token: 3}, inactive, true},
		"not inactive any more": {Desired{Token: 3, Inactive: true}, serve, true},
		"deleted":               {Desired{Token: 3, Inactive: true}, none, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.desired, w.revision = test.there, 1
			changed, err := w.local().Converge(t.Context(), "churn", test.to, 8)
			if err != nil || changed != test.writes {
				t.Errorf("got %v, %v, want %v", changed, err, test.writes)
			}
			if wrote := w.revision > 1; wrote != test.writes {
				t.Errorf("wrote: got %v, want %v", wrote, test.writes)
			}
			if test.writes && (w.desired.Token != 8 || w.desired.Target != nil) {
				t.Errorf("got %+v, want it under token 8 without target", w.desired)
			}
		})
	}
}
