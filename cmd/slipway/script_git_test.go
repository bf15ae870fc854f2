package main

import (
	"io/fs"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slipway-ml/slipway/contract/git/gittest"
)

// scripted is the git repository of a script.
type (
	scripted      struct{ storage *filesystem.Storage }
	repositoryKey struct{}
)

// scriptTB lets a script use what tests use.
type scriptTB struct {
	testing.TB

	ts *testscript.TestScript
}

func (scriptTB) Helper()             {}
func (s scriptTB) Fatal(args ...any) { s.ts.Fatalf("%v", args) }

func scriptRepository(ts *testscript.TestScript, args []string) {
	tb, repo := scriptTB{ts: ts}, ts.Value(repositoryKey{}).(*scripted)
	if repo.storage == nil {
		server := &gittest.Server{Dir: ts.MkAbs("git"), User: gitUser, Password: gitSecret}
		repo.storage = server.Bare(tb, "models.git")
		web := httptest.NewServer(server)
		ts.Defer(web.Close)
		ts.Setenv("REPOSITORY", web.URL+"/models.git")
	}
	files := map[string]string{}
	root := os.DirFS(ts.MkAbs(args[0]))
	ts.Check(fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(root, name)
		files[name] = string(text)
		return err
	}))
	ts.Setenv("COMMIT", gittest.Put(tb, repo.storage, "main", files).String())
}
