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

// add notes a delivery, and says whether it begins another stretch.
func (s *stretch) add(sequence, epoch uint64) (another bool) {
	switch {
	case s.to == 0 || s.epoch != epoch:
		*s = stretch{sequence, sequence, epoch}
		return true
	case sequence == s.to+1:
		s.to = sequence
	case sequence > s.to: // what is between has gone to another worker
		*s = stretch{sequence, sequence, epoch}
		return true
	} // else it was delivered before
	return false
}

// aloneAfter is after how many deliveries in a row a worker takes it that no other
// one gets any; lookAfter is how soon it makes sure, and lookLatest how late while
// commands take longer than that anyway.
const (
	aloneAfter = 64
	lookAfter  = 100 * time.Millisecond
	lookLatest = 2 * time.Second
)

// told is what deliveries tell of a lane.
type told struct {
	*run
	lane *lane
}

// oldest is the oldest command of the lane whose sequence is at least from, as
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
func (r told) oldest(from uint64) (msg jetstream.Message, sure bool) {
	l := r.lane
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
	complete := r.seen.epoch == epoch && r.seen.from > 0 && r.seen.from <= from && r.returned[l.who.Fence] < from
	switch {
	case !complete:
	case oldest != nil && oldest.Sequence <= r.seen.to:
		msg, sure, l.look = oldest.Message(), true, 0
	case oldest == nil && l.look == 0 && r.seen.to-r.seen.from >= aloneAfter:
		sure, l.later = true, everything
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

// expected reports whether a delivery, or what has woken the lane, says that there
// is a command whose sequence is at least from.
func (r told) expected(from uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lane.look > 0 || slices.ContainsFunc(r.lane.hints, func(d jetstream.Delivery) bool { return d.Sequence >= from })
}

// othersTake reports whether a command that was looked up is about to be taken by
// another worker: it was not delivered here, and was stored only after the newest
// event, so that whom it was delivered to has found nobody who holds the
// deployment. Should it not be taken, it is looked up later. Times are compared by
// two clocks if this process has stored that event: should they differ, both
// workers may begin the command, or nobody does before that.
func (r told) othersTake(msg jetstream.Message, newest time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lane
	here := func(d jetstream.Delivery) bool { return d.Sequence == msg.Sequence }
	if msg.Sequence <= max(l.look, r.returned[l.who.Fence]) || !msg.Time.After(newest) || slices.ContainsFunc(l.hints, here) {
		l.look = 0
		return false
	}
	if l.look == 0 { // else who has finished the one before answers for it
		l.later = msg.Sequence
	}
	return true
}

// unlooked is a lane that ended without having looked for more commands.
type unlooked struct {
	who Address
	up  uint64 // sequence up to which commands are to be looked for
	due time.Time
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
		var due []unlooked
		r.mu.Lock()
		for fence, l := range r.unlooked {
			if !time.Now().Before(l.due) {
				due = append(due, l)
				delete(r.unlooked, fence)
			}
		}
		r.mu.Unlock()
		for _, l := range due {
			r.wake(l.who, l.up)
		}
	}
}
