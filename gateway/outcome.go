package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/worker"
)

var tokenPattern = regexp.MustCompile(`^[a-z2-7]{26}$`)

// question is what a request asks about a command.
type question struct {
	token    string
	wait     time.Duration
	sequence uint64 // 0: not known
}

// readQuestion reads a question about the token or, if that is "", about source
// and id.
func readQuestion(token string, query url.Values) (q question, err error) {
	known := []string{"wait", "sequence"}
	if q.token = token; token == "" {
		known = append(known, "source", "id")
	}
	for name, values := range query {
		if !slices.Contains(known, name) || len(values) != 1 {
			return q, refuse(http.StatusBadRequest, name, "query member %q: expected each of %v once at most", name, known)
		}
	}
	switch {
	case token == "" && (query.Get("source") == "" || query.Get("id") == ""):
		return q, refuse(http.StatusBadRequest, "id", "expected source and id of the command, or its token in the path")
	case token == "":
		q.token = events.Token(query.Get("source"), query.Get("id"))
	case !tokenPattern.MatchString(token):
		return q, refuse(http.StatusBadRequest, "path", "token %q: expected 26 lower-case letters and digits", token)
	}
	if query.Has("wait") {
		if q.wait, err = time.ParseDuration(query.Get("wait")); err != nil || q.wait < 0 || q.wait > MaxWait {
			return q, refuse(http.StatusBadRequest, "wait", "wait %q: expected a duration such as 30s, %v at most", query.Get("wait"), MaxWait)
		}
	}
	if query.Has("sequence") {
		if q.sequence, err = strconv.ParseUint(query.Get("sequence"), 10, 64); err != nil || q.sequence == 0 {
			return q, refuse(http.StatusBadRequest, "sequence", "sequence %q: expected that of the command, above 0", query.Get("sequence"))
		}
	}
	return q, nil
}

// getCommand answers with the record of what became of a command: with 200 once it
// is done, with 202 until then. A command that nobody has begun has no record: with
// its sequence it is known all the same.
func (s *Server) getCommand(w http.ResponseWriter, r *http.Request, stop <-chan struct{}, token string) error {
	q, err := readQuestion(token, r.URL.Query())
	if err != nil {
		return err
	}
	var asked storedCommand
	if q.sequence > 0 {
		if asked, err = s.asked(r.Context(), q); err != nil {
			return err
		}
	}
	view, found, err := s.record(r.Context(), q, stop)
	switch {
	case err != nil:
		return err
	case found && q.sequence > 0 && view.Digest != "" && view.Digest != asked.Digest():
		return reused(asked.Command, view.Sequence)
	case found && view.Done:
		return answerJSON(w, http.StatusOK, view)
	case found:
		return answerJSON(w, http.StatusAccepted, view)
	case q.sequence > 0:
		return answerJSON(w, http.StatusAccepted, asked.accepted())
	}
	return refuse(http.StatusNotFound, "path", "no record of a command with the token %s: nobody has begun with it, or it was never published", q.token).
		coded(deployment.CodeCommandNotFound)
}

// asked is the command whose sequence the question names.
func (s *Server) asked(ctx context.Context, q question) (storedCommand, error) {
	cmd, err := s.stored(ctx, q.sequence)
	if errors.Is(err, natsjs.ErrMsgNotFound) || err == nil && cmd.Token() != q.token {
		return cmd, refuse(http.StatusNotFound, "sequence", "there is no command with the token %s and the sequence %d", q.token, q.sequence).
			coded(deployment.CodeCommandNotFound)
	}
	return cmd, err
}

// tokens are those under which the record of the command can be. A worker that is
// not shown who has sent a command knows it by its place alone.
func (q question) tokens() []string {
	if q.sequence == 0 {
		return []string{q.token}
	}
	return []string{events.PlaceToken(q.sequence), q.token}
}

// record is the record of the command, waited for until it is done, the time is
// over or stop is closed.
func (s *Server) record(ctx context.Context, q question, stop <-chan struct{}) (view worker.OperationView, found bool, err error) {
	for _, token := range q.tokens() {
		recorded, revision, err := s.Operations.Load(ctx, token)
		if err != nil || recorded.Done {
			return recorded, revision > 0, err
		}
		if revision > 0 {
			view, found = recorded, true
		}
	}
	if q.wait == 0 {
		return view, found, nil
	}
	waiting, cancel := context.WithTimeout(ctx, q.wait)
	defer cancel()
	go func() {
		select {
		case <-stop:
			cancel()
		case <-waiting.Done():
		}
	}()
	return s.await(waiting, q, view, found)
}

// await is the record under the token that is the first to show an outcome, or
// the newest one that there is when waiting ends.
func (s *Server) await(waiting context.Context, q question, view worker.OperationView, found bool) (worker.OperationView, bool, error) {
	seen, ended := make(chan worker.OperationView), make(chan error)
	tokens := q.tokens()
	watching, cancel := context.WithCancel(waiting)
	for _, token := range tokens {
		go func() {
			ended <- s.Operations.Await(watching, token, func(v worker.OperationView) bool {
				select {
				case seen <- v:
				case <-watching.Done():
				}
				return v.Done
			})
		}()
	}
	var failed error
	for left := len(tokens); left > 0; {
		select {
		case v := <-seen:
			if !view.Done {
				view, found = v, true
			}
		case err := <-ended:
			left--
			if watching.Err() == nil {
				failed = err
			}
			cancel() // one is enough, or all have to be waited for in vain
		}
	}
	cancel()
	return view, found, failed
}
