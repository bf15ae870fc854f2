package jetstream_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

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
