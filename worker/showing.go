package worker

import (
	"context"
	"time"
)

// showing is the projection of an outcome under way. The next command of the
// deployment is begun meanwhile, but not finished: at most one is not shown yet.
type showing struct {
	views Views
	view  View
	ended chan struct{}
	err   error
}

// showTime is how long a projection may take before it is tried again.
const showTime = 10 * time.Second

func show(ctx context.Context, views Views, view View) *showing {
	s := &showing{views: views, view: view, ended: make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), showTime)
	go func() {
		defer cancel()
		defer close(s.ended)
		s.err = views.Project(ctx, view)
	}()
	return s
}

// wait waits until it has ended. A nil *showing is shown.
func (s *showing) wait() error {
	if s == nil {
		return nil
	}
	<-s.ended
	return s.err
}

// insist is wait that tries once more.
func (s *showing) insist(ctx context.Context) error {
	if s.wait() == nil {
		return nil
	}
	return s.views.Project(ctx, s.view)
}
