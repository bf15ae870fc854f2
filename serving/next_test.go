package serving

import (
	"reflect"
	"testing"

	"github.com/slipway-ml/slipway/deployment"
)

func ref(id string) *deployment.ModelRef {
	return &deployment.ModelRef{ID: deployment.Name(id), Digest: deployment.Digest("digest-of-" + id)}
}

// entry is a Desired entry of round 3.
func entry(token uint64, active, target *deployment.ModelRef) Desired {
	return Desired{Deployment: "churn", Token: token, Round: 3, Active: active, Target: target}
}

// wrote is the entry that the claim writes after one of round 3.
func wrote(active, target *deployment.ModelRef) Desired {
	d := entry(7, active, target)
	d.Round = 4
	return d
}

// answer is what an instance of a server observes in answer to round 3 of token 7.
func answer(instance, serves, prepared string, why *Failure) Observed {
	return Observed{
		Instance: instance, Token: 7, Round: 3,
		Serving: deployment.Name(serves), Prepared: deployment.Name(prepared), Error: why,
	}
}

func live(ids ...string) map[string]Server {
	servers := map[string]Server{}
	for _, id := range ids {
		servers[id] = Server{ID: id, Instance: id + "-1"}
	}
	return servers
}

func TestNext(t *testing.T) {
	t.Parallel()
	broken := &Failure{Model: "new", Code: "artifact_invalid", Message: "deliberate"}
	brokenOld := &Failure{Model: "old", Code: "store_unavailable", Message: "deliberate", Retryable: true}
	rebuilt := ref("new")
	rebuilt.Digest = "another"
	otherToken, otherRound := answer("a-1", "old", "new", broken), answer("a-1", "old", "new", broken)
	otherToken.Token, otherRound.Round = 6, 2
	for _, test := range []struct {
		name     string
		desired  Desired
		observed map[string]Observed
		servers  map[string]Server
		want     step
	}{
		// What is written is not what this claim needs.
		{
			"first deployment",
			Desired{Deployment: "churn"},
			nil, live("a"),
			step{do: prepare, write: Desired{Deployment: "churn", Token: 7, Round: 1, Target: ref("new")}},
		},
		{"replacement", entry(6, ref("old"), nil), nil, live("a"), step{do: prepare, write: wrote(ref("old"), ref("new"))}},
		{"target of an earlier claim", entry(6, ref("old"), ref("other")), nil, live("a"), step{do: prepare, write: wrote(ref("old"), ref("new"))}},
		{"same target of an earlier claim", entry(6, ref("old"), ref("new")), nil, live("a"), step{do: prepare, write: wrote(ref("old"), ref("new"))}},
		{"withdrawn before", entry(7, ref("old"), nil), nil, live("a"), step{do: prepare, write: wrote(ref("old"), ref("new"))}},
		{"other bytes under the same id", entry(7, ref("old"), rebuilt), nil, live("a"), step{do: prepare, write: wrote(ref("old"), ref("new"))}},
		{"active since an earlier claim", entry(6, ref("new"), nil), nil, live("a"), step{do: activate, write: wrote(ref("new"), nil)}},
		{"active with a target of an earlier claim", entry(7, ref("new"), ref("other")), nil, live("a"), step{do: activate, write: wrote(ref("new"), nil)}},
		{"newer claim", entry(8, ref("old"), nil), nil, live("a"), step{do: superseded}},
		{"newer claim for the same model", entry(8, ref("new"), nil), nil, live("a"), step{do: superseded}},
		{"newer claim and no server", entry(8, ref("old"), nil), nil, nil, step{do: superseded}},
		{"no server", entry(7, ref("old"), ref("new")), nil, nil, step{do: unavailable}},
		{"no server for what is active", entry(7, ref("new"), nil), nil, nil, step{do: unavailable}},

		// The servers prepare.
		{"nobody has answered", entry(7, ref("old"), ref("new")), nil, live("a"), step{do: await, live: 1}},
		{"answer to an earlier claim", entry(7, ref("old"), ref("new")), map[string]Observed{"a": otherToken}, live("a"), step{do: await, live: 1}},
		{"answer to an earlier round", entry(7, ref("old"), ref("new")), map[string]Observed{"a": otherRound}, live("a"), step{do: await, live: 1}},
		{"answer of an earlier process", entry(7, ref("old"), ref("new")), map[string]Observed{"a": answer("a-0", "old", "new", nil)}, live("a"), step{do: await, live: 1}},
		{"another model is prepared", entry(7, ref("old"), ref("new")), map[string]Observed{"a": answer("a-1", "old", "other", nil)}, live("a"), step{do: await, live: 1}},
		{"one of two is prepared", entry(7, ref("old"), ref("new")), map[string]Observed{"a": answer("a-1", "old", "new", nil)}, live("a", "b"), step{do: await, ready: 1, live: 2}},
		{
			"all are prepared", entry(7, ref("old"), ref("new")),
			map[string]Observed{"a": answer("a-1", "old", "new", nil), "b": answer("b-1", "old", "new", nil)},
			live("a", "b"),
			step{do: activate, write: wrote(ref("new"), nil)},
		},
		{"serves it already", entry(7, ref("old"), ref("new")), map[string]Observed{"a": answer("a-1", "new", "", nil)}, live("a"), step{do: activate, write: wrote(ref("new"), nil)}},
		{
			"prepared, but the old one is broken", entry(7, ref("old"), ref("new")),
			map[string]Observed{"a": answer("a-1", "", "new", brokenOld)},
			live("a"),
			step{do: activate, write: wrote(ref("new"), nil)},
		},
		{
			"a server that is gone does not count", entry(7, ref("old"), ref("new")),
			map[string]Observed{"a": answer("a-1", "old", "new", nil), "gone": answer("gone-1", "old", "", broken)},
			live("a"),
			step{do: activate, write: wrote(ref("new"), nil)},
		},
		{
			"one cannot", entry(7, ref("old"), ref("new")),
			map[string]Observed{"a": answer("a-1", "old", "new", nil), "b": answer("b-1", "old", "", broken)},
			live("a", "b", "c"),
			step{do: fail, server: "b", why: broken},
		},
		{"trouble with another model", entry(7, ref("old"), ref("new")), map[string]Observed{"a": answer("a-1", "", "", brokenOld)}, live("a"), step{do: await, live: 1}},

		// The servers switch.
		{"nobody has switched", entry(7, ref("new"), nil), map[string]Observed{"a": answer("a-1", "old", "", nil)}, live("a"), step{do: await, live: 1}},
		{"prepared is not serving", entry(7, ref("new"), nil), map[string]Observed{"a": answer("a-1", "old", "new", nil)}, live("a"), step{do: await, live: 1}},
		{"one of two has switched", entry(7, ref("new"), nil), map[string]Observed{"a": answer("a-1", "new", "", nil)}, live("a", "b"), step{do: await, ready: 1, live: 2}},
		{"all have switched", entry(7, ref("new"), nil), map[string]Observed{"a": answer("a-1", "new", "", nil), "b": answer("b-1", "new", "", nil)}, live("a", "b"), step{do: done}},
		{
			"one that came later cannot", entry(7, ref("new"), nil),
			map[string]Observed{"a": answer("a-1", "new", "", nil), "b": answer("b-1", "", "", broken)},
			live("a", "b"),
			step{do: fail, server: "b", why: broken},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := next(test.desired, test.observed, test.servers, *ref("new"), 7)
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestWithdrawn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		desired Desired
		want    Desired
		any     bool
	}{
		{"ours", entry(7, ref("old"), ref("new")), wrote(ref("old"), nil), true},
		{"ours, the first", entry(7, nil, ref("new")), wrote(nil, nil), true},
		{"nothing", entry(7, ref("old"), nil), Desired{}, false},
		{"of a newer claim", entry(8, ref("old"), ref("new")), Desired{}, false},
		{"of an earlier claim", entry(6, ref("old"), ref("new")), Desired{}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, any := withdrawn(test.desired, 7)
			if any != test.any || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v %v, want %+v %v", got, any, test.want, test.any)
			}
		})
	}
}
