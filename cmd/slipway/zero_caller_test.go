package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/slipway-ml/slipway/deployment"
)

// seen is an answer, or several alike: who gave it, how many operations had
// ended before the question, and how many had begun before the answer.
type seen struct {
	by           deployment.Name
	ended, begun int64
}

// caller asks for predictions of one deployment without a pause, over one
// connection at a time, as behind a load balancer: when its server is gone it asks
// another one. It is no http.Client, which asks again on its own when it sees fit.
type caller struct {
	servers []*child // its own first
	body    []byte
	right   func(answer []byte) (deployment.Name, error)
	ended   *atomic.Int64 // operations
	begun   *atomic.Int64
	took    func(by deployment.Name, asked, answered time.Time) // may be nil

	at      int // which of the servers
	conn    net.Conn
	answers *bufio.Reader
	request []byte

	connections [][]seen // of each connection, what was answered
	answered    int
	moved       int // questions that were asked again of another server
}

// homing is after how many answers of another server the caller tries its own.
const homing = 200

// run asks until ctx ends, or until a prediction fails, which it returns.
func (c *caller) run(ctx context.Context) error {
	defer c.hangUp()
	for away := 0; ctx.Err() == nil; {
		if c.at != 0 {
			if away++; away >= homing {
				away, c.at = 0, 0
				c.hangUp()
			}
		}
		if err := c.ask(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// ask asks once, of another server if need be: it fails if none answers.
func (c *caller) ask(ctx context.Context) error {
	var faults []error
	for range len(c.servers) + 1 {
		asked, ended := time.Now(), c.ended.Load()
		answer, err := c.exchange(ctx)
		if err == nil {
			by, err := c.right(answer)
			if err != nil {
				return fmt.Errorf("%s: %w", c.servers[c.at].name, err)
			}
			c.note(seen{by, ended, c.begun.Load()})
			if c.took != nil {
				c.took(by, asked, time.Now())
			}
			return nil
		}
		faults = append(faults, fmt.Errorf("%s: %w", c.servers[c.at].name, err))
		if _, wrong := errors.AsType[*badStatus](err); wrong || ctx.Err() != nil {
			break
		}
		c.hangUp()
		c.at = (c.at + 1) % len(c.servers)
		c.moved++
	}
	return fmt.Errorf("nobody answers: %w", errors.Join(faults...))
}

// note keeps what was answered, once if it is as before.
func (c *caller) note(s seen) {
	c.answered++
	here := &c.connections[len(c.connections)-1]
	if n := len(*here); n == 0 || (*here)[n-1] != s {
		*here = append(*here, s)
	}
}

// badStatus is an answer that is no prediction, by a server that has given some.
type badStatus struct{ text string }

func (b *badStatus) Error() string { return b.text }

// exchange asks over the connection. An error that is no *badStatus means that
// this server is gone, or not back yet.
func (c *caller) exchange(ctx context.Context) ([]byte, error) {
	fresh := c.conn == nil
	if fresh {
		if err := c.dial(ctx); err != nil {
			return nil, err
		}
	}
	if _, err := c.conn.Write(c.request); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode == http.StatusServiceUnavailable && fresh: // a load balancer would have seen that it is not ready
		return nil, fmt.Errorf("not ready: %s", text)
	case response.StatusCode != http.StatusOK:
		return nil, &badStatus{fmt.Sprintf("got %d %s", response.StatusCode, text)}
	}
	return text, nil
}

func (c *caller) dial(ctx context.Context) error {
	where, err := readEndpoints(c.servers[c.at].dir)
	if err != nil {
		return err
	}
	host := strings.TrimPrefix(where.Predict, "http://")
	if c.conn, err = (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", host); err != nil {
		c.conn = nil
		return err
	}
	if err := c.conn.SetDeadline(time.Now().Add(time.Minute + patience)); err != nil {
		return err
	}
	c.answers = bufio.NewReader(c.conn)
	c.request = fmt.Appendf(nil, "POST /v2/models/%s/infer HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", zeroName, host, len(c.body), c.body)
	c.connections = append(c.connections, nil)
	return nil
}

func (c *caller) hangUp() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// turn is a model that serves from some operation on.
type turn struct {
	model     deployment.Name
	operation int64 // from 1
	completed bool  // from the end of that operation on, nothing older answers
}

// explain finds for each answer on a connection, one after the other, the turn of
// a model that it is of: none may be before that of the answer before, nor before
// that of an operation that had completed before the question, nor of an
// operation that began after the answer. It says which answer has none.
func explain(turns []turn, answers []seen) error {
	at := 0
	for i, s := range answers {
		from := at
		for n := len(turns) - 1; n > from; n-- {
			if turns[n].completed && turns[n].operation <= s.ended {
				from = n
			}
		}
		next := from
		for next < len(turns) && (turns[next].model != s.by || turns[next].operation > s.begun) {
			next++
		}
		if next == len(turns) {
			return fmt.Errorf("answer %d, by %s, has no turn after number %d of %d: %d operations had ended before it was asked for, %d had begun before it came", i, s.by, from, len(turns), s.ended, s.begun)
		}
		at = next
	}
	return nil
}
