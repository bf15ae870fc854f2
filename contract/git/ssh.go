package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/slipway-ml/slipway/deployment"
)

const handshakeTimeout = 30 * time.Second

// ssh is the repository behind an ssh url.
//
// go-git's own transport is not used: it reads the ssh configuration of the
// user, and a context does not end its connecting.
func (r *Repositories) ssh(at address, c Credentials) (*wire, error) {
	if r.KnownHosts == "" {
		return nil, deployment.Reject(deployment.CodeURLNotAllowed, atURL, "ssh is not set up here: use https")
	}
	if len(c.Key) == 0 {
		return nil, deployment.Reject(CodeRepositoryForbidden, atURL, "ssh needs a private key: expected credentials that hold one")
	}
	parse := func() (ssh.Signer, error) { return ssh.ParsePrivateKey(c.Key) }
	if len(c.Phrase) > 0 {
		parse = func() (ssh.Signer, error) { return ssh.ParsePrivateKeyWithPassphrase(c.Key, c.Phrase) }
	}
	key, err := parse()
	if err != nil { // its message may quote the key
		return nil, deployment.Reject(CodeRepositoryForbidden, atURL, "the private key of the credentials cannot be read: expected one in PEM or OpenSSH form, with its phrase if it has one")
	}
	known, err := knownhosts.New(r.KnownHosts)
	if err != nil {
		return nil, fmt.Errorf("read known hosts: %w", err)
	}
	config := ssh.ClientConfig{
		User: at.user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback: known, HostKeyAlgorithms: algorithms(known, at.host),
	}
	return &wire{
		repositories: r,
		fetching: func(ctx context.Context) (transport.UploadPackSession, error) {
			return dialSSH(ctx, at, config, transport.UploadPackServiceName)
		},
		pushing: func(ctx context.Context) (transport.ReceivePackSession, error) {
			return dialSSH(ctx, at, config, transport.ReceivePackServiceName)
		},
	}, nil
}

// algorithms are those of the keys that are known of the host. Without them the
// server may show another of its keys, and be taken for a stranger.
func algorithms(known ssh.HostKeyCallback, host string) (list []string) {
	wants, ok := errors.AsType[*knownhosts.KeyError](known(host, &net.TCPAddr{}, noKey{}))
	if !ok {
		return nil
	}
	for _, k := range wants.Want {
		if kind := k.Key.Type(); kind == ssh.KeyAlgoRSA {
			list = append(list, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		} else {
			list = append(list, kind)
		}
	}
	return list
}

// noKey is the key of no host.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return nil }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }

// sshSession is one run of git-upload-pack or git-receive-pack on the server.
// When its context ends, so does its connection.
type sshSession struct {
	client  *ssh.Client
	service string
	ended   chan struct{} // closed when the run has ended and has said all
	in      io.WriteCloser
	out     io.Reader
	said    *stderr
	stop    func() bool
	refs    *packp.AdvRefs
}

func dialSSH(ctx context.Context, at address, config ssh.ClientConfig, service string) (_ *sshSession, err error) {
	conn, err := (&net.Dialer{Timeout: connectTimeout}).DialContext(ctx, "tcp", at.host)
	if err != nil {
		return nil, err
	}
	s := &sshSession{service: service, ended: make(chan struct{}), said: &stderr{}, stop: context.AfterFunc(ctx, func() { _ = conn.Close() })}
	defer func() {
		if err != nil {
			s.stop()
			_ = conn.Close()
		}
	}()
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return nil, err
	}
	c, channels, requests, err := ssh.NewClientConn(conn, at.host, &config)
	if err != nil {
		if strings.Contains(err.Error(), "unable to authenticate") { // there is no type for it
			return nil, transport.ErrAuthenticationRequired
		}
		return nil, err
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	s.client = ssh.NewClient(c, channels, requests)
	session, err := s.client.NewSession()
	if err != nil {
		return nil, err
	}
	session.Stderr = s.said
	if s.in, err = session.StdinPipe(); err != nil {
		return nil, err
	}
	if s.out, err = session.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := session.Start(service + " '" + strings.ReplaceAll(strings.ReplaceAll(at.path, "'", `'\''`), "!", `'\!'`) + "'"); err != nil {
		return nil, err
	}
	go func() {
		defer close(s.ended)
		_ = session.Wait() // what it answers counts, not how it exits
	}()
	return s, nil
}

func (s *sshSession) Close() error {
	s.stop()
	return s.client.Close()
}

func (s *sshSession) AdvertisedReferences() (*packp.AdvRefs, error) {
	return s.AdvertisedReferencesContext(context.Background())
}

// AdvertisedReferencesContext reads what the server says first.
func (s *sshSession) AdvertisedReferencesContext(context.Context) (*packp.AdvRefs, error) {
	if s.refs != nil {
		return s.refs, nil
	}
	ar := packp.NewAdvRefs()
	err := ar.Decode(io.LimitReader(s.out, maxRefsBytes))
	switch {
	case err != nil && !errors.Is(err, packp.ErrEmptyAdvRefs):
		return nil, s.explain(err)
	case ar.IsEmpty() && s.service == transport.UploadPackServiceName:
		return nil, transport.ErrEmptyRemoteRepository
	}
	transport.FilterUnsupportedCapabilities(ar.Capabilities)
	s.refs = ar
	return ar, nil
}

// UploadPack asks for a pack.
func (s *sshSession) UploadPack(_ context.Context, request *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	if err := request.UploadRequest.Encode(s.in); err != nil {
		return nil, s.explain(err)
	}
	if err := pktline.NewEncoder(s.in).EncodeString("done\n"); err != nil {
		return nil, s.explain(err)
	}
	response := packp.NewUploadPackResponse(request)
	if err := response.Decode(io.NopCloser(s.out)); err != nil {
		return nil, s.explain(err)
	}
	return response, nil
}

// ReceivePack sends a pack.
func (s *sshSession) ReceivePack(_ context.Context, request *packp.ReferenceUpdateRequest) (*packp.ReportStatus, error) {
	if err := request.Encode(s.in); err != nil {
		return nil, s.explain(err)
	}
	_ = s.in.Close() // a server that was quick has closed it before: what it answers counts
	if !request.Capabilities.Supports(capability.ReportStatus) {
		return nil, nil
	}
	out := s.out
	if request.Capabilities.Supports(capability.Sideband64k) {
		demuxer := sideband.NewDemuxer(sideband.Sideband64k, out)
		demuxer.Progress = request.Progress
		out = demuxer
	}
	report := packp.NewReportStatus()
	if err := report.Decode(out); err != nil {
		return nil, s.explain(err)
	}
	return report, report.Error()
}

// explain is err, or what the server's complaint says about it.
func (s *sshSession) explain(err error) error {
	_ = s.in.Close()
	timer := time.NewTimer(lastWords)
	defer timer.Stop()
	select { // the complaint comes on a way of its own
	case <-s.ended:
	case <-timer.C:
	}
	text := s.said.String()
	if line, ok := errors.AsType[*pktline.ErrorLine](err); ok {
		text += " " + line.Text
	}
	lower := strings.ToLower(text)
	for _, sign := range []string{"not found", "not appear to be a git repo", "could not be found", "does not exist", "no such"} {
		if strings.Contains(lower, sign) {
			return transport.ErrRepositoryNotFound
		}
	}
	for _, sign := range []string{"denied", "not allowed", "forbidden", "unauthorized", "read only", "read-only"} {
		if strings.Contains(lower, sign) {
			return transport.ErrAuthorizationFailed
		}
	}
	if text = spokenText(text); text != "" {
		return fmt.Errorf("%w (%s)", err, text)
	}
	return err
}

// lastWords is how long the complaint of a server may take after its answer has
// ended.
const lastWords = 2 * time.Second

// stderr keeps the first of what the server complains about: that is how it
// says that there is no repository.
type stderr struct {
	mu   sync.Mutex
	text strings.Builder
}

func (e *stderr) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.text.Write(p[:min(len(p), maxRemarks-e.text.Len())])
	return len(p), nil
}

func (e *stderr) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.text.String()
}
