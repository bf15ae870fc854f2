package jetstream

import (
	"context"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

func (e *RequestError) Error() string { return e.Message }

// Ask sends a request and returns the answer. Its error is a *RequestError when
// somebody has answered that there is none.
func Ask(ctx context.Context, conn *nats.Conn, r Request) ([]byte, error) {
	answer, err := conn.RequestMsgWithContext(ctx, &nats.Msg{Subject: r.Subject, Header: r.Header, Data: r.Body})
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", r.Subject, err)
	}
	if text := answer.Header.Get(micro.ErrorCodeHeader); text != "" {
		code, _ := strconv.Atoi(text) // 0: whoever answers does not follow the protocol
		return nil, &RequestError{Code: code, Message: answer.Header.Get(micro.ErrorHeader), Body: answer.Data}
	}
	return answer.Data, nil
}

// At is the command with this sequence.
func (c *Commands) At(ctx context.Context, sequence uint64) (Message, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	raw, err := c.stream.GetMsg(ctx, sequence)
	if err != nil {
		return Message{}, fmt.Errorf("command %d: %w", sequence, err)
	}
	return message(raw), nil
}
