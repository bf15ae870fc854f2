package worker_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/slipway-ml/slipway/actors"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/worker"
)

// pairs are the key pairs of who may send commands, and of eve, who may not.
func pairs(tb testing.TB) (who map[string]nkeys.KeyPair, known actors.Keys) {
	tb.Helper()
	who, public := map[string]nkeys.KeyPair{}, map[string][]string{}
	for i, actor := range []string{"/people/ada", "/people/bob", "/people/eve"} {
		pair, err := nkeys.FromRawSeed(nkeys.PrefixByteUser, bytes.Repeat([]byte{byte(i)}, 32))
		if err != nil {
			tb.Fatal(err)
		}
		who[actor] = pair
		if actor != "/people/eve" {
			public[actor] = []string{keyOf(tb, pair)}
		}
	}
	text, err := json.Marshal(public)
	if err != nil {
		tb.Fatal(err)
	}
	if known, err = actors.Parse(text); err != nil {
		tb.Fatal(err)
	}
	return who, known
}

func keyOf(tb testing.TB, pair nkeys.KeyPair) string {
	tb.Helper()
	key, err := pair.PublicKey()
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// by is the request, for the actor and signed with the pair; nil: not signed.
func by(r events.Request, actor string, pair nkeys.KeyPair) events.Request {
	r.AuthType, r.AuthID = "user", actor
	if pair != nil {
		r.Signer = pair
	}
	return r
}

// Only signed commands of known actors are carried out; what a state says of who
// did something is what was proven, whatever source the command names.
func TestProvenCommands(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	who, known := pairs(t)
	w := s.worker("w1")
	w.Actors = known
	w.Policy.Permissions = deployment.Permissions{{Deployment: "churn", Actor: "/people/ada"}}
	s.run(w)

	deployed := s.outcomeOf(s.publish(by(deployRequest("churn", "1", 1), "/people/ada", who["/people/ada"])))
	if deployed.Outcome != events.Completed || deployed.Command.Actor != "/people/ada" || deployed.Command.Key != keyOf(t, who["/people/ada"]) {
		t.Fatalf("got %s %+v of %+v, want completed, for ada, by her key", deployed.Outcome, deployed.Failure, deployed.Command)
	}
	if deployed.Deployment.CreatedBy != "/people/ada" || deployed.Command.Source != "/test" {
		t.Errorf("got that %q has created it from %q, want ada from /test", deployed.Deployment.CreatedBy, deployed.Command.Source)
	}
	s.shown(deployed)
	if m, _, err := bucket[worker.ModelView](s, jetstream.ModelsBucket).Load(t.Context(), string(contentID(1))); err != nil || m.RegisteredBy != "/people/ada" {
		t.Errorf("got that %q has registered the model, %v, want ada", m.RegisteredBy, err)
	}
	for name, test := range map[string]struct {
		request events.Request
		code    deployment.Code
	}{
		"not signed":        {by(replaceRequest("churn", "2", 2), "/people/ada", nil), deployment.CodeNotSigned},
		"nobody":            {replaceRequest("churn", "3", 2), deployment.CodeNotSigned},
		"somebody else":     {by(replaceRequest("churn", "4", 2), "/people/ada", who["/people/bob"]), deployment.CodeUnknownKey},
		"an unknown one":    {by(replaceRequest("churn", "5", 2), "/people/eve", who["/people/eve"]), deployment.CodeUnknownActor},
		"one who may not":   {by(replaceRequest("churn", "6", 2), "/people/bob", who["/people/bob"]), deployment.CodeNotPermitted},
		"with her source":   {by(from("/people/ada", replaceRequest("churn", "7", 2)), "/people/bob", who["/people/bob"]), deployment.CodeNotPermitted},
		"a model, unsigned": {request(deployment.KindModel, "m9", "register", "8", handlers.Register{}), deployment.CodeNotSigned},
		"bad data as well":  {request(deployment.KindDeployment, "churn", "replace", "9", map[string]any{"x": 1}), deployment.CodeNotSigned},
	} {
		got := s.outcomeOf(s.publish(test.request))
		if got.Outcome != events.Rejected || got.Failure.Code != test.code || got.Failure.Class != deployment.ClassForbidden {
			t.Errorf("%s: got %s %+v, want rejected, forbidden, %s", name, got.Outcome, got.Failure, test.code)
		}
		if proven := test.code == deployment.CodeNotPermitted; (got.Command.Key != "") != proven {
			t.Errorf("%s: got key %q, want one: %t", name, got.Command.Key, proven)
		}
		if got.Deployment != nil && got.Deployment.Revision != deployed.Deployment.Revision {
			t.Errorf("%s: the deployment has changed: %+v", name, got.Deployment)
		}
	}
	s.unique(s.history())
}

func from(source string, r events.Request) events.Request {
	r.Source = source
	return r
}

// Who cannot sign for an actor cannot use up the ids of its commands either; what
// was signed is carried out once, however often and by whomever it is published.
func TestForgedCommandsLeaveIdsFree(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	who, known := pairs(t)
	w := s.worker("w1")
	w.Actors = known
	s.run(w)
	forged := s.outcomeOf(s.publish(by(deployRequest("churn", "1", 2), "/people/ada", nil)))
	if forged.Outcome != events.Rejected || forged.Command.Token == events.Token("/test", "1") || forged.Command.ID != "1" {
		t.Errorf("got %s of %+v, want rejected, with the id that it says, and another token", forged.Outcome, forged.Command)
	}
	real := by(deployRequest("churn", "1", 1), "/people/ada", who["/people/ada"])
	first := s.publish(real)
	if got := s.outcomeOf(first); got.Outcome != events.Completed {
		t.Errorf("got %s %+v, want completed", got.Outcome, got.Failure)
	}
	if got := s.outcomeOf(s.publish(real)); got.Outcome != events.Duplicate || got.Original.Sequence != first {
		t.Errorf("again: got %s of %+v, want duplicate of %d", got.Outcome, got.Original, first)
	}
	if got := s.outcomeOf(s.publish(by(deployRequest("churn", "1", 2), "/people/ada", nil))); got.Outcome != events.Rejected || got.Failure.Code != deployment.CodeNotSigned {
		t.Errorf("forged again: got %s %+v, want rejected", got.Outcome, got.Failure)
	}
	s.unique(s.history())
}

// A command that would be refused cancels nothing, though it does not wait for its
// turn: not one that is not signed, nor one of somebody who may not.
func TestCancelByOthers(t *testing.T) {
	t.Parallel()
	for name, proven := range map[string]bool{"declared": false, "proven": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			who, known := pairs(t)
			w := s.worker("w1")
			w.Policy.Permissions = deployment.Permissions{{Deployment: "churn", Actor: "/people/ada"}}
			if proven {
				w.Actors = known
			}
			queued := s.publish(by(deployRequest("churn", "1", 1), "/people/ada", who["/people/ada"]))
			cancels := []uint64{s.publish(by(cancelRequest("2", "1"), "/people/bob", who["/people/bob"]))}
			if proven {
				cancels = append(cancels, s.publish(by(cancelRequest("3", "1"), "/people/ada", nil)))
			}
			replaced := s.publish(by(replaceRequest("churn", "4", 2), "/people/ada", who["/people/ada"]))
			cancelled := s.publish(by(cancelRequest("5", "4"), "/people/ada", who["/people/ada"]))
			s.run(w)
			if got := s.outcomeOf(queued); got.Outcome != events.Completed {
				t.Errorf("got %s by %+v, want completed", got.Outcome, got.CancelledBy)
			}
			for _, sequence := range cancels {
				if got := s.outcomeOf(sequence); got.Outcome != events.Rejected || got.Failure.Class != deployment.ClassForbidden {
					t.Errorf("cancel %d: got %s %+v, want rejected, forbidden", sequence, got.Outcome, got.Failure)
				}
			}
			if got := s.outcomeOf(replaced); got.Outcome != events.Cancelled || got.CancelledBy.Sequence != cancelled {
				t.Errorf("got %s by %+v, want cancelled by ada", got.Outcome, got.CancelledBy)
			}
		})
	}
}

// A command that has begun goes on, also if its actor may send none any more: what
// it has begun is not left half-done.
func TestWhatHasBegunGoesOn(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	who, known := pairs(t)
	sequence := s.publish(by(deployRequest("churn", "1", 1), "/people/ada", who["/people/ada"]))
	dying := s.worker("w1")
	dying.Actors, dying.Ledger = known, &faultyLedger{Ledger: s.ledger, at: 2, dead: true}
	if _, err := dying.Advance(t.Context(), addressOf("churn"), sequence); err == nil {
		t.Fatal("the worker has not died")
	}
	w := s.worker("w2")
	w.Actors, w.Lease = actors.Keys{}, time.Nanosecond
	s.advance(w, deployment.KindDeployment, "churn")
	if got := s.outcomeOf(sequence); got.Outcome != events.Completed || got.Attempt != 2 || got.Command.Token != events.Token("/test", "1") {
		t.Errorf("got %s %+v in attempt %d, want completed in attempt 2", got.Outcome, got.Failure, got.Attempt)
	}
	after := s.publish(by(replaceRequest("churn", "2", 2), "/people/ada", who["/people/ada"]))
	s.advance(w, deployment.KindDeployment, "churn")
	if got := s.outcomeOf(after); got.Outcome != events.Rejected || got.Failure.Code != deployment.CodeUnknownActor {
		t.Errorf("got %s %+v, want rejected", got.Outcome, got.Failure)
	}
	s.unique(s.history())
}

// Requests for a verdict are signed as commands are.
func TestProvenValidations(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	who, known := pairs(t)
	w := s.worker("w1")
	w.Actors = known
	s.run(w)
	stop, err := jetstream.Serve(t.Context(), s.js.Conn(), w.Validations(4, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	s.outcomeOf(s.publish(by(deployRequest("churn", "1", 1), "/people/ada", who["/people/ada"])))
	choice := handlers.Validate{ModelChoice: inline(2)}
	for name, test := range map[string]struct {
		request events.Request
		name    string
		code    deployment.Code // "": answered
	}{
		"signed":            {by(request(deployment.KindDeployment, "churn", "validate", "2", choice), "/people/ada", who["/people/ada"]), "churn", ""},
		"not signed":        {by(request(deployment.KindDeployment, "churn", "validate", "3", choice), "/people/ada", nil), "churn", deployment.CodeNotSigned},
		"signed by another": {by(request(deployment.KindDeployment, "churn", "validate", "4", choice), "/people/ada", who["/people/bob"]), "churn", deployment.CodeUnknownKey},
		"for another one":   {by(request(deployment.KindDeployment, "fraud", "validate", "5", choice), "/people/ada", who["/people/ada"]), "churn", deployment.CodeSubjectMismatch},
		"another operation": {by(request(deployment.KindDeployment, "churn", "replace", "6", choice), "/people/ada", who["/people/ada"]), "churn", deployment.CodeTypeMismatch},
	} {
		e, err := test.request.Event()
		if err != nil {
			t.Fatal(err)
		}
		header, body, err := events.EncodeBinary(e)
		if err != nil {
			t.Fatal(err)
		}
		answer := s.ask(test.name, string(body), map[string][]string(header))
		got := answer.Header.Get("Nats-Service-Error")
		if code, _, _ := bytes.Cut([]byte(got), []byte(":")); string(code) != string(test.code) {
			t.Errorf("%s: got %q, want %q", name, got, test.code)
		}
	}
}
