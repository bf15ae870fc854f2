package serving

import (
	"context"
	"errors"
	"maps"
	"sync"

	"github.com/slipway-ml/slipway/deployment"
)

// observations are the newest Observed entries of one deployment by server id.
type observations struct {
	changed chan struct{} // has an element after a change
	ended   chan error    // has an element after the watch has ended

	mu       sync.Mutex
	byServer map[string]Observed
}

func (l *Local) observe(ctx context.Context, name deployment.Name) *observations {
	o := &observations{changed: make(chan struct{}, 1), ended: make(chan error, 1), byServer: map[string]Observed{}}
	prefix := ObservedPrefix(name)
	go func() {
		err := l.Observed.Watch(ctx, prefix, func(key string, value *Observed) {
			if key == "" {
				return
			}
			o.mu.Lock()
			defer o.mu.Unlock()
			if value == nil {
				delete(o.byServer, key[len(prefix):])
			} else {
				o.byServer[key[len(prefix):]] = *value
			}
			select {
			case o.changed <- struct{}{}:
			default:
			}
		})
		if err == nil {
			err = errors.New("watch ended")
		}
		o.ended <- err
	}()
	return o
}

// all is a copy of what is observed now.
func (o *observations) all() map[string]Observed {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.byServer)
}
