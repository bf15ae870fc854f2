package worker

import (
	"context"
	"slices"
	"time"

	"github.com/slipway-ml/slipway/jetstream"
)

// stretch is a part of the stream of commands of which every message was
// delivered to this process: the broker delivers in the order of the stream, and
// the stream has no gaps. What it holds need not be looked up.
type stretch struct {
	from, to uint64 // sequences; 0: none
	epoch    uint64 // of the connection on which they were delivered
}

func (s *stretch) add(sequence, epoch uint64) {
	switch {
	case s.to == 0 || s.epoch != epoch:
		*s = stretch{sequence, sequence, epoch}
	case sequence == s.to+1:
		s.to = sequence
	case sequence > s.to: // what is between has gone to another worker
		*s = stretch{sequence, sequence, epoch}
	} // else it was delivered before
}

// aloneAfter is after how many deliveries in a row a worker takes it that no other
// one gets any; lookAfter is how soon it makes sure.
const (
	aloneAfter = 64
	lookAfter  = 100 * time.Millisecond
)

// delivered is the oldest command of the lane whose sequence is at least from, as
// far as deliveries tell: sure is false when it has to be looked up. The zero
// Message is that there is none.
//
// It is the oldest one delivered if all messages from from up to it were delivered
// here, and none of the lane was given back unfinished. That there is none
// cannot be told from deliveries: one may be about to come, or have gone to a
// worker that waits because this one held the deployment. While all go to this
// worker, that is looked up later, if no delivery comes before.
//
// Deliveries of commands before the one that was finished last are acknowledged:
// their outcomes are shown.
func (r *run) delivered(l *lane, from uint64) (msg jetstream.Message, sure bool) {
	epoch := r.Ledger.Epoch()
	r.mu.Lock()
	var ended []jetstream.Delivery
	var oldest *jetstream.Delivery
	known := l.known
	for i, d := range l.hints {
		switch {
		case d.Sequence+1 < from:
			ended = append(ended, d)
			if i < known {
				l.known--
			}
		case d.Sequence >= from && (oldest == nil || d.Sequence < oldest.Sequence):
			oldest = &l.hints[i]
		}
	}
	told := r.seen.epoch == epoch && r.seen.from > 0 && r.seen.from <= from && r.returned[l.who.Fence] < from
	switch {
	case !told:
	case oldest != nil && oldest.Sequence <= r.seen.to:
		msg, sure = oldest.Message(), true
	case oldest == nil && !l.look && r.seen.to-r.seen.from >= aloneAfter:
		sure, l.ahead = true, true
	}
	if r.returned[l.who.Fence] < from {
		delete(r.returned, l.who.Fence)
	}
	if len(ended) > 0 {
		l.hints = slices.DeleteFunc(l.hints, func(d jetstream.Delivery) bool { return d.Sequence+1 < from })
	}
	r.mu.Unlock()
	for _, d := range ended {
		r.settle(d, d.Ack())
	}
	return msg, sure
}

// unlooked is a lane that ended without having looked for more commands.
type unlooked struct {
	who   Address
	since time.Time
}

// lookLater looks for more commands of lanes that ended without having done so,
// unless a delivery did, until ctx ends.
func (r *run) lookLater(ctx context.Context) {
	ticker := time.NewTicker(lookAfter)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		var due []Address
		r.mu.Lock()
		for fence, l := range r.unlooked {
			if time.Since(l.since) >= lookAfter {
				due = append(due, l.who)
				delete(r.unlooked, fence)
			}
		}
		r.mu.Unlock()
		for _, who := range due {
			r.wake(who)
		}
	}
}
