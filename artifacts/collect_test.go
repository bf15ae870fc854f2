package artifacts

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/slipway-ml/slipway/deployment"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	needed := map[deployment.Digest]string{"sha256:a": "served by churn"}
	for _, test := range []struct {
		name   string
		digest deployment.Digest
		at     time.Time
		want   Fate
	}{
		{"needed and old", "sha256:a", now.Add(-time.Hour), Fate{Why: "served by churn"}},
		{"of nobody and old", "sha256:b", now.Add(-time.Nanosecond), Fate{Remove: true, Why: "no version needs it"}},
		{"of nobody and as old as is allowed", "sha256:b", now, Fate{Why: "younger than the grace time"}},
		{"of nobody and from the future", "sha256:b", now.Add(time.Hour), Fate{Why: "younger than the grace time"}},
	} {
		if got := Judge(test.digest, test.at, needed, now); got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
	}
}

func TestDigestOfObject(t *testing.T) {
	t.Parallel()
	want := digest([]byte("x"))
	if got, ok := DigestOfObject(ObjectName(want)); !ok || got != want {
		t.Errorf("got %s, %v, want %s", got, ok, want)
	}
	for _, name := range []string{"", "run/model.ubj", "sha256/", "sha256/xyz", "sha256/" + want.Hex() + "0", "x/" + ObjectName(want)} {
		if got, ok := DigestOfObject(name); ok {
			t.Errorf("%q: got %s, want none", name, got)
		}
	}
}

// A file that is used is not forgotten, one that is not is; and what is not ours
// is not even seen.
func TestFilesAreForgotten(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	if files, err := store.Files(); err != nil || len(files) > 0 {
		t.Fatalf("got %v, %v, want no files of no directory", files, err)
	}
	b := random(1000, 71)
	a := written(t, b)
	path, err := store.Pin(t.Context(), a, nil)
	if err != nil {
		t.Fatal(err)
	}
	hourAgo := time.Now().Add(-time.Hour)
	age := func(name string) {
		t.Helper()
		if err := os.Chtimes(filepath.Join(store.Dir, name), hourAgo, hourAgo); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"notes.txt", "sha256-0123", ".fetch-1"} {
		if err := os.WriteFile(filepath.Join(store.Dir, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		age(name)
	}
	age(filepath.Base(path))
	files, err := store.Files()
	if err != nil || len(files) != 2 || files[0].Name != ".fetch-1" || files[0].Digest != "" || files[0].Size != 4 ||
		files[1].Digest != a.Digest || files[1].Size != a.Size || files[1].At.Unix() != hourAgo.Unix() {
		t.Fatalf("got %+v, %v, want the one that was kept and the one that was not finished", files, err)
	}
	// Somebody uses it between the list and the removal.
	if _, err := store.Open(t.Context(), a.Digest, a.Size); err != nil {
		t.Fatal(err)
	}
	if done, err := store.Forget(files[1]); done || err != nil {
		t.Errorf("got %v, %v, want it left alone", done, err)
	}
	if got, err := os.ReadFile(path); err != nil || len(got) != len(b) {
		t.Errorf("got %d bytes, %v, want the file as it was", len(got), err)
	}
	age(filepath.Base(path))
	for _, f := range files {
		if done, err := store.Forget(f); !done || err != nil {
			t.Errorf("%s: got %v, %v, want it removed", f.Name, done, err)
		}
		if done, err := store.Forget(f); done || err != nil {
			t.Errorf("%s again: got %v, %v, want nothing done", f.Name, done, err)
		}
	}
	wantEntries(t, store.Dir, 2) // those that are not ours
	// It comes back from the object store.
	if _, err := store.Open(t.Context(), a.Digest, a.Size); err != nil {
		t.Error(err)
	}
}
