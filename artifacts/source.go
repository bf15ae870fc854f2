package artifacts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"strings"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/outbound"
)

// The members of a command's data that findings point to.
const (
	atArtifact = "model.artifact"
	atURL      = "model.artifact.url"
	atObject   = "model.artifact.object"
	atAccess   = "model.artifact.credentialsId"
	atDigest   = "model.artifact.digest"
	atSize     = "model.artifact.size"
)

// source is where the bytes of an artifact come from. open returns them and how
// many there are, -1 if that is not known before they are read.
type source struct {
	name string // for messages; holds no credentials
	open func(ctx context.Context) (body io.ReadCloser, size int64, err error)

	// resume is the rest of what first is the beginning of, a 206 answer. Its error
	// is ErrChanged when there is something else now, errOnce when nobody can know.
	// nil: what open gives is not resumed.
	resume func(ctx context.Context, first *outbound.Body, from int64) (*outbound.Body, error)
}

// source is where the producer put the artifact, or a rejection that says why
// bytes are not fetched from there.
func (s *Store) source(a deployment.Artifact) (source, error) {
	if err := s.check(a); err != nil {
		return source{}, err
	}
	if (a.URL == "") == (a.Object == "") {
		return source{}, deployment.Reject(deployment.CodeInvalidField, atArtifact, "artifact names a url or an object, exactly one of them")
	}
	u, err := parseURL(a.URL)
	switch inBucket := err == nil && isBucket(u); {
	case a.CredentialsID != "" && (a.Object != "" || err == nil && u.Scheme == "file"):
		return source{}, deployment.Reject(deployment.CodeInvalidField, atAccess, "credentials are for s3, gs, azblob, https and http urls: expected none")
	case a.Object != "":
		return s.object(a.Object), nil
	case err != nil:
		return source{}, err
	case inBucket && s.Buckets == nil:
		return source{}, deployment.Reject(deployment.CodeURLNotAllowed, atURL, "%s urls are not set up here: use http, https or the object store", u.Scheme)
	case inBucket:
		return s.bucket(a), nil
	case u.Scheme != "file":
		return s.http(u, a.CredentialsID), nil
	}
	if !s.AllowFileURLs {
		return source{}, deployment.Reject(deployment.CodeURLNotAllowed, atURL, "file urls are not allowed here: use http, https or the object store")
	}
	return file(u.Path), nil
}

// kept is the copy of the digest in Objects.
func (s *Store) kept(d deployment.Digest) source { return s.object(ObjectName(d)) }

func (s *Store) object(name string) source {
	open := func(ctx context.Context) (io.ReadCloser, int64, error) {
		body, err := s.Objects.Get(ctx, name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, 0, deployment.Reject(deployment.CodeArtifactNotFound, atObject, "the object store has no object %s: upload it again", name)
		}
		return body, -1, err
	}
	return source{name: "object " + name, open: open}
}

// bucket is an object in the store of somebody else.
func (s *Store) bucket(a deployment.Artifact) source {
	return source{
		name: a.URL,
		open: func(ctx context.Context) (io.ReadCloser, int64, error) {
			body, size, err := s.Buckets.Read(ctx, a.URL, a.CredentialsID)
			return body, size, bucketFault(err)
		},
		resume: func(ctx context.Context, first *outbound.Body, from int64) (*outbound.Body, error) {
			version := first.Header.Get("ETag")
			if strings.HasPrefix(a.URL, "gs:") {
				version = first.Header.Get("X-Goog-Generation")
			}
			if version == "" {
				return nil, errOnce
			}
			body, err := s.Buckets.Resume(ctx, a.URL, a.CredentialsID, version, from)
			return body, bucketFault(err)
		},
	}
}

// bucketFault is what an error of Buckets means for the command.
func bucketFault(err error) error {
	code, at := deployment.CodeURLInvalid, atURL
	switch {
	case errors.Is(err, ErrCredentials):
		code, at = deployment.CodeCredentialsMissing, atAccess
	case errors.Is(err, fs.ErrNotExist):
		code = deployment.CodeArtifactNotFound
	case errors.Is(err, fs.ErrPermission):
		code = deployment.CodeArtifactForbidden
	case !errors.Is(err, fs.ErrInvalid):
		return atCredentials(err)
	}
	return deployment.Reject(code, at, "%s", err)
}

// atCredentials is err of what finds credentials, with the place in a command
// that names them here.
func atCredentials(err error) error {
	if r, ok := errors.AsType[*deployment.Rejection](err); ok {
		return deployment.Reject(r.Code, atAccess, "%s", r.Message)
	}
	return err
}

// isBucket reports whether the url names an object in a bucket.
func isBucket(u *url.URL) bool {
	return u.Scheme == "s3" || u.Scheme == "gs" || u.Scheme == "azblob"
}

func file(path string) source {
	return source{name: "file " + path, open: func(context.Context) (io.ReadCloser, int64, error) {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrPermission):
			return nil, 0, forbiddenFile(path)
		case err != nil && missing(err):
			return nil, 0, deployment.Reject(deployment.CodeArtifactNotFound, atURL, "there is no file %s", path)
		case err != nil:
			return nil, 0, cause(err)
		case info.IsDir():
			return nil, 0, deployment.Reject(deployment.CodeArtifactNotFound, atURL, "%s is a directory, not a file", path)
		case !info.Mode().IsRegular(): // opening a pipe would wait for ever
			return nil, 0, deployment.Reject(deployment.CodeArtifactNotFound, atURL, "%s is not a regular file", path)
		}
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrPermission) {
			return nil, 0, forbiddenFile(path)
		}
		if err != nil {
			return nil, 0, cause(err)
		}
		return f, info.Size(), nil
	}}
}

func forbiddenFile(path string) error {
	return deployment.Reject(deployment.CodeArtifactForbidden, atURL, "file %s may not be read", path)
}

// cause is err without the operation and path that the os package puts in front.
func cause(err error) error {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		return pathError.Err
	}
	return err
}

// parseURL reads the url of an artifact and refuses one that could not be
// fetched or that carries a secret: a command is kept for ever and read by many.
func parseURL(text string) (*url.URL, error) {
	invalid := func(format string, args ...any) (*url.URL, error) {
		return nil, deployment.Reject(deployment.CodeURLInvalid, atURL, format, args...)
	}
	u, err := url.Parse(text)
	if err != nil { // its message quotes the url, secrets included
		return invalid("url cannot be parsed: expected an absolute url, of http, https, s3, gs, azblob or file")
	}
	if u.User != nil {
		return invalid("url carries a user or password: use one that needs none, or the object store")
	}
	switch u.Scheme {
	case "http", "https":
		if u.Hostname() == "" {
			return invalid("url names no host: expected %s://host/path", u.Scheme)
		}
	case "file":
		if u.Host != "" && u.Host != "localhost" {
			return invalid("file url names the host %q: expected file:///path", u.Host)
		}
		if !strings.HasPrefix(u.Path, "/") || u.RawQuery != "" || u.Fragment != "" {
			return invalid("file url is not an absolute path: expected file:///path")
		}
		return u, nil
	case "s3", "gs", "azblob":
		if u.Host == "" || strings.Trim(u.Path, "/") == "" {
			return invalid("url names no object: expected %s://bucket/name", u.Scheme)
		}
	case "":
		return invalid("url is relative: expected an absolute url, of http, https, s3, gs, azblob or file")
	default:
		return invalid("url has the scheme %q: expected http, https, s3, gs, azblob or file", u.Scheme)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return invalid("query of the url cannot be parsed")
	}
	for name := range query {
		if outbound.IsSecret(name) {
			return invalid("url carries a credential in its query member %s: use one that needs none, or the object store", name)
		}
	}
	return u, nil
}

// redact is how messages name a url: without its query, which may hold the
// credentials of a server that redirected to it.
func redact(u *url.URL) string { return fmt.Sprintf("%s://%s%s", u.Scheme, u.Host, u.EscapedPath()) }
