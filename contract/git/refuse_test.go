package git_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/contract/git"
	"github.com/slipway-ml/slipway/deployment"
)

func TestUrlsAreRefused(t *testing.T) {
	t.Parallel()
	r := &git.Repositories{}
	for url, code := range map[string]deployment.Code{
		"":                                    deployment.CodeURLInvalid,
		"models":                              deployment.CodeURLInvalid,
		"https://":                            deployment.CodeURLInvalid,
		"https://h":                           deployment.CodeURLInvalid,
		"https://h/":                          deployment.CodeURLInvalid,
		"https://h/m?ref=main":                deployment.CodeURLInvalid,
		"https://h/m#main":                    deployment.CodeURLInvalid,
		"https://ann:s3cret@h/m":              deployment.CodeURLInvalid,
		"https://s3cret@h/m":                  deployment.CodeURLInvalid,
		"https://h/m?token=s3cret":            deployment.CodeURLInvalid,
		"https://h/m?X-Amz-Credential=s3cret": deployment.CodeURLInvalid,
		"https://h/%s3cret":                   deployment.CodeURLInvalid,
		"ext::sh -c s3cret":                   deployment.CodeURLInvalid,
		"git://h/m":                           deployment.CodeURLInvalid,
		"ssh://h/m":                           deployment.CodeURLInvalid,
		"ssh://ann:s3cret@h/m":                deployment.CodeURLInvalid,
		"ssh://-oProxyCommand=x@h/m":          deployment.CodeURLInvalid,
		"ssh://ann@-oProxyCommand=x/m":        deployment.CodeURLInvalid,
		"ssh://ann@h":                         deployment.CodeURLInvalid,
		"http://h/m":                          deployment.CodeURLNotAllowed,
		"/srv/git/m":                          deployment.CodeURLNotAllowed,
		"file:///srv/git/m":                   deployment.CodeURLNotAllowed,
		"file://h/srv/git/m":                  deployment.CodeURLInvalid,
		"ann@h:m":                             deployment.CodeURLNotAllowed, // no known hosts
		"ssh://ann@h/m":                       deployment.CodeURLNotAllowed,
	} {
		_, err := r.Open(t.Context(), git.Source{URL: url})
		wantRejection(t, err, code)
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: message %q leaks the secret", url, err)
		}
	}
}

func TestSourcesAreRefused(t *testing.T) {
	t.Parallel()
	s := &server{Dir: t.TempDir(), User: "ann", Password: "s3cret"}
	st := s.Bare(t, "m.git")
	main := put(t, st, "main", map[string]string{"model/model.pkl": "m"})
	blobOf := treeOf(t, st, map[string]string{"a": "b"})
	if err := st.SetReference(plumbing.NewHashReference("refs/tags/tree", blobOf)); err != nil {
		t.Fatal(err)
	}
	url, transport := s.Start(t)
	r := &git.Repositories{Transport: transport}
	ann := git.Credentials{User: "ann", Secret: "s3cret"}
	gone := strings.Repeat("ab", 20)
	for _, test := range []struct {
		name   string
		source git.Source
		code   deployment.Code
		says   string
	}{
		{"no such repository", git.Source{URL: url + "/none.git", Credentials: ann}, git.CodeRepositoryNotFound, "there is no repository"},
		{"no credentials", git.Source{URL: url + "/m.git"}, git.CodeRepositoryForbidden, "needs some"},
		{"wrong credentials", git.Source{URL: url + "/m.git", Credentials: git.Credentials{User: "ann", Secret: "wr0ng"}}, git.CodeRepositoryForbidden, "does not accept"},
		{"no such branch", git.Source{URL: url + "/m.git", Branch: "nope", Credentials: ann}, git.CodeRevisionNotFound, `no branch "nope"`},
		{"no such tag", git.Source{URL: url + "/m.git", Tag: "nope", Credentials: ann}, git.CodeRevisionNotFound, `no tag "nope"`},
		{"no such commit", git.Source{URL: url + "/m.git", Commit: gone, Credentials: ann}, git.CodeRevisionNotFound, "no commit " + gone},
		{"a commit that is gone", git.Source{URL: url + "/m.git", Branch: "main", Commit: gone, Credentials: ann}, git.CodeHistoryRewritten, "history was rewritten"},
		{"a tag of something else", git.Source{URL: url + "/m.git", Tag: "tree", Credentials: ann}, git.CodeRevisionNotFound, "is a tree, not a commit"},
		{"a short commit", git.Source{URL: url + "/m.git", Commit: main.String()[:10], Credentials: ann}, deployment.CodeInvalidField, "40 hexadecimal digits"},
		{"branch and tag", git.Source{URL: url + "/m.git", Branch: "main", Tag: "v1", Credentials: ann}, deployment.CodeInvalidField, "a branch or a tag"},
		{"a branch that is none", git.Source{URL: url + "/m.git", Branch: "../main", Credentials: ann}, deployment.CodeInvalidField, "not the name of a branch"},
		{"a tag that is none", git.Source{URL: url + "/m.git", Tag: "a b", Credentials: ann}, deployment.CodeInvalidField, "not the name of a tag"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := r.Open(t.Context(), test.source)
			wantRejection(t, err, test.code, test.says)
			for _, secret := range []string{"s3cret", "wr0ng"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("message %q leaks a secret", err)
				}
			}
		})
	}
}

func TestForcePushedHistory(t *testing.T) {
	t.Parallel()
	for _, noAny := range []bool{false, true} {
		t.Run(fmt.Sprintf("server gives only names %v", noAny), func(t *testing.T) {
			t.Parallel()
			s := &server{Dir: t.TempDir(), NoAny: noAny}
			st := s.Bare(t, "m.git")
			first := put(t, st, "main", map[string]string{"model/model.pkl": "first"})
			seen := put(t, st, "main", map[string]string{"model/model.pkl": "seen"})
			url, transport := s.Start(t)
			r := &git.Repositories{Transport: transport}
			pinned := open(t, r, git.Source{URL: url + "/m.git", Branch: "main"})
			putOn(t, st, "main", map[string]string{"model/model.pkl": "rewritten"}, first)

			_, err := r.Open(t.Context(), git.Source{URL: url + "/m.git", Branch: "main", Commit: seen.String()})
			wantRejection(t, err, git.CodeHistoryRewritten, seen.String())
			still := open(t, r, git.Source{URL: url + "/m.git", Commit: first.String()})
			if got := contractOf(t, still, "").Model.File.Size; got != int64(len("first")) {
				t.Errorf("the commit before: got a model of %d bytes", got)
			}
			if got := contractOf(t, pinned, "").Model.File.Size; got != int64(len("seen")) {
				t.Errorf("what was opened before: got a model of %d bytes", got)
			}
		})
	}
}

func TestHistoryOfDeltas(t *testing.T) {
	t.Parallel()
	s := &server{Dir: t.TempDir(), NoShallow: true, NoAny: true, Deltas: true}
	st := s.Bare(t, "m.git")
	text := func(i int) string { return strings.Repeat("the same in all of them\n", 200) + strings.Repeat("x", i) }
	var commits []plumbing.Hash
	for i := range 12 {
		commits = append(commits, put(t, st, "main", map[string]string{"model/model.pkl": text(i), "other/model/model.pkl": text(100 * i)}))
	}
	url, transport := s.Start(t)
	r := &git.Repositories{Transport: transport}
	for i, commit := range commits {
		snap := open(t, r, git.Source{URL: url + "/m.git", Commit: commit.String()})
		for name, want := range map[string]string{"model/model.pkl": text(i), "other/model/model.pkl": text(100 * i)} {
			if got, err := fs.ReadFile(snap, name); err != nil || string(got) != want {
				t.Errorf("commit %d, %s: got %d bytes and %v, want %d", i, name, len(got), err, len(want))
			}
		}
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	s := &server{Dir: t.TempDir(), User: "ann", Password: "s3cret"}
	put(t, s.Bare(t, "m.git"), "main", map[string]string{"model/model.pkl": "m"})
	var leaked []string
	other := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leaked = append(leaked, r.Header.Get("Authorization"))
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(other.Close)
	transport := other.Client().Transport.(*http.Transport)
	from := func(to string) string {
		web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if to == "" {
				if !strings.HasPrefix(r.URL.Path, "/new/") {
					http.Redirect(w, r, "/new"+r.URL.Path+"?"+r.URL.RawQuery, http.StatusMovedPermanently)
					return
				}
				r.URL.Path = strings.TrimPrefix(r.URL.Path, "/new")
				s.ServeHTTP(w, r)
				return
			}
			http.Redirect(w, r, to+r.URL.Path+"?"+r.URL.RawQuery+"&sig=s3cret", http.StatusFound)
		}))
		t.Cleanup(web.Close)
		return web.URL
	}
	ann := git.Credentials{User: "ann", Secret: "s3cret"}
	open(t, &git.Repositories{Transport: transport}, git.Source{URL: from("") + "/m.git", Credentials: ann}) // on the same host

	_, err := (&git.Repositories{Transport: transport}).Open(t.Context(), git.Source{URL: from(other.URL) + "/m.git", Credentials: ann})
	wantRejection(t, err, deployment.CodeURLNotAllowed, "redirects to a private address")
	if len(leaked) > 0 {
		t.Errorf("the private address was asked")
	}
	_, err = (&git.Repositories{Transport: transport, AllowPrivateRedirects: true}).Open(t.Context(), git.Source{URL: from(other.URL) + "/m.git", Credentials: ann})
	wantRejection(t, err, git.CodeRepositoryForbidden) // the credentials are not for that server
	if len(leaked) == 0 || strings.Join(leaked, "") != "" {
		t.Errorf("got credentials %q at the other server, want none", leaked)
	}
	for _, to := range []string{"http://127.0.0.1:1", "file:///etc", "ssh://git@h"} {
		_, err = (&git.Repositories{Transport: transport, AllowPrivateRedirects: true}).Open(t.Context(), git.Source{URL: from(to) + "/m.git", Credentials: ann})
		wantRejection(t, err, deployment.CodeURLInvalid, "redirects in a way that is not followed")
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("message %q leaks the secret", err)
		}
	}
}

func TestAnswersThatAreNotGit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		code   deployment.Code // "": may pass
		says   string
	}{
		{"a page", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>s3cret sign in</html>") }, git.CodeInvalidRepository, "not a git repository"},
		{"nothing", func(http.ResponseWriter, *http.Request) {}, git.CodeInvalidRepository, "not a git repository"},
		{"gone", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) }, git.CodeRepositoryNotFound, "there is no repository"},
		{"503", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, strings.Repeat("s3cret", 1<<20))
		}, "", "server answered 503"},
		{"cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "", "EOF"},
		{"refs without end", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "001e# service=git-upload-pack\n0000")
			for i := 0; ; i++ {
				line := fmt.Sprintf("%s refs/heads/%s%d\x00\n", strings.Repeat("a", 40), strings.Repeat("b", 60000), i)
				if i > 0 {
					line = strings.Replace(line, "\x00", "", 1)
				}
				if _, err := fmt.Fprintf(w, "%04x%s", len(line)+4, line); err != nil {
					return
				}
			}
		}, git.CodeRepositoryTooLarge, "more bytes than are allowed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			web := httptest.NewTLSServer(test.answer)
			t.Cleanup(web.Close)
			_, err := (&git.Repositories{Transport: web.Client().Transport.(*http.Transport)}).Open(t.Context(), git.Source{URL: web.URL + "/m.git"})
			if test.code != "" {
				wantRejection(t, err, test.code, test.says)
			} else if _, rejected := errors.AsType[*deployment.Rejection](err); rejected || err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want an error that may pass and says %q", err, test.says)
			}
			if strings.Contains(err.Error(), "s3cret") || strings.Count(err.Error(), "\n") > 0 {
				t.Errorf("message %q repeats what the server wrote", err)
			}
		})
	}
}

func TestRepositoryTooLarge(t *testing.T) {
	t.Parallel()
	s := &server{Dir: t.TempDir()}
	st := s.Bare(t, "m.git")
	put(t, st, "main", map[string]string{"model/model.pkl": strings.Repeat("m", 1<<20)}) // packs to a thousandth
	url, transport := s.Start(t)
	dir := t.TempDir()
	for _, most := range []int64{500, 100_000} { // of the pack, of what it unpacks to
		_, err := (&git.Repositories{Transport: transport, MaxBytes: most, Dir: dir}).Open(t.Context(), git.Source{URL: url + "/m.git"})
		wantRejection(t, err, git.CodeRepositoryTooLarge, fmt.Sprintf("%d bytes", most))
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("got %v left on disk", left)
	}
	snap, err := (&git.Repositories{Transport: transport, MaxBytes: 2 << 20, Dir: dir}).Open(t.Context(), git.Source{URL: url + "/m.git"})
	if err != nil {
		t.Fatal(err)
	}
	if err := snap.Close(); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("got %v left on disk after Close", left)
	}
}

func TestHostileTrees(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"..", ".", ".git", ".GIT", "a/b", ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &server{Dir: t.TempDir()}
			st := s.Bare(t, "m.git")
			raw := &plumbing.MemoryObject{}
			raw.SetType(plumbing.TreeObject)
			blob := treeOf(t, st, nil)
			if _, err := fmt.Fprintf(raw, "40000 %s\x00%s", name, blob[:]); err != nil {
				t.Fatal(err)
			}
			tree, err := st.SetEncodedObject(raw)
			if err != nil {
				t.Fatal(err)
			}
			who := object.Signature{Name: "Eve", When: noon}
			if err := st.SetReference(plumbing.NewHashReference("refs/heads/main", store(t, st, &object.Commit{Author: who, Committer: who, TreeHash: tree}))); err != nil {
				t.Fatal(err)
			}
			snap := open(t, &git.Repositories{AllowLocal: true}, git.Source{URL: filepath.Join(s.Dir, "m.git")})
			_, err = contract.Read(t.Context(), snap, "")
			wantRejection(t, err, git.CodeInvalidRepository, "the repository is damaged")
		})
	}
}

func TestFetchCanBeCancelled(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 1)
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "001e# service=git-upload-pack\n0000")
		w.(http.Flusher).Flush()
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(web.Close)
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-asked
		cancel(errors.New("fence moved"))
	}()
	_, err := (&git.Repositories{Transport: web.Client().Transport.(*http.Transport)}).Open(ctx, git.Source{URL: web.URL + "/m.git"})
	if err == nil || !strings.Contains(err.Error(), "fence moved") {
		t.Errorf("got %v, want the cause", err)
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + listener.Addr().String() + "/m.git"
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = (&git.Repositories{AllowHTTP: true}).Open(t.Context(), git.Source{URL: url})
	if err == nil || !strings.Contains(err.Error(), "connection refused") || strings.Count(err.Error(), "m.git") != 1 {
		t.Errorf("got %v, want an error that names the repository once", err)
	}
}

func TestCredentialsAreHidden(t *testing.T) {
	t.Parallel()
	source := git.Source{URL: "https://h/m", Credentials: git.Credentials{User: "u53r", Secret: "s3cret", Key: []byte("k3y"), Phrase: []byte("phr4se")}}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %+v %#v %s", source, source, source, source.Credentials)
	text, err := json.Marshal(source)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "credentials", source.Credentials, "source", source)
	for _, secret := range []string{"u53r", "s3cret", "k3y", "phr4se", fmt.Sprintf("%d", []byte("k3y"))} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q is in %s", secret, &out)
		}
	}
}

// FuzzTree decodes any bytes as a tree: what is a tree is encoded to one with
// the same entries.
func FuzzTree(f *testing.F) {
	hash := strings.Repeat("h", 20)
	f.Add([]byte("100644 a\x00" + hash + "40000 b\x00" + hash))
	f.Add([]byte("120000 ..\x00" + hash))
	f.Add([]byte("40000 a\x00short"))
	f.Fuzz(func(t *testing.T, data []byte) {
		encoded, ok := git.Recode(data)
		if !ok {
			return
		}
		if again, ok := git.Recode(encoded); !ok || !bytes.Equal(again, encoded) {
			t.Errorf("%q is encoded to %q, and that to %q", data, encoded, again)
		}
	})
}

func TestNowhereToUnpack(t *testing.T) {
	t.Parallel()
	s := &server{Dir: t.TempDir()}
	put(t, s.Bare(t, "m.git"), "main", map[string]string{"model/model.pkl": "m"})
	url, transport := s.Start(t)
	_, err := (&git.Repositories{Transport: transport, Dir: filepath.Join(t.TempDir(), "none")}).Open(t.Context(), git.Source{URL: url + "/m.git"})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want an error of the disk that may pass", err)
	}
}
