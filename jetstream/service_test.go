package jetstream_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/jetstream/jetstreamtest"
)

// echo is an endpoint whose answers say who made them.
func echo(who string) jetstream.Endpoint {
	return jetstream.Endpoint{
		Name: "validate", Subject: jetstream.AllValidations, Limit: 2, Timeout: time.Minute,
		Busy: jetstream.RequestError{Code: 503, Message: "busy", Body: []byte(`{"code":"busy"}`)},
		Answer: func(_ context.Context, r jetstream.Request) ([]byte, *jetstream.RequestError) {
			name, _ := jetstream.ParseValidateSubject(r.Subject)
			if len(r.Body) == 0 {
				return nil, &jetstream.RequestError{Code: 422, Message: "no body,\r\nin " + name, Body: []byte(`{"code":"x"}`)}
			}
			return fmt.Appendf(nil, "%s %s %s %s", who, name, r.Body, r.Attribute("ce-source")), nil
		},
	}
}

func serve(tb testing.TB, conn *nats.Conn, e jetstream.Endpoint) (stop func() error) {
	tb.Helper()
	stop, err := jetstream.Serve(tb.Context(), conn, e)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := stop(); err != nil {
			tb.Error(err)
		}
	})
	if err := conn.Flush(); err != nil {
		tb.Fatal(err)
	}
	return stop
}

func ask(tb testing.TB, conn *nats.Conn, name, body string) *nats.Msg {
	tb.Helper()
	request := nats.NewMsg(jetstream.ValidateSubject(name))
	request.Header["CE-Source"] = []string{"/test"}
	request.Data = []byte(body)
	answer, err := conn.RequestMsgWithContext(tb.Context(), request)
	if err != nil {
		tb.Fatal(err)
	}
	return answer
}

func TestServe(t *testing.T) {
	t.Parallel()
	conn := jetstreamtest.Start(t).Conn()
	stop := serve(t, conn, echo("a"))
	if got := ask(t, conn, "churn", "x"); string(got.Data) != "a churn x /test" {
		t.Errorf("got %q", got.Data)
	}
	got := ask(t, conn, "churn", "")
	if code, why := got.Header.Get("Nats-Service-Error-Code"), got.Header.Get("Nats-Service-Error"); code != "422" || why != "no body, in churn" || string(got.Data) != `{"code":"x"}` {
		t.Errorf("got %s %q %q, want an error in one line", code, why, got.Data)
	}
	// Tools that know the protocol find it.
	if pong, err := conn.Request("$SRV.PING."+jetstream.ServiceName, nil, 10*time.Second); err != nil || len(pong.Data) == 0 {
		t.Errorf("ping: %v", err)
	}
	// Who does not wait for an answer harms nobody.
	if err := conn.Publish(jetstream.ValidateSubject("churn"), []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Request(jetstream.ValidateSubject("churn"), []byte("x"), 10*time.Second); err == nil {
		t.Error("it answers after it was stopped")
	}
}

// Of several processes one answers each request.
func TestServeSharesRequests(t *testing.T) {
	t.Parallel()
	conn := jetstreamtest.Start(t).Conn()
	serve(t, conn, echo("a"))
	serve(t, conn, echo("b"))
	inbox, err := conn.SubscribeSync(nats.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	const requests = 40
	seen := map[string]int{}
	for i := range requests {
		if err := conn.PublishRequest(jetstream.ValidateSubject("churn"), inbox.Subject, fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
		answer, err := inbox.NextMsg(10 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		seen[string(answer.Data[:1])]++
	}
	if pending, _, err := inbox.Pending(); seen["a"]+seen["b"] != requests || seen["a"] == 0 || seen["b"] == 0 || pending > 0 || err != nil {
		t.Errorf("got answers of %v and %d more, %v; want %d shared by two", seen, pending, err, requests)
	}
}

// One request more than there may be is told so at once; a stop ends what runs.
func TestServeIsBusy(t *testing.T) {
	t.Parallel()
	conn := jetstreamtest.Start(t).Conn()
	e := echo("a")
	begun := make(chan struct{}, e.Limit)
	e.Answer = func(ctx context.Context, _ jetstream.Request) ([]byte, *jetstream.RequestError) {
		begun <- struct{}{}
		<-ctx.Done()
		return []byte("ended"), nil
	}
	stop := serve(t, conn, e)
	answers, err := conn.SubscribeSync(nats.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	for range e.Limit {
		if err := conn.PublishRequest(jetstream.ValidateSubject("churn"), answers.Subject, []byte("x")); err != nil {
			t.Fatal(err)
		}
		<-begun
	}
	if got := ask(t, conn, "churn", "x"); got.Header.Get("Nats-Service-Error-Code") != "503" || string(got.Data) != `{"code":"busy"}` {
		t.Errorf("got %v %q, want that it is busy", got.Header, got.Data)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for range e.Limit {
		if got, err := answers.NextMsg(10 * time.Second); err != nil || string(got.Data) != "ended" {
			t.Errorf("got %v, %v, want what was running to have ended", got, err)
		}
	}
}

func TestServeRefusesWhatIsNoEndpoint(t *testing.T) {
	t.Parallel()
	conn := jetstreamtest.Start(t).Conn()
	e := echo("a")
	e.Subject = "not a subject"
	if _, err := jetstream.Serve(t.Context(), conn, e); err == nil {
		t.Error("got no error for a subject with spaces")
	}
	conn.Close()
	if _, err := jetstream.Serve(t.Context(), conn, echo("a")); err == nil {
		t.Error("got no error for a closed connection")
	}
}
