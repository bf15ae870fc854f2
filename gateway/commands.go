package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
)

// Accepted says that a command is stored, and will be carried out.
type Accepted struct {
	Token    string `json:"token"` // of source and id; names the record of its outcome
	Sequence uint64 `json:"sequence"`
	Kind     string `json:"kind"`
	Name     string `json:"name"`
	Op       string `json:"op"`
	Source   string `json:"source"`
	ID       string `json:"id"`
	Outcome  string `json:"outcome"` // requested
	Done     bool   `json:"done"`    // false
}

// postCommand publishes a command. What it says beyond being one is for workers to
// judge, so that it stands in the ledger.
func (s *Server) postCommand(w http.ResponseWriter, r *http.Request) error {
	header, body, cmd, err := s.readCommand(w, r)
	if err != nil {
		return err
	}
	subject := jetstream.CommandSubject(cmd.Type.Kind, cmd.Subject, cmd.Type.Op)
	sequence, err := s.Commands.Publish(r.Context(), subject, cmd.Token(), header, body)
	if errors.Is(err, nats.ErrMaxPayload) {
		return refuse(http.StatusRequestEntityTooLarge, "body", "%w", err).coded(deployment.CodeTooLarge)
	}
	if err != nil {
		return unavailable("%w: it may be stored: send it again, with the same source and id", err)
	}
	// For a while, the broker stores nothing under a token that it has seen.
	first, err := s.stored(r.Context(), sequence)
	if err != nil {
		return err
	}
	if first.subject != subject || first.Digest() != cmd.Digest() {
		return reused(cmd, first.sequence)
	}
	w.Header().Set("Location", "/commands/"+cmd.Token()+"?sequence="+strconv.FormatUint(sequence, 10))
	return answerJSON(w, http.StatusAccepted, first.accepted())
}

// readCommand reads the request as a command, by the HTTP binding of CloudEvents,
// and as the message that says the same.
func (s *Server) readCommand(w http.ResponseWriter, r *http.Request) (header events.Header, body []byte, cmd events.Command, err error) {
	in := s.body(w, r)
	in.Reader = http.MaxBytesReader(w, r.Body, int64(s.MaxCommand))
	if body, err = io.ReadAll(in); err != nil {
		return nil, nil, cmd, s.wrongBody(r, err, "body")
	}
	in.rest()
	contentType := r.Header.Get("Content-Type")
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	header = events.Header{"Content-Type": r.Header.Values("Content-Type")}
	switch structured := media == "application/cloudevents+json"; {
	case structured:
	case strings.HasPrefix(media, "application/cloudevents") || r.Header.Get("Ce-Specversion") == "":
		return nil, nil, cmd, refuse(http.StatusUnsupportedMediaType, "Content-Type",
			"content type %q: expected one event as application/cloudevents+json, or in binary mode, with headers such as ce-specversion", contentType).
			coded(deployment.CodeNotCloudEvent)
	default:
		for name, values := range r.Header {
			if strings.HasPrefix(name, "Ce-") {
				header[name] = values
			}
		}
	}
	if cmd, err = events.ReadCommand(header, body); err != nil {
		return nil, nil, cmd, notCommand(err)
	}
	if err := addressable(cmd); err != nil {
		return nil, nil, cmd, err
	}
	if media != "application/cloudevents+json" {
		e, err := events.Decode(header, body)
		if err != nil {
			return nil, nil, cmd, err
		}
		header, body, err = events.Encode(e)
		return header, body, cmd, err
	}
	return events.Header{"Content-Type": {events.ContentType}}, body, cmd, nil
}

// notCommand says what keeps a request from being a command.
func notCommand(err error) error {
	p := refuse(http.StatusUnprocessableEntity, "body", "%w", err).coded(deployment.CodeInvalidEvent)
	invalid, ok := errors.AsType[*events.InvalidError](err)
	if !ok {
		return p
	}
	p.Errors = make(map[string]string)
	for _, wrong := range invalid.Problems {
		if wrong.Attribute == "" {
			return refuse(http.StatusBadRequest, "body", "%w", err).coded(deployment.CodeNotCloudEvent)
		}
		p.Errors[wrong.Attribute] = wrong.Message
	}
	return p
}

// addressable refuses what has no subject of its own on the broker.
func addressable(cmd events.Command) error {
	isToken := func(s string) bool { return s != "" && !strings.ContainsAny(s, ".*> \t\r\n\x00") }
	switch {
	case !isToken(cmd.Subject):
		return refuse(http.StatusUnprocessableEntity, "subject",
			"attribute subject %q: expected the name of the deployment, or the id of the model, of lower-case letters, digits and dashes", cmd.Subject).
			coded(deployment.CodeInvalidName)
	case !isToken(cmd.Type.Kind) || !isToken(cmd.Type.Op):
		return refuse(http.StatusUnprocessableEntity, "type", "attribute type %q: expected one such as dev.slipway.deployment.deploy.requested.v1", cmd.Type).
			coded(deployment.CodeUnknownOperation)
	}
	return nil
}

// storedCommand is a command in the stream.
type storedCommand struct {
	events.Command
	subject  string
	sequence uint64
}

func (c storedCommand) accepted() Accepted {
	return Accepted{
		Token: c.Token(), Sequence: c.sequence, Kind: c.Type.Kind, Name: c.Subject, Op: c.Type.Op,
		Source: c.Source, ID: c.ID, Outcome: string(events.Requested),
	}
}

// stored is the command with this sequence, as far as it can be read.
func (s *Server) stored(ctx context.Context, sequence uint64) (storedCommand, error) {
	m, err := s.Commands.At(ctx, sequence)
	if err != nil {
		return storedCommand{}, err
	}
	cmd, _ := events.ReadCommand(m.Header, m.Body)
	return storedCommand{cmd, m.Subject, m.Sequence}, nil
}

// reused is the problem with a command whose id is that of another one.
func reused(cmd events.Command, sequence uint64) error {
	return refuse(http.StatusConflict, "id", "command %q from %q was published before with other content (sequence %d): expected a new id",
		cmd.ID, cmd.Source, sequence).coded(deployment.CodeIDReused)
}
