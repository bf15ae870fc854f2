package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/jetstream/jetstreamtest"
)

type thing struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

func openBucket(tb testing.TB, js natsjs.JetStream) *jetstream.Bucket[thing] {
	tb.Helper()
	b, err := jetstream.OpenBucket[thing](tb.Context(), js, jetstream.ServingBucket)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestBucketSwapsByRevision(t *testing.T) {
	t.Parallel()
	b := openBucket(t, jetstreamtest.Start(t))
	load := func(want thing) uint64 {
		t.Helper()
		got, revision, err := b.Load(t.Context(), "a")
		if err != nil || got != want || (revision == 0) != (want == thing{}) {
			t.Fatalf("load: got %+v at %d %v, want %+v", got, revision, err, want)
		}
		return revision
	}
	swap := func(value thing, revision uint64, want bool) {
		t.Helper()
		if swapped, err := b.Swap(t.Context(), "a", value, revision); err != nil || swapped != want {
			t.Fatalf("swap at %d: got %t %v, want %t", revision, swapped, err, want)
		}
	}
	load(thing{})
	swap(thing{"x", 1}, 7, false) // there is none
	load(thing{})
	swap(thing{"x", 1}, 0, true)
	first := load(thing{"x", 1})
	swap(thing{"y", 2}, 0, false) // there is one
	swap(thing{"y", 2}, first+1, false)
	load(thing{"x", 1})
	swap(thing{"y", 2}, first, true)
	second := load(thing{"y", 2})
	if second <= first {
		t.Errorf("revisions are %d and %d, want them to grow", first, second)
	}
	swap(thing{"z", 3}, first, false)

	if removed, err := b.Remove(t.Context(), "a", first); err != nil || removed {
		t.Errorf("remove at an old revision: got %t %v, want false", removed, err)
	}
	load(thing{"y", 2})
	if removed, err := b.Remove(t.Context(), "a", second); err != nil || !removed {
		t.Errorf("remove: got %t %v, want true", removed, err)
	}
	load(thing{})
	swap(thing{"again", 4}, second, false)
	swap(thing{"again", 4}, 0, true) // what was deleted can be created again
	load(thing{"again", 4})

	if err := b.Put(t.Context(), "a", thing{"put", 5}); err != nil {
		t.Error(err)
	}
	load(thing{"put", 5})
	if err := b.Delete(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	load(thing{})
	for _, key := range []string{"a", "never"} { // twice is as good as once
		if err := b.Delete(t.Context(), key); err != nil {
			t.Errorf("delete %s: %v", key, err)
		}
	}
}

func TestOneOfManySwapsWins(t *testing.T) {
	t.Parallel()
	b := openBucket(t, jetstreamtest.Start(t))
	const writers, each = 6, 15
	var group errgroup.Group
	for range writers {
		group.Go(func() error {
			for done := 0; done < each; {
				have, revision, err := b.Load(t.Context(), "count")
				if err != nil {
					return err
				}
				have.Count++
				swapped, err := b.Swap(t.Context(), "count", have, revision)
				if err != nil {
					return err
				}
				if swapped {
					done++
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if got, _, err := b.Load(t.Context(), "count"); err != nil || got.Count != writers*each {
		t.Errorf("got %d %v, want %d: an update was lost", got.Count, err, writers*each)
	}
}

func TestBucketLists(t *testing.T) {
	t.Parallel()
	b := openBucket(t, jetstreamtest.Start(t))
	list := func(prefix string, want map[string]thing) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		got, err := b.List(ctx, prefix)
		if err != nil {
			t.Fatalf("list %q: %v", prefix, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("list %q (-want +got):\n%s", prefix, diff)
		}
	}
	list("", map[string]thing{})
	for i, key := range []string{"observed.churn.s1", "observed.churn.s2", "observed.churn-eu.s1", "desired.churn", "gone.a"} {
		if err := b.Put(t.Context(), key, thing{key, i}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Delete(t.Context(), "gone.a"); err != nil {
		t.Fatal(err)
	}
	list("observed.churn.", map[string]thing{"observed.churn.s1": {"observed.churn.s1", 0}, "observed.churn.s2": {"observed.churn.s2", 1}})
	list("desired.", map[string]thing{"desired.churn": {"desired.churn", 3}})
	list("gone.", map[string]thing{})
	list("", map[string]thing{
		"observed.churn.s1": {"observed.churn.s1", 0}, "observed.churn.s2": {"observed.churn.s2", 1},
		"observed.churn-eu.s1": {"observed.churn-eu.s1", 2}, "desired.churn": {"desired.churn", 3},
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.List(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestBucketIsWatched(t *testing.T) {
	t.Parallel()
	b := openBucket(t, jetstreamtest.Start(t))
	put := func(key string, n int) {
		t.Helper()
		if err := b.Put(t.Context(), key, thing{key, n}); err != nil {
			t.Fatal(err)
		}
	}
	put("a.1", 1)
	put("b.1", 1)
	put("a.2", 1)
	put("a.1", 2) // only the newest value counts
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got []string
	err := b.Watch(ctx, "a.", func(key string, value *thing) {
		if value == nil {
			got = append(got, fmt.Sprintf("%q", key))
		} else {
			got = append(got, fmt.Sprintf("%s=%d", key, value.Count))
		}
		switch len(got) {
		case 3: // the marker has come
			put("b.2", 1)
			put("a.3", 1)
			put("a.2", 2)
			if err := b.Delete(t.Context(), "a.1"); err != nil {
				t.Error(err)
			}
		case 6: // what is changed again before it was seen may be skipped
			put("a.1", 3)
		case 7:
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	want := []string{"a.2=1", "a.1=2", `""`, "a.3=1", "a.2=2", `"a.1"`, "a.1=3"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("watched (-want +got):\n%s", diff)
	}
}

func TestWatchOfNothingHasAMarker(t *testing.T) {
	t.Parallel()
	b := openBucket(t, jetstreamtest.Start(t))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got []string
	if err := b.Watch(ctx, "", func(key string, value *thing) {
		got = append(got, fmt.Sprintf("%q %v", key, value))
		cancel()
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if diff := cmp.Diff([]string{`"" <nil>`}, got); diff != "" {
		t.Errorf("watched (-want +got):\n%s", diff)
	}
}

func TestWatchEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t)
	b := openBucket(t, js)
	ended := make(chan error, 1)
	ready := make(chan struct{})
	go func() {
		ended <- b.Watch(t.Context(), "", func(string, *thing) { close(ready) })
	}()
	<-ready
	js.Conn().Close()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("watch ended without an error")
		}
	case <-time.After(patience):
		t.Error("watch did not end")
	}
}

// Values that somebody else wrote are an error that says where they are.
func TestBucketWithoutJSON(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t)
	b := openBucket(t, js)
	kv, err := js.KeyValue(t.Context(), jetstream.ServingBucket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(t.Context(), "a.b", "{"); err != nil {
		t.Fatal(err)
	}
	_, _, loadErr := b.Load(t.Context(), "a.b")
	_, listErr := b.List(t.Context(), "")
	for verb, err := range map[string]error{"load": loadErr, "watch": listErr} {
		if err == nil || !strings.Contains(err.Error(), verb+" a.b in bucket serving") {
			t.Errorf("%s: got %v, want an error that names key and bucket", verb, err)
		}
	}
	if _, err := b.Swap(t.Context(), "not a key", thing{}, 0); err == nil {
		t.Error("a key with spaces was taken")
	}
	bad, err := jetstream.OpenBucket[func()](t.Context(), js, jetstream.ServingBucket)
	if err != nil {
		t.Fatal(err)
	}
	if err := bad.Put(t.Context(), "a", nil); err == nil {
		t.Error("a function was stored")
	}
}

// Servers that stop without saying so are forgotten, and who lists them at that
// very moment does not wait for ever for the entry that has gone.
func TestServersExpire(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	var group errgroup.Group
	for i := range 8 {
		group.Go(func() error {
			name := fmt.Sprint("servers", i)
			if _, err := js.CreateKeyValue(ctx, natsjs.KeyValueConfig{Bucket: name, TTL: 150 * time.Millisecond}); err != nil {
				return err
			}
			servers, err := jetstream.OpenBucket[thing](ctx, js, name)
			if err != nil {
				return err
			}
			for range 8 {
				if err := servers.Put(ctx, "s1", thing{"s1", 1}); err != nil {
					return err
				}
				for there := true; there; {
					have, err := servers.List(ctx, "")
					if err != nil {
						return fmt.Errorf("list %s: %w", name, err)
					}
					there = len(have) > 0
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}
