package gittest

import (
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
)

// NewKey is a key pair: the signer, and the private key as a file has it.
func NewKey(tb testing.TB, phrase string) (ssh.Signer, []byte) {
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

// StartSSH serves the repositories over ssh to the user git with the key. It
// shows several host keys. It returns the address and a known_hosts file with
// one of them.
func (s *Server) StartSSH(tb testing.TB, user ssh.PublicKey) (addr, known string) {
	tb.Helper()
	config := &ssh.ServerConfig{PublicKeyCallback: func(conn ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if conn.User() != "git" || string(key.Marshal()) != string(user.Marshal()) {
			return nil, errors.New("unknown key")
		}
		return nil, nil
	}}
	host, _ := NewKey(tb, "")
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

func (s *Server) serveSSH(conn net.Conn, config *ssh.ServerConfig) {
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

// What a server says on ssh, in the words of a well-known one.
const (
	noRepository = "ERROR: Repository not found."
	readOnly     = "ERROR: The key you are authenticating with has been marked as read only."
)

func (s *Server) exec(command string, channel io.ReadWriter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	service, name, _ := strings.Cut(command, " ")
	st, err := s.open(strings.Trim(name, "'"))
	if err != nil {
		return fmt.Errorf("%s", noRepository)
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
	if s.Decline == "read only" {
		return fmt.Errorf("%s", readOnly)
	}
	report, err := s.receive(st, channel)
	if err != nil {
		return err
	}
	return report.Encode(channel)
}
