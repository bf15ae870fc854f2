package jetstream

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	natsjs "github.com/nats-io/nats.go/jetstream"
)

// MaxSecret is how many bytes a secret may have.
const MaxSecret = 64 << 10

// ProvisionCredentials creates the bucket of secrets, or brings it up to date.
// Provision leaves it alone: whoever does not want secrets on the broker has no
// place for them there.
func ProvisionCredentials(ctx context.Context, js natsjs.JetStream, replicas int) error {
	if _, err := js.CreateOrUpdateKeyValue(ctx, natsjs.KeyValueConfig{
		Bucket: CredentialsBucket, Description: "Secrets by id; who may read it has them all",
		Replicas: replicas, Storage: natsjs.FileStorage, History: 1, MaxValueSize: MaxSecret,
	}); err != nil {
		return fmt.Errorf("provision bucket %s: %w", CredentialsBucket, err)
	}
	return nil
}

// Secrets are the bucket of secrets. No error quotes one.
type Secrets struct{ kv natsjs.KeyValue }

// OpenSecrets opens the bucket, which ProvisionCredentials makes. Its error wraps
// fs.ErrNotExist when there is none.
func OpenSecrets(ctx context.Context, js natsjs.JetStream) (*Secrets, error) {
	kv, err := js.KeyValue(ctx, CredentialsBucket)
	if errors.Is(err, natsjs.ErrBucketNotFound) {
		return nil, fmt.Errorf("open bucket %s: %w", CredentialsBucket, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", CredentialsBucket, err)
	}
	return &Secrets{kv}, nil
}

// Get returns what is kept under the id. Its error wraps fs.ErrNotExist when there
// is nothing.
func (s *Secrets) Get(ctx context.Context, id string) ([]byte, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	entry, err := s.kv.Get(ctx, id)
	if err != nil {
		return nil, s.failed("get", id, err)
	}
	return entry.Value(), nil
}

// Put keeps text under the id, whatever there was.
func (s *Secrets) Put(ctx context.Context, id string, text []byte) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if _, err := s.kv.Put(ctx, id, text); err != nil {
		return s.failed("put", id, err)
	}
	return nil
}

// Delete removes what is kept under the id. Its error wraps fs.ErrNotExist when
// there is nothing.
func (s *Secrets) Delete(ctx context.Context, id string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	entry, err := s.kv.Get(ctx, id)
	if err == nil {
		err = s.kv.Purge(ctx, id, natsjs.LastRevision(entry.Revision()))
	}
	if err != nil {
		return s.failed("delete", id, err)
	}
	return nil
}

// IDs are the ids under which something is kept, sorted.
func (s *Secrets) IDs(ctx context.Context) ([]string, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	ids, err := s.kv.Keys(ctx)
	if err != nil && !errors.Is(err, natsjs.ErrNoKeysFound) {
		return nil, s.failed("list", "all", err)
	}
	slices.Sort(ids)
	return ids, nil
}

func (s *Secrets) failed(verb, id string, err error) error {
	if errors.Is(err, natsjs.ErrKeyNotFound) {
		err = fs.ErrNotExist
	}
	return fmt.Errorf("%s credentials %q in bucket %s: %w", verb, id, CredentialsBucket, err)
}
