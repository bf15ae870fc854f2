package oci

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/outbound"
)

// What a registry may send; the specification of registries asks them for
// manifests of 4 MiB.
const (
	maxManifest  = 4 << 20
	maxConfig    = 8 << 20
	maxRedirects = 5
)

// session is one repository of a registry that lets us read.
type session struct {
	client *http.Client
	base   url.URL // .../v2/<repository>
}

// document is JSON that a registry has sent, whose digest is known.
type document struct {
	MediaType types.MediaType
	digest    deployment.Digest
	body      []byte
}

func (d *document) reader() io.Reader { return bytes.NewReader(d.body) }

// open greets the registry, and gets a token where it wants one.
func (r *Registries) open(ctx context.Context, repository name.Repository, credentialsID string) (*session, error) {
	registry := repository.Registry
	plain := r.transport(registry)
	challenge, err := transport.Ping(ctx, registry, plain)
	if err != nil {
		return nil, failed(err)
	}
	base := url.URL{Scheme: "https", Host: registry.RegistryStr(), Path: "/v2/" + repository.RepositoryStr()}
	if challenge.Insecure {
		base.Scheme = "http"
	}
	auth, err := r.login(ctx, credentialsID, &base)
	if err != nil {
		return nil, err
	}
	signed, err := signed(ctx, repository, auth, plain, challenge)
	if err != nil {
		return nil, err
	}
	return &session{
		client: &http.Client{Transport: signed, CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return reject(deployment.CodeImageInvalid, "the registry redirects more than %d times", maxRedirects)
			}
			return nil
		}},
		base: base,
	}, nil
}

// manifest is the one with that tag or digest. What is said of it has to be true:
// later it is had by its digest alone.
func (s *session) manifest(ctx context.Context, identifier string) (*document, error) {
	d, said, err := s.get(ctx, "manifests/"+identifier, maxManifest)
	if err != nil {
		return nil, err
	}
	if strings.Contains(identifier, ":") {
		said = identifier
	}
	if said != "" && said != string(d.digest) {
		return nil, lies(said, d.digest)
	}
	var inner struct {
		MediaType types.MediaType `json:"mediaType"`
	}
	switch {
	case d.MediaType == types.DockerManifestSchema1 || d.MediaType == types.DockerManifestSchema1Signed:
		return nil, notAnImage("it is in the first form of Docker's images, which nobody can run any more: expected one that is built anew")
	case !d.MediaType.IsIndex() && !d.MediaType.IsImage():
		return nil, notAnImage("what answers is of another type")
	case json.Unmarshal(d.body, &inner) != nil || inner.MediaType != "" && inner.MediaType != d.MediaType: // two readings of one digest
		return nil, notAnImage("it says two types of itself")
	}
	return d, nil
}

// config is the configuration of an image.
func (s *session) config(ctx context.Context, of v1.Descriptor) (*document, error) {
	if of.Size > maxConfig {
		return nil, tooLarge(maxConfig)
	}
	d, _, err := s.get(ctx, "blobs/"+of.Digest.String(), maxConfig)
	if err != nil {
		return nil, err
	}
	if of.Digest.String() != string(d.digest) {
		return nil, lies(of.Digest.String(), d.digest)
	}
	return d, nil
}

// get is what the registry sends, and the digest that it says of it.
func (s *session) get(ctx context.Context, path string, most int64) (d *document, said string, err error) {
	at := s.base
	at.Path += "/" + path
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, "", errors.New("request cannot be made")
	}
	request.Header.Set("Accept", accepted)
	answer, err := outbound.Do(s.client, request, stallTimeout)
	if err != nil {
		return nil, "", explain(err)
	}
	defer answer.Close()
	if answer.Status != http.StatusOK {
		return nil, "", refused(answer.Status)
	}
	body, err := io.ReadAll(io.LimitReader(answer, most+1))
	switch {
	case err != nil:
		return nil, "", fmt.Errorf("after %d bytes: %w", len(body), err)
	case int64(len(body)) > most:
		return nil, "", tooLarge(most)
	case answer.EndUnknown() && !json.Valid(body):
		return nil, "", fmt.Errorf("connection ended after %d bytes", len(body))
	}
	sum := sha256.Sum256(body)
	mediaType, _, _ := strings.Cut(answer.Header.Get("Content-Type"), ";")
	return &document{MediaType: types.MediaType(mediaType), digest: deployment.DigestOf(sum[:]), body: body},
		answer.Header.Get("Docker-Content-Digest"), nil
}

// accepted are the types of manifests that are read.
var accepted = strings.Join([]string{
	string(types.OCIImageIndex), string(types.DockerManifestList), string(types.OCIManifestSchema1), string(types.DockerManifestSchema2),
}, ", ")

// refused is what the status of an answer means.
func refused(status int) error {
	switch status {
	case http.StatusNotFound, http.StatusGone:
		return reject(deployment.CodeImageNotFound, "registry answered %d: there is no such image; push it, or name another one", status)
	case http.StatusUnauthorized, http.StatusForbidden:
		return reject(deployment.CodeImageForbidden, "registry answered %d: the image may not be read, or there is none; name credentials that may by credentialsId", status)
	default:
		return fmt.Errorf("registry answered %d", status)
	}
}

func lies(said string, got deployment.Digest) error {
	return reject(deployment.CodeDigestMismatch, "registry says the digest %.80q, and what it sent has %s: it, or something before it, changes images", said, got)
}

func tooLarge(most int64) error {
	return reject(deployment.CodeImageInvalid, "the registry describes the image in more than %d bytes", most)
}

// failed is why a registry, or the server of its tokens, did not let us in.
func failed(err error) error {
	answer, answered := errors.AsType[*transport.Error](err)
	switch {
	case answered && answer.StatusCode == http.StatusNotFound:
		return reject(deployment.CodeImageNotFound, "what answers there is not a registry: expected an image such as registry.example/name:tag")
	case answered:
		return refused(answer.StatusCode)
	}
	return explain(err)
}

// explain is why no answer came, without the url, which may hold what a server
// that redirects has put there.
func explain(err error) error {
	if urlError, ok := errors.AsType[*url.Error](err); ok {
		err = urlError.Err
	}
	if wrong, ok := errors.AsType[*deployment.Rejection](err); ok {
		return wrong
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		return errPlain
	}
	return err
}
