package predict

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
)

// memory is a bucket in memory, with the methods that the jetstream package
// gives a real one.
type memory[T any] struct {
	mu        sync.Mutex
	values    map[string]T
	revisions map[string]uint64
	revision  uint64
	history   []change[T] // every change there ever was
	more      chan struct{}
	broken    error // what every write returns, if set
	cut       chan struct{}
}

type change[T any] struct {
	key   string
	value *T
}

func newMemory[T any]() *memory[T] {
	return &memory[T]{values: map[string]T{}, revisions: map[string]uint64{}, more: make(chan struct{}), cut: make(chan struct{})}
}

func (m *memory[T]) Load(_ context.Context, key string) (value T, revision uint64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values[key], m.revisions[key], nil
}

func (m *memory[T]) Swap(_ context.Context, key string, value T, revision uint64) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.revisions[key] != revision {
		return false, nil
	}
	m.set(key, &value)
	return true, nil
}

func (m *memory[T]) Put(_ context.Context, key string, value T) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	m.set(key, &value)
	return nil
}

func (m *memory[T]) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, there := m.values[key]; there {
		m.set(key, nil)
	}
	return m.broken
}

// set changes a value, nil deletes it, and wakes who watches.
func (m *memory[T]) set(key string, value *T) {
	m.revision++
	if value == nil {
		delete(m.values, key)
		delete(m.revisions, key)
	} else {
		m.values[key], m.revisions[key] = *value, m.revision
	}
	m.history = append(m.history, change[T]{key, value})
	close(m.more)
	m.more = make(chan struct{})
}

func (m *memory[T]) List(_ context.Context, prefix string) (map[string]T, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := maps.Clone(m.values)
	maps.DeleteFunc(all, func(key string, _ T) bool { return !strings.HasPrefix(key, prefix) })
	return all, nil
}

// value is what the key has now.
func (m *memory[T]) value(key string) T {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values[key]
}

// writes are all changes so far.
func (m *memory[T]) writes() []change[T] {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.history)
}

// fault makes every write fail from now on, or none for nil.
func (m *memory[T]) fault(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = err
}

func (m *memory[T]) Watch(ctx context.Context, prefix string, changed func(key string, value *T)) error {
	m.mu.Lock()
	all, next, cut := maps.Clone(m.values), len(m.history), m.cut
	m.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if strings.HasPrefix(key, prefix) {
			value := all[key]
			changed(key, &value)
		}
	}
	changed("", nil)
	for {
		m.mu.Lock()
		news, more := m.history[next:], m.more
		m.mu.Unlock()
		for _, c := range news {
			next++
			if strings.HasPrefix(c.key, prefix) {
				changed(c.key, c.value)
			}
		}
		if len(news) > 0 {
			continue
		}
		select {
		case <-more:
		case <-cut:
			return context.DeadlineExceeded
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wait returns the value of the key as soon as it is as it should be.
func (m *memory[T]) wait(ctx context.Context, key string, good func(T) bool) (T, error) {
	for {
		m.mu.Lock()
		value, there := m.values[key]
		more := m.more
		m.mu.Unlock()
		if there && good(value) {
			return value, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return value, ctx.Err()
		}
	}
}

// waitGone returns as soon as there is no such key.
func (m *memory[T]) waitGone(ctx context.Context, key string) error {
	for {
		m.mu.Lock()
		_, there := m.values[key]
		more := m.more
		m.mu.Unlock()
		if !there {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
