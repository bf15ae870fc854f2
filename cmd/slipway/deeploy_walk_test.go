package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/slipway-ml/slipway/contract/git/gittest"
)

// say commits the files on main, in place of what it holds, with that message.
func (r repository) say(tb testing.TB, message string, files map[string]string) (commit string) {
	tb.Helper()
	var parents []plumbing.Hash
	main := plumbing.NewBranchReferenceName("main")
	if ref, err := r.Reference(main); err == nil {
		parents = append(parents, ref.Hash())
	}
	who := object.Signature{Name: "Ada", Email: "ada@example.com", When: gittest.Noon}
	hash := gittest.Store(tb, r.Storage, &object.Commit{
		Author: who, Committer: who, Message: message + "\n", TreeHash: gittest.Tree(tb, r.Storage, files), ParentHashes: parents,
	})
	if err := r.SetReference(plumbing.NewHashReference(main, hash)); err != nil {
		tb.Fatal(err)
	}
	return hash.String()
}

// pointing are the files of a contract with a model behind a url.
func pointing(tb testing.TB, at, url string) map[string]string {
	tb.Helper()
	files := churn(tb, at, "churn-v1.ubj")
	delete(files, at+"model/model.ubj")
	files[at+"model/reference.json"] = `{"reference":{"docker":null,"blob":{"url":"` + url + `","credentialsId":null,"region":null}}}`
	return files
}

// Every command of the page is run and every event published, against a real git
// server and a real file server: it says what happens.
func TestU3DocumentedExamplesRun(t *testing.T) {
	t.Parallel()
	const path = "../../docs/coming-from-deeploy.md"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`--commit ([0-9a-f]{40})`).FindSubmatch(page)
	if named == nil {
		t.Fatal("the page names no commit")
	}
	repo := newRepository(t)
	web := httptest.NewServer(http.FileServer(http.Dir("demo")))
	t.Cleanup(web.Close)
	first := repo.say(t, "Describe the first model", pointing(t, "churn/", web.URL+"/churn-v1.ubj"))
	w := &walk{system: startUp(t, gitEnvironment("SLIPWAY_SERVER_ID", "local"))}
	w.places = []string{
		"https://git.example.com/models.git", repo.url, "https://models.example.com", web.URL,
		string(named[1]), first, string(named[1][:7]), first[:7],
	}
	w.push = func() {
		repo.say(t, "Describe the model of spring", pointing(t, "churn/", web.URL+"/churn-v2.ubj"))
	}
	for _, model := range []string{"churn-v1.ubj", "churn-v2.ubj"} {
		w.put("run-42/"+model, readDemo(t, model))
	}
	w.follow(path)
	if w.commands < 20 || w.sent < 6 {
		t.Errorf("%d commands were run and %d events sent: the page is not read as it was meant", w.commands, w.sent)
	}
}
