package worker

import (
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
)

// unproven is why cmd is not taken for what it says of its actor, nil if it is:
// where nobody is known, everybody is who they say they are.
func (w *Worker) unproven(cmd events.Command) error {
	if w.Actors == nil {
		return nil
	}
	if r := w.Actors.Prove(cmd); r != nil {
		return r
	}
	return nil
}

// prove is unproven of this command. One that is not shown to be of its actor
// says nothing for sure, not even which one it is: it is known by its place in the
// stream, so that the id that it may have been given stays free for whose it is.
// What has begun goes on, whoever may send commands by now.
func (a *attempt) prove() error {
	err := a.unproven(a.cmd)
	a.proven = a.Actors != nil && err == nil
	if err != nil && a.rec.earlier(a.cmd.Token()).First > 0 {
		return nil
	}
	return err
}

// sender is who sends a command: its source, or its actor once that is proven.
// Whoever signs a command may name any source.
func sender(cmd events.Command, proven bool) string {
	if proven {
		return cmd.AuthID
	}
	return cmd.Source
}

// by is who has sent the command, as sender has it.
func (c CommandRef) by() string {
	if c.Key != "" {
		return c.Actor
	}
	return c.Source
}

// asked is the request for a verdict as a decision sees it: a validate command in
// binary mode or, where nothing has to be signed, headers that say who asks.
func (w *Worker) asked(name string, r jetstream.Request) (deployment.Command, error) {
	asked := deployment.Command{
		Kind: deployment.KindDeployment, Name: deployment.Name(name), Op: handlers.OpValidate,
		By: r.Attribute("ce-source"), Actor: r.Attribute("ce-authid"), At: time.Now().UTC(),
	}
	if w.Actors == nil && r.Attribute("ce-specversion") == "" {
		return asked, nil
	}
	cmd, invalid := events.ReadCommand(r.Header, r.Body)
	if err := w.unproven(cmd); err != nil {
		return asked, err
	}
	if invalid != nil {
		return asked, rejectInvalid(invalid)
	}
	asked.By, asked.Actor = sender(cmd, w.Actors != nil), cmd.AuthID
	return asked, rejectAddress(NewAddress(asked.Kind, name), asked.Op, cmd)
}
