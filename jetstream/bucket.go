package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	fastjson "github.com/goccy/go-json"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

// Bucket holds JSON values of one type in a KV bucket.
type Bucket[T any] struct {
	kv      natsjs.KeyValue
	conn    *nats.Conn
	absence *absence
}

// OpenBucket opens a bucket, which Provision makes.
func OpenBucket[T any](ctx context.Context, js natsjs.JetStream, name string) (*Bucket[T], error) {
	kv, err := js.KeyValue(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", name, err)
	}
	return &Bucket[T]{kv: kv, conn: js.Conn(), absence: newAbsence(js, "KV_"+name)}, nil
}

// Load returns the value of key and its revision; the revision is 0 when there
// is no such key.
func (b *Bucket[T]) Load(ctx context.Context, key string) (value T, revision uint64, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	entry, err := b.kv.Get(ctx, key)
	if errors.Is(err, natsjs.ErrKeyNotFound) {
		return value, 0, nil
	}
	if err != nil {
		return value, 0, b.failed("load", key, err)
	}
	if err := json.Unmarshal(entry.Value(), &value); err != nil {
		return value, 0, b.failed("load", key, err)
	}
	return value, entry.Revision(), nil
}

// Find is Load for a key that is seldom there.
func (b *Bucket[T]) Find(ctx context.Context, key string) (value T, revision uint64, err error) {
	if b.absence.certain(ctx, "$KV."+b.kv.Bucket()+"."+key, 0) {
		return value, 0, nil
	}
	return b.Load(ctx, key)
}

// Swap stores value if the revision of key is still the given one; 0: if there
// is no such key.
func (b *Bucket[T]) Swap(ctx context.Context, key string, value T, revision uint64) (swapped bool, err error) {
	next, err := b.Store(ctx, key, value, revision)
	return next > 0, err
}

// Store is Swap that returns the new revision; 0: the old one was another.
func (b *Bucket[T]) Store(ctx context.Context, key string, value T, revision uint64) (next uint64, err error) {
	text, err := fastjson.Marshal(value)
	if err != nil {
		return 0, b.failed("store", key, err)
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	if revision == 0 {
		next, err = b.kv.Create(ctx, key, text)
	} else {
		next, err = b.kv.Update(ctx, key, text, revision)
	}
	if isConflict(err) {
		return 0, nil
	}
	if err != nil {
		return 0, b.failed("store", key, err)
	}
	return next, nil
}

// Newest is when a value was stored last, by the broker's clock; the zero time
// when there is none.
func (b *Bucket[T]) Newest(ctx context.Context) (time.Time, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	status, err := b.kv.Status(ctx)
	if err != nil {
		return time.Time{}, b.failed("look at", "all keys", err)
	}
	if bucket, ok := status.(*natsjs.KeyValueBucketStatus); ok && bucket.StreamInfo().State.Msgs > 0 {
		return bucket.StreamInfo().State.LastTime, nil
	}
	return time.Time{}, nil
}

// Put stores value whatever there was.
func (b *Bucket[T]) Put(ctx context.Context, key string, value T) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	text, err := json.Marshal(value)
	if err == nil {
		_, err = b.kv.Put(ctx, key, text)
	}
	if err != nil {
		return b.failed("store", key, err)
	}
	return nil
}

// Delete removes key; that there is none is no error.
func (b *Bucket[T]) Delete(ctx context.Context, key string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := b.kv.Delete(ctx, key); err != nil {
		return b.failed("delete", key, err)
	}
	return nil
}

// listPause is after how long without an entry List begins anew, at first.
const listPause = 250 * time.Millisecond

// List returns the values of all keys that start with prefix, which is "" or
// ends with a dot.
//
// A watch counts, when it begins, the entries that there are, and has no marker
// after them before it has seen as many. If the last one expires in between,
// that is never: then another watch has to tell.
func (b *Bucket[T]) List(ctx context.Context, prefix string) (map[string]T, error) {
	for pause := listPause; ; pause *= 2 {
		values, err := b.list(ctx, prefix, pause)
		if !errors.Is(err, errSilent) {
			return values, err
		}
	}
}

var errSilent = errors.New("no entry and no end of the entries")

// list is List that ends with errSilent when nothing comes for as long as pause.
func (b *Bucket[T]) list(ctx context.Context, prefix string, pause time.Duration) (map[string]T, error) {
	watching, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(pause, func() { cancel(errSilent) })
	defer silent.Stop()
	values, complete := make(map[string]T), false
	err := b.Watch(watching, prefix, func(key string, value *T) {
		silent.Reset(pause)
		switch {
		case key == "":
			complete = true
			cancel(nil)
		case value != nil:
			values[key] = *value
		default:
			delete(values, key)
		}
	})
	switch {
	case complete:
		return values, nil
	case errors.Is(context.Cause(watching), errSilent):
		return nil, errSilent
	default:
		return nil, err
	}
}

// Watch calls changed for each key that starts with prefix, which is "" or ends
// with a dot: first for what there is, then, once, with the key "", then for
// each change, with nil for a key that was deleted. It returns when ctx ends.
func (b *Bucket[T]) Watch(ctx context.Context, prefix string, changed func(key string, value *T)) error {
	return b.watch(ctx, prefix+">", changed)
}

// Await returns once the value of key is as it is to be, or ctx ends.
func (b *Bucket[T]) Await(ctx context.Context, key string, ok func(T) bool) error {
	watching, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := b.watch(watching, key, func(_ string, value *T) {
		if value != nil && ok(*value) {
			cancel(errEnough)
		}
	})
	if errors.Is(context.Cause(watching), errEnough) {
		return nil
	}
	return err
}

// watch is Watch for the keys that match keys. A broker that was started anew
// knows nothing of the watch, and the client finds that out only after ten
// seconds: so the watch begins anew whenever the connection does.
func (b *Bucket[T]) watch(ctx context.Context, keys string, changed func(key string, value *T)) error {
	reconnected := b.conn.StatusChanged(nats.CONNECTED)
	defer b.conn.RemoveStatusListener(reconnected)
	complete, known := false, make(map[string]bool)
	for {
		listed := make(map[string]bool) // since the watch began anew
		err := b.watchOnce(ctx, keys, reconnected, func(key string, value *T) {
			switch {
			case key != "":
				listed[key], known[key] = true, value != nil
				changed(key, value)
			case !complete:
				complete = true
				changed("", nil)
			default:
				for key, there := range known { // what was deleted meanwhile
					if there && !listed[key] {
						known[key] = false
						changed(key, nil)
					}
				}
			}
		})
		if !errors.Is(err, errReconnected) {
			return err
		}
	}
}

var errReconnected = errors.New("the connection was made anew")

func (b *Bucket[T]) watchOnce(ctx context.Context, keys string, reconnected <-chan nats.Status, changed func(key string, value *T)) error {
	lasting, cancel := undated(ctx)
	defer cancel()
	watcher, err := b.kv.Watch(lasting, keys)
	if err != nil {
		return b.failed("watch", keys, err)
	}
	defer func() { _ = watcher.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-reconnected:
			return errReconnected
		case entry, open := <-watcher.Updates():
			switch {
			case !open:
				return b.failed("watch", keys, errors.New("the watch ended"))
			case entry == nil:
				changed("", nil)
			case entry.Operation() != natsjs.KeyValuePut:
				changed(entry.Key(), nil)
			default:
				var value T
				if err := json.Unmarshal(entry.Value(), &value); err != nil {
					return b.failed("watch", entry.Key(), err)
				}
				changed(entry.Key(), &value)
			}
		}
	}
}

func (b *Bucket[T]) failed(verb, key string, err error) error {
	return fmt.Errorf("%s %s in bucket %s: %w", verb, key, b.kv.Bucket(), err)
}

// Remove removes key if its revision is still the given one.
func (b *Bucket[T]) Remove(ctx context.Context, key string, revision uint64) (removed bool, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	err = b.kv.Delete(ctx, key, natsjs.LastRevision(revision))
	if isConflict(err) {
		return false, nil
	}
	if err != nil {
		return false, b.failed("remove", key, err)
	}
	return true, nil
}
