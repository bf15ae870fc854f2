package jetstream_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/jetstream/jetstreamtest"
)

func TestObjects(t *testing.T) {
	t.Parallel()
	objects, err := jetstream.OpenObjects(t.Context(), jetstreamtest.Start(t))
	if err != nil {
		t.Fatal(err)
	}
	const name = "sha256/0123456789abcdef"
	expect := func(want []byte) {
		t.Helper()
		if size, err := objects.Size(t.Context(), name); err != nil || size != int64(len(want)) {
			t.Errorf("size: got %d %v, want %d", size, err, len(want))
		}
		body, err := objects.Get(t.Context(), name)
		if err != nil {
			t.Fatalf("get: %v", err)
		}
		defer body.Close()
		got, err := io.ReadAll(body)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("got %d bytes %v, want the %d that were put", len(got), err, len(want))
		}
	}
	missing := func() {
		t.Helper()
		if _, err := objects.Get(t.Context(), name); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), name) {
			t.Errorf("get: got %v, want it to say that there is no %s", err, name)
		}
		if _, err := objects.Size(t.Context(), name); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), name) {
			t.Errorf("size: got %v, want it to say that there is no %s", err, name)
		}
	}
	missing()
	if err := objects.Put(t.Context(), name, iotest.ErrReader(errors.New("disk on fire"))); err == nil || !strings.Contains(err.Error(), "disk on fire") {
		t.Errorf("put of what cannot be read: got %v", err)
	}
	missing() // half an object is none

	large := make([]byte, 128<<10*9+17) // nine chunks and a bit
	random := rand.NewChaCha8([32]byte{1})
	if _, err := random.Read(large); err != nil {
		t.Fatal(err)
	}
	for _, body := range [][]byte{large, []byte("small"), large[:128<<10], {}} { // each replaces the one before
		if err := objects.Put(t.Context(), name, iotest.HalfReader(bytes.NewReader(body))); err != nil {
			t.Fatalf("put %d bytes: %v", len(body), err)
		}
		expect(body)
	}
	if err := objects.Put(t.Context(), name, io.MultiReader(strings.NewReader("half"), iotest.ErrReader(errors.New("gone")))); err == nil {
		t.Error("put of half an object succeeded")
	}
	expect([]byte{}) // what was there is still there
}

// What is put under a name is seen once it is complete and what it was said to be.
func TestPutSum(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t)
	objects, err := jetstream.OpenObjects(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	const name = "run-42/model.onnx"
	body := bytes.Repeat([]byte("model "), 100_000)
	sum := sha256.Sum256(body)
	got, err := objects.PutSum(t.Context(), name, iotest.OneByteReader(bytes.NewReader(body)), sum[:])
	if want := (jetstream.Object{Name: name, Size: int64(len(body)), Sum: sum[:], Version: got.Version}); err != nil || got.Version == "" || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v %v, want %v", got, err, want)
	}
	stored := func() (messages uint64) {
		t.Helper()
		if found, err := objects.Look(t.Context(), name); err != nil || !bytes.Equal(found.Sum, sum[:]) {
			t.Errorf("got %x %v, want what was put first", found.Sum, err)
		}
		stream, err := js.Stream(t.Context(), "OBJ_"+jetstream.ArtifactsStore)
		if err != nil {
			t.Fatal(err)
		}
		return stream.CachedInfo().State.Msgs
	}
	before := stored()
	if before > 6 { // five chunks of 128 KiB and what says so
		t.Errorf("%d bytes became %d messages", len(body), before)
	}

	ended, end := context.WithCancelCause(t.Context())
	for why, put := range map[string]func() error{
		"other bytes": func() error {
			_, err := objects.PutSum(t.Context(), name, bytes.NewReader(body[1:]), sum[:])
			return err
		},
		"half of it": func() error {
			_, err := objects.PutSum(t.Context(), name, io.MultiReader(bytes.NewReader(body[:300_000]), iotest.ErrReader(errTorn)), nil)
			return err
		},
		"told to end": func() error {
			_, err := objects.PutSum(ended, name, io.MultiReader(bytes.NewReader(body[:300_000]), calling(func() { end(errTorn) }), rand.NewChaCha8([32]byte{})), nil)
			return err
		},
	} {
		err := put()
		if !errors.Is(err, jetstream.ErrSum) && !errors.Is(err, errTorn) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", why, err)
		}
		if after := stored(); after != before {
			t.Errorf("%s: %d messages were left behind", why, after-before)
		}
	}
}

var errTorn = errors.New("torn")

// calling is a reader of nothing that calls f.
type calling func()

func (f calling) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}

// An object may be read for longer than the broker may take for one answer.
func TestGetTakesItsTime(t *testing.T) {
	t.Parallel()
	const timeout = 50 * time.Millisecond // of the client, for what has no deadline
	js, err := natsjs.New(jetstreamtest.Start(t).Conn(), natsjs.WithDefaultTimeout(timeout))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	objects, err := jetstream.OpenObjects(ctx, js)
	if err != nil {
		t.Fatal(err)
	}
	model := bytes.Repeat([]byte("model "), 200_000)
	if err := objects.Put(ctx, "slow", bytes.NewReader(model)); err != nil {
		t.Fatal(err)
	}
	body, err := objects.Get(t.Context(), "slow")
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 1)
	if _, err := io.ReadFull(body, first); err != nil {
		t.Fatal(err)
	}
	<-time.After(3 * timeout) // as a disk that is busy
	rest, err := io.ReadAll(body)
	if err != nil || !bytes.Equal(append(first, rest...), model) {
		t.Errorf("got %d bytes, %v, want all %d", 1+len(rest), err, len(model))
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
}
