package worker

import (
	"context"
	"sync"
)

// locks holds one lock per key.
type locks struct {
	mu   sync.Mutex
	held map[string]*keyLock
}

type keyLock struct {
	free    chan struct{} // holds one token while the lock is free
	waiting int           // who holds the lock or wants it
}

// try takes the key if it is free now.
func (l *locks) try(key string) (unlock func(), ok bool) {
	k := l.enter(key)
	select {
	case <-k.free:
		return func() { l.release(key, k) }, true
	default:
		l.leave(key, k)
		return nil, false
	}
}

// lock waits until the key is free or ctx ends.
func (l *locks) lock(ctx context.Context, key string) (unlock func(), err error) {
	k := l.enter(key)
	select {
	case <-k.free:
		return func() { l.release(key, k) }, nil
	case <-ctx.Done():
		l.leave(key, k)
		return nil, ctx.Err()
	}
}

// enter is the lock of key, which stays for as long as somebody has entered.
func (l *locks) enter(key string) *keyLock {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = make(map[string]*keyLock)
	}
	k := l.held[key]
	if k == nil {
		k = &keyLock{free: make(chan struct{}, 1)}
		k.free <- struct{}{}
		l.held[key] = k
	}
	k.waiting++
	return k
}

func (l *locks) leave(key string, k *keyLock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.waiting--; k.waiting == 0 {
		delete(l.held, key)
	}
}

func (l *locks) release(key string, k *keyLock) {
	k.free <- struct{}{}
	l.leave(key, k)
}
