package contract_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/contract"
)

// directory is a directory with these files.
func directory(tb testing.TB, files map[string]string) string {
	tb.Helper()
	dir := tb.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// onDisk are the files in a directory, without the lock.
func onDisk(tb testing.TB, dir string) map[string]string {
	tb.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || name == ".slipway.lock" {
			return err
		}
		content, err := os.ReadFile(filepath.Join(dir, name))
		files[name] = string(content)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return files
}

var twoContracts = map[string]string{
	"a/model/model.pkl": "m", "a/model/1/x": "x", "a/metadata.json": `{"featureLabels":["age"]}`,
	"b/model/model.pkl": "m", "README.md": "x",
}

func TestFolderIsWrittenAndRead(t *testing.T) {
	t.Parallel()
	dir := directory(t, twoContracts)
	f := &contract.Folder{Dir: dir}
	p, err := f.Write(t.Context(), "a", contract.Change{Model: blob, Overwrite: true})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{
		"a/model/reference.json": blobReference + "\n", "a/metadata.json": `{"featureLabels":["age"]}`, "b/model/model.pkl": "m", "README.md": "x",
	}, onDisk(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(filepath.Join(dir, "a/model/1")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is empty now is still there")
	}
	got, err := f.Read(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p.Contract, got); diff != "" {
		t.Errorf("contract (-plan +read):\n%s", diff)
	}
	if again, err := f.Write(t.Context(), "a", contract.Change{Model: blob}); err != nil || !again.Empty() {
		t.Errorf("the second time: got %+v and %v, want nothing to do", again, err)
	}
	root, err := f.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if all, err := contract.Find(t.Context(), root); err != nil || !cmp.Equal(all, []contract.Path{"a", "b"}) {
		t.Errorf("got contracts %v and %v", all, err)
	}
}

var errCrash = errors.New("power cut")

// A write is cut short before each of its steps in turn. Whoever comes next
// finds the contract as it was or as it should be, never anything between.
func TestFolderSurvivesACrashAtEveryStep(t *testing.T) {
	t.Parallel()
	change := contract.Change{Model: blob, Explainer: docker, Metadata: labels, Overwrite: true, OverwriteMetadata: true}
	done := directory(t, twoContracts)
	if _, err := (&contract.Folder{Dir: done}).Write(t.Context(), "a", change); err != nil {
		t.Fatal(err)
	}
	after := onDisk(t, done)
	old, whole := 0, 0
	for crash := 0; ; crash++ {
		dir := directory(t, twoContracts)
		f := &contract.Folder{Dir: dir}
		steps := 0
		f.Interrupt(func(string) error {
			if steps++; steps > crash {
				return errCrash
			}
			return nil
		})
		if _, err := f.Write(t.Context(), "a", change); err == nil {
			if crash < 8 {
				t.Fatalf("a write has only %d steps", crash)
			}
			break
		} else if !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		next := &contract.Folder{Dir: dir}
		root, err := next.Open(t.Context())
		if err != nil {
			t.Fatalf("crash %d: %v", crash, err)
		}
		if err := root.Close(); err != nil {
			t.Fatal(err)
		}
		got := onDisk(t, dir)
		switch {
		case cmp.Equal(got, twoContracts):
			old++
		case cmp.Equal(got, after):
			whole++
		default:
			t.Errorf("crash %d leaves (-new +got):\n%s", crash, cmp.Diff(after, got))
		}
		if _, err := next.Write(t.Context(), "a", change); err != nil {
			t.Errorf("crash %d: write again: %v", crash, err)
		}
		if diff := cmp.Diff(after, onDisk(t, dir)); diff != "" {
			t.Errorf("crash %d: written again (-want +got):\n%s", crash, diff)
		}
	}
	if old == 0 || whole == 0 {
		t.Errorf("got %d crashes before and %d after the decision, want both", old, whole)
	}
}

func TestFolderHoldsManyWriters(t *testing.T) {
	t.Parallel()
	dir := directory(t, twoContracts)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			f := &contract.Folder{Dir: dir} // as of a process of its own
			at := contract.Path(fmt.Sprintf("c%d", i%4))
			for range 3 {
				if _, err := f.Write(t.Context(), at, contract.Change{Model: blob, Explainer: docker, Overwrite: true}); err != nil {
					t.Error(err)
				}
				if c, err := f.Read(t.Context(), at); err != nil || c.Explainer == nil {
					t.Errorf("got %+v and %v", c, err)
				}
			}
		})
	}
	all.Wait()
	for name := range onDisk(t, dir) {
		if strings.Contains(name, ".slipway.") {
			t.Errorf("%s is left", name)
		}
	}
}

func TestFolderIsNotLeft(t *testing.T) {
	t.Parallel()
	outside := directory(t, map[string]string{"model/model.pkl": "secret"})
	dir := directory(t, nil)
	for name, to := range map[string]string{"a": outside, "b/model": filepath.Join(outside, "model"), "c/model/model.pkl": filepath.Join(outside, "model/model.pkl")} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	f := &contract.Folder{Dir: dir}
	for _, at := range []contract.Path{"a", "b", "c"} {
		_, err := f.Read(t.Context(), at)
		if got := found(t, err); len(got) == 0 || !strings.Contains(got[0], "symbolic link") {
			t.Errorf("%s: got %v, want a finding about the link", at, got)
		}
	}
	for _, at := range []contract.Path{"a", "b"} {
		if _, err := f.Write(t.Context(), at, contract.Change{Model: blob, Overwrite: true}); err == nil {
			t.Errorf("%s: a contract is written through a link", at)
		}
	}
	if _, err := f.Write(t.Context(), "c", contract.Change{Model: blob, Overwrite: true}); err != nil {
		t.Errorf("a link in the place of a model is not replaced: %v", err)
	}
	if diff := cmp.Diff(map[string]string{"model/model.pkl": "secret"}, onDisk(t, outside)); diff != "" {
		t.Errorf("outside (-want +got):\n%s", diff)
	}
}

func TestFolderWaitsForAnotherProcess(t *testing.T) {
	t.Parallel()
	dir := directory(t, twoContracts)
	first := &contract.Folder{Dir: dir}
	ctx, cancel := context.WithCancelCause(t.Context())
	first.Interrupt(func(string) error {
		cancel(errors.New("fence moved"))
		_, err := (&contract.Folder{Dir: dir}).Write(ctx, "b", contract.Change{Explainer: docker})
		if err == nil || !strings.Contains(err.Error(), "fence moved") {
			t.Errorf("got %v from the one that waits, want the cause of its end", err)
		}
		return nil
	})
	if _, err := first.Write(t.Context(), "b", contract.Change{Explainer: docker}); err != nil {
		t.Fatal(err)
	}
	if _, err := (&contract.Folder{Dir: filepath.Join(dir, "none")}).Read(t.Context(), ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want an error that names the missing directory", err)
	}
}

// What Open shows says of a link that it is one, and does not lead through it.
func TestOpenFolderShowsLinks(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(outside, "model"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outside, "model/model.pkl"), []byte("m"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"outside": outside, "self": ".", "beside": "other"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := (&contract.Folder{Dir: dir}).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, at := range []contract.Path{"outside", "self", "beside"} {
		_, err := contract.Read(t.Context(), root, at)
		wantFindings(t, err, "layout_invalid "+string(at)+": is a symbolic link")
	}
	if to, err := root.ReadLink("beside"); to != "other" || err != nil {
		t.Errorf("got %q, %v, want where the link leads", to, err)
	}
}
