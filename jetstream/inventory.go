package jetstream

import (
	"context"
	"errors"
	"fmt"

	natsjs "github.com/nats-io/nats.go/jetstream"
)

// Asset is one thing that Slipway keeps on the broker.
type Asset struct {
	Kind     string `json:"kind"` // stream, consumer, bucket or object store
	Name     string `json:"name"`
	Replicas int    `json:"replicas"`
	Storage  string `json:"storage"`
	Messages uint64 `json:"messages"` // stored; of a consumer, those that it still has to deliver
	Bytes    uint64 `json:"bytes"`
}

// Inventory is everything that Provision makes, as it is on the broker, and the
// bucket of secrets if there is one.
func Inventory(ctx context.Context, js natsjs.JetStream) (assets []Asset, err error) {
	for _, a := range []struct{ kind, name, stream string }{
		{"stream", CommandsStream, CommandsStream},
		{"consumer", WorkersConsumer, CommandsStream},
		{"stream", EventsStream, EventsStream},
		{"bucket", DeploymentsBucket, "KV_" + DeploymentsBucket},
		{"bucket", OperationsBucket, "KV_" + OperationsBucket},
		{"bucket", ModelsBucket, "KV_" + ModelsBucket},
		{"bucket", ServersBucket, "KV_" + ServersBucket},
		{"bucket", ServingBucket, "KV_" + ServingBucket},
		{"object store", ArtifactsStore, "OBJ_" + ArtifactsStore},
		{"bucket", CredentialsBucket, "KV_" + CredentialsBucket},
	} {
		asset := Asset{Kind: a.kind, Name: a.name}
		stream, err := js.Stream(ctx, a.stream)
		if a.name == CredentialsBucket && errors.Is(err, natsjs.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look up %s %s: %w", a.kind, a.name, err)
		}
		info := stream.CachedInfo()
		asset.Replicas, asset.Messages, asset.Bytes = info.Config.Replicas, info.State.Msgs, info.State.Bytes
		storage := info.Config.Storage
		if a.kind == "consumer" {
			consumer, err := stream.Consumer(ctx, a.name)
			if err != nil {
				return nil, fmt.Errorf("look up %s %s: %w", a.kind, a.name, err)
			}
			about := consumer.CachedInfo()
			asset.Replicas, asset.Messages, asset.Bytes = about.Config.Replicas, about.NumPending, 0
			if about.Config.MemoryStorage {
				storage = natsjs.MemoryStorage
			}
		}
		asset.Storage = map[natsjs.StorageType]string{natsjs.FileStorage: "file", natsjs.MemoryStorage: "memory"}[storage]
		assets = append(assets, asset)
	}
	return assets, nil
}

// Replicas is how many copies of the ledger there are.
func (l *Ledger) Replicas() int { return max(l.stream.CachedInfo().Config.Replicas, 1) }
