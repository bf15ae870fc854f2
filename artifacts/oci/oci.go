// Package oci finds out what the name of a container image means now: it asks
// the registry for the digest, and sees that the image is there and for the
// platform. Nothing is pulled but manifests and one configuration. Start reading
// at Registries.Resolve.
package oci

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-ml/slipway/deployment"
)

// Credentials finds secrets by their id; *credentials.Finder is one.
type Credentials interface {
	// Authorization is the header that goes to a server with these credentials.
	Authorization(ctx context.Context, id string, to *url.URL) (string, error)
}

// Registries asks registries about images. The zero value asks any that speaks
// https for images of DefaultPlatform that need no credentials.
type Registries struct {
	Credentials Credentials     // by id; nil: there are none
	Platform    string          // that an image has to be for, such as linux/amd64; "": DefaultPlatform
	HTTP        *http.Transport // nil: one with a connect and a response-header timeout

	AllowHTTP             bool // whether a registry may be asked by plain http when it does not speak https
	AllowPrivateRedirects bool // whether a registry may send on to a private address

	Patience time.Duration // for all that is asked about one image; 0: a minute
}

// DefaultPlatform is the one that servers mostly are.
const DefaultPlatform = "linux/amd64"

// The members of a reference that findings point to.
const (
	AtImage       = "image"
	AtCredentials = "credentialsId"
)

const defaultPatience = time.Minute

// CheckPlatform says what is wrong with the name of a platform.
func CheckPlatform(platform string) error {
	p, err := v1.ParsePlatform(platform)
	if err != nil || p.OS == "" || p.Architecture == "" || p.OSVersion != "" || p.String() != platform {
		return fmt.Errorf("platform %q: expected an operating system and an architecture, such as %s", platform, DefaultPlatform)
	}
	return nil
}

// Resolve is the digest of what the image's name means now, an index of several
// platforms or a manifest of one, by which it can be had as long as the registry
// keeps it, whatever becomes of its tag.
//
// An image that is not there, may not be read, is for another platform, or is not
// what its digest says is a *deployment.Rejection with a finding at AtImage or
// AtCredentials. Every other error may pass when it is tried again. No error
// holds a secret.
func (r *Registries) Resolve(ctx context.Context, image, credentialsID string) (deployment.Digest, error) {
	ref, err := r.reference(image)
	if err != nil {
		return "", err
	}
	patience := cmp.Or(r.Patience, defaultPatience)
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no answer within %v", patience))
	defer cancel()
	digest, err := r.resolve(ctx, ref, credentialsID)
	if refused, ok := errors.AsType[*deployment.Rejection](err); ok {
		return "", refused
	}
	if err != nil {
		return "", fmt.Errorf("look up image %s: %w", image, cmp.Or(context.Cause(ctx), err))
	}
	return digest, nil
}

// reference reads the name of an image as docker does: without a registry it is
// one of Docker Hub, without a tag and a digest it is the one tagged latest.
func (r *Registries) reference(image string) (name.Reference, error) {
	var options []name.Option
	if r.AllowHTTP {
		options = append(options, name.Insecure)
	}
	ref, err := name.ParseReference(image, options...)
	if err != nil {
		return nil, reject(deployment.CodeImageInvalid, "expected an image such as registry.example/name:tag or registry.example/name@sha256:..., got %.200q", image)
	}
	if d, ok := ref.(name.Digest); ok {
		if _, err := deployment.ParseDigest(d.DigestStr()); err != nil {
			return nil, reject(deployment.CodeImageInvalid, "image has the digest %.20s...: expected one that begins with sha256:", d.DigestStr())
		}
	}
	return ref, nil
}

func (r *Registries) resolve(ctx context.Context, ref name.Reference, credentialsID string) (deployment.Digest, error) {
	s, err := r.open(ctx, ref.Context(), credentialsID)
	if err != nil {
		return "", err
	}
	named, err := s.manifest(ctx, ref.Identifier())
	if err != nil {
		return "", err
	}
	image := named
	if named.MediaType.IsIndex() {
		child, err := r.choose(named)
		if err != nil {
			return "", err
		}
		if image, err = s.manifest(ctx, child.Digest.String()); err != nil {
			return "", err
		}
	}
	return named.digest, r.fits(ctx, s, image)
}

// choose is the manifest of an index that is for the platform, or that may be
// because the index does not say.
func (r *Registries) choose(index *document) (v1.Descriptor, error) {
	parsed, err := v1.ParseIndexManifest(index.reader())
	if err != nil {
		return v1.Descriptor{}, notAnImage("its index cannot be read")
	}
	want := r.platform()
	var others []string
	silent := -1
	for i, m := range parsed.Manifests {
		switch {
		case !m.MediaType.IsImage():
		case m.Platform == nil:
			silent = max(silent, i)
		case m.Platform.Satisfies(want):
			return m, nil
		case m.Platform.OS != "unknown": // that is how attestations lie beside images
			others = append(others, m.Platform.String())
		}
	}
	if silent >= 0 {
		return parsed.Manifests[silent], nil
	}
	slices.Sort(others)
	return v1.Descriptor{}, wrongPlatform(strings.Join(slices.Compact(others), ", "), want)
}

// fits looks at the configuration of an image for what platform it is.
func (r *Registries) fits(ctx context.Context, s *session, image *document) error {
	if !image.MediaType.IsImage() {
		return notAnImage("its index holds another index")
	}
	manifest, err := v1.ParseManifest(image.reader())
	if err != nil || !manifest.Config.MediaType.IsConfig() {
		return notAnImage("its manifest is not that of one")
	}
	body, err := s.config(ctx, manifest.Config)
	if err != nil {
		return err
	}
	config, err := v1.ParseConfigFile(body.reader())
	if err != nil || config.OS == "" {
		return notAnImage("its configuration cannot be read")
	}
	if have, want := config.Platform(), r.platform(); !have.Satisfies(want) {
		return wrongPlatform(have.String(), want)
	}
	return nil
}

func (r *Registries) platform() v1.Platform {
	p, err := v1.ParsePlatform(cmp.Or(r.Platform, DefaultPlatform))
	if err != nil { // CheckPlatform says so before
		return v1.Platform{OS: r.Platform}
	}
	return *p
}

func reject(code deployment.Code, format string, args ...any) error {
	return deployment.Reject(code, AtImage, format, args...)
}

func notAnImage(why string) error {
	return reject(deployment.CodeImageInvalid, "what the registry has under this name is not a container image: %s", why)
}

func wrongPlatform(have string, want v1.Platform) error {
	return reject(deployment.CodeImagePlatform, "image is for %.200s: expected one for %s", cmp.Or(have, "no platform"), want.String())
}
