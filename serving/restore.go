package serving

import (
	"context"
	"errors"
	"fmt"

	"github.com/slipway-ml/slipway/deployment"
)

// Restore takes back what an Apply that did not succeed has begun, in this or in
// an earlier attempt: m is to serve again, or nothing when m is nil. It does not
// wait for the prediction servers. The token is written in any case, so that an
// older claim that still lives can write nothing any more. It returns
// ErrSuperseded when a higher token is already written.
func (l *Local) Restore(ctx context.Context, name deployment.Name, m *deployment.ModelRef, token uint64) error {
	_, err := l.settle(ctx, name, m, token, true)
	return err
}

// Converge makes m, or nothing when m is nil, what is desired, if it is not so.
// It leaves alone what belongs to a newer claim.
func (l *Local) Converge(ctx context.Context, name deployment.Name, m *deployment.ModelRef, token uint64) (changed bool, err error) {
	changed, err = l.settle(ctx, name, m, token, false)
	if errors.Is(err, ErrSuperseded) {
		return false, nil
	}
	return changed, err
}

// settle writes that m is desired if it is not so or if the token is to be
// written in any case.
func (l *Local) settle(ctx context.Context, name deployment.Name, m *deployment.ModelRef, token uint64, fence bool) (changed bool, err error) {
	for {
		desired, revision, err := l.Desired.Load(ctx, DesiredKey(name))
		if err != nil {
			return false, fmt.Errorf("restore %s: load what is desired: %w", name, err)
		}
		if desired.Token > token {
			return false, fmt.Errorf("restore %s: %w", name, ErrSuperseded)
		}
		if restored := desired.Active == nil && m == nil || same(desired.Active, m); restored && desired.Target == nil && (desired.Token == token || !fence) {
			return false, nil
		}
		desired.Deployment = name
		swapped, err := l.Desired.Swap(ctx, DesiredKey(name), successor(desired, token, m, nil), revision)
		if err != nil {
			return false, fmt.Errorf("restore %s: write what is desired: %w", name, err)
		}
		if swapped {
			return true, nil
		}
	}
}
