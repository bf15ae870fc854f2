package git_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/contract/git"
	"github.com/slipway-ml/slipway/deployment"
)

// wantRejection checks the code and the message of a rejection.
func wantRejection(tb testing.TB, err error, code deployment.Code, says ...string) {
	tb.Helper()
	rejection, ok := errors.AsType[*deployment.Rejection](err)
	if !ok || rejection.Code != code {
		tb.Fatalf("got error %v, want a rejection with the code %s", err, code)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			tb.Errorf("got message %q, want it to say %q", err, s)
		}
	}
}

var files = map[string]string{
	"README.md":                          "hello",
	"models/churn/model/reference.json":  `{"reference":{"blob":{"url":"s3://b/model"}}}`,
	"models/churn/metadata.json":         `{"featureLabels":["age"]}`,
	"models/fraud/model/model.bst":       strings.Repeat("a model ", 150_000),
	"models/fraud/explainer/notes@":      "../../churn",
	"a.b/c":                              "sorts before a/",
	"a/c":                                "sorts after a.b/",
	"models/fraud/explainer/.gitkeep":    "",
	"models/fraud/explainer/shared.dill": "",
}

func contractOf(tb testing.TB, fsys fs.FS, at contract.Path) contract.Contract {
	tb.Helper()
	c, err := contract.Read(tb.Context(), fsys, at)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func open(tb testing.TB, r *git.Repositories, s git.Source) *git.Snapshot {
	tb.Helper()
	snap, err := r.Open(tb.Context(), s)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := snap.Close(); err != nil {
			tb.Error(err)
		}
	})
	return snap
}

func TestOpenOverHTTPS(t *testing.T) {
	t.Parallel()
	s := &server{Dir: t.TempDir(), User: "ann", Password: "s3cret", Reader: "git"}
	st := s.Bare(t, "team/models.git")
	first := put(t, st, "main", map[string]string{"model/model.pkl": "first"})
	main := put(t, st, "main", files)
	other := put(t, st, "other", map[string]string{"model/reference.json": `{"reference":{"huggingface":{"model":"m"}}}`})
	tag := store(t, st, &object.Tag{Name: "v1", Target: first, TargetType: plumbing.CommitObject, Message: "v1\n", Tagger: object.Signature{Name: "Ann", When: noon}})
	for name, hash := range map[plumbing.ReferenceName]plumbing.Hash{"refs/tags/v1": tag, "refs/tags/light": first} {
		if err := st.SetReference(plumbing.NewHashReference(name, hash)); err != nil {
			t.Fatal(err)
		}
	}
	url, transport := s.Start(t)
	url += "/team/models.git"
	ann := git.Credentials{User: "ann", Secret: "s3cret"}
	r := &git.Repositories{Transport: transport, Dir: t.TempDir()}
	for _, test := range []struct {
		name   string
		source git.Source
		commit plumbing.Hash
		branch string
		at     contract.Path
		kind   contract.Kind
	}{
		{"HEAD", git.Source{}, main, "main", "models/churn", contract.KindBlob},
		{"branch", git.Source{Branch: "other"}, other, "other", "", contract.KindHuggingFace},
		{"tag", git.Source{Tag: "light"}, first, "", "", contract.KindFile},
		{"annotated tag", git.Source{Tag: "v1"}, first, "", "", contract.KindFile},
		{"commit", git.Source{Commit: first.String()}, first, "", "", contract.KindFile},
		{"commit of a branch", git.Source{Branch: "main", Commit: first.String()}, first, "main", "", contract.KindFile},
		{"a link", git.Source{Branch: "main"}, main, "main", "models/fraud", contract.KindFile},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.source.URL, test.source.Credentials = url, ann
			if test.name == "branch" { // a token, without a user
				test.source.Credentials = git.Credentials{Secret: "s3cret"}
			}
			snap := open(t, r, test.source)
			if snap.Commit != test.commit.String() || snap.Branch != test.branch || snap.Message != "files\n" {
				t.Errorf("got commit %s %q of branch %q, want %s of %q", snap.Commit, snap.Message, snap.Branch, test.commit, test.branch)
			}
			if test.name == "a link" {
				_, err := contract.Read(t.Context(), snap, test.at)
				wantRejection(t, err, contract.CodeLayoutInvalid, "models/fraud/explainer/notes: is a symbolic link")
				return
			}
			if got := contractOf(t, snap, test.at).Model.Kind(); got != test.kind {
				t.Errorf("got a model from %s, want %s", got, test.kind)
			}
		})
	}
}

func TestSnapshotIsAFileSystem(t *testing.T) {
	t.Parallel()
	s := &server{Dir: t.TempDir()}
	st := s.Bare(t, "m.git")
	put(t, st, "main", files)
	put(t, st, "small", map[string]string{"a.b/c": "1", "a/c": "2", "a/d/e": "", "README.md": "3"})
	url, transport := s.Start(t)
	r := &git.Repositories{Transport: transport}
	snap := open(t, r, git.Source{URL: url + "/m.git"})
	linkless, err := fs.Sub(snap, "models/fraud/model") // TestFS wants links to be followed
	if err != nil {
		t.Fatal(err)
	}
	for fsys, name := range map[fs.FS]string{linkless: "model.bst", open(t, r, git.Source{URL: url + "/m.git", Branch: "small"}): "a.b/c"} {
		if err := fstest.TestFS(fsys, name); err != nil {
			t.Error(err)
		}
	}
	for name, content := range files {
		if strings.HasSuffix(name, "@") {
			name = strings.TrimSuffix(name, "@")
			if got, err := fs.ReadLink(snap, name); err != nil || got != content {
				t.Errorf("link %s: got %q and %v, want %q", name, got, err, content)
			}
			continue
		}
		if got, err := fs.ReadFile(snap, name); err != nil || string(got) != content {
			t.Errorf("%s: got %d bytes and %v, want %d", name, len(got), err, len(content))
		}
	}
}
