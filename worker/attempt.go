package worker

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
)

// attempt is one try at one command.
type attempt struct {
	*Worker
	rec        record            // where the history stood when the try began
	msg        jetstream.Message // the command as it was stored
	op         string            // of the subject; "unknown" when there is no such operation
	cmd        events.Command    // as far as it could be read
	proven     bool              // it was shown to be sent for its actor
	token      string
	digest     string
	number     int           // from 1
	handedOver int           // of the earlier ones
	begun      uint64        // sequence of the started event of the first one; 0: this is it
	deadline   time.Time     // by this process's clock; zero: not known
	since      time.Time     // when it got the slot that it has; zero: it has none
	worked     time.Duration // how long it had one before
	raw        *Raw
	first      *done        // the same command, carried out before
	cancel     *CancelledBy // the command that cancels this one

	after record // where the history stands once the outcome is projected

	mu      sync.Mutex // guards what the heartbeat writes too
	last    uint64     // sequence of the newest event about the thing
	claimed *Claim
	shown   *deployment.State // the deployment while effects run
	message string            // what the effect said last
}

// attempt begins a try. Until the command is decoded it is known by its place
// in the stream.
func (w *Worker) attempt(rec *record, msg jetstream.Message) *attempt {
	a := &attempt{Worker: w, rec: *rec, msg: msg, last: rec.Sequence, op: "unknown"}
	a.known(events.PlaceToken(msg.Sequence), "")
	return a
}

// known notes which command this is and how often it was tried before.
func (a *attempt) known(token, digest string) {
	before := a.rec.earlier(token)
	a.token, a.digest, a.number, a.handedOver, a.begun = token, digest, before.Attempt+1, before.HandedOver, before.First
}

// decode reads the command and finds its operation.
func (a *attempt) decode() (operation handlers.Operation, err error) {
	if len(a.msg.Body) > a.MaxCommand {
		a.raw = newRaw(a.msg.Body)
		return operation, deployment.Reject(deployment.CodeTooLarge, "", "command of %d bytes: expected %d at most; give models by reference", len(a.msg.Body), a.MaxCommand)
	}
	cmd, invalid := events.ReadCommand(a.msg.Header, a.msg.Body)
	a.cmd = cmd
	unproven := a.prove()
	if cmd.Source != "" && cmd.ID != "" && unproven == nil {
		a.known(cmd.Token(), cmd.Digest())
	}
	who, op := AddressOf(a.msg.Subject)
	operation, unknown := handlers.Find(a.Operations, who.Kind, op)
	if unknown == nil {
		a.op = op
	}
	if invalid != nil {
		a.raw = newRaw(a.msg.Body)
		return operation, rejectInvalid(invalid)
	}
	if err := rejectAddress(who, op, cmd); err != nil {
		return operation, err
	}
	if unproven != nil {
		return operation, unproven
	}
	if unknown != nil {
		return operation, unknown
	}
	return operation, rejectData(a.Schemas.Check(cmd.Type.String(), cmd.Data))
}

// guard calls f and makes a panic a try that failed. The next try may be by
// another worker, or by one that has been mended.
func (a *attempt) guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			a.Log.Error("panic", "name", a.rec.Who.Name, "op", a.op, "panic", p, "stack", string(debug.Stack()))
			err = &effectError{fmt.Errorf("panic: %v", p), deployment.CodePanic}
		}
	}()
	return f()
}

// dedupe finds out whether the same command was carried out before: among the
// newest commands of this deployment, which travel in its ledger, or among all.
// If not, it returns refused: why the command cannot be carried out, if so.
func (a *attempt) dedupe(ctx context.Context, refused error) error {
	if a.digest == "" { // without source and id, nothing is the same command
		return refused
	}
	first, found := a.rec.find(a.token)
	if !found {
		operation, err := a.Views.Operation(ctx, a.token)
		if err != nil {
			return err
		}
		if operation == nil || operation.Sequence >= a.msg.Sequence { // a later one, of another deployment, is no first one
			if refused != nil {
				return refused
			}
			return a.notExpired(ctx)
		}
		first = done{Token: a.token, Outcome: operation.Outcome, Digest: operation.Digest, Sequence: operation.Sequence}
	}
	a.first = &first
	if first.Digest != a.digest {
		return deployment.Reject(deployment.CodeIDReused, "", "command %q from %q was published before with other content (sequence %d): expected a new id", a.cmd.ID, a.cmd.Source, first.Sequence)
	}
	return errDuplicate
}

func (a *attempt) notExpired(ctx context.Context) error {
	if a.cmd.Expires.IsZero() || a.rec.earlier(a.token).Attempt > 0 { // what has begun goes on
		return nil
	}
	now, err := a.Ledger.Now(ctx)
	if err == nil && now.After(a.cmd.Expires) {
		return errExpired
	}
	return err
}

// facts gathers what the decision may know of other things.
func (a *attempt) facts(ctx context.Context, asked handlers.Asked) (facts deployment.Facts, err error) {
	id := asked.Names
	if asked.Recalls != nil {
		if facts.History, err = a.history(ctx); err != nil {
			return facts, err
		}
		if recalled := asked.Recalls(a.rec.Subject, facts.History); recalled != "" {
			id = recalled
		}
	}
	if id != "" {
		if err := a.rec.showing.wait(); err != nil { // it may have brought the model in
			return facts, err
		}
		if facts.Model, err = a.modelAsOf(ctx, id, a.msg.Sequence); err != nil {
			return facts, err
		}
	}
	if err := a.around(ctx, asked, &a.rec, a.msg.Sequence, &facts); err != nil {
		return facts, err
	}
	if asked.ID != "" {
		facts.Outcome, err = a.outcomeOf(ctx, asked.Source, asked.ID)
	}
	return facts, err
}

// claim publishes `started`: from now on this try holds the deployment, and the
// event's sequence is the fencing token of its effects.
func (a *attempt) claim(ctx context.Context, decision deployment.Decision) error {
	a.shown = decision.Shown
	a.claimed = &Claim{Token: a.token, Worker: a.ID, Attempt: a.number, HandedOver: a.handedOver, First: a.begun}
	sequence, err := a.publish(ctx, events.Started, Data{})
	if err != nil {
		a.claimed = nil
		return err
	}
	a.claimed.Sequence = sequence
	if a.counted() > a.MaxAttempts { // the last worker that tried did not live to say how it went
		return &deployment.Failure{Code: deployment.CodeAttemptsExhausted, Message: fmt.Sprintf("%d attempts began and none of them ended", a.MaxAttempts), Retryable: true}
	}
	if a.ShowAfter > 0 { // the heartbeat shows it, should it take that long
		return nil
	}
	return a.showStarted(ctx)
}

// showStarted makes the views show that the command is being carried out.
func (a *attempt) showStarted(ctx context.Context) error {
	return a.Views.Project(ctx, a.view(events.Started, a.claimed.Sequence, Data{}))
}

// counted is how many tries count against MaxAttempts: not those that were
// given back because a worker was told to stop.
func (a *attempt) counted() int { return a.number - a.handedOver }

// command is the command as a decision sees it.
func (a *attempt) command() deployment.Command {
	return deployment.Command{
		Kind: a.rec.Who.Kind, Name: deployment.Name(a.rec.Who.Name), Op: a.op,
		ID: a.cmd.ID, Digest: a.digest, Token: a.token, Source: a.cmd.Source, By: sender(a.cmd, a.proven), Actor: a.cmd.AuthID, At: a.msg.Time.UTC(),
	}
}
