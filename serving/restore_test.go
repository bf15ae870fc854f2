package serving

import (
	"errors"
	"testing"

	"github.com/slipway-ml/slipway/deployment"
)

// Restore leads from wherever an Apply stopped back to what served before, and
// writes nothing when it is so already or when a newer claim has taken over.
func TestRestore(t *testing.T) {
	t.Parallel()
	a, b := &deployment.ModelRef{ID: "a"}, &deployment.ModelRef{ID: "b"}
	for name, test := range map[string]struct {
		there  Desired
		to     *deployment.ModelRef
		token  uint64
		writes bool
		err    error
	}{
		"switched":              {Desired{Token: 5, Active: b}, a, 6, true, nil},
		"preparing":             {Desired{Token: 5, Active: a, Target: b}, a, 5, true, nil},
		"first rollout":         {Desired{Token: 5, Active: b}, nil, 5, true, nil},
		"it is so already":      {Desired{Token: 6, Active: a}, a, 6, false, nil},
		"nothing begun":         {Desired{Token: 5, Active: a}, a, 6, true, nil}, // fences off older claims
		"nothing there":         {Desired{}, nil, 6, true, nil},
		"a newer claim has it":  {Desired{Token: 7, Active: b}, a, 6, false, ErrSuperseded},
		"newer, though alike":   {Desired{Token: 7, Active: a}, a, 6, false, ErrSuperseded},
		"other bytes, same id":  {Desired{Token: 5, Active: &deployment.ModelRef{ID: "a", Digest: "x"}}, a, 6, true, nil},
		"first rollout, target": {Desired{Token: 5, Target: b}, nil, 6, true, nil},
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
			restored := test.to == nil && w.desired.Active == nil || same(w.desired.Active, test.to)
			if test.err == nil && (!restored || w.desired.Target != nil) {
				t.Errorf("got %+v, want active %+v and no target", w.desired, test.to)
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
	for name, test := range map[string]struct {
		there  Desired
		to     *deployment.ModelRef
		writes bool
	}{
		"so already":           {Desired{Token: 3, Active: a}, a, false},
		"another model":        {Desired{Token: 3, Active: b}, a, true},
		"a target that stayed": {Desired{Token: 3, Active: a, Target: b}, a, true},
		"a newer claim":        {Desired{Token: 9, Active: b}, a, false},
		"nothing, and so":      {Desired{Token: 3}, nil, false},
		"nothing is to serve":  {Desired{Token: 3, Active: b}, nil, true},
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
