package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
)

// A model in a bucket is deployed from there. Trouble with the bucket that may
// pass is tried again, what is for good rejects the command, and in all that is
// written, to the ledger, the streams, the buckets and the log, there is no secret.
func TestDeployFromABucket(t *testing.T) {
	t.Parallel()
	const secret = "pl4nted+s3cret"
	backend := s3mem.New()
	if err := backend.CreateBucket("models"); err != nil {
		t.Fatal(err)
	}
	fake := gofakes3.New(backend, gofakes3.WithTimeSkewLimit(0)).Server()
	file := readDemo(t, "churn-v1.ubj")
	put := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/models/churn/model.ubj", bytes.NewReader(file))
	put.Header.Set("Content-Length", strconv.Itoa(len(file)))
	done := httptest.NewRecorder()
	if fake.ServeHTTP(done, put); done.Code != http.StatusOK {
		t.Fatalf("put: %d %s", done.Code, done.Body)
	}
	var troubles, signed atomic.Int64
	troubles.Store(1)
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AKIATEST/") {
			signed.Add(1)
		}
		switch {
		case troubles.Add(-1) >= 0:
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, secret)
		case strings.Contains(r.URL.Path, "locked"):
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, "<Error><Code>AccessDenied</Code><Message>%s</Message></Error>", secret)
		default:
			fake.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(store.Close)
	s := startUp(t, map[string]string{
		"AWS_ENDPOINT_URL": store.URL, "AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": secret, "SLIPWAY_LOG_LEVEL": "debug",
	})

	facts := s.upload("churn-v2") // the same but for the file
	facts.Artifact = describeArtifact(file)
	facts.Artifact.URL = "s3://models/churn/model.ubj"
	e := s.command(deployment.KindDeployment, "churn", "deploy", map[string]any{"label": "Churn", "model": facts})
	if e.Outcome != events.Completed || signed.Load() < 2 {
		t.Fatalf("got %s after %d signed requests, want completed after 2: %s", e.Outcome, signed.Load(), e.Stored.Body)
	}
	row := readSample(t)
	if _, answer := s.predict("churn", row.Row); !strings.Contains(answer, fmt.Sprint(row.Expected["churn-v1"])) {
		t.Errorf("got %s, want %v", answer, row.Expected["churn-v1"])
	}

	other := describeArtifact([]byte("another model"))
	for _, test := range []struct {
		url, credentials string
		code             deployment.Code
	}{
		{"s3://models/gone.ubj", "", deployment.CodeArtifactNotFound},
		{"s3://models/locked.ubj", "", deployment.CodeArtifactForbidden},
		{"s3://models/churn/model.ubj", "", deployment.CodeSizeMismatch},
		{"s3://models/churn/model.ubj", "team-a", deployment.CodeCredentialsMissing},
		{"s3://models/churn/model.ubj?X-Amz-Signature=theirs", "", deployment.CodeURLInvalid},
	} {
		facts.Artifact = other
		facts.Artifact.URL, facts.Artifact.CredentialsID = test.url, test.credentials
		e := s.command(deployment.KindDeployment, "second", "deploy", map[string]any{"label": "Second", "model": facts})
		if e.Outcome != events.Rejected || !bytes.Contains(e.Stored.Body, []byte(test.code)) {
			t.Errorf("%s: got %s, want rejected with %s: %s", test.url, e.Outcome, test.code, e.Stored.Body)
		}
	}
	if s.state("second") != "" {
		t.Errorf("got %s, want no such deployment", s.state("second"))
	}

	var read int
	if err := s.Ledger.Events(t.Context(), jetstream.AllEvents, 1, func(m jetstream.Message) error {
		read++
		if bytes.Contains(m.Body, []byte(secret)) {
			t.Errorf("event %d holds the secret: %s", m.Sequence, m.Body)
		}
		return nil
	}); err != nil || read < 8 {
		t.Errorf("read %d events, %v, want 8 or more", read, err)
	}
	if strings.Contains(s.state("churn"), secret) || strings.Contains(s.stderr.String(), secret) || s.stderr.String() == "" {
		t.Errorf("the state or the log holds the secret, or there is no log:\n%s\n%s", s.state("churn"), s.stderr)
	}
}
