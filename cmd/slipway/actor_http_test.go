package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/worker"
)

// A command that is signed is as good over HTTP, in either mode; who sends one that
// is not signed is told.
func TestSignedOverHTTP(t *testing.T) {
	t.Parallel()
	public, seed := newPair(t, nkeys.PrefixByteUser)
	file := filepath.Join(t.TempDir(), "actors.json")
	if err := os.WriteFile(file, []byte(`{"`+churnActor+`": ["`+public+`"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startUp(t, map[string]string{"SLIPWAY_ACTORS_FILE": file, "SLIPWAY_GATEWAY_ADDR": "127.0.0.1:0"})
	for _, test := range []struct {
		id     string
		signer events.Signer
		encode func(events.Request) (events.Header, []byte)
		code   string
	}{
		{"1", pairOf(t, seed), s.inStructured, "deployment_not_found"}, // it got as far as that
		{"2", pairOf(t, seed), s.inBinary, "deployment_not_found"},
		{"3", nil, s.inStructured, "not_signed"},
		{"4", nil, s.inBinary, "not_signed"},
	} {
		label := "A & B <ü>"
		request := events.Request{
			Type: events.Type{Kind: "deployment", Op: "update"}, Source: churnActor, ID: test.id, Subject: "churn",
			AuthType: "user", AuthID: churnActor, Data: relabel(label), Signer: test.signer,
		}
		header, body := test.encode(request)
		if got := s.overHTTP(header, body); got.Failure == nil || string(got.Failure.Code) != test.code || got.ID != test.id {
			t.Errorf("%s: got %s %+v, want %s", test.id, got.Outcome, got.Failure, test.code)
		}
	}
}

func (s *system) inStructured(r events.Request) (events.Header, []byte) {
	s.tb.Helper()
	e, err := r.Event()
	if err != nil {
		s.tb.Fatal(err)
	}
	header, body, err := events.Encode(e)
	if err != nil {
		s.tb.Fatal(err)
	}
	return header, body
}

func (s *system) inBinary(r events.Request) (events.Header, []byte) {
	s.tb.Helper()
	e, err := r.Event()
	if err != nil {
		s.tb.Fatal(err)
	}
	header, body, err := events.EncodeBinary(e)
	if err != nil {
		s.tb.Fatal(err)
	}
	return header, body
}

// overHTTP posts a command to the gateway and waits for its outcome.
func (s *system) overHTTP(header events.Header, body []byte) (view worker.OperationView) {
	s.tb.Helper()
	request, err := http.NewRequestWithContext(s.tb.Context(), http.MethodPost, s.where.Gateway+"/commands", bytes.NewReader(body))
	if err != nil {
		s.tb.Fatal(err)
	}
	for name, values := range header {
		request.Header.Set(name, values[0])
	}
	posted, err := http.DefaultClient.Do(request)
	if err != nil {
		s.tb.Fatal(err)
	}
	_ = posted.Body.Close()
	if request, err = http.NewRequestWithContext(s.tb.Context(), http.MethodGet, s.where.Gateway+posted.Header.Get("Location")+"&wait=30s", http.NoBody); err != nil {
		s.tb.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		s.tb.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&view); err != nil || answer.StatusCode != http.StatusOK {
		s.tb.Fatalf("GET %s: %d, %v", posted.Header.Get("Location"), answer.StatusCode, err)
	}
	return view
}
