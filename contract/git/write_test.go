package git_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/contract/git"
	"github.com/slipway-ml/slipway/deployment"
)

func blob(url string) *contract.Reference {
	return &contract.Reference{Blob: &contract.Blob{URL: url}}
}

// commit sets the model of a contract.
func commit(at contract.Path, url string) git.Commit {
	return git.Commit{
		At: at, Change: contract.Change{Model: blob(url), Overwrite: true},
		Author: git.Person{Name: "Slipway", Email: "slipway@example.com"}, When: noon,
	}
}

func write(tb testing.TB, r *git.Repositories, s git.Source, c git.Commit) git.Result {
	tb.Helper()
	result, err := r.Write(tb.Context(), s, c)
	if err != nil {
		tb.Fatal(err)
	}
	return result
}

// history are the commits of the branch main, newest first, as the server has them.
func history(tb testing.TB, st *filesystem.Storage) (list []*object.Commit) {
	tb.Helper()
	ref, err := st.Reference("refs/heads/main")
	if err != nil {
		return nil
	}
	for c, err := object.GetCommit(st, ref.Hash()); ; c, err = c.Parent(0) {
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, c)
		if c.NumParents() == 0 {
			return list
		}
	}
}

// changed are the files in which two trees differ.
func changed(tb testing.TB, before, after fs.FS) (names []string) {
	tb.Helper()
	read := func(fsys fs.FS) map[string]string {
		all := map[string]string{}
		err := fs.WalkDir(fsys, ".", func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			if e.Type()&fs.ModeSymlink != 0 {
				all[name], err = fs.ReadLink(fsys, name)
				return err
			}
			content, err := fs.ReadFile(fsys, name)
			all[name] = string(content)
			return err
		})
		if err != nil {
			tb.Fatal(err)
		}
		return all
	}
	a, b := read(before), read(after)
	for name, content := range a {
		if b[name] != content {
			names = append(names, name)
		}
	}
	for name := range b {
		if _, had := a[name]; !had {
			names = append(names, name)
		}
	}
	return names
}

func TestWriteIsOneCommitOfOneFolder(t *testing.T) {
	t.Parallel()
	s := &server{Dir: t.TempDir(), User: "ann", Password: "s3cret"}
	st := s.Bare(t, "m.git")
	base := put(t, st, "main", files)
	url, transport := s.Start(t)
	r := &git.Repositories{Transport: transport}
	source := git.Source{URL: url + "/m.git", Branch: "main", Credentials: git.Credentials{User: "ann", Secret: "s3cret"}}
	before := open(t, r, source)

	c := commit("models/churn", "s3://b/model-2")
	c.Message = "Use the second model\n\nSlipway-Command: ci 42\n"
	planned, err := r.Plan(t.Context(), source, c)
	if err != nil || len(planned.Plan.Write) != 1 || planned.Commit != base.String() || planned.Branch != "main" || !planned.Changed {
		t.Fatalf("got plan %+v and %v", planned, err)
	}
	result := write(t, r, source, c)
	if !result.Changed || result.Branch != "main" {
		t.Errorf("got %+v", result)
	}
	if diff := cmp.Diff(planned.Plan, result.Plan, cmp.AllowUnexported(contract.Plan{})); diff != "" {
		t.Errorf("what was planned and what was done (-plan +done):\n%s", diff)
	}
	log := history(t, s.Fresh(st))
	if len(log) != 2 || log[0].Hash.String() != result.Commit || log[1].Hash != base {
		t.Fatalf("got %d commits, the newest %s, want 2 and %s", len(log), log[0].Hash, result.Commit)
	}
	who := object.Signature{Name: "Slipway", Email: "slipway@example.com", When: noon}
	if log[0].Message != c.Message || log[0].Author.String() != who.String() || log[0].Committer.String() != who.String() || !log[0].Author.When.Equal(noon) {
		t.Errorf("got message %q by %v and %v", log[0].Message, log[0].Author, log[0].Committer)
	}
	after := open(t, r, source)
	if got := changed(t, before, after); !cmp.Equal(got, []string{"models/churn/model/reference.json"}) {
		t.Errorf("the commit changes %v, want the reference only", got)
	}
	if got := contractOf(t, after, "models/churn"); got.Model.Reference.Blob.URL != "s3://b/model-2" {
		t.Errorf("got model %+v", got.Model.Reference)
	}

	again := write(t, r, source, c)
	if again.Changed || again.Commit != result.Commit || len(history(t, s.Fresh(st))) != 2 {
		t.Errorf("the second time: got %+v, want nothing new", again)
	}
}

func TestWriteCreatesAndEmptiesFolders(t *testing.T) {
	t.Parallel()
	s := &server{Dir: t.TempDir()}
	st := s.Bare(t, "m.git")
	put(t, st, "main", map[string]string{"x/y/model/1/saved_model.pb": "m", "x/y/model/1/variables/v": "v", "x/y.z": "sorts before y/"})
	url, transport := s.Start(t)
	r := &git.Repositories{Transport: transport}
	source := git.Source{URL: url + "/m.git"}
	before := open(t, r, source)
	write(t, r, source, commit("x/y", "s3://b/m"))
	write(t, r, source, commit("new/and/deep", "s3://b/m"))
	snap := open(t, r, source)
	found, err := contract.Find(t.Context(), snap)
	if err != nil || !cmp.Equal(found, []contract.Path{"new/and/deep", "x/y"}) {
		t.Errorf("got contracts %v and %v", found, err)
	}
	if entries, err := fs.ReadDir(snap, "x/y/model"); err != nil || len(entries) != 1 {
		t.Errorf("got %v and %v in the folder, want its reference only", entries, err)
	}
	if got := len(changed(t, before, snap)); got != 4 {
		t.Errorf("got %d changed files, want 2 removed and 2 written", got)
	}
	for _, c := range history(t, s.Fresh(st)) {
		if tree, err := c.Tree(); err != nil || tree.Files().ForEach(func(*object.File) error { return nil }) != nil {
			t.Errorf("the tree of %s is not whole: %v", c.Hash, err)
		}
	}
}

func TestWriteIntoAnEmptyRepository(t *testing.T) {
	t.Parallel()
	s := &server{Dir: t.TempDir()}
	st := s.Bare(t, "m.git")
	url, transport := s.Start(t)
	r := &git.Repositories{Transport: transport}
	source := git.Source{URL: url + "/m.git"}
	_, err := r.Open(t.Context(), source)
	wantRejection(t, err, git.CodeRevisionNotFound, "the repository is empty")
	result := write(t, r, source, commit("", "s3://b/m"))
	log := history(t, s.Fresh(st))
	if len(log) != 1 || log[0].Hash.String() != result.Commit || log[0].Message != "Set model in the root of the repository\n" {
		t.Errorf("got %d commits %v", len(log), log)
	}
}

// What a write does not need is not fetched: a model that lies beside.
func TestWriteLeavesLargeFilesOut(t *testing.T) {
	t.Parallel()
	s := &server{Dir: t.TempDir(), Filters: true}
	st := s.Bare(t, "m.git")
	large := strings.Repeat("a model ", 1<<20)
	put(t, st, "main", map[string]string{"fraud/model/model.bst": large, "churn/model/model.pkl": "m"})
	url, transport := s.Start(t)
	source := git.Source{URL: url + "/m.git"}
	small := &git.Repositories{Transport: transport, MaxBytes: 1 << 20}
	result := write(t, small, source, commit("churn", "s3://b/m"))
	if s.Left() != 1 {
		t.Errorf("got %d files left out, want 1", s.Left())
	}
	_, err := small.Open(t.Context(), source)
	wantRejection(t, err, git.CodeRepositoryTooLarge)

	r := &git.Repositories{Transport: transport}
	snap := open(t, r, source)
	if text, err := fs.ReadFile(snap, "fraud/model/model.bst"); err != nil || string(text) != large || snap.Commit != result.Commit {
		t.Errorf("got %d bytes and %v at %s, want %d at %s", len(text), err, snap.Commit, len(large), result.Commit)
	}
	// Here the model is one that stays: it is needed to say what the contract is then.
	c := git.Commit{At: "fraud", Change: contract.Change{Explainer: blob("s3://b/e")}, Author: git.Person{Name: "a", Email: "e"}, When: noon}
	if got := write(t, r, source, c).Plan.Contract.Model.File; got == nil || got.Size != int64(len(large)) {
		t.Errorf("got model %+v", got)
	}
}

func TestConcurrentWritersAllGetThrough(t *testing.T) {
	t.Parallel()
	const writers, processes = 9, 3
	s := &server{Dir: t.TempDir()}
	st := s.Bare(t, "m.git")
	put(t, st, "main", map[string]string{"README.md": "x"})
	url, transport := s.Start(t)
	// Each Repositories is as if it were a process of its own: they race.
	several := make([]*git.Repositories, processes)
	for i := range several {
		several[i] = &git.Repositories{Transport: transport}
	}
	var all sync.WaitGroup
	commits := make([]string, writers)
	for i := range writers {
		all.Go(func() {
			at := contract.Path(fmt.Sprintf("models/m%d", i))
			result, err := several[i%processes].Write(t.Context(), git.Source{URL: url + "/m.git"}, commit(at, fmt.Sprintf("s3://b/%d", i)))
			if err != nil {
				t.Errorf("writer %d: %v", i, err)
			}
			commits[i] = result.Commit
		})
	}
	all.Wait()
	log := history(t, s.Fresh(st))
	if len(log) != writers+1 {
		t.Errorf("got %d commits, want %d: one for each writer", len(log), writers+1)
	}
	of := map[string]bool{}
	for _, c := range log {
		of[c.Hash.String()] = true
	}
	snap := open(t, several[0], git.Source{URL: url + "/m.git"})
	for i, c := range commits {
		if !of[c] {
			t.Errorf("writer %d reports commit %s, which is not on the branch", i, c)
		}
		if got := contractOf(t, snap, contract.Path(fmt.Sprintf("models/m%d", i))).Model.Reference.Blob.URL; got != fmt.Sprintf("s3://b/%d", i) {
			t.Errorf("writer %d: got %s at the end", i, got)
		}
	}
}

func TestWriteDecidesAgainAfterARace(t *testing.T) {
	t.Parallel()
	s := &server{Dir: t.TempDir()}
	st := s.Bare(t, "m.git")
	base := put(t, st, "main", map[string]string{"model/model.pkl": "m"})
	var once sync.Once
	s.Received = func(s *server, _ plumbing.ReferenceName) {
		once.Do(func() { putOn(t, s.Fresh(st), "main", map[string]string{"model/my_model.pkl": "m"}, base) })
	}
	url, transport := s.Start(t)
	_, err := (&git.Repositories{Transport: transport}).Write(t.Context(), git.Source{URL: url + "/m.git"}, git.Commit{
		Change: contract.Change{Explainer: blob("s3://b/e")}, Author: git.Person{Name: "a", Email: "b"},
	})
	wantRejection(t, err, contract.CodeLayoutInvalid, "my_model.pkl")
	if got := len(history(t, s.Fresh(st))); got != 2 {
		t.Errorf("got %d commits, want none of ours", got)
	}
}

func TestWriteGivesUpWhenOthersAreAlwaysFaster(t *testing.T) {
	t.Parallel()
	s := &server{Dir: t.TempDir()}
	st := s.Bare(t, "m.git")
	put(t, st, "main", files)
	n := 0
	s.Received = func(s *server, _ plumbing.ReferenceName) {
		n++
		put(t, s.Fresh(st), "main", map[string]string{"n": fmt.Sprint(n)})
	}
	url, transport := s.Start(t)
	_, err := (&git.Repositories{Transport: transport}).Write(t.Context(), git.Source{URL: url + "/m.git"}, commit("a", "s3://b/m"))
	if !errors.Is(err, git.ErrDiverged) {
		t.Errorf("got %v, want an error that says others keep pushing", err)
	}
	if _, rejected := errors.AsType[*deployment.Rejection](err); rejected {
		t.Errorf("got a rejection, want an error that may pass")
	}
}

func TestLostAnswerIsFoundOut(t *testing.T) {
	t.Parallel()
	for _, after := range []string{"nothing else", "another push"} {
		t.Run(after, func(t *testing.T) {
			t.Parallel()
			s := &server{Dir: t.TempDir()}
			st := s.Bare(t, "m.git")
			put(t, st, "main", files)
			var lost atomic.Bool
			s.Answered = func(http.ResponseWriter) bool {
				if lost.Swap(true) {
					return false
				}
				if after == "another push" {
					head, err := s.Fresh(st).Reference("refs/heads/main")
					if err != nil {
						t.Error(err)
					}
					commit, err := object.GetCommit(s.Fresh(st), head.Hash())
					if err != nil {
						t.Error(err)
					}
					store(t, st, commit) // the same tree again, with another parent
					who := object.Signature{Name: "Bob", When: noon}
					next := store(t, st, &object.Commit{Author: who, Committer: who, TreeHash: commit.TreeHash, ParentHashes: []plumbing.Hash{commit.Hash}})
					if err := st.SetReference(plumbing.NewHashReference("refs/heads/main", next)); err != nil {
						t.Error(err)
					}
				}
				panic(http.ErrAbortHandler)
			}
			url, transport := s.Start(t)
			result := write(t, &git.Repositories{Transport: transport}, git.Source{URL: url + "/m.git"}, commit("a", "s3://b/m"))
			log := history(t, s.Fresh(st))
			if want := map[string]int{"nothing else": 2, "another push": 3}[after]; len(log) != want || log[0].Hash.String() != result.Commit {
				t.Errorf("got %d commits, the newest %s, reported %s; want %d and no second one of ours", len(log), log[0].Hash, result.Commit, want)
			}
		})
	}
}

func TestRefusedPushes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		server *server
		source git.Source
		commit git.Commit
		code   deployment.Code
		says   string
	}{
		{"a hook declines", &server{Decline: "protected branch hook declined\x1b[31m"}, git.Source{}, commit("a", "s3://b/m"), git.CodePushRefused, "refuses the push to main: command error on refs/heads/main: protected branch hook declined[31m"},
		{"may only read", &server{User: "ann", Password: "p", Reader: "bob"}, git.Source{Credentials: git.Credentials{User: "bob", Secret: "p"}}, commit("a", "s3://b/m"), git.CodePushRefused, "the credentials may not push"},
		{"a tag", &server{}, git.Source{Tag: "v1"}, commit("a", "s3://b/m"), deployment.CodeInvalidField, "is written to a branch"},
		{"a commit", &server{}, git.Source{Commit: strings.Repeat("a", 40)}, commit("a", "s3://b/m"), deployment.CodeInvalidField, "is written to a branch"},
		{"no such branch", &server{}, git.Source{Branch: "nope"}, commit("a", "s3://b/m"), git.CodeRevisionNotFound, `no branch "nope"`},
		{"nobody's", &server{}, git.Source{}, git.Commit{Change: contract.Change{Model: blob("s3://b/m")}, Author: git.Person{Name: "a\nb", Email: "e"}}, deployment.CodeInvalidField, "without < and >"},
		{"a message with a NUL", &server{}, git.Source{}, git.Commit{Change: contract.Change{Model: blob("s3://b/m")}, Author: git.Person{Name: "a", Email: "e"}, Message: "\x00"}, deployment.CodeInvalidField, "expected text"},
		{"nothing to write", &server{}, git.Source{}, git.Commit{Author: git.Person{Name: "a", Email: "e"}}, contract.CodeEmptyChange, "expected a model"},
		{"not to be overwritten", &server{}, git.Source{}, git.Commit{At: "models/churn", Change: contract.Change{Model: blob("s3://b/m")}, Author: git.Person{Name: "a", Email: "e"}}, contract.CodeFolderNotEmpty, "set overwriteContract"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := test.server
			s.Dir = t.TempDir()
			st := s.Bare(t, "m.git")
			put(t, st, "main", files)
			url, transport := s.Start(t)
			test.source.URL = url + "/m.git"
			dir := t.TempDir()
			_, err := (&git.Repositories{Transport: transport, Dir: dir}).Write(t.Context(), test.source, test.commit)
			wantRejection(t, err, test.code, test.says)
			if got := len(history(t, s.Fresh(st))); got != 1 {
				t.Errorf("got %d commits, want none of ours", got)
			}
			if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
				t.Errorf("got %v left on disk", left)
			}
		})
	}
}

func TestWritesAreSerialInTheProcess(t *testing.T) {
	t.Parallel()
	s := &server{Dir: t.TempDir()}
	put(t, s.Bare(t, "m.git"), "main", files)
	entered, leave := make(chan struct{}, 1), make(chan struct{})
	s.Received = func(*server, plumbing.ReferenceName) {
		entered <- struct{}{}
		<-leave
	}
	url, transport := s.Start(t)
	r := &git.Repositories{Transport: transport}
	first := make(chan error, 1)
	go func() {
		_, err := r.Write(context.WithoutCancel(t.Context()), git.Source{URL: url + "/m.git"}, commit("a", "s3://b/m"))
		first <- err
	}()
	<-entered
	ctx, cancel := context.WithCancelCause(t.Context())
	second := make(chan error, 1)
	go func() {
		_, err := r.Write(ctx, git.Source{URL: url + "/m"}, commit("b", "s3://b/m"))
		second <- err
	}()
	cancel(errors.New("fence moved"))
	if err := <-second; err == nil || !strings.Contains(err.Error(), "fence moved") {
		t.Errorf("got %v from the one that waits, want the cause of its end", err)
	}
	close(leave)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

func TestLocalRepositories(t *testing.T) {
	t.Parallel()
	s := &server{Dir: t.TempDir()}
	st := s.Bare(t, "m.git")
	base := put(t, st, "main", files)
	r := &git.Repositories{AllowLocal: true}
	source := git.Source{URL: filepath.Join(s.Dir, "m.git")}
	before := open(t, r, git.Source{URL: "file://" + filepath.Join(s.Dir, "m.git"), Commit: base.String()})
	result := write(t, r, source, commit("models/churn", "s3://b/2"))
	after := open(t, r, source)
	if after.Commit != result.Commit || !cmp.Equal(changed(t, before, after), []string{"models/churn/model/reference.json"}) {
		t.Errorf("got %s with changes in %v", after.Commit, changed(t, before, after))
	}
	if again := write(t, r, source, commit("models/churn", "s3://b/2")); again.Changed || again.Commit != result.Commit {
		t.Errorf("the second time: got %+v", again)
	}
	lock := filepath.Join(s.Dir, "m.git", "refs", "heads", "main.lock")
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Write(ctx, source, commit("models/churn", "s3://b/3")); err == nil {
		t.Error("got no error while another process holds the lock")
	}
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	write(t, r, source, commit("models/churn", "s3://b/3"))
	if got := len(history(t, s.Fresh(st))); got != 3 {
		t.Errorf("got %d commits, want 3", got)
	}
}

func TestLocalWritersRace(t *testing.T) {
	t.Parallel()
	s := &server{Dir: t.TempDir()}
	st := s.Bare(t, "m.git")
	put(t, st, "main", map[string]string{"README.md": "x"})
	var all sync.WaitGroup
	const writers = 8
	for i := range writers {
		all.Go(func() {
			r := &git.Repositories{AllowLocal: true} // a process of its own
			if _, err := r.Write(t.Context(), git.Source{URL: filepath.Join(s.Dir, "m.git")}, commit(contract.Path(fmt.Sprintf("m%d", i)), "s3://b/m")); err != nil {
				t.Errorf("writer %d: %v", i, err)
			}
		})
	}
	all.Wait()
	if got := len(history(t, s.Fresh(st))); got != writers+1 {
		t.Errorf("got %d commits, want %d", got, writers+1)
	}
}

func TestLocalRepositoriesAreRefused(t *testing.T) {
	t.Parallel()
	s := &server{Dir: t.TempDir()}
	r := &git.Repositories{AllowLocal: true}
	at := func(name string) git.Source { return git.Source{URL: filepath.Join(s.Dir, name)} }

	_, err := r.Open(t.Context(), at("none"))
	wantRejection(t, err, git.CodeRepositoryNotFound)
	_, err = (&git.Repositories{}).Open(t.Context(), at("none"))
	wantRejection(t, err, deployment.CodeURLNotAllowed, "not allowed here")

	s.Bare(t, "empty")
	_, err = r.Open(t.Context(), at("empty"))
	wantRejection(t, err, git.CodeRevisionNotFound, "is empty")

	s.Bare(t, "sha256")
	config := "[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectformat = sha256\n"
	if err := os.WriteFile(filepath.Join(s.Dir, "sha256", "config"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = r.Open(t.Context(), at("sha256"))
	wantRejection(t, err, git.CodeInvalidRepository, "expected sha1")

	if err := os.Mkdir(filepath.Join(s.Dir, "linked"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, "linked", ".git"), []byte("gitdir: ../m.git\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = r.Open(t.Context(), at("linked"))
	wantRejection(t, err, git.CodeInvalidRepository, "elsewhere")

	work := s.Bare(t, "work/.git")
	put(t, work, "main", files)
	put(t, work, "side", files)
	if err := os.WriteFile(filepath.Join(s.Dir, "work/.git/config"), []byte("[core]\n\tbare = false\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = r.Write(t.Context(), at("work"), commit("a", "s3://b/m"))
	wantRejection(t, err, git.CodePushRefused, "checked out")
	write(t, r, git.Source{URL: at("work").URL, Branch: "side"}, commit("a", "s3://b/m"))
}

// A commit says who changed the contract, who has committed it, and for which
// command; a write whose contract would say something else than was planned does
// nothing.
func TestWriteSaysForWhom(t *testing.T) {
	t.Parallel()
	s := &server{Dir: t.TempDir()}
	st := s.Bare(t, "m.git")
	url, transport := s.Start(t)
	r := &git.Repositories{Transport: transport}
	source := git.Source{URL: url + "/m.git"}
	c := commit("a", "s3://b/m")
	c.By = git.Person{Name: "Robot", Email: "robot@example.com"}
	c.Trailers = []string{"Slipway-Command-Id: 42", "Slipway-Command-Source: /ci"}
	planned, err := r.Plan(t.Context(), source, c)
	if err != nil || planned.Commit != "" || planned.Branch != "main" {
		t.Fatalf("got plan %+v and %v, want one for an empty repository", planned, err)
	}
	c.Digest = planned.Plan.Contract.Digest()
	result := write(t, r, source, c)
	first := history(t, s.Fresh(st))[0]
	if want := "Set model in a\n\nSlipway-Command-Id: 42\nSlipway-Command-Source: /ci\n"; first.Message != want {
		t.Errorf("got message %q, want %q", first.Message, want)
	}
	if first.Author.Name != "Slipway" || first.Committer.Name != "Robot" || first.Committer.Email != "robot@example.com" {
		t.Errorf("got author %s and committer %s", first.Author, first.Committer)
	}
	put(t, st, "main", map[string]string{"a/model/reference.json": "{}", "a/explainer/explainer.dill": "theirs"})
	c.Change.Overwrite = true
	moved := open(t, r, source).Commit
	if _, err := r.Write(t.Context(), source, c); !errors.Is(err, git.ErrChanged) || moved == result.Commit {
		t.Errorf("got %v, want that the contract has changed", err)
	}
	if got := open(t, r, source).Commit; got != moved {
		t.Errorf("got commit %s, want %s as before", got, moved)
	}
}
