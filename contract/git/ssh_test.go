package git_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/contract/git"
	"github.com/slipway-ml/slipway/deployment"
)

// newKey is a key pair: the signer, and the private key as a file has it.
func newKey(tb testing.TB, phrase string) (ssh.Signer, []byte) {
	tb.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		tb.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if phrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(phrase))
	}
	if err != nil {
		tb.Fatal(err)
	}
	return signer, pem.EncodeToMemory(block)
}

func ecdsaKey(tb testing.TB) ssh.Signer {
	tb.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		tb.Fatal(err)
	}
	return signer
}

// startSSH serves the repositories over ssh to the user git with the key. It
// shows several host keys. It returns the address and a known_hosts file with
// one of them.
func (s *server) startSSH(tb testing.TB, user ssh.PublicKey) (addr, known string) {
	tb.Helper()
	config := &ssh.ServerConfig{PublicKeyCallback: func(conn ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if conn.User() != "git" || string(key.Marshal()) != string(user.Marshal()) {
			return nil, errors.New("unknown key")
		}
		return nil, nil
	}}
	host, _ := newKey(tb, "")
	config.AddHostKey(host)
	config.AddHostKey(ecdsaKey(tb))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serveSSH(conn, config)
		}
	}()
	known = filepath.Join(tb.TempDir(), "known_hosts")
	line := knownhosts.Line([]string{knownhosts.HashHostname(knownhosts.Normalize(listener.Addr().String()))}, host.PublicKey())
	if err := os.WriteFile(known, []byte(line+"\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	return listener.Addr().String(), known
}

func (s *server) serveSSH(conn net.Conn, config *ssh.ServerConfig) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		for request := range requests {
			if request.Type != "exec" {
				_ = request.Reply(false, nil)
				continue
			}
			_ = request.Reply(true, nil)
			status := uint32(0)
			if err := s.exec(string(request.Payload[4:]), channel); err != nil {
				fmt.Fprintln(channel.Stderr(), err)
				status = 128
			}
			_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
			_ = channel.Close()
			break
		}
	}
}

func (s *server) exec(command string, channel io.ReadWriter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	service, name, _ := strings.Cut(command, " ")
	st, err := s.open(strings.Trim(name, "'"))
	if err != nil {
		return errors.New("ERROR: Repository not found.")
	}
	defer st.Close()
	ar, err := s.advertise(st, service)
	if err != nil {
		return err
	}
	if err := ar.Encode(channel); err != nil {
		return err
	}
	if service == "git-upload-pack" {
		return s.upload(st, channel, channel)
	}
	if s.decline == "read only" {
		return errors.New("ERROR: The key you are authenticating with has been marked as read only.")
	}
	report, err := s.receive(st, channel)
	if err != nil {
		return err
	}
	return report.Encode(channel)
}

func TestOverSSH(t *testing.T) {
	t.Parallel()
	for _, phrase := range []string{"", "open sesame"} {
		t.Run("phrase "+phrase, func(t *testing.T) {
			t.Parallel()
			s := &server{dir: t.TempDir()}
			st := s.bare(t, "team/m.git")
			first := put(t, st, "main", map[string]string{"model/model.pkl": "m"})
			put(t, st, "main", map[string]string{"model/model.pkl": "m2"})
			s.bare(t, "empty.git")
			signer, key := newKey(t, phrase)
			addr, known := s.startSSH(t, signer.PublicKey())
			r := &git.Repositories{KnownHosts: known}
			source := git.Source{URL: "ssh://git@" + addr + "/team/m.git", Credentials: git.Credentials{Key: key, Phrase: []byte(phrase)}}
			result := write(t, r, source, commit("models/a", "s3://b/m"))
			if again := write(t, r, source, commit("models/a", "s3://b/m")); again.Changed || again.Commit != result.Commit {
				t.Errorf("the second time: got %+v", again)
			}
			if got := len(history(t, s.fresh(st))); got != 3 {
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
	s := &server{dir: t.TempDir(), decline: "read only"}
	put(t, s.bare(t, "m.git"), "main", map[string]string{"model/model.pkl": "m"})
	signer, key := newKey(t, "")
	_, stranger := newKey(t, "")
	_, locked := newKey(t, "open sesame")
	addr, known := s.startSSH(t, signer.PublicKey())
	_, others := (&server{dir: t.TempDir()}).startSSH(t, signer.PublicKey())
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
