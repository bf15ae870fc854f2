package artifacts

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/slipway-ml/slipway/deployment"
)

// Take makes ours what is at the url now, whatever that is: a contract names
// files without their digest (deeploy.md D27). The artifact that it returns is
// our copy, which nobody can change any more. Besides the urls that Pin takes,
// objects://artifacts/name is an object of Objects. credentialsID may be "".
//
// What cannot be had or is not allowed is a *deployment.Rejection. Every other
// error may pass when it is tried again. progress may be nil.
func (s *Store) Take(ctx context.Context, at, credentialsID string, progress func(done, total int64)) (deployment.Artifact, error) {
	from, err := s.at(at, credentialsID)
	if err != nil {
		return deployment.Artifact{}, err
	}
	return s.take(ctx, from, progress)
}

// Keep makes ours the bytes that open gives, with how many there are, -1 if that
// is not known. name is for messages.
func (s *Store) Keep(ctx context.Context, name string, open func(context.Context) (io.ReadCloser, int64, error), progress func(done, total int64)) (deployment.Artifact, error) {
	return s.take(ctx, source{name: name, open: open}, progress)
}

// at is the source that a url names.
func (s *Store) at(text, credentialsID string) (source, error) {
	if name, ok := strings.CutPrefix(text, objectsURL); ok {
		if credentialsID != "" {
			return source{}, deployment.Reject(deployment.CodeInvalidField, atAccess, "credentials are for s3, gs, azblob, https and http urls: expected none")
		}
		name, err := url.PathUnescape(name)
		if err != nil || name == "" {
			return source{}, deployment.Reject(deployment.CodeURLInvalid, atURL, "url names no object: expected %sname", objectsURL)
		}
		return s.object(name), nil
	}
	return s.source(deployment.Artifact{URL: text, CredentialsID: credentialsID, Digest: deployment.DigestOf(make([]byte, sha256.Size)), Size: 1})
}

// objectsURL is how the objects of Objects are named by a url.
const objectsURL = "objects://artifacts/"

func (s *Store) take(ctx context.Context, from source, progress func(done, total int64)) (a deployment.Artifact, err error) {
	if progress == nil {
		progress = func(done, total int64) {}
	}
	a, err = restarting(func() (deployment.Artifact, error) { return s.drain(ctx, from, progress) })
	if err != nil && !rejected(err) {
		err = fmt.Errorf("fetch %s: %w", from.name, err)
	}
	if err != nil {
		return a, err
	}
	unlock, err := s.lock(ctx, a.Digest)
	if err != nil {
		return a, fmt.Errorf("keep %s: %w", a.Digest, err)
	}
	defer unlock()
	shared, err := s.shared(ctx, a.Digest, a.Size)
	if err == nil && !shared {
		err = s.share(ctx, s.path(a.Digest), a.Digest)
	}
	if err != nil {
		return a, fmt.Errorf("keep %s: %w", a.Digest, err)
	}
	a.Object = ObjectName(a.Digest)
	return a, nil
}

// drain makes a file of all that the source gives, under its digest, and says
// what it is. Like fetch it leaves a complete file or none.
func (s *Store) drain(ctx context.Context, from source, progress func(done, total int64)) (a deployment.Artifact, err error) {
	in, known, err := from.begin(ctx)
	if err != nil {
		return a, err
	}
	defer in.Close()
	if err := s.checkLimit(known); err != nil {
		return a, err
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return a, err
	}
	out, err := os.CreateTemp(s.Dir, fetchPrefix+"*")
	if err != nil {
		return a, err
	}
	defer func() {
		_ = out.Close()
		_ = os.Remove(out.Name()) // after the rename there is nothing of that name
	}()
	sum := sha256.New()
	if a.Size, err = s.copyAll(ctx, out, sum, in, known, progress); err != nil {
		return a, err
	}
	a.Digest = deployment.DigestOf(sum.Sum(nil))
	if err := out.Sync(); err != nil {
		return a, err
	}
	if err := os.Rename(out.Name(), s.path(a.Digest)); err != nil {
		return a, err
	}
	return a, syncDir(s.Dir)
}

// copyAll writes all of in to out and sum, within the limit, and returns how many
// bytes that were; known of them are expected, -1 for any number.
func (s *Store) copyAll(ctx context.Context, out io.Writer, sum hash.Hash, in io.Reader, known int64, progress func(done, total int64)) (done int64, err error) {
	buffer := make([]byte, chunk)
	for {
		if ctx.Err() != nil {
			return done, context.Cause(ctx)
		}
		n, err := in.Read(buffer)
		done += int64(n)
		if err := s.checkLimit(done); err != nil {
			return done, err
		}
		if _, err := out.Write(buffer[:n]); err != nil {
			return done, err
		}
		sum.Write(buffer[:n])
		if n > 0 {
			progress(done, max(known, done))
		}
		switch {
		case errors.Is(err, io.EOF) && (known >= 0 && done != known || endUnknown(in)):
			return done, fmt.Errorf("connection ended after %d bytes", done)
		case errors.Is(err, io.EOF) && done == 0:
			return done, deployment.Reject(deployment.CodeArtifactInvalid, atArtifact, "the artifact is empty: expected a model file")
		case errors.Is(err, io.EOF):
			return done, nil
		case err != nil:
			return done, fmt.Errorf("after %d bytes: %w", done, err)
		}
	}
}
