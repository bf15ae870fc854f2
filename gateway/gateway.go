// Package gateway is Slipway over HTTP, for pipelines without a NATS client: it
// takes files into the artifacts object store, takes commands as CloudEvents, and
// says what became of them. It decides nothing: what it takes goes where a NATS
// client would have put it, and workers do the rest. Start reading at Server.Run.
package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/worker"
)

// What the zero values of the optional fields of Server mean.
const (
	DefaultStall = 30 * time.Second // for a body of which nothing comes
	DefaultGrace = 20 * time.Second // for requests that are running when the server stops
)

// MaxWait is how long a request may wait for an outcome.
const MaxWait = time.Minute

// Server is the gateway. Fill in the fields and call Run once.
type Server struct {
	Objects    *jetstream.Objects
	Commands   *jetstream.Commands
	Operations *jetstream.Bucket[worker.OperationView]
	Connected  func() bool // whether there is a connection to the broker
	Log        *slog.Logger

	Token      string        // that requests have to carry; "": none, for callers on this machine
	MaxObject  int64         // bytes of a file; 0: any number
	MaxCommand int           // bytes of a command
	Stall      time.Duration // 0: DefaultStall
	Grace      time.Duration // 0: DefaultGrace
}

// Run answers requests on the listener until ctx ends. Then those that wait for an
// outcome are answered, uploads may end within Grace, and it returns nil.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           s.Handler(ctx),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
	}
	answering := make(chan error, 1)
	go func() { answering <- server.Serve(l) }()
	var err error
	select {
	case <-ctx.Done():
	case err = <-answering:
		err = fmt.Errorf("answer requests: %w", err)
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), cmp.Or(s.Grace, DefaultGrace))
	defer cancel()
	if stopErr := server.Shutdown(grace); stopErr != nil {
		err = errors.Join(err, fmt.Errorf("stop answering requests: %w", stopErr))
		_ = server.Close()
	}
	return err
}

// Handler answers the requests; none waits for an outcome after ctx has ended.
func (s *Server) Handler(ctx context.Context) http.Handler {
	return s.logged(func(w http.ResponseWriter, r *http.Request) error {
		if r.URL.Path == "/healthz" {
			return s.health(w, r)
		}
		if err := s.admit(r); err != nil {
			return err
		}
		return s.route(ctx.Done(), w, r)
	})
}

// route finds who answers. Paths are taken as they are: a redirect would not be
// followed by those who send.
func (s *Server) route(stop <-chan struct{}, w http.ResponseWriter, r *http.Request) error {
	object, isObject := strings.CutPrefix(r.URL.Path, "/objects/")
	token, isToken := strings.CutPrefix(r.URL.Path, "/commands/")
	switch {
	case isObject && r.Method == http.MethodPut:
		return s.putObject(w, r, object)
	case isObject && r.Method == http.MethodHead:
		return s.headObject(w, r, object)
	case isObject:
		return notAllowed(w, r, "HEAD, PUT")
	case r.URL.Path == "/commands" && r.Method == http.MethodPost:
		return s.postCommand(w, r)
	case r.URL.Path == "/commands" && r.Method == http.MethodGet:
		return s.getCommand(w, r, stop, "")
	case r.URL.Path == "/commands":
		return notAllowed(w, r, "GET, POST")
	case isToken && r.Method == http.MethodGet:
		return s.getCommand(w, r, stop, token)
	case isToken:
		return notAllowed(w, r, "GET")
	}
	return refuse(http.StatusNotFound, "path", "%s: expected /objects/NAME, /commands, /commands/TOKEN or /healthz", r.URL.Path)
}

func notAllowed(w http.ResponseWriter, r *http.Request, allowed string) error {
	w.Header().Set("Allow", allowed)
	return refuse(http.StatusMethodNotAllowed, "method", "%s: expected %s", r.Method, allowed)
}

func (s *Server) health(w http.ResponseWriter, r *http.Request) error {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return notAllowed(w, r, "GET, HEAD")
	case !s.Connected():
		return unavailable("no connection to NATS")
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "ok")
	return nil
}
