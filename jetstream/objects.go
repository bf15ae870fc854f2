package jetstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	natsjs "github.com/nats-io/nats.go/jetstream"
)

// Objects is the object store that holds model files.
type Objects struct{ store natsjs.ObjectStore }

// OpenObjects opens the object store, which Provision makes.
func OpenObjects(ctx context.Context, js natsjs.JetStream) (*Objects, error) {
	store, err := js.ObjectStore(ctx, ArtifactsStore)
	if err != nil {
		return nil, fmt.Errorf("open object store %s: %w", ArtifactsStore, err)
	}
	return &Objects{store: store}, nil
}

// Get streams the object. Its error wraps fs.ErrNotExist when there is none.
func (o *Objects) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	lasting, cancel := undated(ctx)
	object, err := o.store.Get(lasting, name)
	if err != nil {
		cancel()
		return nil, o.failed("get", name, err)
	}
	return objectReader{object, cancel}, nil
}

// objectReader ends where the client would wait for ever: a broker that was
// started again meanwhile sends no more of the object. It returns nothing and no
// error after each five seconds without a byte.
type objectReader struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (r objectReader) Close() error {
	defer r.cancel()
	return r.ReadCloser.Close()
}

func (r objectReader) Read(p []byte) (n int, err error) {
	n, err = r.ReadCloser.Read(p)
	if n == 0 && err == nil && len(p) > 0 {
		err = errors.New("the broker sends no more of the object")
	}
	return n, err
}

// Put streams r into the object, replacing what it was.
func (o *Objects) Put(ctx context.Context, name string, r io.Reader) error {
	ctx, cancel := undated(ctx)
	defer cancel()
	if _, err := o.store.Put(ctx, natsjs.ObjectMeta{Name: name}, r); err != nil {
		return o.failed("put", name, err)
	}
	return nil
}

// Size is the size of the object in bytes. Its error wraps fs.ErrNotExist when
// there is none.
func (o *Objects) Size(ctx context.Context, name string) (int64, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	info, err := o.store.GetInfo(ctx, name)
	if err != nil {
		return 0, o.failed("look up", name, err)
	}
	return int64(info.Size), nil //nolint:gosec // an object is never that large
}

func (o *Objects) failed(verb, name string, err error) error {
	if errors.Is(err, natsjs.ErrObjectNotFound) {
		return fmt.Errorf("%s object %s in %s: %w", verb, name, ArtifactsStore, fs.ErrNotExist)
	}
	return fmt.Errorf("%s object %s in %s: %w", verb, name, ArtifactsStore, err)
}
