// Package artifacts fetches, verifies and keeps the bytes of models. A producer
// says where the bytes are and what their SHA-256 is; Store.Pin makes a copy
// that nobody can change any more, in the shared object store and on this
// machine, and Store.Open finds it again by digest. Start reading at Store.Pin.
package artifacts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/outbound"
)

// Objects is the object store that keeps artifacts for everyone. Get and Renew
// return an error that wraps fs.ErrNotExist when there is no such object; every
// other error means that the store could not be asked. Errors name the object.
type Objects interface {
	Get(ctx context.Context, name string) (io.ReadCloser, error)
	Put(ctx context.Context, name string, r io.Reader) error // replaces what has that name
	Renew(ctx context.Context, name string) (int64, error)   // bytes; from then on it is as young as a new one
}

// ErrCredentials is why Buckets cannot use credentials: there are none of that id,
// or they are not what the store takes.
var ErrCredentials = errors.New("credentials cannot be used")

// Buckets reads objects of object stores that are not ours: of s3, gs and azblob
// urls, with the credentials of an id, or with "" those of the environment. It
// says how many bytes there are, -1 if that is not known. Errors that wrap
// fs.ErrNotExist, fs.ErrPermission, fs.ErrInvalid or ErrCredentials are for good;
// every other error may pass. None holds a secret.
type Buckets interface {
	Read(ctx context.Context, url, credentialsID string) (body io.ReadCloser, size int64, err error)
	// Resume is the rest of the version of an object, from an offset on: a 206
	// answer. Its error wraps ErrChanged when there is another version now.
	Resume(ctx context.Context, url, credentialsID, version string, from int64) (*outbound.Body, error)
}

// Credentials says what to send to an http server as the Authorization of a
// request, by the id of credentials. What is wrong with them, or with sending
// them there, is a *deployment.Rejection; every other error may pass. None holds a
// secret.
type Credentials interface {
	Authorization(ctx context.Context, id string, to *url.URL) (string, error)
}

// Store keeps artifacts under their digest: in Objects for every machine and as
// files in Dir for this one. Several Stores, also of several processes, may
// share one Dir. The zero values of the optional fields are usable; a Store must
// not be copied after its first use.
type Store struct {
	Dir           string          // of the files; made when missing
	Objects       Objects         // shared by all machines
	Limit         int64           // bytes an artifact may have; 0: any number
	AllowFileURLs bool            // whether file:// may be named as a source
	HTTP          *http.Transport // fetches http and https; nil: one with a connect and a response-header timeout
	Buckets       Buckets         // fetches from the object stores of others; nil: such urls are refused
	Credentials   Credentials     // for http and https; nil: there are none

	AllowPrivateRedirects bool // whether a server may redirect to a private address

	mu   sync.Mutex
	busy map[deployment.Digest]chan struct{} // closed when the work on the digest ends
}

// Pin makes the artifact ours: it fetches the bytes from where the producer put
// them, verifies digest and size, keeps them in Objects and in Dir, and returns
// the path of the file. Twice is the same as once: what is kept already is not
// fetched again. progress is told bytes so far and bytes in all; it may be nil.
//
// An artifact that is not what it says, cannot be had or is not allowed is a
// *deployment.Rejection. Every other error may pass when it is tried again.
func (s *Store) Pin(ctx context.Context, a deployment.Artifact, progress func(done, total int64)) (path string, err error) {
	if progress == nil {
		progress = func(done, total int64) {}
	}
	from, err := s.source(a)
	if err != nil {
		return "", err
	}
	unlock, err := s.lock(ctx, a.Digest)
	if err != nil {
		return "", fmt.Errorf("pin %s: %w", a.Digest, err)
	}
	defer unlock()

	shared, err := s.shared(ctx, a.Digest, a.Size)
	if err != nil {
		return "", fmt.Errorf("pin %s: %w", a.Digest, err)
	}
	path = s.path(a.Digest)
	local, err := s.local(a.Digest, a.Size)
	if err != nil {
		return "", fmt.Errorf("pin %s: %w", a.Digest, err)
	}
	if !local && shared && a.Object != ObjectName(a.Digest) {
		err := s.fetch(ctx, a.Digest, a.Size, s.kept(a.Digest), progress)
		if _, wrong := errors.AsType[*deployment.Rejection](err); wrong {
			shared = false // the kept copy is damaged: replace it from the source
		} else if err != nil {
			return "", err
		} else {
			local = true
		}
	}
	if !local {
		if err := s.fetch(ctx, a.Digest, a.Size, from, progress); err != nil {
			return "", err
		}
	}
	if !shared {
		if err := s.share(ctx, path, a.Digest); err != nil {
			return "", fmt.Errorf("pin %s: %w", a.Digest, err)
		}
	}
	return path, nil
}

// Open returns the path of the file with pinned bytes. It fetches them from
// Objects when this machine has none, or damaged ones, and verifies what it
// fetches. size is in bytes. Bytes in Objects that are not what their name says
// are a *deployment.Rejection; every other error may pass.
func (s *Store) Open(ctx context.Context, d deployment.Digest, size int64) (path string, err error) {
	if err := s.check(deployment.Artifact{Digest: d, Size: size}); err != nil {
		return "", err
	}
	unlock, err := s.lock(ctx, d)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", d, err)
	}
	defer unlock()
	path = s.path(d)
	local, err := s.local(d, size)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", d, err)
	}
	if !local {
		if err := s.fetch(ctx, d, size, s.kept(d), func(done, total int64) {}); err != nil {
			return "", err
		}
	}
	return path, nil
}

// check refuses an artifact by what is declared of it.
func (s *Store) check(a deployment.Artifact) error {
	if _, err := deployment.ParseDigest(string(a.Digest)); err != nil {
		return deployment.Reject(deployment.CodeInvalidField, atDigest, "%s", err)
	}
	if a.Size < 1 {
		return deployment.Reject(deployment.CodeInvalidField, atSize, "size %d: expected the bytes of the artifact, 1 or more", a.Size)
	}
	return s.checkLimit(a.Size)
}

func (s *Store) checkLimit(size int64) error {
	if s.Limit > 0 && size > s.Limit {
		return deployment.Reject(deployment.CodeArtifactTooLarge, atSize, "artifact has %d bytes, more than the %d allowed", size, s.Limit)
	}
	return nil
}

// lock waits until nobody in this process works on the digest. Processes that
// share Dir need no lock: each writes a file of its own and renames it.
func (s *Store) lock(ctx context.Context, d deployment.Digest) (unlock func(), err error) {
	for {
		s.mu.Lock()
		busy, taken := s.busy[d]
		if !taken {
			mine := make(chan struct{})
			if s.busy == nil {
				s.busy = make(map[deployment.Digest]chan struct{})
			}
			s.busy[d] = mine
			s.mu.Unlock()
			return func() {
				s.mu.Lock()
				delete(s.busy, d)
				s.mu.Unlock()
				close(mine)
			}, nil
		}
		s.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// shared reports whether Objects keeps the digest with the right size. What is
// used is renewed, so that it is not collected before it is known who uses it.
func (s *Store) shared(ctx context.Context, d deployment.Digest, size int64) (bool, error) {
	kept, err := s.Objects.Renew(ctx, ObjectName(d))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return kept == size, nil
}

// share puts the verified file into Objects.
func (s *Store) share(ctx context.Context, path string, d deployment.Digest) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return s.Objects.Put(ctx, ObjectName(d), f)
}

func (s *Store) path(d deployment.Digest) string { return filepath.Join(s.Dir, filePrefix+d.Hex()) }
