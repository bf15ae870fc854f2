package worker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
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

	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1)
		if waited, err := s.enter(t.Context()); waited || err != nil {
			t.Fatalf("the first: waited %t, %v", waited, err)
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		if waited, err := s.enter(gone); !waited || !errors.Is(err, context.Canceled) {
			t.Fatalf("one that gives up: waited %t, %v", waited, err)
		}
		in := false
		go func() {
			waited, err := s.enter(t.Context())
			in = waited && err == nil
		}()
		synctest.Wait()
		if in || len(s.waiting) != 1 {
			t.Fatalf("the second beside the first: in %t, %d waiting, want one that waits", in, len(s.waiting))
		}
		s.leave()
		synctest.Wait()
		if !in {
			t.Fatal("the second is not let in after the first")
		}
		s.leave()
		if s.claimed != 0 || len(s.waiting) != 0 {
			t.Errorf("in the end: %d claimed, %d waiting, want none", s.claimed, len(s.waiting))
		}
	})
}

// Waiting for a slot takes nothing from the time that a command has, the second time
// either.
func TestSecondSlotIsNotInTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &attempt{Worker: &Worker{slots: newSlots(1)}}
		other := &attempt{Worker: a.Worker}
		if err := other.takeSlot(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := time.Now()
		a.deadline = before
		var got error
		go func() { got = a.takeSlotAgain(t.Context()) }()
		<-time.After(time.Minute)
		other.freeSlot()
		synctest.Wait()
		if got != nil || a.since.IsZero() {
			t.Fatalf("the slot that another command had: %v, since %s", got, a.since)
		}
		if later := a.deadline.Sub(before); later != time.Minute {
			t.Errorf("after a wait of a minute: the deadline is %s later", later)
		}
		if err := a.takeSlotAgain(t.Context()); err != nil { // it has one
			t.Fatal(err)
		}
	})
}
