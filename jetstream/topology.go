// Package jetstream is the only package that talks to NATS. It names the
// streams, subjects and buckets, provisions them, reads and extends the ledger,
// reads commands, and keeps projections in buckets.
package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"
)

// The names on the broker (DESIGN section 3). Nothing else in the module spells
// a stream, bucket or subject.
const (
	CommandsStream  = "SLIPWAY_COMMANDS"
	EventsStream    = "SLIPWAY_EVENTS"
	WorkersConsumer = "workers"

	DeploymentsBucket = "deployments"
	OperationsBucket  = "operations"
	ModelsBucket      = "models"
	ServersBucket     = "servers"
	ServingBucket     = "serving"
	CredentialsBucket = "credentials"
	ArtifactsStore    = "artifacts"

	commandsPrefix = "slipway.commands."
	eventsPrefix   = "slipway.events."

	// AllCommands and AllEvents match every command and every event.
	AllCommands = commandsPrefix + ">"
	AllEvents   = eventsPrefix + ">"
)

// ServerTTL is how long a prediction server counts as live after it was last heard of.
const ServerTTL = 15 * time.Second

// CommandSubject is where a command for op of the named thing is published.
func CommandSubject(kind, name, op string) string {
	return commandsPrefix + kind + "." + name + "." + op
}

// ParseCommandSubject reads what CommandSubject writes. The broker also stores
// what is published on a subject with a wildcard as a token. That names nothing:
// a filter or fence made of it would match what is about others, and ">" as an
// operation is not found by a CommandFilter.
func ParseCommandSubject(subject string) (kind, name, op string, ok bool) {
	rest, ok := strings.CutPrefix(subject, commandsPrefix)
	tokens := strings.Split(rest, ".")
	if !ok || len(tokens) != 3 || slices.Contains(tokens, ">") || slices.Contains(tokens[:2], "*") {
		return "", "", "", false
	}
	return tokens[0], tokens[1], tokens[2], true
}

// CommandFilter matches every command for the named thing.
func CommandFilter(kind, name string) string { return commandsPrefix + kind + "." + name + ".*" }

// EventSubject is where an event is published.
func EventSubject(kind, name, op, outcome string) string {
	return eventsPrefix + kind + "." + name + "." + op + "." + outcome
}

// Fence matches every event about the named thing. It is the same string in
// every writer, or compare-and-set would not hold (jetstream.md section 1, fact 3).
func Fence(kind, name string) string { return eventsPrefix + kind + "." + name + ".>" }

// Provision creates what is missing of the streams, the consumer, the buckets
// and the object store, and brings what exists up to date. Calling it again, or
// from several processes, is harmless.
func Provision(ctx context.Context, js natsjs.JetStream, replicas int, ackWait time.Duration) error {
	const duplicateWindow = 2 * time.Minute
	for _, config := range []natsjs.StreamConfig{
		{Name: CommandsStream, Subjects: []string{AllCommands}, Description: "Commands for models and deployments", Duplicates: duplicateWindow},
		{Name: EventsStream, Subjects: []string{AllEvents}, Description: "The ledger: what became of every command", AllowAtomicPublish: true},
	} {
		config.Storage, config.Retention, config.Replicas = natsjs.FileStorage, natsjs.LimitsPolicy, replicas
		config.AllowDirect, config.DenyDelete, config.DenyPurge = true, true, true
		if _, err := js.CreateOrUpdateStream(ctx, config); err != nil {
			return fmt.Errorf("provision stream %s: %w", config.Name, err)
		}
	}
	if _, err := js.CreateOrUpdateConsumer(ctx, CommandsStream, natsjs.ConsumerConfig{
		Durable: WorkersConsumer, Description: "All workers share it",
		AckPolicy: natsjs.AckExplicitPolicy, AckWait: ackWait, MaxDeliver: -1, MaxAckPending: -1, Replicas: replicas,
	}); err != nil {
		return fmt.Errorf("provision consumer %s: %w", WorkersConsumer, err)
	}
	for _, config := range []natsjs.StreamConfig{
		projection(DeploymentsBucket, "Current state of each deployment; a projection of the ledger", replicas),
		projection(OperationsBucket, "What became of each command; a projection of the ledger", replicas),
	} {
		if existing, err := js.Stream(ctx, config.Name); err == nil {
			config.PersistMode = existing.CachedInfo().Config.PersistMode // the broker does not change it
		}
		if _, err := js.CreateOrUpdateStream(ctx, config); err != nil {
			return fmt.Errorf("provision bucket %s: %w", config.Name, err)
		}
	}
	for _, config := range []natsjs.KeyValueConfig{
		{Bucket: ModelsBucket, Description: "Registered models; a projection of the ledger"},
		{Bucket: ServersBucket, Description: "Live prediction servers", TTL: ServerTTL},
		{Bucket: ServingBucket, Description: "What prediction servers should serve and do serve"},
	} {
		config.Replicas, config.Storage, config.History = replicas, natsjs.FileStorage, 1
		if _, err := js.CreateOrUpdateKeyValue(ctx, config); err != nil {
			return fmt.Errorf("provision bucket %s: %w", config.Bucket, err)
		}
	}
	if _, err := js.CreateOrUpdateObjectStore(ctx, natsjs.ObjectStoreConfig{
		Bucket: ArtifactsStore, Description: "Model files, by value", Replicas: replicas, Storage: natsjs.FileStorage,
	}); err != nil {
		return fmt.Errorf("provision object store %s: %w", ArtifactsStore, err)
	}
	return nil
}

// projection is a bucket as NATS makes one, but that the broker does not wait for
// its disk, which the client's own call cannot ask for. What an unclean stop
// loses of it is in the ledger; workers look there before they rely on it. A
// replicated one is on more than one disk.
func projection(bucket, description string, replicas int) natsjs.StreamConfig {
	config := natsjs.StreamConfig{
		Name: "KV_" + bucket, Subjects: []string{"$KV." + bucket + ".>"}, Description: description, Replicas: replicas,
		MaxMsgsPerSubject: 1, MaxMsgs: -1, MaxBytes: -1, MaxMsgSize: -1, MaxConsumers: -1, Discard: natsjs.DiscardNew,
		Storage: natsjs.FileStorage, Duplicates: 2 * time.Minute, AllowRollup: true, DenyDelete: true, AllowDirect: true,
	}
	if replicas == 1 {
		config.PersistMode = natsjs.AsyncPersistMode
	}
	return config
}

// requestTimeout is how long the broker may take to answer.
const requestTimeout = 5 * time.Second

// bounded is ctx for one request. The answer of a broker that is killed never
// comes, and the client waits for it as long as the context says: only where
// that says nothing has it a limit of its own.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, requestTimeout)
}

// undated is ctx for what lasts, such as a watch: it ends with ctx but has no
// deadline, so that the client's own limit holds for each request in it.
func undated(ctx context.Context) (context.Context, context.CancelFunc) {
	undated, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	return undated, func() {
		stop()
		cancel(nil)
	}
}

// isConflict reports whether a guarded write was refused because something else
// was written first. A replicated stream says so with another code.
func isConflict(err error) bool {
	var apiError *natsjs.APIError
	return errors.As(err, &apiError) &&
		(apiError.ErrorCode == natsjs.JSErrCodeStreamWrongLastSequence ||
			apiError.ErrorCode == natsjs.JSErrCodeStreamWrongLastSequenceConstant) ||
		errors.Is(err, natsjs.ErrKeyRevisionMismatch)
}
