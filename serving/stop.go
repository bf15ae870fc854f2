package serving

import (
	"context"
	"fmt"

	"github.com/slipway-ml/slipway/deployment"
)

// Stop makes every live prediction server answer no predictions of the
// deployment any more, and returns once they do: each lets those that run end.
// To who asks then, inactive tells whether the deployment is inactive or does
// not exist. Without a live server it is so at once. Twice is the same as once.
//
// It returns ErrSuperseded when a higher token is already written. Every other
// error may pass.
func (l *Local) Stop(ctx context.Context, name deployment.Name, inactive bool, token uint64, progress func(string)) error {
	err := l.reach(ctx, name, func(d Desired, o map[string]Observed, servers map[string]Server) step {
		return nextStop(d, o, servers, inactive, token)
	}, func(s step) {
		if s.do == await {
			progress(fmt.Sprintf("%d of %d prediction servers have stopped", s.ready, s.live))
		}
	})
	if err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	return nil
}

// nextStop is next for a deployment that is to serve nothing.
func nextStop(desired Desired, observed map[string]Observed, servers map[string]Server, inactive bool, token uint64) step {
	switch {
	case desired.Token > token:
		return step{do: superseded}
	case desired.Token < token || desired.Active != nil || desired.Target != nil || desired.Inactive != inactive:
		return step{do: stop, write: stopped(desired, token, inactive)}
	}
	result := step{do: await, live: len(servers)}
	for _, server := range servers {
		if o := observed[server.ID]; answers(o, server, desired) && o.Serving == "" {
			result.ready++
		}
	}
	if result.ready == result.live {
		return step{do: done}
	}
	return result
}

// stopped is the entry to be written after d so that nothing serves.
func stopped(d Desired, token uint64, inactive bool) Desired {
	after := successor(d, token, nil, nil)
	after.Inactive = inactive
	return after
}
