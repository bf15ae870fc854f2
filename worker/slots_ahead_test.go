package worker

import (
	"context"
	"errors"
	"testing"
	"time"
)

// As many commands are claimed ahead as there are slots, more where storing a claim
// takes long for what the work takes, and who waits is let in as soon as one is
// worked for.
func TestClaimedAhead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		claim, work time.Duration
		want        int
	}{
		{0, 0, 4},
		{10 * time.Millisecond, time.Minute, 4},
		{10 * time.Millisecond, 20 * time.Millisecond, 6},
		{30 * time.Millisecond, 20 * time.Millisecond, 10},
		{time.Second, time.Microsecond, 32},
	} {
		s := newSlots(4)
		s.claim, s.work = c.claim, c.work
		if got := s.ahead(); got != c.want {
			t.Errorf("claim %s, work %s: got %d ahead of 4 slots, want %d", c.claim, c.work, got, c.want)
		}
	}

	s := newSlots(1)
	if waited, err := s.enter(t.Context()); waited || err != nil {
		t.Fatalf("the first: waited %t, %v", waited, err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if waited, err := s.enter(gone); !waited || !errors.Is(err, context.Canceled) {
		t.Fatalf("one that gives up: waited %t, %v", waited, err)
	}
	in := make(chan error)
	go func() {
		waited, err := s.enter(t.Context())
		if !waited {
			err = errors.New("it did not wait")
		}
		in <- err
	}()
	for s.queued() == 0 {
		select {
		case err := <-in:
			t.Fatalf("the second came in beside the first: %v", err)
		default:
		}
	}
	s.leave()
	if err := <-in; err != nil {
		t.Fatal(err)
	}
	s.leave()
	if s.claimed != 0 || s.queued() != 0 {
		t.Errorf("in the end: %d claimed, %d waiting, want none", s.claimed, s.queued())
	}
}

// Waiting for a slot takes nothing from the time that a command has, the second time
// either.
func TestSecondSlotIsNotInTheDeadline(t *testing.T) {
	t.Parallel()
	a := &attempt{Worker: &Worker{slots: newSlots(1)}}
	other := &attempt{Worker: a.Worker}
	if err := other.takeSlot(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	a.deadline = before
	got := make(chan error)
	go func() { got <- a.takeSlotAgain(t.Context()) }()
	select {
	case err := <-got:
		t.Fatalf("a slot that another command has: got it, %v", err)
	case <-time.After(10 * time.Millisecond):
	}
	other.freeSlot()
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	if later := a.deadline.Sub(before); later < 5*time.Millisecond {
		t.Errorf("after a wait of 10 ms: the deadline is %s later", later)
	}
	if err := a.takeSlotAgain(t.Context()); err != nil { // it has one
		t.Fatal(err)
	}
}

func (s *slots) queued() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting)
}
