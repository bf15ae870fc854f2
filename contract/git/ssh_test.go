package git_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/contract/git"
	"github.com/slipway-ml/slipway/deployment"
)

func TestOverSSH(t *testing.T) {
	t.Parallel()
	for _, phrase := range []string{"", "open sesame"} {
		t.Run("phrase "+phrase, func(t *testing.T) {
			t.Parallel()
			s := &server{Dir: t.TempDir()}
			st := s.Bare(t, "team/m.git")
			first := put(t, st, "main", map[string]string{"model/model.pkl": "m"})
			put(t, st, "main", map[string]string{"model/model.pkl": "m2"})
			s.Bare(t, "empty.git")
			signer, key := newKey(t, phrase)
			addr, known := s.StartSSH(t, signer.PublicKey())
			r := &git.Repositories{KnownHosts: known}
			source := git.Source{URL: "ssh://git@" + addr + "/team/m.git", Credentials: git.Credentials{Key: key, Phrase: []byte(phrase)}}
			result := write(t, r, source, commit("models/a", "s3://b/m"))
			if again := write(t, r, source, commit("models/a", "s3://b/m")); again.Changed || again.Commit != result.Commit {
				t.Errorf("the second time: got %+v", again)
			}
			if got := len(history(t, s.Fresh(st))); got != 3 {
				t.Errorf("got %d commits, want 3", got)
			}
			source.Commit = first.String()
			if got := contractOf(t, open(t, r, source), "").Model.Kind(); got != contract.KindFile {
				t.Errorf("got a model from %s at the first commit", got)
			}
			source.Commit, source.URL = "", "ssh://git@"+addr+"/empty.git"
			write(t, r, source, commit("", "s3://b/m"))
		})
	}
}

func TestSSHIsRefused(t *testing.T) {
	t.Parallel()
	s := &server{Dir: t.TempDir(), Decline: "read only"}
	put(t, s.Bare(t, "m.git"), "main", map[string]string{"model/model.pkl": "m"})
	signer, key := newKey(t, "")
	_, stranger := newKey(t, "")
	_, locked := newKey(t, "open sesame")
	addr, known := s.StartSSH(t, signer.PublicKey())
	_, others := (&server{Dir: t.TempDir()}).StartSSH(t, signer.PublicKey())
	url := "ssh://git@" + addr + "/"

	for name, test := range map[string]struct {
		repositories *git.Repositories
		source       git.Source
		code         deployment.Code
	}{
		"no such repository": {&git.Repositories{KnownHosts: known}, git.Source{URL: url + "none.git", Credentials: git.Credentials{Key: key}}, "repository_not_found"},
		"another key":        {&git.Repositories{KnownHosts: known}, git.Source{URL: url + "m.git", Credentials: git.Credentials{Key: stranger}}, "repository_forbidden"},
		"no key":             {&git.Repositories{KnownHosts: known}, git.Source{URL: url + "m.git", Credentials: git.Credentials{Secret: "x"}}, "repository_forbidden"},
		"no phrase":          {&git.Repositories{KnownHosts: known}, git.Source{URL: url + "m.git", Credentials: git.Credentials{Key: locked}}, "repository_forbidden"},
		"another user":       {&git.Repositories{KnownHosts: known}, git.Source{URL: "ssh://root@" + addr + "/m.git", Credentials: git.Credentials{Key: key}}, "repository_forbidden"},
		"unknown host":       {&git.Repositories{KnownHosts: others}, git.Source{URL: url + "m.git", Credentials: git.Credentials{Key: key}}, "host_key_refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := test.repositories.Open(t.Context(), test.source)
			wantRejection(t, err, test.code)
		})
	}
	t.Run("read only", func(t *testing.T) {
		t.Parallel()
		_, err := (&git.Repositories{KnownHosts: known}).Write(t.Context(), git.Source{URL: url + "m.git", Credentials: git.Credentials{Key: key}}, commit("a", "s3://b/m"))
		wantRejection(t, err, git.CodePushRefused, "may not push")
	})
}

func TestSSHCanBeCancelled(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		conn, err := listener.Accept() // and say nothing
		if err == nil {
			t.Cleanup(func() { _ = conn.Close() })
		}
		cancel(errors.New("fence moved"))
	}()
	signer, key := newKey(t, "")
	known := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(known, []byte(knownhosts.Line([]string{knownhosts.Normalize(listener.Addr().String())}, signer.PublicKey())), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = (&git.Repositories{KnownHosts: known}).Open(ctx, git.Source{URL: "ssh://git@" + listener.Addr().String() + "/m.git", Credentials: git.Credentials{Key: key}})
	if err == nil || !strings.Contains(err.Error(), "fence moved") {
		t.Errorf("got %v, want the cause", err)
	}
}
