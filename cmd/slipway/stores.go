package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/artifacts"
	"github.com/slipway-ml/slipway/artifacts/bucket"
	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/sourcing"
)

// stores are the object stores that may hold contracts: those of others, and our
// own.
type stores struct {
	buckets *bucket.Buckets
	objects *jetstream.Objects
}

// contracts opens places as workers do, with the credentials that this program
// finds, and also what is on this machine. done ends what it needs.
func (p *program) contracts(ctx context.Context, c contractPlace) (contracts *sourcing.Contracts, done func(), err error) {
	own := strings.HasPrefix(c.Place, "objects:")
	var js natsjs.JetStream
	done = func() {}
	if own || p.CredentialsBucket && c.Credentials != "" {
		conn, stream, err := p.connect(ctx, "slipway contract")
		if err != nil {
			return nil, done, err
		}
		js, done = stream, conn.Close
	}
	config := p.Config
	config.CredentialsBucket = p.CredentialsBucket && js != nil
	finder, err := config.finder(ctx, js)
	s := stores{buckets: &bucket.Buckets{Environment: p.Buckets, Machine: p.MachineIdentity, Credentials: finder}}
	if err == nil && own {
		s.objects, err = jetstream.OpenObjects(ctx, js)
	}
	if err != nil {
		done()
		return nil, done, err
	}
	repositories := p.repositories()
	repositories.AllowLocal = true
	return &sourcing.Contracts{Repositories: repositories, Credentials: finder, Stores: s, AllowDirectories: true}, done, nil
}

// Store implements sourcing.Stores.
func (s stores) Store(ctx context.Context, text, credentialsID string) (contract.Store, string, error) {
	if strings.HasPrefix(text, "objects:") {
		u, err := contract.ParseURL(text, "objects")
		if err != nil || u.Host != jetstream.ArtifactsStore || u.RawQuery != "" || u.Fragment != "" {
			return nil, "", deployment.Reject(deployment.CodeURLInvalid, "source.url", "expected objects://%s/prefix", jetstream.ArtifactsStore)
		}
		return ownStore{s.objects}, strings.TrimPrefix(u.Path, "/"), nil
	}
	b, err := s.buckets.Open(ctx, bucket.Source{URL: text, CredentialsID: credentialsID})
	if err != nil {
		return nil, "", notOpened(err)
	}
	return otherStore{b}, b.Key, nil
}

// notOpened is err of a bucket, as a rejection if that is for good.
func notOpened(err error) error {
	code, at := deployment.CodeURLInvalid, "source.url"
	switch {
	case errors.Is(err, artifacts.ErrCredentials):
		code, at = deployment.CodeCredentialsMissing, "source.credentialsId"
	case errors.Is(err, fs.ErrNotExist):
		code = deployment.CodeRepositoryNotFound
	case errors.Is(err, fs.ErrPermission):
		code = deployment.CodeRepositoryForbidden
	case !errors.Is(err, fs.ErrInvalid):
		return err
	}
	return deployment.Reject(code, at, "%s", err)
}

// otherStore is a bucket of somebody else.
type otherStore struct{ bucket *bucket.Bucket }

// List implements contract.Store.
func (s otherStore) List(ctx context.Context, prefix string, most int) ([]contract.Object, error) {
	listed, err := s.bucket.List(ctx, prefix, most)
	if err != nil {
		return nil, notOpened(err)
	}
	return listed, nil
}

// Get implements contract.Store. That an object is gone which was listed may pass.
func (s otherStore) Get(ctx context.Context, o contract.Object) (io.ReadCloser, error) {
	body, err := s.bucket.Get(ctx, o)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, notOpened(err)
	}
	return body, err
}

// ownStore is the object store of the NATS server.
type ownStore struct{ objects *jetstream.Objects }

// List implements contract.Store.
func (s ownStore) List(ctx context.Context, prefix string, most int) (listed []contract.Object, err error) {
	objects, err := s.objects.List(ctx, prefix, most)
	for _, o := range objects {
		listed = append(listed, contract.Object{Name: o.Name, Size: o.Size, Digest: deployment.DigestOf(o.Sum), Version: o.Version})
	}
	return listed, err
}

// Get implements contract.Store.
func (s ownStore) Get(ctx context.Context, o contract.Object) (io.ReadCloser, error) {
	return s.objects.Get(ctx, o.Name)
}
