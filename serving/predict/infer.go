package predict

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The names of the one tensor that goes in and the one that comes out.
const (
	inputName  = "input-0"
	outputName = "predict"
)

// maxAnswer is how many values one answer may have, so that a small request for
// a model with many outputs cannot ask for any amount of memory.
const maxAnswer = 1 << 24

// scratch is the memory of one inference, kept for the next.
type scratch struct {
	body    []byte
	request request
	values  []float64    // of the answer, row after row
	named   namedTensors // of request and answer in place of values
	answer  []byte
}

// keepScratch is how many bytes of each kind are kept for the next inference.
const keepScratch = 1 << 20

// dialect is what the versions of the protocol do differently.
type dialect interface {
	decode(q *request, body []byte, m Model) error
	answer(b []byte, name, version string, q *request, values []float64, m Model) []byte
}

// v2 is the Open Inference Protocol.
type v2 struct{}

func (v2) decode(q *request, body []byte, m Model) error { return q.decode(body, m.FeatureNames()) }

// bits are those of the numbers that the model answers.
func bits(m Model) int {
	if m.Datatype() == fp32 {
		return 32
	}
	return 64
}

// predictions answers requests for predictions.
type predictions struct {
	server *Server
	gear   *gear
}

// exchange is what is known of one request for predictions, for the metrics, the log
// and monitoring.
type exchange struct {
	begin      time.Time
	deadline   time.Time
	deployment string // empty: there is none of that name
	version    string // that was asked; empty: none was reached
	rows       int
}

func (p *predictions) infer(w http.ResponseWriter, r *http.Request) error {
	return p.answer(w, r, v2{})
}

// answer answers one request for predictions, and notes what became of it.
func (p *predictions) answer(w http.ResponseWriter, r *http.Request, d dialect) error {
	e := exchange{begin: time.Now()}
	err := p.try(w, r, d, &e)
	took, status := time.Since(e.begin), http.StatusOK
	if err == nil {
		p.gear.metrics.answered(e.deployment, e.version, took)
	} else {
		status = statusOf(err)
		p.gear.metrics.failed(e.deployment, e.version, status)
	}
	p.gear.log.write(r.Context(), &e, status, took, err)
	return err
}

// try reads, decodes, predicts, encodes and writes. The version is not held while
// it reads and writes, so that a slow client cannot hold up a switch.
func (p *predictions) try(w http.ResponseWriter, r *http.Request, d dialect, e *exchange) error {
	ctx, s, limits := r.Context(), p.server, p.server.limits()
	e.deadline = e.begin.Add(limits.Deadline)
	name := r.PathValue("model")
	if _, err := s.keeper(name); err != nil { // before the body, which may be long
		return err
	}
	e.deployment = name
	if len(r.Header["Inference-Header-Content-Length"]) > 0 {
		return problemf(http.StatusNotImplemented, "request body: binary tensors are not read here, expected JSON")
	}
	if err := p.gear.turns.take(ctx, e.deadline); err != nil {
		return err
	}
	defer p.gear.turns.giveBack()
	memory, _ := s.scratch.Get().(*scratch)
	if memory == nil {
		memory = &scratch{}
	}
	defer s.putBack(memory)
	if err := memory.readBody(w, r, limits); err != nil {
		return err
	}
	if err := s.predict(ctx, r, memory, d, e); err != nil {
		return err
	}
	answer(w, http.StatusOK, memory.answer)
	p.gear.tap.offer(e, memory.request.values, memory.values, &memory.named)
	return nil
}

// count is what monitoring does with a request for now: count its rows.
func (s *Server) count(one *sample) {
	s.gear().metrics.of(one.deployment, one.version).predictions.Add(float64(one.rows))
}

func (memory *scratch) readBody(w http.ResponseWriter, r *http.Request, l Limits) error {
	limit := l.Body
	tooLarge := func() error {
		return problemf(http.StatusRequestEntityTooLarge, "request body: more than %d bytes", limit)
	}
	if r.ContentLength > limit {
		return tooLarge()
	}
	in := http.MaxBytesReader(w, r.Body, limit)
	b := slices.Grow(memory.body[:0], int(min(max(r.ContentLength, 511)+1, keepScratch))) // the length is only a claim
	for {
		b = slices.Grow(b, 1)
		n, err := in.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == nil {
			continue
		}
		memory.body = b
		if errors.Is(err, io.EOF) {
			return nil
		}
		if _, over := errors.AsType[*http.MaxBytesError](err); over {
			return tooLarge()
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return problemf(http.StatusRequestTimeout, "request body: not complete within %v", l.Deadline)
		}
		return problemf(http.StatusBadRequest, "read request body: %w", err)
	}
}

// predict puts the answer to the request together on the version that serves now.
func (s *Server) predict(ctx context.Context, r *http.Request, memory *scratch, d dialect, e *exchange) (err error) {
	_, v, err := s.version(r)
	if err != nil {
		return err
	}
	defer v.release()
	name, q := e.deployment, &memory.request
	e.version = string(v.id)
	defer func() {
		if p := recover(); p != nil { // of a model; the slot and the others are not harmed
			s.Log.ErrorContext(ctx, "model panicked", "deployment", name, "model", string(v.id), "panic", fmt.Sprint(p))
			err = problemf(http.StatusInternalServerError, "model %s: version %s: prediction broke off", name, v.id)
		}
	}()
	if g, ok := v.model.(*graph); ok {
		switch _, named := d.(v2); {
		case named:
			q.reset()
			memory.values = memory.values[:0]
			memory.answer, memory.named, err = g.infer(memory.answer[:0], memory.body, name, string(v.id), s.limits().Rows, e.deadline)
			e.rows = memory.named.rows
			return err
		case !g.takesRows():
			return problemf(http.StatusBadRequest, "model %s: version %s takes named inputs that are not columns of numbers: expected a request to /v2/models/%s/infer", name, v.id, name)
		}
	}
	return memory.inferRows(d, v.model, string(v.id), s.limits(), e)
}

// inOrder tells the order of the values, if they have names and are not too many
// for a message.
func inOrder(names []string) string {
	if len(names) == 0 || len(names) > 30 {
		return ""
	}
	return " (" + strings.Join(names, ", ") + ")"
}

// answer appends the response to b. Each value is written with as many
// digits as it takes to read the same value of the datatype back.
func (v2) answer(b []byte, name, version string, q *request, values []float64, m Model) []byte {
	outputs := m.NumOutputs()
	b = append(b, `{"model_name":`...)
	b = appendString(b, name)
	b = append(b, `,"model_version":`...)
	b = appendString(b, version)
	if q.hasID {
		b = append(b, `,"id":`...)
		b = appendString(b, q.id)
	}
	if len(q.parameters) > 0 {
		b = append(b, `,"parameters":`...)
		b = append(b, q.parameters...)
	}
	b = append(b, `,"outputs":[{"name":"`+outputName+`","shape":[`...)
	b = strconv.AppendInt(b, int64(q.rows), 10)
	if outputs > 1 {
		b = append(b, ',')
		b = strconv.AppendInt(b, int64(outputs), 10)
	}
	b = append(b, `],"datatype":"`...)
	b = append(b, m.Datatype()...)
	b = append(b, `","data":[`...)
	size := bits(m)
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendFloat(b, v, 'g', -1, size)
	}
	return append(b, "]}]}"...)
}

// appendString appends text as a JSON string.
func appendString(b []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, err := json.Marshal(text)
			if err != nil { // a string can always be said
				panic(err)
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, text...)
	return append(b, '"')
}

// putBack keeps the memory for the next inference, unless it is unusually much.
func (s *Server) putBack(memory *scratch) {
	memory.named = namedTensors{}
	if cap(memory.body) <= keepScratch && cap(memory.answer) <= keepScratch &&
		cap(memory.values) <= keepScratch/8 && cap(memory.request.values) <= keepScratch/8 && cap(memory.request.spare) <= keepScratch/8 {
		s.scratch.Put(memory)
	}
}
