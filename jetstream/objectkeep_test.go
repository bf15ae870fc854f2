package jetstream_test

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/jetstream/jetstreamtest"
)

// listed is the object of that name as List has it.
func listed(tb testing.TB, objects *jetstream.Objects, name string) (k jetstream.Kept, found bool) {
	tb.Helper()
	all, err := objects.All(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	for _, k := range all {
		if k.Name == name {
			return k, true
		}
	}
	return k, false
}

func content(tb testing.TB, objects *jetstream.Objects, name string) string {
	tb.Helper()
	body, err := objects.Get(tb.Context(), name)
	if err != nil {
		tb.Fatal(err)
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// What was renewed or replaced since it was listed is not removed; what was not
// is, without a trace.
func TestDiscard(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t)
	objects, err := jetstream.OpenObjects(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	if all, err := objects.All(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("got %v, %v, want no objects", all, err)
	}
	const name = "sha256/0123"
	if _, err := objects.Renew(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("renew of nothing: got %v, want that there is none", err)
	}
	put := func(text string) {
		t.Helper()
		if err := objects.Put(t.Context(), name, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(before jetstream.Kept, why string) {
		t.Helper()
		if done, err := objects.Discard(t.Context(), before); done || err != nil {
			t.Errorf("discard of what was %s: got %v, %v, want it left alone", why, done, err)
		}
	}
	put("first")
	before, _ := listed(t, objects, name)
	if size, err := objects.Renew(t.Context(), name); size != 5 || err != nil {
		t.Errorf("renew: got %d, %v, want 5 bytes", size, err)
	}
	refused(before, "renewed")
	after, _ := listed(t, objects, name)
	if !after.At.After(before.At) || after.Size != 5 || content(t, objects, name) != "first" {
		t.Errorf("got %+v of what was stored %v, want it younger and the same", after, before.At)
	}
	put("second")
	refused(after, "replaced")
	if got := content(t, objects, name); got != "second" {
		t.Errorf("got %q, want what was put last", got)
	}
	last, _ := listed(t, objects, name)
	if done, err := objects.Discard(t.Context(), last); !done || err != nil {
		t.Fatalf("discard: got %v, %v, want it done", done, err)
	}
	refused(last, "removed")
	if _, found := listed(t, objects, name); found {
		t.Error("it is still listed")
	}
	if _, err := objects.Get(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("get: got %v, want that there is none", err)
	}
	stream, err := js.Stream(t.Context(), "OBJ_"+jetstream.ArtifactsStore)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := stream.Info(t.Context()); err != nil || info.State.Msgs != 0 {
		t.Errorf("got %d messages, %v, want none", info.State.Msgs, err)
	}
	put("third") // as if there had been nothing
	if got := content(t, objects, name); got != "third" {
		t.Errorf("got %q, want what was put again", got)
	}
}

// Chunks that no object has are found, and nothing else is.
func TestOrphans(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t)
	objects, err := jetstream.OpenObjects(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	if err := objects.Put(t.Context(), "whole", strings.NewReader("whole")); err != nil {
		t.Fatal(err)
	}
	for _, chunk := range []string{"1234", "5678", "9"} { // of somebody who died
		if _, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: "$O." + jetstream.ArtifactsStore + ".C.DEAD", Data: []byte(chunk)}); err != nil {
			t.Fatal(err)
		}
	}
	orphans, err := objects.Orphans(t.Context())
	if err != nil || len(orphans) != 1 || orphans[0].Chunks != 3 || orphans[0].Size != 9 || orphans[0].At.IsZero() {
		t.Fatalf("got %+v, %v, want one of three chunks and 9 bytes", orphans, err)
	}
	if err := objects.DiscardOrphan(t.Context(), orphans[0]); err != nil {
		t.Fatal(err)
	}
	if orphans, err := objects.Orphans(t.Context()); err != nil || len(orphans) > 0 || content(t, objects, "whole") != "whole" {
		t.Errorf("got %+v, %v, want none, and the object as it was", orphans, err)
	}
}

// Of many that use an object and one that removes it, each sees it whole or not at
// all: who was told that it is there has it.
func TestRenewRacesDiscard(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t)
	objects, err := jetstream.OpenObjects(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	const name = "sha256/4567"
	var removed, used int
	for range 50 {
		if err := objects.Put(t.Context(), name, strings.NewReader("bytes")); err != nil {
			t.Fatal(err)
		}
		before, _ := listed(t, objects, name)
		var done bool
		var discarded, renewed error
		var both sync.WaitGroup
		both.Go(func() { done, discarded = objects.Discard(t.Context(), before) })
		both.Go(func() { _, renewed = objects.Renew(t.Context(), name) })
		both.Wait()
		_, there := listed(t, objects, name)
		switch {
		case discarded != nil || renewed != nil && !errors.Is(renewed, fs.ErrNotExist):
			t.Fatalf("discard: %v, renew: %v", discarded, renewed)
		case (renewed == nil) != there || done == there:
			t.Fatalf("renew said %v, discard said %v, and it is there: %v", renewed, done, there)
		case there && content(t, objects, name) != "bytes":
			t.Fatal("it is there, and not whole")
		case there:
			used++
		default:
			removed++
		}
	}
	t.Logf("%d times it was used, %d times removed", used, removed)
}
