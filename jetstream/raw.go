package jetstream

import (
	"context"
	"encoding/json"
	"errors"

	natsjs "github.com/nats-io/nats.go/jetstream"
)

// RawBucket is a bucket whose values may be anything, JSON or not.
type RawBucket struct{ Bucket[json.RawMessage] }

// ErrNoBucket is the error, perhaps wrapped, of a bucket that does not exist.
var ErrNoBucket = natsjs.ErrBucketNotFound

// OpenRawBucket opens a bucket. Its error is ErrNoBucket when there is none.
func OpenRawBucket(ctx context.Context, js natsjs.JetStream, name string) (*RawBucket, error) {
	bucket, err := OpenBucket[json.RawMessage](ctx, js, name)
	if err != nil {
		return nil, err
	}
	return &RawBucket{*bucket}, nil
}

// Load returns the value of key as it is stored, and its revision; the revision
// is 0 when there is no such key.
func (b *RawBucket) Load(ctx context.Context, key string) (value json.RawMessage, revision uint64, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	entry, err := b.kv.Get(ctx, key)
	if errors.Is(err, natsjs.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, b.failed("load", key, err)
	}
	return stored(entry), entry.Revision(), nil
}

// Each calls handle for each key that there is, with its value as it is stored.
func (b *RawBucket) Each(ctx context.Context, handle func(key string, value []byte)) error {
	watcher, err := b.kv.WatchAll(ctx, natsjs.IgnoreDeletes())
	if err != nil {
		return b.failed("read", "all keys", err)
	}
	defer func() { _ = watcher.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case entry, open := <-watcher.Updates():
			switch {
			case !open:
				return b.failed("read", "all keys", errors.New("the watch ended"))
			case entry == nil:
				return nil
			default:
				handle(entry.Key(), stored(entry))
			}
		}
	}
}

// stored is the value of a key that there is: never nil.
func stored(entry natsjs.KeyValueEntry) []byte { return append([]byte{}, entry.Value()...) }
