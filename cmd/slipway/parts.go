package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/actors"
	"github.com/slipway-ml/slipway/artifacts"
	"github.com/slipway-ml/slipway/artifacts/bucket"
	"github.com/slipway-ml/slipway/artifacts/oci"
	"github.com/slipway-ml/slipway/contract/git"
	"github.com/slipway-ml/slipway/credentials"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/schemas"
	"github.com/slipway-ml/slipway/serving"
	"github.com/slipway-ml/slipway/serving/predict"
	"github.com/slipway-ml/slipway/sourcing"
	"github.com/slipway-ml/slipway/worker"
)

// maxAckWait is the most that the broker waits for a worker before it delivers a
// command to another one.
const maxAckWait = 30 * time.Second

// How long a command that did not succeed waits before it is tried again.
const (
	backoffBase  = 500 * time.Millisecond
	showAfter    = 200 * time.Millisecond // a command that takes longer is shown while it is carried out
	backoffLimit = time.Minute
)

// provision makes what is missing on the broker, and brings the rest up to date.
func (c Config) provision(ctx context.Context, js natsjs.JetStream) error {
	if err := jetstream.Provision(ctx, js, c.Replicas, c.ackWait()); err != nil || !c.CredentialsBucket {
		return err
	}
	return jetstream.ProvisionCredentials(ctx, js, c.Replicas)
}

// newArtifacts is the store of model files, whose bytes are those of our own
// object store until somebody says who fetches others.
func newArtifacts(ctx context.Context, c Config, js natsjs.JetStream) (*artifacts.Store, error) {
	objects, err := jetstream.OpenObjects(ctx, js)
	if err != nil {
		return nil, err
	}
	return &artifacts.Store{
		Dir: filepath.Join(c.DataDir, "artifacts"), Objects: objects,
		Limit: c.MaxArtifactBytes, AllowFileURLs: c.AllowFileURLs, AllowPrivateRedirects: c.AllowPrivateRedirects,
	}, nil
}

// finder finds the secrets that commands and contracts name.
func (c Config) finder(ctx context.Context, js natsjs.JetStream) (*credentials.Finder, error) {
	f := &credentials.Finder{Environment: c.Credentials, Dir: c.CredentialsDir, Settings: bucket.Members()}
	if !c.CredentialsBucket {
		return f, nil
	}
	secrets, err := jetstream.OpenSecrets(ctx, js)
	f.Bucket = secrets
	return f, err
}

// actors are those whose commands are carried out; nil: whoever they say they are.
func (c Config) actors() (worker.Actors, error) {
	if c.ActorsFile == "" {
		return nil, nil
	}
	keys, err := actors.ReadFile(c.ActorsFile)
	if err != nil {
		return nil, fmt.Errorf("SLIPWAY_ACTORS_FILE: %w", err)
	}
	return keys, nil
}

// repositories are those that may be named in commands.
func (c Config) repositories() *git.Repositories {
	return &git.Repositories{AllowLocal: c.AllowLocalRepositories, AllowHTTP: c.AllowHTTPRepositories, KnownHosts: c.KnownHosts, MaxBytes: c.MaxRepositoryBytes}
}

// registries are those that contracts may name.
func (c Config) registries(finder oci.Credentials) *oci.Registries {
	return &oci.Registries{Credentials: finder, Platform: c.ImagePlatform, AllowHTTP: c.AllowHTTPRegistries, AllowPrivateRedirects: c.AllowPrivateRedirects}
}

// newWorker is a worker with the local target, and where its deliveries come from.
func newWorker(ctx context.Context, c Config, js natsjs.JetStream, log *slog.Logger) (*worker.Worker, *jetstream.Commands, error) {
	b := opener{ctx: ctx, js: js}
	store, err := newArtifacts(ctx, c, js)
	b.note(err)
	finder, err := c.finder(ctx, js)
	b.note(err)
	if b.err != nil {
		return nil, nil, b.err
	}
	buckets := &bucket.Buckets{Environment: c.Buckets, Machine: c.MachineIdentity, Credentials: finder}
	store.Buckets, store.Credentials = buckets, finder
	objects, err := jetstream.OpenObjects(ctx, js)
	b.note(err)
	ledger, err := jetstream.OpenLedger(ctx, js)
	b.note(err)
	commands, err := jetstream.OpenCommands(ctx, js)
	b.note(err)
	set, err := schemas.Load()
	b.note(err)
	known, err := c.actors()
	b.note(err)
	servers := open[serving.Server](&b, jetstream.ServersBucket)
	w := &worker.Worker{
		ID: "w-" + strings.ToLower(rand.Text()[:12]), Ledger: ledger, Commands: commands, Backlog: commands, Operations: handlers.All(), Schemas: set, Log: log,
		Lease: c.Lease, MaxAttempts: c.MaxAttempts, Deadline: c.deadline, MaxCommand: c.MaxCommandBytes,
		Backoff: worker.Backoff(backoffBase, backoffLimit), ShowAfter: showAfter, Actors: known, Policy: c.policy(), Servers: ids(servers),
		Views: &worker.Projections{
			History:     ledger,
			Deployments: open[worker.DeploymentView](&b, jetstream.DeploymentsBucket),
			Models:      open[worker.ModelView](&b, jetstream.ModelsBucket),
			Operations:  open[worker.OperationView](&b, jetstream.OperationsBucket),
		},
		Contracts: &sourcing.Contracts{
			Repositories: c.repositories(), Credentials: finder,
			Artifacts: store, Images: c.registries(finder), Load: predict.Inspect,
			Stores: stores{buckets, objects}, AllowDirectories: c.AllowFileURLs,
			Objects: objects, Author: git.Person{Name: c.GitAuthorName, Email: c.GitAuthorEmail},
		},
		Target: &serving.Local{
			Artifacts: store, Load: c.predictLimits().Inspect,
			Desired:  open[serving.Desired](&b, jetstream.ServingBucket),
			Observed: open[serving.Observed](&b, jetstream.ServingBucket),
			Servers:  servers,
		},
	}
	return w, commands, b.err
}

// ackWait is how long the broker waits for a worker before it delivers a command
// to another one; workers renew what they hold. It is no longer than a claim
// holds, or a short lease would be for nothing: nobody would be told to look.
func (c Config) ackWait() time.Duration { return min(c.Lease, maxAckWait) }

// How many requests a worker answers at a time, and how long one may take.
const (
	answerLimit   = 16
	answerTimeout = time.Minute
)

// work carries out commands, and answers requests, until ctx ends.
func work(ctx context.Context, c Config, js natsjs.JetStream, w *worker.Worker, commands *jetstream.Commands) error {
	stop, err := jetstream.Serve(context.WithoutCancel(ctx), js.Conn(), w.Validations(answerLimit, answerTimeout))
	if err != nil {
		return err
	}
	stopCollecting, err := startCollecting(ctx, c, js, true, w.Log)
	if err != nil {
		return errors.Join(err, stop())
	}
	defer stopCollecting()
	err = w.Run(ctx, commands, c.limits())
	return errors.Join(err, stop())
}

// ids are the keys of what there is in a bucket.
func ids[T any](bucket *jetstream.Bucket[T]) func(context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) {
		values, err := bucket.List(ctx, "")
		return slices.Sorted(maps.Keys(values)), err
	}
}

func (c Config) limits() worker.Limits {
	return worker.Limits{Concurrency: c.Concurrency, Window: 16 * c.Concurrency, AckWait: c.ackWait(), Drain: c.DrainTimeout, Reconcile: c.ReconcileInterval}
}

func (c Config) predictLimits() predict.Limits {
	return predict.Limits{
		Body: c.PredictMaxBody, Rows: c.PredictMaxRows, Concurrency: c.PredictConcurrency, Deadline: c.PredictDeadline,
		Memory: c.PredictMemory, Nodes: c.PredictMaxNodes,
	}
}

// newPredictServer is a prediction server that says it is at url. Its id is that
// of the configuration, or else the host's name with the port of url.
func newPredictServer(ctx context.Context, c Config, js natsjs.JetStream, url string, log *slog.Logger, ready func()) (*predict.Server, error) {
	id := c.ServerID
	if id == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("name of this host (or set SLIPWAY_SERVER_ID): %w", err)
		}
		id = token(host + "-" + listenerPort(url))
	}
	b := opener{ctx: ctx, js: js}
	store, err := newArtifacts(ctx, c, js)
	b.note(err)
	return &predict.Server{
		ID: id, URL: cmp.Or(c.PredictURL, url), Version: buildVersion(), Artifacts: store, Log: log, OnReady: ready, Keep: c.KeepPrevious,
		Limits: c.predictLimits(), LogEvery: c.PredictLogEvery, Grace: c.PredictGrace,
		Desired:  open[serving.Desired](&b, jetstream.ServingBucket),
		Observed: open[serving.Observed](&b, jetstream.ServingBucket),
		Servers:  open[serving.Server](&b, jetstream.ServersBucket),
	}, b.err
}

// opener opens buckets and keeps the first error.
type opener struct {
	ctx context.Context //nolint:containedctx // lives as long as one function
	js  natsjs.JetStream
	err error
}

func (o *opener) note(err error) { o.err = cmp.Or(o.err, err) }

func open[T any](o *opener, name string) *jetstream.Bucket[T] {
	bucket, err := jetstream.OpenBucket[T](o.ctx, o.js, name)
	o.note(err)
	return bucket
}

// listen takes addr, or says what to do when it is taken.
func listen(addr, variable string) (net.Listener, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w: stop what uses it, or set %s (port 0 takes a free one)", addr, errors.Unwrap(err), variable)
	}
	return listener, nil
}

// localURL is where listener is reached from this machine.
func localURL(listener net.Listener) string {
	host, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return "http://" + listener.Addr().String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// listenerPort is the port of a url that localURL has made.
func listenerPort(url string) string { return url[strings.LastIndexByte(url, ':')+1:] }

// token is s as one token of a NATS subject.
func token(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '-':
			return r
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		default:
			return '-'
		}
	}, s)
}

// buildVersion is the version of the program, as far as its build knows.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "devel"
	}
	return info.Main.Version
}
