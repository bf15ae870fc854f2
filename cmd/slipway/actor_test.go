package main

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/slipway-ml/slipway/client"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
)

// Who may send commands to an installation of the test: the worker and the
// prediction server are users of NATS like others, and eve is one who may send none.
const (
	churnActor = "/pipelines/churn"
	adaActor   = "/people/ada"
	eveActor   = "/people/eve"
	theService = "slipway"
)

// signedSlipway is a worker and a prediction server against a NATS server that
// authenticates its users, and takes no commands but signed ones.
type signedSlipway struct {
	tb     testing.TB
	broker broker
}

func startSigned(tb testing.TB, b broker) *signedSlipway {
	tb.Helper()
	s := &signedSlipway{tb: tb, broker: b}
	known := map[string][]string{churnActor: {b.users[churnActor].public}, adaActor: {b.users[adaActor].public}}
	text, err := json.Marshal(known)
	if err != nil {
		tb.Fatal(err)
	}
	file := filepath.Join(tb.TempDir(), "actors.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		tb.Fatal(err)
	}
	s.start("worker", "takes commands from", map[string]string{
		"SLIPWAY_ACTORS_FILE": file, "SLIPWAY_PERMISSIONS": "churn=" + churnActor + ",ada-*=" + adaActor, "SLIPWAY_HEALTH_ADDR": "127.0.0.1:0",
	})
	s.start("predict-server", "answers at", map[string]string{"SLIPWAY_PREDICT_ADDR": "127.0.0.1:0"})
	return s
}

// environment is that of a program of the user.
func (s *signedSlipway) environment(user string) map[string]string {
	return map[string]string{"NATS_URL": s.broker.url, s.broker.variable: s.broker.users[user].file}
}

// start runs a part of slipway until the test ends.
func (s *signedSlipway) start(verb, ready string, more map[string]string) {
	s.tb.Helper()
	env := s.environment(theService)
	maps.Copy(env, more)
	env["SLIPWAY_DATA_DIR"] = s.tb.TempDir()
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.tb.Context()))
	stdout, stderr, ended := newConsole(), newConsole(), make(chan struct{})
	go func() {
		defer close(ended)
		_ = run(ctx, []string{verb}, env, strings.NewReader(""), stdout, stderr) // what is wrong is on stderr
	}()
	s.tb.Cleanup(func() {
		cancel()
		<-ended
		if s.tb.Failed() {
			s.tb.Logf("%s wrote:\n%s", verb, stderr)
		}
	})
	if err := stdout.await(ready, ended); err != nil {
		s.tb.Fatalf("%s: %v\n%s", verb, err, stderr)
	}
}

// as is a client of the user, whose commands name the source of that name.
func (s *signedSlipway) as(user string) *client.Client {
	s.tb.Helper()
	settings := jetstream.Settings{URL: s.broker.url, NKey: s.broker.users[user].file}
	if s.broker.variable == "NATS_CREDS" {
		settings.Creds, settings.NKey = settings.NKey, ""
	}
	c, err := client.Connect(s.tb.Context(), settings, user)
	if err != nil {
		s.tb.Fatalf("connect as %s: %v", user, err)
	}
	s.tb.Cleanup(c.Close)
	return c
}

// refused waits for the outcome of a command that has to be refused with the code,
// and sees that nothing has changed.
func (s *signedSlipway) refused(code deployment.Code) func(client.Pending, error) {
	s.tb.Helper()
	c := s.as(theService)
	before, err := c.Get(s.tb.Context(), "churn")
	if err != nil {
		s.tb.Fatal(err)
	}
	return func(p client.Pending, err error) {
		s.tb.Helper()
		if err == nil {
			_, err = c.Wait(s.tb.Context(), p)
		}
		refused, ok := errors.AsType[*client.Error](err)
		if !ok || refused.Outcome != events.Rejected || refused.Code != code || refused.Class != deployment.ClassForbidden {
			s.tb.Errorf("got %v, want rejected, forbidden, %s", err, code)
		}
		if after, err := c.Get(s.tb.Context(), "churn"); err != nil || after.Revision != before.Revision {
			s.tb.Errorf("got revision %d, %v, want %d: nothing has changed", after.Revision, err, before.Revision)
		}
	}
}

func relabel(text string) handlers.Update { return handlers.Update{Label: &text} }

// The NATS user who has signed a command is its actor: nobody else can send
// commands for that actor, whatever they say, and what was signed is carried out
// as it was signed, once (issue 4, point 6).
func TestActors(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...string) broker{"nkeys": startNKeys, "credentials": startOperator} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, theService, churnActor, adaActor, eveActor)
			s := startSigned(t, b)
			churn, ada, eve := s.as(churnActor), s.as(adaActor), s.as(eveActor)

			model := (&system{Client: churn, tb: t}).upload("churn-v1")
			p, err := churn.Deploy(t.Context(), client.Command{Name: "churn"}, handlers.Deploy{Label: "Churn", ModelChoice: handlers.ModelChoice{Model: &model}})
			if err != nil {
				t.Fatal(err)
			}
			deployed, err := churn.Wait(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			if by := deployed.Command; by.Actor != churnActor || by.Key != b.users[churnActor].public || deployed.Deployment.CreatedBy != churnActor {
				t.Errorf("got %+v, created by %s, want the pipeline and its key", by, deployed.Deployment.CreatedBy)
			}

			// Whoever else says to be the pipeline is refused.
			s.refused(deployment.CodeUnknownKey)(ada.Update(t.Context(), client.Command{Name: "churn", Actor: churnActor}, relabel("by ada")))
			s.refused(deployment.CodeUnknownActor)(eve.Update(t.Context(), client.Command{Name: "churn"}, relabel("by eve")))
			s.refused(deployment.CodeUnknownKey)(eve.Update(t.Context(), client.Command{Name: "churn", Actor: churnActor}, relabel("by eve")))
			unsigned := s.as(eveActor)
			unsigned.SeedFile = ""
			s.refused(deployment.CodeNotSigned)(unsigned.Update(t.Context(), client.Command{Name: "churn", Source: churnActor, Actor: churnActor}, relabel("by nobody")))
			s.refused(deployment.CodeNotSigned)(unsigned.Update(t.Context(), client.Command{Name: "churn", Source: churnActor}, relabel("by nobody")))
			// ada says who she is, and may not, whatever source she names.
			s.refused(deployment.CodeNotPermitted)(ada.Update(t.Context(), client.Command{Name: "churn", Source: churnActor, Actor: adaActor}, relabel("by ada")))
			s.changedAfterSigning(deployed, eve)
			s.validations(churn, unsigned)
			s.redriven(unsigned)
		})
	}
}

// changedAfterSigning has somebody who can read the stream of commands publish
// what the pipeline has signed again: with another id, with other data, on another
// deployment, and as it is.
func (s *signedSlipway) changedAfterSigning(deployed client.Event, eve *client.Client) {
	s.tb.Helper()
	stored, err := eve.Commands.At(s.tb.Context(), deployed.Command.Sequence)
	if err != nil {
		s.tb.Fatal(err)
	}
	again := func(subject, old, text string) (p client.Pending, err error) {
		body := strings.ReplaceAll(string(stored.Body), old, text)
		if old != "" && body == string(stored.Body) {
			s.tb.Fatalf("there is no %s in %s", old, body)
		}
		p = client.Pending{Kind: deployment.KindDeployment, Op: "deploy", Name: subject}
		ack, err := eve.JetStream.PublishMsg(s.tb.Context(), &nats.Msg{
			Subject: jetstream.CommandSubject("deployment", subject, "deploy"), Header: nats.Header{"Content-Type": {events.ContentType}}, Data: []byte(body),
		})
		if err == nil {
			p.Sequence = ack.Sequence
		}
		return p, err
	}
	s.refused(deployment.CodeInvalidSignature)(again("churn", deployed.Command.ID, "another-id"))
	s.refused(deployment.CodeInvalidSignature)(again("churn", `"label":"Churn"`, `"label":"Eve"`))
	s.refused(deployment.CodeInvalidSignature)(again("fraud", `"subject":"churn"`, `"subject":"fraud"`))
	p, err := again("churn", "", "")
	if err != nil {
		s.tb.Fatal(err)
	}
	if e, err := eve.Await(s.tb.Context(), p, nil); err != nil || e.Outcome != events.Duplicate || e.Original.Sequence != deployed.Command.Sequence {
		s.tb.Errorf("as it is: got %s, %v, want duplicate", e.Outcome, err)
	}
}

// validations asks for a verdict, signed and not.
func (s *signedSlipway) validations(churn, unsigned *client.Client) {
	s.tb.Helper()
	current, err := churn.Get(s.tb.Context(), "churn")
	if err != nil {
		s.tb.Fatal(err)
	}
	candidate := handlers.Validate{ModelChoice: handlers.ModelChoice{ModelID: current.Model.ID}}
	verdict, err := churn.Validate(s.tb.Context(), client.Command{Name: "churn"}, candidate)
	if err != nil || verdict.Checks["permission"].Status != deployment.Passing {
		s.tb.Errorf("got %+v, %v, want a verdict for who may replace the model", verdict, err)
	}
	_, err = unsigned.Validate(s.tb.Context(), client.Command{Name: "churn", Actor: churnActor}, candidate)
	if refused, ok := errors.AsType[*client.Error](err); !ok || refused.Code != deployment.CodeNotSigned {
		s.tb.Errorf("not signed: got %v, want %s", err, deployment.CodeNotSigned)
	}
}

// redriven has the command line publish a command again that was refused because
// nobody had signed it: who redrives it signs it.
func (s *signedSlipway) redriven(unsigned *client.Client) {
	s.tb.Helper()
	s.refused(deployment.CodeNotSigned)(unsigned.Update(s.tb.Context(), client.Command{Name: "churn", ID: "again"}, relabel("Redriven")))
	code, stdout, stderr := runVerb(s.tb, s.environment(adaActor), "redrive", "churn", "again", "--command-actor", churnActor)
	if code != exitUnauthorised || !strings.Contains(stdout, "unknown_key") {
		s.tb.Errorf("by ada: got %d, %s%s, want %d and why", code, stdout, stderr, exitUnauthorised)
	}
	code, stdout, stderr = runVerb(s.tb, s.environment(churnActor), "redrive", "churn", "again", "--command-actor", churnActor)
	if code != exitOK || !strings.Contains(stdout, "Redriven") {
		s.tb.Errorf("by the pipeline: got %d, %s%s, want that the label is changed", code, stdout, stderr)
	}
	if code, stdout, stderr := runVerb(s.tb, s.environment(theService), "verify"); code != exitOK {
		s.tb.Errorf("verify: got %d, %s%s", code, stdout, stderr)
	}
}
