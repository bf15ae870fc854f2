package predict

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// sample is one answered request as monitoring sees it.
type sample struct {
	deployment, version string
	at                  time.Time
	rows                int
	values              []float64 // of the request, row after row; NaN: missing
	predictions         []float64 // of the answer, row after row
}

// tap hands answered requests to monitoring by a queue that never holds up a
// prediction: what finds it full is dropped and counted.
type tap struct {
	queue   chan *sample
	held    atomic.Int64 // values in the queue
	most    int64        // of them
	spare   sync.Pool    // of *sample
	dropped func()
}

// How much the queue holds: requests, and values of all of them together (32 MiB).
const (
	tapRequests = 1024
	tapValues   = 4 << 20
)

func newTap(requests int, values int64, dropped func()) *tap {
	return &tap{queue: make(chan *sample, requests), most: values, dropped: dropped}
}

// offer copies an answered request into the queue, if there is room.
func (t *tap) offer(e *exchange, values, predictions []float64) {
	size := int64(len(values) + len(predictions))
	if len(t.queue) == cap(t.queue) {
		t.dropped()
		return
	}
	if t.held.Add(size) > t.most {
		t.held.Add(-size)
		t.dropped()
		return
	}
	s, _ := t.spare.Get().(*sample)
	if s == nil {
		s = &sample{}
	}
	s.deployment, s.version, s.at, s.rows = e.deployment, e.version, e.begin, e.rows
	s.values = append(s.values[:0], values...)
	s.predictions = append(s.predictions[:0], predictions...)
	select {
	case t.queue <- s:
	default: // others were faster
		t.held.Add(-size)
		t.spare.Put(s)
		t.dropped()
	}
}

// run gives each sample to monitoring, which must not keep it, until ctx ends and
// the queue is empty.
func (t *tap) run(ctx context.Context, each func(*sample)) {
	for {
		select {
		case s := <-t.queue:
			t.pass(s, each)
		case <-ctx.Done():
			for {
				select {
				case s := <-t.queue:
					t.pass(s, each)
				default:
					return
				}
			}
		}
	}
}

func (t *tap) pass(s *sample, each func(*sample)) {
	each(s)
	t.held.Add(-int64(len(s.values) + len(s.predictions)))
	if cap(s.values)+cap(s.predictions) <= keepScratch/64 {
		t.spare.Put(s)
	}
}
