package predict

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
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
	values  []float64 // of the answer, row after row
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

func (s *Server) infer(w http.ResponseWriter, r *http.Request) error {
	return s.answerPrediction(w, r, v2{})
}

// answerPrediction answers one request for predictions: read, decode, predict, encode,
// write. The version is not held while it reads and writes, so that a slow client
// cannot hold up a switch.
func (s *Server) answerPrediction(w http.ResponseWriter, r *http.Request, d dialect) error {
	if _, err := s.keeper(r.PathValue("model")); err != nil { // before the body, which may be long
		return err
	}
	memory, _ := s.scratch.Get().(*scratch)
	if memory == nil {
		memory = &scratch{}
	}
	defer s.putBack(memory)
	if err := s.readBody(w, r, memory); err != nil {
		return err
	}
	if err := s.predict(r, memory, d); err != nil {
		return err
	}
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(memory.answer))}
	answer(w, http.StatusOK, memory.answer)
	return nil
}

func (s *Server) readBody(w http.ResponseWriter, r *http.Request, memory *scratch) error {
	limit := s.BodyLimit
	if limit == 0 {
		limit = DefaultBodyLimit
	}
	tooLarge := problemf(http.StatusRequestEntityTooLarge, "request body: more than %d bytes", limit)
	if r.ContentLength > limit {
		return tooLarge
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
			return tooLarge
		}
		return problemf(http.StatusBadRequest, "read request body: %v", err)
	}
}

// predict puts the answer to the request together on the version that serves now.
func (s *Server) predict(r *http.Request, memory *scratch, d dialect) (err error) {
	v, err := s.version(r)
	if err != nil {
		return err
	}
	defer v.release()
	name, q := r.PathValue("model"), &memory.request
	defer func() {
		if p := recover(); p != nil { // of a model; the slot and the others are not harmed
			s.Log.ErrorContext(r.Context(), "model panicked", "deployment", name, "model", string(v.id), "panic", fmt.Sprint(p))
			err = problemf(http.StatusInternalServerError, "model %s: version %s: prediction broke off", name, v.id)
		}
	}()
	if err := d.decode(q, memory.body, v.model); err != nil {
		return problemf(http.StatusBadRequest, "%v", err)
	}
	if q.features != v.model.NumFeatures() {
		return problemf(http.StatusBadRequest, "input %s: expected %d values per row%s, got %d",
			q.input, v.model.NumFeatures(), inOrder(v.model.FeatureNames()), q.features)
	}
	outputs := v.model.NumOutputs()
	if q.rows > maxAnswer/outputs {
		return problemf(http.StatusRequestEntityTooLarge, "answer: %d rows of %d values are more than %d values", q.rows, outputs, maxAnswer)
	}
	if n := q.rows * outputs; cap(memory.values) < n {
		memory.values = make([]float64, n)
	} else {
		memory.values = memory.values[:n]
	}
	err = v.model.Predict(memory.values, q.values)
	if r, ok := errors.AsType[*rangeError](err); ok {
		return problemf(http.StatusBadRequest, "input %s: data: value %d: %v", q.input, r.index, r)
	}
	if err != nil {
		return problemf(http.StatusInternalServerError, "model %s: version %s: %v", name, v.id, err)
	}
	if i, found := notFinite(memory.values); found {
		return problemf(http.StatusInternalServerError, "model %s: version %s: output %s: row %d, value %d is %v",
			name, v.id, outputName, i/outputs, i%outputs, memory.values[i])
	}
	memory.answer = d.answer(memory.answer[:0], name, string(v.id), q, memory.values, v.model)
	return nil
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
	if cap(memory.body) <= keepScratch && cap(memory.answer) <= keepScratch &&
		cap(memory.values) <= keepScratch/8 && cap(memory.request.values) <= keepScratch/8 && cap(memory.request.spare) <= keepScratch/8 {
		s.scratch.Put(memory)
	}
}
