package git_test

import (
	"io/fs"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/contract/git"
)

// The tests of this file are named after the defects of the original that
// deeploy.md section 11 lists, and show that ours does right what it says.

func TestU6OtherContractsStayAsTheyAre(t *testing.T) {
	t.Parallel()
	s := &server{Dir: t.TempDir()}
	put(t, s.Bare(t, "m.git"), "main", map[string]string{
		"model/reference.json": `{ "reference": {"blob": {"url": "s3://root/m"}} }`, "metadata.json": `{"featureLabels":["root"]}`,
		"sub_1/model/model.pkl": "m", "sub_1/model/extra.pkl": "m", "sub_2/model/model.pkl": "m", "docs@": "sub_1",
	})
	url, transport := s.Start(t)
	r := &git.Repositories{Transport: transport}
	source := git.Source{URL: url + "/m.git"}
	before := open(t, r, source)
	write(t, r, source, commit("sub_1", "s3://b/m"))
	after := open(t, r, source)
	for _, name := range changed(t, before, after) {
		if ok := len(name) > 6 && name[:6] == "sub_1/"; !ok {
			t.Errorf("%s is changed", name)
		}
	}
}

func TestU7MetadataAreInTheSameCommit(t *testing.T) {
	t.Parallel()
	s := &server{Dir: t.TempDir()}
	st := s.Bare(t, "m.git")
	put(t, st, "main", map[string]string{"README.md": "x"})
	url, transport := s.Start(t)
	r := &git.Repositories{Transport: transport}
	c := commit("a", "s3://b/m")
	c.Change.Metadata = &contract.Metadata{ProblemType: contract.Regression}
	result := write(t, r, git.Source{URL: url + "/m.git"}, c)
	if got := len(history(t, s.Fresh(st))); got != 2 {
		t.Errorf("got %d commits, want 2", got)
	}
	snap := open(t, r, git.Source{URL: url + "/m.git", Commit: result.Commit})
	if diff := cmp.Diff(result.Plan.Contract, contractOf(t, snap, "a")); diff != "" {
		t.Errorf("contract (-promised +committed):\n%s", diff)
	}
	c.Change.Metadata = &contract.Metadata{ProblemType: contract.Classification}
	if kept := write(t, r, git.Source{URL: url + "/m.git"}, c); kept.Changed || !cmp.Equal(kept.Plan.Kept, []string{"a/metadata.json"}) {
		t.Errorf("got %+v, want the metadata kept, and said so", kept)
	}
}

func TestU8ReportedCommitIsOnTheRemote(t *testing.T) {
	t.Parallel()
	s := &server{Dir: t.TempDir(), Decline: "no"}
	st := s.Bare(t, "m.git")
	base := put(t, st, "main", map[string]string{"README.md": "x"})
	url, transport := s.Start(t)
	r := &git.Repositories{Transport: transport}
	result, err := r.Write(t.Context(), git.Source{URL: url + "/m.git"}, commit("a", "s3://b/m"))
	wantRejection(t, err, git.CodePushRefused)
	if result.Commit != "" || open(t, r, git.Source{URL: url + "/m.git"}).Commit != base.String() {
		t.Errorf("got %+v after a push that was refused", result)
	}
	s.Accept()
	putOn(t, st, "main", map[string]string{"README.md": "moved on"}, base) // nobody has to pull before
	result = write(t, r, git.Source{URL: url + "/m.git"}, commit("a", "s3://b/m"))
	snap := open(t, r, git.Source{URL: url + "/m.git"})
	if text, err := fs.ReadFile(snap, "README.md"); snap.Commit != result.Commit || err != nil || string(text) != "moved on" {
		t.Errorf("got commit %s on the remote, reported %s, with README %q and %v", snap.Commit, result.Commit, text, err)
	}
}

func TestU9TheSameWriteTwiceIsOneCommit(t *testing.T) {
	t.Parallel()
	s := &server{Dir: t.TempDir()}
	st := s.Bare(t, "m.git")
	put(t, st, "main", map[string]string{"README.md": "x"})
	url, transport := s.Start(t)
	var commits []string
	for range 3 { // each as after a crash, in a process of its own
		commits = append(commits, write(t, &git.Repositories{Transport: transport}, git.Source{URL: url + "/m.git"}, commit("a", "s3://b/m")).Commit)
	}
	if commits[0] != commits[1] || commits[1] != commits[2] || len(history(t, s.Fresh(st))) != 2 {
		t.Errorf("got commits %v and %d in all, want one", commits, len(history(t, s.Fresh(st))))
	}
	_, err := (&git.Repositories{Transport: transport}).Write(t.Context(), git.Source{URL: url + "/m.git"}, git.Commit{Author: git.Person{Name: "a", Email: "e"}})
	wantRejection(t, err, contract.CodeEmptyChange)
}

func TestU11BranchIsHonouredAndDryRunWritesNothing(t *testing.T) {
	t.Parallel()
	s := &server{Dir: t.TempDir()}
	st := s.Bare(t, "m.git")
	main := put(t, st, "main", map[string]string{"README.md": "x"})
	side := put(t, st, "team/side", map[string]string{"README.md": "y"})
	url, transport := s.Start(t)
	r := &git.Repositories{Transport: transport}
	source := git.Source{URL: url + "/m.git", Branch: "team/side"}
	planned, err := r.Plan(t.Context(), source, commit("a", "s3://b/m"))
	if err != nil || len(planned.Plan.Write) != 1 || planned.Plan.Write[0].Name != "a/model/reference.json" {
		t.Errorf("got plan %+v and %v", planned, err)
	}
	if got := open(t, r, source).Commit; got != side.String() {
		t.Errorf("got commit %s after a dry run, want %s as before", got, side)
	}
	result := write(t, r, source, commit("a", "s3://b/m"))
	ref, err := s.Fresh(st).Reference(plumbing.NewBranchReferenceName("team/side"))
	if err != nil || ref.Hash().String() != result.Commit || result.Branch != "team/side" {
		t.Errorf("got branch at %v, reported %s on %s", ref, result.Commit, result.Branch)
	}
	if got := open(t, r, git.Source{URL: url + "/m.git"}).Commit; got != main.String() {
		t.Errorf("got main at %s, want it untouched", got)
	}
}
