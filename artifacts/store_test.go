package artifacts

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-ml/slipway/deployment"
)

func TestPinKeepsTheBytesOnce(t *testing.T) {
	t.Parallel()
	store, o := newStore(t)
	b := random(3<<20, 1)
	a := written(t, b)
	var told []int64
	path, err := store.Pin(t.Context(), a, func(done, total int64) {
		if total != a.Size {
			t.Errorf("progress of %d bytes, want %d", total, a.Size)
		}
		told = append(told, done)
	})
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, b)
	if !slices.IsSorted(told) || len(told) == 0 || told[len(told)-1] != a.Size {
		t.Errorf("got progress %v, want rising to %d", told, a.Size)
	}
	if !bytes.Equal(o.held[ObjectName(a.Digest)], b) {
		t.Error("the object store does not keep the bytes")
	}

	// The source is gone, and twice is the same as once.
	u, _ := url.Parse(a.URL)
	if err := os.Remove(u.Path); err != nil {
		t.Fatal(err)
	}
	again, err := store.Pin(t.Context(), a, nil)
	if err != nil || again != path {
		t.Errorf("second pin got %q, %v, want %q", again, err, path)
	}
	if len(o.puts) != 1 || len(o.gets) != 0 {
		t.Errorf("got puts %v and gets %v, want one put", o.puts, o.gets)
	}
}

func TestPinUsesWhatIsKept(t *testing.T) {
	t.Parallel()
	b := random(100_000, 2)
	name := ObjectName(digest(b))

	t.Run("only in the object store", func(t *testing.T) {
		t.Parallel()
		store, o := newStore(t)
		o.held[name] = b
		a := deployment.Artifact{URL: "file:///nowhere/model.ubj", Digest: digest(b), Size: int64(len(b))}
		path, err := store.Pin(t.Context(), a, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantFile(t, path, b)
		if len(o.puts) != 0 {
			t.Errorf("got puts %v, want none", o.puts)
		}
	})
	t.Run("damaged in the object store", func(t *testing.T) {
		t.Parallel()
		store, o := newStore(t)
		o.held[name] = random(len(b), 3)
		path, err := store.Pin(t.Context(), written(t, b), nil)
		if err != nil {
			t.Fatal(err)
		}
		wantFile(t, path, b)
		if !bytes.Equal(o.held[name], b) {
			t.Error("the object store keeps the damaged bytes")
		}
	})
	t.Run("only on this machine", func(t *testing.T) {
		t.Parallel()
		store, o := newStore(t)
		a := written(t, b)
		if _, err := store.Pin(t.Context(), a, nil); err != nil {
			t.Fatal(err)
		}
		delete(o.held, name)
		if _, err := store.Pin(t.Context(), a, nil); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(o.held[name], b) {
			t.Error("the object store does not keep the bytes")
		}
	})
	t.Run("damaged on this machine", func(t *testing.T) {
		t.Parallel()
		store, _ := newStore(t)
		a := written(t, b)
		path, err := store.Pin(t.Context(), a, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, damage := range [][]byte{random(len(b), 4), b[:10], {}} {
			if err := os.WriteFile(path, damage, 0o600); err != nil {
				t.Fatal(err)
			}
			again, err := store.Open(t.Context(), a.Digest, a.Size)
			if err != nil {
				t.Fatal(err)
			}
			wantFile(t, again, b)
		}
	})
	t.Run("handed over under its content address", func(t *testing.T) {
		t.Parallel()
		store, o := newStore(t)
		o.held[name] = b
		path, err := store.Pin(t.Context(), deployment.Artifact{Object: name, Digest: digest(b), Size: int64(len(b))}, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantFile(t, path, b)
		if len(o.puts) != 0 {
			t.Errorf("got puts %v, want none", o.puts)
		}
	})
	t.Run("handed over under another name", func(t *testing.T) {
		t.Parallel()
		store, o := newStore(t)
		o.held["teams/churn.ubj"] = b
		if _, err := store.Pin(t.Context(), deployment.Artifact{Object: "teams/churn.ubj", Digest: digest(b), Size: int64(len(b))}, nil); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(o.held[name], b) {
			t.Error("the object store does not keep the bytes under their digest")
		}
	})
}

func TestConcurrentPinsFetchOnce(t *testing.T) {
	t.Parallel()
	store, o := newStore(t)
	b := random(1<<20, 5)
	o.held["given"] = b
	a := deployment.Artifact{Object: "given", Digest: digest(b), Size: int64(len(b))}
	var all sync.WaitGroup
	paths := make([]string, 16)
	for i := range paths {
		all.Go(func() {
			path, err := store.Pin(t.Context(), a, nil)
			if err != nil {
				t.Errorf("pin %d: %v", i, err)
			}
			paths[i] = path
		})
	}
	all.Wait()
	if len(slices.Compact(paths)) != 1 {
		t.Fatalf("got paths %v, want one", paths)
	}
	wantFile(t, paths[0], b)
	if len(o.gets) != 1 || len(o.puts) != 1 {
		t.Errorf("got gets %v and puts %v, want one of each", o.gets, o.puts)
	}
}

func TestPinsOfTwoStoresShareADirectory(t *testing.T) {
	t.Parallel()
	one, o := newStore(t)
	other := &Store{Dir: one.Dir, Objects: o}
	b := random(1<<20, 6)
	o.held["given"] = b
	a := deployment.Artifact{Object: "given", Digest: digest(b), Size: int64(len(b))}
	var all sync.WaitGroup
	for i := range 8 {
		store := []*Store{one, other}[i%2]
		all.Go(func() {
			if _, err := store.Pin(t.Context(), a, nil); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	wantFile(t, one.path(a.Digest), b)
}

func TestWaitingPinCanBeCancelled(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	a := written(t, random(10, 7))
	unlock, err := store.lock(t.Context(), a.Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("fence moved"))
	_, err = store.Pin(ctx, a, nil)
	wantTransient(t, err, "fence moved")
}

func TestOpen(t *testing.T) {
	t.Parallel()
	b := random(100_000, 8)

	t.Run("fetches what this machine has not", func(t *testing.T) {
		t.Parallel()
		store, o := newStore(t)
		o.held[ObjectName(digest(b))] = b
		path, err := store.Open(t.Context(), digest(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		wantFile(t, path, b)
		if _, err := store.Open(t.Context(), digest(b), int64(len(b))); err != nil || len(o.gets) != 1 {
			t.Errorf("second open got %v after gets %v, want one get", err, o.gets)
		}
	})
	t.Run("refuses wrong bytes", func(t *testing.T) {
		t.Parallel()
		store, o := newStore(t)
		o.held[ObjectName(digest(b))] = random(len(b), 9)
		_, err := store.Open(t.Context(), digest(b), int64(len(b)))
		wantRejection(t, err, deployment.CodeDigestMismatch, "model.artifact.digest", string(digest(b)))
		wantEntries(t, store.Dir, 0)
	})
	t.Run("store down", func(t *testing.T) {
		t.Parallel()
		store, o := newStore(t)
		o.down = errors.New("no responders")
		_, err := store.Open(t.Context(), digest(b), int64(len(b)))
		wantTransient(t, err, "no responders", "sha256/")
	})
}

func TestStoreDownMayPass(t *testing.T) {
	t.Parallel()
	store, o := newStore(t)
	o.down = errors.New("no responders")
	_, err := store.Pin(t.Context(), written(t, random(10, 10)), nil)
	wantTransient(t, err, "no responders")
	if got := strings.Count(err.Error(), "no responders"); got != 1 {
		t.Errorf("got error %q, want the cause once", err)
	}
}
