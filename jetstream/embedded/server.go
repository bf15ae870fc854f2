// Package embedded runs a NATS server with JetStream inside the process. It
// locks its store directory, because two servers on one directory lose data
// (jetstream.md section 1, fact 4), and by default writes to disk before it
// acknowledges.
package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Options say how the server is to run.
type Options struct {
	Dir          string        // store directory; created if missing
	Host         string        // "": 127.0.0.1
	Port         int           // 0: a free one; -1: none, in-process clients only
	SyncInterval time.Duration // how lazily writes reach the disk; 0: before they are acknowledged
	MaxStore     int64         // bytes that all messages may take; 0: three quarters of what is free at the start
	Log          *slog.Logger
}

// Server is a running NATS server.
type Server struct {
	nats *server.Server
	lock *os.File
	once sync.Once
}

// ErrDirTaken says that another process uses the store directory.
var ErrDirTaken = errors.New("another process uses it")

const startTimeout = 30 * time.Second

// Start starts a server and returns once it accepts clients.
func Start(o Options) (*Server, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("create data directory %s: %w", o.Dir, err)
	}
	lock, err := lockFile(filepath.Join(o.Dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("lock data directory %s: %w", o.Dir, err)
	}
	s, err := start(o)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &Server{nats: s, lock: lock}, nil
}

func start(o Options) (*server.Server, error) {
	options := &server.Options{
		ServerName: "slipway", JetStream: true, StoreDir: o.Dir,
		SyncAlways: o.SyncInterval == 0, SyncInterval: o.SyncInterval, JetStreamMaxStore: o.MaxStore,
		Host: o.Host, Port: o.Port, DontListen: o.Port < 0, NoSigs: true, MaxPayload: 1 << 20,
		AlwaysEnableNonce: true, // else who has an nkey, to sign commands with, could not connect
	}
	if options.Host == "" {
		options.Host = "127.0.0.1"
	}
	switch {
	case o.Port == 0:
		options.Port = server.RANDOM_PORT
	case o.Port > 0:
		if err := free(net.JoinHostPort(options.Host, strconv.Itoa(o.Port))); err != nil {
			return nil, err
		}
	}
	log := &logger{log: o.Log, fatal: make(chan string, 1)}
	s, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("start NATS server: %w", err)
	}
	s.SetLoggerV2(log, false, false, false)
	ready := make(chan bool, 1)
	go func() {
		s.Start()
		ready <- s.ReadyForConnections(startTimeout)
	}()
	select {
	case why := <-log.fatal:
		s.Shutdown()
		return nil, fmt.Errorf("start NATS server: %s", why)
	case ok := <-ready:
		if !ok {
			s.Shutdown()
			return nil, fmt.Errorf("start NATS server in %s: not ready after %s", o.Dir, startTimeout)
		}
	}
	return s, nil
}

// free returns an error that says what to do when the address is taken: the
// server itself would only log it.
func free(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w: stop what uses it, or choose another port (0 takes a free one)", address, errors.Unwrap(err))
	}
	return listener.Close()
}

// URL is where clients connect; "" when the server does not listen.
func (s *Server) URL() string {
	if s.nats.Addr() == nil {
		return ""
	}
	return s.nats.ClientURL()
}

// InProcess is the option that connects a client of this process without a socket.
func (s *Server) InProcess() nats.Option { return nats.InProcessServer(s.nats) }

// Stop stops the server, waits until everything is on disk, and releases the
// directory. Calling it again does nothing.
func (s *Server) Stop() error {
	var err error
	s.once.Do(func() {
		s.nats.Shutdown()
		s.nats.WaitForShutdown()
		err = s.lock.Close()
	})
	return err
}
