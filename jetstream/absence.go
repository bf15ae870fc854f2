package jetstream

import (
	"context"
	"encoding/json"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

// absence finds out that a stream has no message on a subject. Most of what a
// worker looks for before it carries out a command is not there, and one request
// says so to all who ask at a time.
type absence struct {
	conn   *nats.Conn
	direct string // where the stream is asked

	mu      sync.Mutex
	waiting []question
	asking  int // requests that are on their way
}

// question is whether there is a message on subject whose sequence is at least from.
type question struct {
	subject string
	from    uint64
	answer  chan bool
}

const (
	maxQuestions = 256 // in one request; the broker takes 1024
	maxAsking    = 4   // requests at a time
)

func newAbsence(js natsjs.JetStream, stream string) *absence {
	prefix := js.Options().APIPrefix
	if prefix == "" {
		prefix = natsjs.DefaultAPIPrefix
	}
	return &absence{conn: js.Conn(), direct: prefix + "DIRECT.GET." + stream}
}

// certain reports whether there is certainly no message on subject whose sequence
// is at least from. When it is not certain, somebody has to look. What was stored
// before it is called is seen: who asks while some requests are on their way is in
// the next one.
func (a *absence) certain(ctx context.Context, subject string, from uint64) bool {
	if strings.ContainsAny(subject, "*>") { // the broker would take it for a filter
		return false
	}
	q := question{subject, from, make(chan bool, 1)}
	a.mu.Lock()
	a.waiting = append(a.waiting, q)
	if a.asking < maxAsking {
		a.asking++
		go a.ask() //nolint:contextcheck // it asks for others too
	}
	a.mu.Unlock()
	select {
	case none := <-q.answer:
		return none
	case <-ctx.Done():
		return false
	}
}

// ask answers questions until there are none.
func (a *absence) ask() {
	for {
		a.mu.Lock()
		n := min(len(a.waiting), maxQuestions)
		batch := a.waiting[:n:n]
		a.waiting = a.waiting[n:]
		if n == 0 {
			a.asking--
		}
		a.mu.Unlock()
		if n == 0 {
			return
		}
		none := a.noneOf(batch)
		for _, q := range batch {
			q.answer <- none
		}
	}
}

// noneOf asks the broker for the newest message on each subject, and wants to
// hear that there are no such messages.
func (a *absence) noneOf(batch []question) bool {
	request := struct {
		From     uint64   `json:"seq,omitempty"`
		Subjects []string `json:"multi_last"`
		Batch    int      `json:"batch"`
	}{batch[0].from, make([]string, len(batch)), 1}
	for i, q := range batch {
		request.Subjects[i], request.From = q.subject, min(request.From, q.from)
	}
	text, err := json.Marshal(request)
	if err != nil {
		return false
	}
	ctx, cancel := bounded(context.Background())
	defer cancel()
	answer, err := a.conn.RequestWithContext(ctx, a.direct, text)
	if err != nil {
		return false
	}
	switch answer.Header.Get("Status") {
	case "404":
		return answer.Header.Get("Description") == "No Results"
	case "204": // the end, and nothing was before it: what there is is older
		return true
	}
	return false
}
