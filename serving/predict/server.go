package predict

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/serving"
)

// DesiredEntries is the serving bucket as the bucket of Desired entries. Watch
// calls changed for every entry there is under the prefix, then once with an
// empty key, then for every change in order until ctx ends; nil is a deletion.
type DesiredEntries interface {
	Watch(ctx context.Context, prefix string, changed func(key string, value *serving.Desired)) error
}

// Entries is a bucket this server writes its own entries to: Observed entries
// into the serving bucket, Server entries into the servers bucket.
type Entries[T any] interface {
	Put(ctx context.Context, key string, value T) error
	Delete(ctx context.Context, key string) error // no such key is no error
}

// Opener finds pinned bytes by digest; *artifacts.Store is one. An error that is
// a *deployment.Rejection is final, every other one may pass.
type Opener interface {
	Open(ctx context.Context, d deployment.Digest, size int64) (path string, err error)
}

// What the zero values of the optional fields of Server mean.
const (
	DefaultHeartbeat = 5 * time.Second  // a third of the time to live of the servers bucket
	DefaultGrace     = 10 * time.Second // for requests that are running when the server stops
)

// Server is one prediction server. Fill in the fields and call Run once.
type Server struct {
	ID        string // of this server, the same after a restart; one token of a NATS subject
	URL       string // where others reach it
	Version   string // of the program, for people
	Artifacts Opener
	Desired   DesiredEntries
	Observed  Entries[serving.Observed]
	Servers   Entries[serving.Server]
	Log       *slog.Logger

	Limits    Limits        // of requests and models
	LogEvery  int           // one of so many requests is logged, and the first in each second; 0: none
	Heartbeat time.Duration // between renewals of the Server entry; 0: DefaultHeartbeat
	Grace     time.Duration // for running requests at a stop, and at a switch; 0: DefaultGrace
	Keep      time.Duration // for which the previous model of a deployment stays loaded; 0: not at all
	OnReady   func()        // called once, when every model that is desired at the start is served; may be nil

	instance string
	making   sync.Once // of made
	made     *gear
	read     func(path string, format deployment.Format) (Model, error) // nil: load
	ready    atomic.Bool                                                // every model desired at the start is served
	stopping atomic.Bool
	scratch  sync.Pool // of *scratch

	mu      sync.RWMutex
	keepers map[string]*keeper // by deployment name; also of deployments that are gone
	listed  bool               // all entries that were there at the start have a keeper
	running sync.WaitGroup     // the keepers
}

// Run follows what is desired and answers predictions on the listener until ctx
// ends. Then it takes itself off the list of live servers, answers the requests
// that are running and returns nil. It is ready, and says so, once every model
// that is desired at the start is served; a model that cannot be had does not
// keep the others from being served.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	s.instance = rand.Text()
	deadline := s.limits().Deadline
	server := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       deadline,
		WriteTimeout:      2*deadline + DefaultGrace, // from the end of the header on
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
	}
	answering := make(chan error, 1)
	go func() { answering <- server.Serve(l) }()

	following, unfollow := context.WithCancel(context.WithoutCancel(ctx)) // until the last request is answered
	var loops sync.WaitGroup
	loops.Go(func() { s.follow(following) })
	loops.Go(func() { s.gear().tap.run(following, s.count) })
	beating, silence := context.WithCancel(ctx)
	var beat sync.WaitGroup
	beat.Go(func() { s.beat(beating) })

	var err error
	select {
	case <-ctx.Done():
	case err = <-answering:
		err = fmt.Errorf("answer predictions: %w", err)
	}
	s.stopping.Store(true)
	silence()
	beat.Wait()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), cmp.Or(s.Grace, DefaultGrace))
	defer cancel()
	if deleteErr := s.Servers.Delete(grace, s.ID); deleteErr != nil {
		s.Log.WarnContext(grace, "server entry stays until it expires", "server", s.ID, "err", deleteErr)
	}
	if stopErr := server.Shutdown(grace); stopErr != nil {
		err = errors.Join(err, fmt.Errorf("stop answering predictions: %w", stopErr))
		_ = server.Close()
	}
	unfollow()
	loops.Wait()
	s.running.Wait()
	return err
}

// Ready reports whether the server serves what was desired when it started and
// is not stopping.
func (s *Server) Ready() bool { return s.ready.Load() && !s.stopping.Load() }

// beat renews the entry of this server until ctx ends.
func (s *Server) beat(ctx context.Context) {
	interval := cmp.Or(s.Heartbeat, DefaultHeartbeat)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	entry := serving.Server{
		ID: s.ID, Instance: s.instance, URL: s.URL,
		Formats: formats(), StartedAt: time.Now().UTC(),
	}
	for {
		attempt, cancel := context.WithTimeout(ctx, interval)
		if err := s.Servers.Put(attempt, s.ID, entry); err != nil && ctx.Err() == nil {
			s.Log.WarnContext(ctx, "heartbeat missed", "server", s.ID, "err", err)
		}
		cancel()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// keeper is that of the deployment, or a problem when there is no such
// deployment, or none yet, or when it is inactive.
func (s *Server) keeper(name string) (*keeper, error) {
	s.mu.RLock()
	k, listed := s.keepers[name], s.listed
	s.mu.RUnlock()
	var want *serving.Desired
	if k != nil {
		want = k.want.Load()
	}
	switch {
	case k != nil && k.inactive(want):
		return nil, problemf(http.StatusForbidden, "Deployment is inactive") // the known text (datarobot.md section 6)
	case wanted(want):
		return k, nil
	case !listed:
		return nil, problemf(http.StatusServiceUnavailable, "model %q: not ready, the server is starting", name)
	default:
		return nil, problemf(http.StatusNotFound, "model %q: no such deployment", name)
	}
}

// names are the deployments in alphabetical order.
func (s *Server) names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	names := slices.Sorted(maps.Keys(s.keepers))
	return slices.DeleteFunc(names, func(name string) bool {
		k := s.keepers[name]
		want := k.want.Load()
		return !wanted(want) || k.inactive(want)
	})
}
