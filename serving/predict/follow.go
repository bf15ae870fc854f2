package predict

import (
	"context"
	"strings"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/serving"
)

// follow gives every Desired entry to the keeper of its deployment, until ctx
// ends. A watch that breaks is begun again; predictions go on meanwhile.
func (s *Server) follow(ctx context.Context) {
	var pause backoff
	for {
		there := map[string]bool{} // in this watch
		err := s.Desired.Watch(ctx, serving.DesiredPrefix, func(key string, desired *serving.Desired) {
			pause.reset()
			name := strings.TrimPrefix(key, serving.DesiredPrefix)
			switch {
			case key == "":
				s.forgetBut(ctx, there)
			case desired == nil:
				s.tell(ctx, name, nil)
			default:
				there[name] = true
				s.tell(ctx, name, desired)
			}
		})
		if ctx.Err() != nil {
			return
		}
		s.Log.WarnContext(ctx, "watch of desired models broke, watching again", "server", s.ID, "err", err)
		select {
		case <-time.After(pause.next()):
		case <-ctx.Done():
			return
		}
	}
}

// tell gives the newest entry of a deployment to its keeper, nil if it is gone.
func (s *Server) tell(ctx context.Context, name string, desired *serving.Desired) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.keepers[name]; k != nil {
		k.tell(desired)
		return
	}
	if desired == nil {
		return
	}
	k := &keeper{server: s, name: deployment.Name(name), wake: make(chan struct{}, 1)}
	k.want.Store(desired)
	if s.keepers == nil {
		s.keepers = map[string]*keeper{}
	}
	s.keepers[name] = k
	s.running.Go(func() { k.run(ctx) })
}

// forgetBut ends the list of what is there when a watch begins: what is not on
// it was deleted while nobody watched.
func (s *Server) forgetBut(ctx context.Context, there map[string]bool) {
	s.mu.Lock()
	for name, k := range s.keepers {
		if !there[name] {
			k.tell(nil)
		}
	}
	s.listed = true
	s.mu.Unlock()
	s.checkReady(ctx)
}

// checkReady makes the server ready, once and for all, when every deployment
// serves what it should.
func (s *Server) checkReady(ctx context.Context) {
	s.mu.RLock()
	ready := s.listed
	for _, k := range s.keepers {
		ready = ready && k.settled.Load()
	}
	s.mu.RUnlock()
	if ready && s.ready.CompareAndSwap(false, true) {
		s.Log.InfoContext(ctx, "prediction server is ready", "server", s.ID, "url", s.URL)
		if s.OnReady != nil {
			s.OnReady()
		}
	}
}

// backoff is how long to wait before the next attempt: from 100 milliseconds on
// twice as long each time, up to 15 seconds.
type backoff struct{ last time.Duration }

func (b *backoff) next() time.Duration {
	b.last = min(max(2*b.last, 100*time.Millisecond), 15*time.Second)
	return b.last
}

func (b *backoff) reset() { b.last = 0 }
