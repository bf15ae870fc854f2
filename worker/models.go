package worker

import "sync"

// modelCache are models that were seen in the models bucket.
type modelCache struct {
	mu   sync.Mutex
	seen map[string]*ModelView
}

// modelsKept is how many models are remembered. Beyond that it begins anew.
const modelsKept = 1024

func (c *modelCache) get(id string) (*ModelView, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	view, ok := c.seen[id]
	return view, ok
}

func (c *modelCache) put(id string, view *ModelView) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil || len(c.seen) >= modelsKept {
		c.seen = make(map[string]*ModelView)
	}
	c.seen[id] = view
}

func (c *modelCache) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.seen, id)
}

func (c *modelCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = nil
}
