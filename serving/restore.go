package serving

import (
	"context"
	"errors"
	"fmt"

	"github.com/slipway-ml/slipway/deployment"
)

// Restore takes back what an Apply or a Stop that did not succeed has begun, in
// this or in an earlier attempt: what before says is to be so again. It does not
// wait for the prediction servers. The token is written in any case, so that an
// older claim that still lives can write nothing any more. It returns
// ErrSuperseded when a higher token is already written.
func (l *Local) Restore(ctx context.Context, name deployment.Name, before deployment.Effect, token uint64) error {
	_, err := l.settle(ctx, name, before, token, true)
	return err
}

// Converge makes what the effect says what is desired, if it is not so. It
// leaves alone what belongs to a newer claim.
func (l *Local) Converge(ctx context.Context, name deployment.Name, effect deployment.Effect, token uint64) (changed bool, err error) {
	changed, err = l.settle(ctx, name, effect, token, false)
	if errors.Is(err, ErrSuperseded) {
		return false, nil
	}
	return changed, err
}

// settle writes that the effect is desired if it is not so or if the token is to
// be written in any case.
func (l *Local) settle(ctx context.Context, name deployment.Name, effect deployment.Effect, token uint64, fence bool) (changed bool, err error) {
	for {
		desired, revision, err := l.Desired.Load(ctx, DesiredKey(name))
		if err != nil {
			return false, fmt.Errorf("restore %s: load what is desired: %w", name, err)
		}
		if desired.Token > token {
			return false, fmt.Errorf("restore %s: %w", name, ErrSuperseded)
		}
		if desires(desired, effect) && (desired.Token == token || !fence) {
			return false, nil
		}
		desired.Deployment = name
		swapped, err := l.Desired.Swap(ctx, DesiredKey(name), written(desired, token, effect), revision)
		if err != nil {
			return false, fmt.Errorf("restore %s: write what is desired: %w", name, err)
		}
		if swapped {
			return true, nil
		}
	}
}

// desires reports whether the entry asks for the effect and nothing else.
func desires(d Desired, effect deployment.Effect) bool {
	want := written(d, d.Token, effect)
	return d.Target == nil && d.Inactive == want.Inactive && (d.Active == nil && want.Active == nil || same(d.Active, want.Active))
}

// written is the entry to be written after d so that the effect is desired.
func written(d Desired, token uint64, effect deployment.Effect) Desired {
	switch effect := effect.(type) {
	case deployment.Serve:
		return successor(d, token, &effect.Model, nil)
	case deployment.Stop:
		return stopped(d, token, effect.Inactive)
	}
	return d // there are no others
}
