package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// The request/reply service that workers answer (DESIGN section 3).
const (
	ServiceName    = "slipway"
	ServiceVersion = "1.0.0" // of its subjects and answers

	validatePrefix = "slipway.validate."

	// AllValidations matches every request for a verdict.
	AllValidations = validatePrefix + "*"
)

// ValidateSubject is where a verdict on a model for the named deployment is
// asked for.
func ValidateSubject(name string) string { return validatePrefix + name }

// ParseValidateSubject reads what ValidateSubject writes.
func ParseValidateSubject(subject string) (name string, ok bool) {
	return strings.CutPrefix(subject, validatePrefix)
}

// Request is a message that waits for an answer.
type Request struct {
	Subject string
	Header  map[string][]string
	Body    []byte
}

// Attribute is the value of a header, whatever the case of its name; "" if
// there is none.
func (r Request) Attribute(name string) string {
	for key, values := range r.Header {
		if strings.EqualFold(key, name) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

// RequestError is an answer that says why there is no other. Code and Message
// are headers of it, as the NATS micro protocol has them; Body may say more.
type RequestError struct {
	Code    int // like an HTTP status
	Message string
	Body    []byte
}

// Endpoint answers the requests on a subject.
type Endpoint struct {
	Name        string
	Subject     string
	Description string
	Limit       int           // requests that are answered at a time
	Busy        RequestError  // what one more is told
	Timeout     time.Duration // for one answer
	Answer      func(ctx context.Context, r Request) ([]byte, *RequestError)
}

// Serve answers requests until stop is called, which ends the answers that are
// being made and waits for them; calling it again does nothing. Of the processes that serve the same endpoint, one answers
// each request. The service is listed by the NATS micro protocol ("nats micro").
func Serve(ctx context.Context, conn *nats.Conn, e Endpoint) (stop func() error, err error) {
	service, err := micro.AddService(conn, micro.Config{
		Name: ServiceName, Version: ServiceVersion, Description: "Slipway workers", QueueGroup: WorkersConsumer,
	})
	if err != nil {
		return nil, fmt.Errorf("serve %s: %w", e.Subject, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	answering := make(chan struct{}, e.Limit)
	stop = sync.OnceValue(func() error {
		err := service.Stop()
		cancel()
		for range e.Limit { // once all places are ours, nobody answers any more
			answering <- struct{}{}
		}
		if err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
			return fmt.Errorf("stop serving %s: %w", e.Subject, err)
		}
		return nil
	})
	// The service calls its handlers one after the other: each request gets a
	// goroutine of its own, as many as there may be. That must not touch the
	// service's request, which the service reads once the handler has returned.
	handle := func(r micro.Request) {
		reply, request := r.Reply(), Request{Subject: r.Subject(), Header: r.Headers(), Body: r.Data()}
		select {
		case answering <- struct{}{}:
			go func() {
				defer func() { <-answering }()
				body, failed := e.answer(ctx, request)
				respond(conn, reply, body, failed)
			}()
		default:
			respond(conn, reply, nil, &e.Busy)
		}
	}
	err = service.AddEndpoint(e.Name, micro.HandlerFunc(handle), micro.WithEndpointSubject(e.Subject),
		micro.WithEndpointMetadata(map[string]string{"description": e.Description}))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("serve %s: %w", e.Subject, err), stop())
	}
	return stop, nil
}

func (e Endpoint) answer(ctx context.Context, r Request) ([]byte, *RequestError) {
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	return e.Answer(ctx, r)
}

// respond sends the answer. Who asked without saying where to answer, or is
// gone, gets none.
func respond(conn *nats.Conn, reply string, body []byte, failed *RequestError) {
	answer := &nats.Msg{Subject: reply, Data: body}
	if failed != nil {
		answer.Data, answer.Header = failed.Body, nats.Header{
			micro.ErrorCodeHeader: {strconv.Itoa(failed.Code)},
			micro.ErrorHeader:     {strings.Join(strings.Fields(failed.Message), " ")}, // a header is one line
		}
	}
	_ = conn.PublishMsg(answer)
}
