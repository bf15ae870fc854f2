// Package worker carries out commands: each exactly once in effect, in the order
// of the command stream for each deployment, and each to exactly one terminal
// event. The path of a command is in this file, top to bottom; its steps are
// numbered as in DESIGN section 4.
package worker

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/schemas"
)

// Worker carries out commands. Any number of workers, in any number of
// processes, may share one broker; they need not know of each other.
type Worker struct {
	ID         string // new for every process start
	Ledger     Ledger
	Commands   Commands
	Backlog    Backlog
	Views      Views
	Target     Target
	Contracts  Contracts // nil: none can be read here
	Operations []handlers.Operation
	Schemas    *schemas.Set
	Log        *slog.Logger

	Lease       time.Duration                   // how long a claim holds without being renewed
	MaxAttempts int                             // of one command
	Deadline    func(op string) time.Duration   // of a command, from its first claim on, but for its wait for a slot
	Backoff     func(attempt int) time.Duration // before the attempt after this one
	MaxCommand  int                             // bytes of a command; more is rejected
	ShowAfter   time.Duration                   // the views show a command that takes longer; 0: each one

	Actors  Actors                                      // nil: for whom a command is sent is not checked
	Policy  deployment.Policy                           // what may be changed, by whom, and how
	Servers func(ctx context.Context) ([]string, error) // ids of the prediction servers that are live

	locks    locks // one holder per deployment or model in this process
	standing standing
	slots    *slots
}

// Actors know whose commands are carried out.
type Actors interface {
	// Prove returns why cmd is not shown to be sent for the actor whom it names,
	// nil if it is.
	Prove(cmd events.Command) *deployment.Rejection
}

// Ledger is the record of truth.
type Ledger interface {
	Last(ctx context.Context, fence string) (jetstream.Message, error)
	Append(ctx context.Context, w jetstream.Write) (sequence uint64, appended bool, err error)
	At(ctx context.Context, sequence uint64) (jetstream.Message, error)
	Now(ctx context.Context) (time.Time, error)
	// Epoch changes whenever the broker may have stopped.
	Epoch() uint64
	Past
}

// Commands are what is asked for.
type Commands interface {
	Next(ctx context.Context, filter string, from uint64) (jetstream.Message, error)
	// None reports whether there is certainly no command on subject from from on.
	None(ctx context.Context, subject string, from uint64) bool
}

// Target makes effects true where predictions are served. An error that is a
// *deployment.Rejection or a *deployment.Failure is final; any other is transient.
type Target interface {
	// Inspect fetches the model's artifact, keeps it, and says what the file is.
	Inspect(ctx context.Context, m deployment.Model, progress func(string)) (deployment.Inspection, error)
	// Apply makes the deployment serve the model. token fences off older claims.
	Apply(ctx context.Context, name deployment.Name, serve deployment.Serve, token uint64, progress func(string)) error
	// Stop makes the deployment serve nothing. token fences off older claims.
	Stop(ctx context.Context, name deployment.Name, inactive bool, token uint64, progress func(string)) error
	// Restore takes back what an effect that did not succeed has begun: what
	// before says is so again.
	Restore(ctx context.Context, name deployment.Name, before deployment.Effect, token uint64) error
	// Converge is Restore for a deployment of which no command is unfinished: it
	// writes only if something else is to be so, and says whether it did.
	Converge(ctx context.Context, name deployment.Name, effect deployment.Effect, token uint64) (changed bool, err error)
}

// Advance carries out the commands of who, oldest first, until the one with the
// given sequence is finished (step 1, receive, is in Run: a delivery is only a
// hint that there is work) or there is none left. It returns the sequence of
// the newest finished command. A *wait error says when to try again.
func (w *Worker) Advance(ctx context.Context, who Address, sequence uint64) (watermark uint64, err error) {
	return w.advance(ctx, ctx, who, sequence, nil)
}

// advance is Advance that begins no other command once stopping has ended, and
// looks up only what deliveries do not tell; nil: they tell nothing.
func (w *Worker) advance(ctx, stopping context.Context, who Address, sequence uint64, known hints) (watermark uint64, err error) {
	unlock, err := w.locks.lock(ctx, who.Fence)
	if err != nil {
		return 0, err
	}
	defer unlock()
	epoch := w.Ledger.Epoch()
	rec := w.standing.take(who.Fence, epoch)
	defer func() { // what the last commit is about to show is shown when this returns
		if unshown := rec.showing.wait(); err == nil {
			err = unshown
		}
		if err == nil && rec.Sequence > 0 {
			w.standing.put(who.Fence, epoch, rec)
		}
	}()
	for {
		// 2. Load: where the history of who stands. What it says is projected
		// again if the process that wrote it did not come to that. After a commit
		// of our own we know; should another worker have written since, the fence tells.
		if rec.Sequence == 0 {
			if rec, err = w.newest(ctx, who); err != nil {
				return 0, err
			}
			if rec.Claim != nil { // who holds it shows it; nothing has to be repaired yet
				if err := w.mayTake(ctx, &rec); err != nil {
					return rec.Watermark, err
				}
			}
			if rec, err = w.repair(ctx, rec); err != nil {
				return rec.Watermark, err
			}
		}
		if sequence <= rec.Watermark {
			return rec.Watermark, nil
		}
		// 3. Turn: the oldest unfinished command goes first, whichever was delivered.
		msg, err := w.next(ctx, &rec, known)
		if err != nil || msg.Sequence == 0 {
			return rec.Watermark, err
		}
		if err := stopping.Err(); err != nil {
			return rec.Watermark, err
		}
		after, err := w.carryOut(ctx, stopping, &rec, msg)
		switch {
		case errors.Is(err, errSuperseded):
			if err := rec.showing.wait(); err != nil {
				return rec.Watermark, err
			}
			rec = record{}
		case err != nil:
			return rec.Watermark, err
		default:
			rec = *after
		}
	}
}

// carryOut takes one command from decoding to its terminal event. It returns
// where the history stands then; with an error, that is not known. rec stays as it
// was.
func (w *Worker) carryOut(ctx, stopping context.Context, rec *record, msg jetstream.Message) (after *record, err error) {
	if err := w.mayTake(ctx, rec); err != nil {
		return nil, err
	}
	a := w.attempt(rec, msg)
	var (
		asked    handlers.Asked
		facts    deployment.Facts
		decision deployment.Decision
	)
	err = a.guard(func() error {
		// 4. Decode the CloudEvent and check it against its schema.
		operation, err := a.decode()
		// 5. Dedupe: the same command was perhaps carried out before.
		if err = a.dedupe(ctx, err); err != nil {
			return err
		}
		if err = a.notCancelledInQueue(ctx); err != nil {
			return err
		}
		// 6. Decide. Facts about other things are as of this command's place.
		if asked, err = operation.Read(a.cmd.Data); err != nil {
			return err
		}
		if facts, err = a.facts(ctx, asked); err != nil {
			return err
		}
		decision, err = asked.Decide(rec.Subject, facts, a.command())
		return a.refusedByChecks(ctx, decision, err)
	})
	// 7. Claim, if there is anything to do. 8. Effect.
	if err == nil && !decision.Idle() {
		if err = a.begin(ctx, stopping, decision); err == nil {
			err = a.run(ctx, asked, facts, &decision)
		}
	}
	// 9. Commit the outcome that this comes to. 10. Project it; the caller
	// acknowledges. Whatever happened above, one of the two is said here.
	err = a.conclude(ctx, decision, err)
	return &a.after, err
}

// newest is what the newest event about who says.
func (w *Worker) newest(ctx context.Context, who Address) (record, error) {
	last, err := w.Ledger.Last(ctx, who.Fence)
	if err != nil {
		return record{}, err
	}
	return readRecord(who, last)
}

// repair shows what a process that is gone may have left unshown: the newest
// event, and, while a command is unfinished, the outcome of the one before it.
// Older ones were shown before that was published.
func (w *Worker) repair(ctx context.Context, rec record) (record, error) {
	outcome, err := w.outcomeBefore(ctx, rec)
	if err != nil {
		return record{}, err
	}
	rec.Recent = outcome.Recent
	if outcome.Sequence < rec.Sequence {
		if err := w.Views.Project(ctx, outcome.view()); err != nil {
			return record{}, err
		}
	}
	return rec, w.Views.Project(ctx, rec.view())
}

// outcomeBefore is the newest outcome of a history: that of rec if it is one.
// It is the zero record when there is none.
func (w *Worker) outcomeBefore(ctx context.Context, rec record) (record, error) {
	for rec.Sequence > 0 && !rec.Outcome.Terminal() {
		if rec.Previous == 0 {
			return record{Who: rec.Who}, nil
		}
		msg, err := w.Ledger.At(ctx, rec.Previous)
		if err != nil {
			return record{}, err
		}
		if rec, err = readRecord(rec.Who, msg); err != nil {
			return record{}, err
		}
	}
	return rec, nil
}

// mayTake reports, as a *wait, that the command whose turn it is must not be
// taken yet: another worker has it, or its next attempt is not due. Times are
// compared by the broker's clock alone.
func (w *Worker) mayTake(ctx context.Context, rec *record) error {
	held := rec.Claim != nil && rec.Claim.Worker != w.ID
	if !held && rec.Retry == nil {
		return nil
	}
	now, err := w.Ledger.Now(ctx)
	if err != nil {
		return err
	}
	if held {
		if left := rec.Time.Add(w.Lease).Sub(now); left > 0 {
			return &wait{why: "held by worker " + rec.Claim.Worker, delay: left}
		}
		w.Log.WarnContext(ctx, "claim has run out", "deployment", rec.Who.Name, "worker", rec.Claim.Worker)
		return nil
	}
	if rec.Retry != nil {
		if left := rec.Retry.NextAt.Sub(now); left > 0 {
			return &wait{why: "next attempt is not due", delay: left}
		}
	}
	return nil
}
