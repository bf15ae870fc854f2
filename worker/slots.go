package worker

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/slipway-ml/slipway/deployment"
)

// slots bound how many commands a process works for at a time, outside of the
// ledger, and how many it claims ahead of that. A nil *slots bounds nothing.
//
// A command that is claimed waits here while another worker may be idle. So there
// are as many as it takes to have one ready when another ends: where storing the
// claim takes twice as long as the work, twice as many as there are slots, besides
// those that wait for their turn.
type slots struct {
	working chan struct{} // one token for each command that is worked for

	mu      sync.Mutex
	claimed int             // commands that are being claimed or wait for their turn
	waiting []chan struct{} // who wants to claim one more; closed when they may
	claim   time.Duration   // how long it takes to store a claim, of late
	work    time.Duration   // how long a command is worked for, of late
}

func newSlots(n int) *slots { return &slots{working: make(chan struct{}, n)} }

// mostAhead is how many commands are claimed ahead for each slot, at most.
const mostAhead = 8

// ahead is how many commands may be claimed and not be worked for.
func (s *slots) ahead() int {
	n, most := cap(s.working), mostAhead*cap(s.working)
	if s.work == 0 {
		return n
	}
	return min(n+int(float64(n)*float64(s.claim)/float64(s.work)), most)
}

// enter waits until one more command may be claimed, and says whether it had to.
func (s *slots) enter(ctx context.Context) (waited bool, err error) {
	s.mu.Lock()
	if s.claimed < s.ahead() {
		s.claimed++
		s.mu.Unlock()
		return false, nil
	}
	turn := make(chan struct{})
	s.waiting = append(s.waiting, turn)
	s.mu.Unlock()
	select {
	case <-turn:
		return true, nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.waiting, turn); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
		return true, ctx.Err()
	}
	s.claimed-- // it was let in just now
	s.letIn()
	return true, ctx.Err()
}

// leave notes that a command that was claimed is worked for, or has ended.
func (s *slots) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claimed--
	s.letIn()
}

// letIn lets those claim who may. The caller holds the lock.
func (s *slots) letIn() {
	for len(s.waiting) > 0 && s.claimed < s.ahead() {
		s.claimed++
		close(s.waiting[0])
		s.waiting = s.waiting[1:]
	}
}

// took notes how long it took to store a claim, or to work for a command.
func (s *slots) took(of *time.Duration, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *of == 0 {
		*of = took
	}
	*of += (took - *of) / 16
	s.letIn()
}

// begin waits until this process may claim one more command, and claims it.
func (a *attempt) begin(ctx, stopping context.Context, decision deployment.Decision) error {
	if a.slots == nil {
		return a.claim(ctx, decision)
	}
	waited, err := a.slots.enter(stopping)
	if err != nil {
		return err
	}
	if waited {
		err = a.notCancelledInQueue(ctx)
	}
	began := time.Now()
	if err == nil {
		err = a.claim(ctx, decision)
	}
	if err != nil {
		a.slots.leave()
		return err
	}
	a.slots.took(&a.slots.claim, time.Since(began))
	return nil
}

// takeSlot waits until this process may work for one more command: read contracts,
// look at models, carry out effects.
func (a *attempt) takeSlot(ctx context.Context) error {
	if a.slots == nil {
		return nil
	}
	select {
	case a.slots.working <- struct{}{}:
		a.since = time.Now()
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// takeFirstSlot is takeSlot for a command that has just been claimed.
func (a *attempt) takeFirstSlot(ctx context.Context) error {
	if a.slots != nil {
		defer a.slots.leave()
	}
	return a.takeSlot(ctx)
}

// takeSlotAgain is takeSlot for a command that may have one. The deadline waits,
// too.
func (a *attempt) takeSlotAgain(ctx context.Context) error {
	if !a.since.IsZero() {
		return nil
	}
	began := time.Now()
	err := a.takeSlot(ctx)
	a.deadline = a.deadline.Add(time.Since(began))
	return err
}

// freeSlot lets this process work for another command.
func (a *attempt) freeSlot() {
	if a.since.IsZero() {
		return
	}
	<-a.slots.working
	a.worked += time.Since(a.since)
	a.since = time.Time{}
}

// endWork is freeSlot for the last time.
func (a *attempt) endWork() {
	a.freeSlot()
	if a.slots != nil {
		a.slots.took(&a.slots.work, a.worked)
	}
}
