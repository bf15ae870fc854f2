package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/slipway-ml/slipway/jetstream/embedded"
)

// chaosNATS is the name by which the test binary is a NATS server (TestMain).
const chaosNATS = "chaos-nats"

// natsNode says how that server is to run. Without a cluster port it is the
// server that "slipway up" has inside.
type natsNode struct {
	name    string
	dir     string
	port    int
	cluster int    // port for the other servers; 0: there are none
	monitor int    // port of /healthz; in a cluster only
	routes  string // urls of the servers of the cluster
}

func (n natsNode) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", n.port) }

func (n natsNode) args() []string {
	return []string{n.name, n.dir, strconv.Itoa(n.port), strconv.Itoa(n.cluster), strconv.Itoa(n.monitor), n.routes}
}

// runNATS is the main function of that server. It writes to disk before it
// acknowledges, and runs until it is killed or, outside of a cluster, told to
// stop (SIGTERM).
func runNATS() {
	n := natsNode{name: os.Args[1], dir: os.Args[2], routes: os.Args[6]}
	for i, port := range []*int{&n.port, &n.cluster, &n.monitor} {
		*port, _ = strconv.Atoi(os.Args[3+i]) // the test has written it
	}
	if err := n.run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (n natsNode) run() error {
	if n.cluster > 0 {
		if err := n.runInCluster(); err != nil {
			return err
		}
		select {}
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	s, err := embedded.Start(embedded.Options{Dir: n.dir, Port: n.port, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	<-stop
	return s.Stop()
}

func (n natsNode) runInCluster() error {
	s, err := server.NewServer(&server.Options{
		ServerName: n.name, Host: "127.0.0.1", Port: n.port, HTTPHost: "127.0.0.1", HTTPPort: n.monitor,
		JetStream: true, StoreDir: n.dir, SyncAlways: true, NoSigs: true, LogFile: n.dir + ".log",
		Cluster: server.ClusterOpts{Name: "chaos", Host: "127.0.0.1", Port: n.cluster},
		Routes:  server.RoutesFromStr(n.routes),
	})
	if err != nil {
		return err
	}
	s.ConfigureLogger()
	go s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		return fmt.Errorf("%s is not ready", n.name)
	}
	return nil
}

// freePorts are that many ports that nobody listens on.
func freePorts(tb testing.TB, count int) (ports []int) {
	tb.Helper()
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		defer listener.Close()
		_, port, _ := net.SplitHostPort(listener.Addr().String())
		n, err := strconv.Atoi(port)
		if err != nil {
			tb.Fatal(err)
		}
		ports = append(ports, n)
	}
	return ports
}

// single is one server; three are a cluster.
func oneNode(tb testing.TB, dir string) []natsNode {
	tb.Helper()
	return []natsNode{{name: "nats", dir: filepath.Join(dir, "nats"), port: freePorts(tb, 1)[0]}}
}

func threeNodes(tb testing.TB, dir string) (nodes []natsNode) {
	tb.Helper()
	ports := freePorts(tb, 9)
	var routes []string
	for i := range 3 {
		routes = append(routes, (&url.URL{Scheme: "nats", Host: "127.0.0.1:" + strconv.Itoa(ports[3*i+1])}).String())
	}
	for i := range 3 {
		name := fmt.Sprint("nats-", i)
		nodes = append(nodes, natsNode{
			name: name, dir: filepath.Join(dir, name), port: ports[3*i], cluster: ports[3*i+1], monitor: ports[3*i+2],
			routes: strings.Join(routes, ","),
		})
	}
	return nodes
}

// child is a process that is started again whenever it ends, until ctx ends.
type child struct {
	name   string
	path   string
	args   []string // with the name by which it is called
	env    []string
	dir    string
	stdout *os.File // and stderr, of all its lives
	pause  func() time.Duration

	mu     sync.Mutex
	cmd    *exec.Cmd
	killed bool
	lives  int
	exits  []string // how it ended by itself
}

// newChild is a child that has not begun.
func (c *chaos) newChild(name, path string, args, env []string) *child {
	c.tb.Helper()
	dir := filepath.Join(c.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		c.tb.Fatal(err)
	}
	log, err := os.Create(filepath.Join(c.dir, name+".out"))
	if err != nil {
		c.tb.Fatal(err)
	}
	pauses := rand.New(rand.NewPCG(c.seed, uint64(len(c.children)+100)))
	return &child{
		name: name, path: path, args: args, env: append(env, "GORACE=atexit_sleep_ms=0", "PATH="+os.Getenv("PATH"), "HOME="+c.dir, "USER=chaos"), dir: dir, stdout: log,
		pause: func() time.Duration { return time.Duration(pauses.Int64N(int64(500 * time.Millisecond))) },
	}
}

// run keeps the process up until ctx ends.
func (p *child) run(ctx context.Context) {
	runtime.LockOSThread() // a child dies with the thread that started it: with this goroutine
	defer p.stdout.Close()
	for ctx.Err() == nil {
		cmd := exec.Command(p.path) //nolint:noctx // it is killed below
		cmd.Args, cmd.Env, cmd.Dir, cmd.SysProcAttr = p.args, p.env, p.dir, dieWithParent()
		cmd.Stdout, cmd.Stderr = p.stdout, p.stdout
		p.mu.Lock()
		err := cmd.Start()
		p.cmd, p.killed = cmd, false
		p.lives++
		p.mu.Unlock()
		if err == nil {
			stop := context.AfterFunc(ctx, func() { p.kill() })
			err = cmd.Wait()
			stop()
		}
		p.mu.Lock()
		if !p.killed {
			said := p.tail(500)
			p.exits = append(p.exits, fmt.Sprintf("%v: %s", err, said[strings.LastIndexByte(said, '\n')+1:]))
		}
		p.cmd = nil
		p.mu.Unlock()
		_ = wait(ctx, p.pause())
	}
}

// kill kills the process, and says whether there was one.
func (p *child) kill() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || p.killed {
		return false
	}
	p.killed = true
	return p.cmd.Process.Signal(syscall.SIGKILL) == nil // else it has ended just now
}

// signal sends the process a signal that it is to survive, or to end by itself.
func (p *child) signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || p.killed {
		return fmt.Errorf("%s does not run", p.name)
	}
	return p.cmd.Process.Signal(sig)
}

// quit ends the process, if it runs, with a trace of its goroutines.
func (p *child) quit() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil && !p.killed {
		p.killed = true
		_ = p.cmd.Process.Signal(syscall.SIGQUIT)
	}
}

// byItself is how often the process was started, and how it ended without being
// killed.
func (p *child) byItself() (lives int, exits []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lives, append([]string(nil), p.exits...)
}

// tail is the end of what the process has written.
func (p *child) tail(size int64) string {
	file, err := os.Open(p.stdout.Name())
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Size() > size {
		_, _ = file.Seek(-size, io.SeekEnd)
	}
	text, _ := io.ReadAll(file)
	return string(bytes.TrimSpace(text))
}

// wait waits for as long as d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
