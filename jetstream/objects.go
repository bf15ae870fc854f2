package jetstream

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"strings"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"
)

// Objects is the object store that holds model files.
type Objects struct {
	js     natsjs.JetStream
	store  natsjs.ObjectStore
	stream natsjs.Stream // behind store
}

// OpenObjects opens the object store, which Provision makes.
func OpenObjects(ctx context.Context, js natsjs.JetStream) (*Objects, error) {
	store, err := js.ObjectStore(ctx, ArtifactsStore)
	if err != nil {
		return nil, fmt.Errorf("open object store %s: %w", ArtifactsStore, err)
	}
	stream, err := js.Stream(ctx, "OBJ_"+ArtifactsStore)
	if err != nil {
		return nil, fmt.Errorf("open object store %s: %w", ArtifactsStore, err)
	}
	return &Objects{js: js, store: store, stream: stream}, nil
}

// Get streams the object. Its error wraps fs.ErrNotExist when there is none.
func (o *Objects) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	lasting, cancel := context.WithCancel(ctx)
	late := time.AfterFunc(requestTimeout, cancel)
	object, err := o.store.Get(movingDeadline{lasting}, name) //nolint:contextcheck // it is ctx
	if err == nil && !late.Stop() {
		err = errors.Join(context.DeadlineExceeded, object.Close())
	}
	if err != nil {
		late.Stop()
		cancel()
		return nil, o.failed("get", name, err)
	}
	return objectReader{object, cancel}, nil
}

// movingDeadline is a context whose deadline is always a request's time away. The
// client holds each read to it; of one without a deadline, or with one that
// stands still, it makes the deadline of the whole object.
type movingDeadline struct{ context.Context } //nolint:containedctx // it is one

func (movingDeadline) Deadline() (time.Time, bool) { return time.Now().Add(requestTimeout), true }

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
	_, err := o.PutSum(ctx, name, r, nil)
	return err
}

// ErrSum says that bytes have another SHA-256 than they were to have. Nothing is stored.
var ErrSum = errors.New("other bytes than announced")

// PutSum is Put of bytes whose SHA-256 is to be want; nil: any. What it was is
// replaced once all of r is stored and is what it is to be, and not before: an
// error of r, ErrSum or the end of this process leaves it as it was.
func (o *Objects) PutSum(ctx context.Context, name string, r io.Reader, want []byte) (Object, error) {
	in := &summed{r: r, sum: sha256.New(), want: want, stop: func() error { return context.Cause(ctx) }}
	info, err := o.put(ctx, name, in)
	if err != nil {
		return Object{}, o.failed("put", name, err)
	}
	return object(info)
}

// summed computes the SHA-256 of what is read, and ends with ErrSum if that is
// not what is wanted. It fills what it is given: each read becomes a message.
type summed struct {
	r    io.Reader
	sum  hash.Hash
	size int64
	want []byte       // nil: any
	stop func() error // why reading has to end; nil: it goes on
}

func (s *summed) Read(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		if err = s.stop(); err == nil {
			var more int
			more, err = s.r.Read(p[n:])
			n += more
		}
	}
	s.sum.Write(p[:n])
	s.size += int64(n)
	if errors.Is(err, io.EOF) && s.want != nil {
		if got := s.sum.Sum(nil); !bytes.Equal(got, s.want) {
			err = fmt.Errorf("%w: the SHA-256 is %x, expected %x", ErrSum, got, s.want)
		}
	}
	return n, err
}

// Object is what the object store says of an object.
type Object struct {
	Name    string
	Size    int64  // bytes
	Sum     []byte // SHA-256, 32 bytes
	Version string // another one for each time that it is put
}

// Look is what there is of that name. Its error wraps fs.ErrNotExist when there is
// nothing.
func (o *Objects) Look(ctx context.Context, name string) (Object, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	info, err := o.store.GetInfo(ctx, name)
	if err != nil {
		return Object{}, o.failed("look up", name, err)
	}
	found, err := object(info)
	if err != nil {
		return Object{}, o.failed("look up", name, err)
	}
	return found, nil
}

// Size is the size of the object in bytes. Its error wraps fs.ErrNotExist when
// there is none.
func (o *Objects) Size(ctx context.Context, name string) (int64, error) {
	found, err := o.Look(ctx, name)
	return found.Size, err
}

func object(info *natsjs.ObjectInfo) (Object, error) {
	sum, err := natsjs.DecodeObjectDigest(info.Digest)
	return Object{Name: info.Name, Size: int64(info.Size), Sum: sum, Version: info.NUID}, err //nolint:gosec // an object is never that large
}

// List returns the objects whose names begin with the prefix, and no more than so
// many. The broker is asked for all there are.
func (o *Objects) List(ctx context.Context, prefix string, most int) (listed []Object, err error) {
	infos, err := o.store.List(ctx)
	if err != nil && !errors.Is(err, natsjs.ErrNoObjectsFound) {
		return nil, o.failed("list", prefix+"*", err)
	}
	for _, info := range infos {
		if !strings.HasPrefix(info.Name, prefix) || len(listed) == most {
			continue
		}
		found, err := object(info)
		if err != nil {
			return nil, o.failed("list", info.Name, err)
		}
		listed = append(listed, found)
	}
	return listed, nil
}

func (o *Objects) failed(verb, name string, err error) error {
	if errors.Is(err, natsjs.ErrObjectNotFound) {
		return fmt.Errorf("%s object %s in %s: %w", verb, name, ArtifactsStore, fs.ErrNotExist)
	}
	return fmt.Errorf("%s object %s in %s: %w", verb, name, ArtifactsStore, err)
}
