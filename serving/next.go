package serving

import (
	"cmp"
	"slices"

	"github.com/slipway-ml/slipway/deployment"
)

// step is what has to be done next so that every live server serves a target.
type step struct {
	do     action
	write  Desired  // for prepare, activate and stop
	server string   // for fail: the server that cannot
	why    *Failure // for fail: why it cannot
	err    error    // for fail: what that means to the rollout
	ready  int      // for await: live servers that are as far as they should be
	live   int      // for await: live servers
}

type action string

const (
	prepare     action = "prepare"     // write what to load beside what serves
	activate    action = "activate"    // write what to serve
	stop        action = "stop"        // write that nothing is to serve
	await       action = "await"       // wait for the servers to do what is written
	done        action = "done"        // every live server serves the target
	fail        action = "fail"        // a server cannot serve the target
	unavailable action = "unavailable" // there is no live server
	superseded  action = "superseded"  // a newer claim writes the entry
)

// next decides about one deployment from all that is known of it: the entry that
// is desired, the newest observation and the heartbeat of each server by its id,
// and what the claim with that token is to reach. It is level-triggered: it never
// asks how things came to be, so an Apply can begin anywhere (DESIGN.md section 8).
//
// Nobody switches before everybody has prepared: activate is decided only when
// every live server reports, in answer to exactly the written entry, that the
// target is loaded and warm.
func next(desired Desired, observed map[string]Observed, servers map[string]Server, target deployment.ModelRef, token uint64) step {
	active := same(desired.Active, &target)
	switch {
	case desired.Token > token:
		return step{do: superseded}
	case len(servers) == 0:
		return step{do: unavailable}
	case active && (desired.Token < token || desired.Target != nil):
		return step{do: activate, write: successor(desired, token, &target, nil)}
	case !active && (desired.Token < token || !same(desired.Target, &target)):
		return step{do: prepare, write: successor(desired, token, desired.Active, &target)}
	}

	result := step{do: await, live: len(servers)}
	for _, server := range sorted(servers) {
		o := observed[server.ID]
		if !answers(o, server, desired) {
			continue
		}
		if o.Serving == target.ID || !active && o.Prepared == target.ID {
			result.ready++
		} else if o.Error != nil && o.Error.Model == target.ID {
			return step{do: fail, server: server.ID, why: o.Error}
		}
	}
	switch {
	case result.ready < result.live:
		return result
	case active:
		return step{do: done}
	default:
		return step{do: activate, write: successor(desired, token, &target, nil)}
	}
}

// answers reports whether this process of the server has observed exactly the
// written entry.
func answers(o Observed, server Server, desired Desired) bool {
	return o.Instance == server.Instance && o.Token == desired.Token && o.Round == desired.Round
}

// withdrawn is desired without the target, and whether there is something to
// withdraw for the claim with that token.
func withdrawn(desired Desired, token uint64) (Desired, bool) {
	if desired.Token != token || desired.Target == nil {
		return Desired{}, false
	}
	return successor(desired, token, desired.Active, nil), true
}

// successor is the entry to be written after d. What is inactive stays so until
// something is active.
func successor(d Desired, token uint64, active, target *deployment.ModelRef) Desired {
	return Desired{
		Deployment: d.Deployment, Token: token, Round: d.Round + 1, Active: active, Target: target,
		Inactive: d.Inactive && active == nil,
	}
}

// same reports whether both are the same model with the same bytes.
func same(a, b *deployment.ModelRef) bool {
	return a != nil && b != nil && a.ID == b.ID && a.Digest == b.Digest
}

// sorted are the servers by id, so that the same facts give the same step.
func sorted(servers map[string]Server) []Server {
	list := make([]Server, 0, len(servers))
	for _, s := range servers {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b Server) int { return cmp.Compare(a.ID, b.ID) })
	return list
}
