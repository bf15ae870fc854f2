package predict

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/slipway-ml/slipway/deployment"
)

// Limits are what requests for predictions and models may take. A zero is its
// default.
type Limits struct {
	Body        int64         // bytes of a request; 0: DefaultBodyLimit
	Rows        int           // of a request; 0: DefaultRows
	Concurrency int           // requests that are read, predicted and answered at a time; 0: DefaultConcurrency
	Deadline    time.Duration // for a request to arrive, wait for its turn and be predicted; 0: DefaultDeadline
	Memory      int64         // bytes of all loaded models together; 0: any
	Nodes       int           // of a model; 0: DefaultNodes
}

// The defaults of Limits.
const (
	DefaultBodyLimit   = 16 << 20 // bytes
	DefaultRows        = 100_000
	DefaultConcurrency = 256
	DefaultDeadline    = 30 * time.Second
	DefaultNodes       = 1 << 26
)

// limits are those of the server, without zeros.
func (s *Server) limits() Limits {
	l := s.Limits
	l.Body = cmp.Or(l.Body, DefaultBodyLimit)
	l.Rows = cmp.Or(l.Rows, DefaultRows)
	l.Concurrency = cmp.Or(l.Concurrency, DefaultConcurrency)
	l.Deadline = cmp.Or(l.Deadline, DefaultDeadline)
	l.Nodes = cmp.Or(l.Nodes, DefaultNodes)
	return l
}

// Inspect is the function Inspect for a server with these limits.
func (l Limits) Inspect(path string, m deployment.Model) (deployment.Inspection, error) {
	model, facts, err := load(path, m.Format)
	if err == nil {
		err = l.accept(model)
	}
	if err == nil {
		err = checkGolden(model, m.Golden)
	}
	return facts, err
}

// accept rejects a model that is larger than the limits.
func (l Limits) accept(m Model) error {
	if most := cmp.Or(l.Nodes, DefaultNodes); m.NumNodes() > most {
		return deployment.Reject(deployment.CodeArtifactTooLarge, atArtifact,
			"model has %d nodes: expected %d at most (SLIPWAY_PREDICT_MAX_NODES)", m.NumNodes(), most)
	}
	return nil
}

// turns are the requests that may be at work at a time. What a request takes of
// memory is taken within a turn, so that any number of clients can wait.
type turns chan struct{}

// take waits for a turn, to be given back, until the deadline passes or ctx ends.
func (t turns) take(ctx context.Context, deadline time.Time) error {
	select {
	case t <- struct{}{}:
		return nil
	default:
	}
	over := time.NewTimer(time.Until(deadline))
	defer over.Stop()
	select {
	case t <- struct{}{}:
		return nil
	case <-over.C:
		return problemf(http.StatusServiceUnavailable, "server: all of its %d requests at a time are taken", cap(t))
	case <-ctx.Done():
		return problemf(http.StatusServiceUnavailable, "server: the client has gone: %w", context.Cause(ctx))
	}
}

func (t turns) giveBack() { <-t }

// predictRows fills dst like Model.Predict, some rows at a time, so that the
// deadline ends a large batch. The index of a rangeError counts from the first row.
func predictRows(m Model, dst, rows []float64, deadline time.Time) error {
	const atATime = 1 << 16 // values
	features, outputs := m.NumFeatures(), m.NumOutputs()
	step := max(1, atATime/max(1, features))
	for row, count := 0, len(rows)/features; row < count; row += step {
		if row > 0 && time.Now().After(deadline) {
			return problemf(http.StatusGatewayTimeout, "the deadline of the request has passed after %d of %d rows", row, count)
		}
		to := min(row+step, count)
		err := m.Predict(dst[row*outputs:to*outputs], rows[row*features:to*features])
		if r, ok := errors.AsType[*rangeError](err); ok {
			r.index += row * features
		}
		if err != nil {
			return err
		}
	}
	return nil
}
