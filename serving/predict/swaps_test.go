package predict

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-ml/slipway/deployment"
)

// swaps is how often TestReplacesUnderFullLoad replaces the model.
const swaps = 5000

// bounds are what an answer may come from: model m-7 is number 7, and answers 7.
type bounds struct {
	least atomic.Int64 // the newest model whose replacement has completed
	most  atomic.Int64 // the newest model that was asked for
}

// caller asks over one connection. It is no http.Client, which asks again over
// another connection on its own when it sees fit.
type caller struct {
	conn    net.Conn
	answers *bufio.Reader
	request []byte
	asked   int
	newest  int64
}

func newCaller(t *testing.T, url string) *caller {
	t.Helper()
	host := strings.TrimPrefix(url, "http://")
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	request := fmt.Appendf(nil, "POST /v2/models/churn/infer HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", host, len(twoZeros), twoZeros)
	return &caller{conn: conn, answers: bufio.NewReader(conn), request: request}
}

// ask asks once. The answer is by exactly one model, which says its own number,
// is not older than the one before it on this connection, nor than one whose
// replacement had completed before the question, nor newer than what was asked for.
func (c *caller) ask(b *bounds) error {
	least := max(b.least.Load(), c.newest)
	status, text, err := c.exchange()
	most := b.most.Load()
	if err != nil || status != http.StatusOK {
		return fmt.Errorf("got %d %s: %w", status, text, err)
	}
	c.asked++
	version, by := between(text, `"model_version":"m-`, `"`)
	value, says := between(text, `"data":[`, `]`)
	switch {
	case !by || !says || version != value:
		return fmt.Errorf("a mixed answer: %s", text)
	case version < least || version > most:
		return fmt.Errorf("got an answer of m-%d, want one of m-%d to m-%d; the one before on this connection was of m-%d", version, least, most, c.newest)
	}
	c.newest = version
	return nil
}

func (c *caller) exchange() (status int, text []byte, err error) {
	if _, err := c.conn.Write(c.request); err != nil {
		return 0, nil, err
	}
	response, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	text, err = io.ReadAll(response.Body)
	return response.StatusCode, text, err
}

func between(text []byte, begin, end string) (int64, bool) {
	_, rest, found := strings.Cut(string(text), begin)
	number, _, ends := strings.Cut(rest, end)
	n, err := strconv.ParseInt(number, 10, 64)
	return n, found && ends && err == nil
}

// TestReplacesUnderFullLoad replaces the model of two servers thousands of
// times, as a worker does, while callers ask both as fast as they can. Now and then a
// replacement fails. No prediction fails, none is mixed, each is explained by
// exactly one model, and on no connection is there an old answer after a new one.
func TestReplacesUnderFullLoad(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	urls := []string{b.started(t, b.Server), b.started(t, b.sibling("two"))}
	local := b.local()
	var now bounds
	now.most.Store(1)
	if err := local.Apply(patience(t), "churn", deployment.Serve{Model: *ref("m-1")}, 1, quiet); err != nil {
		t.Fatal(err)
	}
	now.least.Store(1)
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	var asking sync.WaitGroup
	callers := make([]*caller, 8)
	answered := make(chan struct{}, len(callers))
	for i := range callers {
		c := newCaller(t, urls[i%2])
		callers[i] = c
		asking.Go(func() {
			for ctx.Err() == nil {
				if err := c.ask(&now); err != nil {
					t.Errorf("caller %d: %v", i, err)
					stop()
				}
				select {
				case answered <- struct{}{}:
				default:
				}
			}
		})
	}
	token, failures := uint64(1), 0
	for n := int64(2); n <= swaps+1 && ctx.Err() == nil; n++ {
		if n%50 == 0 {
			token++
			failures++
			err := local.Apply(ctx, "churn", deployment.Serve{Model: *ref("broken")}, token, quiet)
			if _, failed := errors.AsType[*deployment.Failure](err); !failed {
				t.Errorf("got %v for a model that cannot be loaded, want a failure", err)
			}
		}
		token++
		now.most.Store(n)
		if err := local.Apply(ctx, "churn", deployment.Serve{Model: *ref(fmt.Sprint("m-", n))}, token, quiet); err != nil {
			t.Errorf("replace by m-%d: %v", n, err)
		}
		now.least.Store(n)
		for range len(callers) / 2 { // there is load between two replacements, and not only at them
			select {
			case <-answered:
			case <-ctx.Done():
			}
		}
	}
	if ctx.Err() == nil {
		stop()
	} else {
		t.Errorf("ended early: %v", context.Cause(ctx))
	}
	asking.Wait()
	asked := 0
	for i, c := range callers {
		if asked += c.asked; c.asked == 0 {
			t.Errorf("caller %d was never answered", i)
		}
	}
	t.Logf("%d predictions during %d replacements and %d failed ones", asked, swaps, failures)
}
