package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/jetstream/embedded"
	"github.com/slipway-ml/slipway/schemas"
	"github.com/slipway-ml/slipway/worker"
)

// BenchmarkGrowth is how long a start takes, how long the replacement of a model
// takes from being published to its completed event, one after the other, and
// how much memory "slipway up" has then, in a data directory that knows so many
// deployments and has so many events. GROWTH says which: "deployments:events", as
// many as one likes. The deployments that are only known have failed to deploy,
// so that the prediction server has no models of theirs.
func BenchmarkGrowth(b *testing.B) {
	binary := build(b)
	for size := range strings.SplitSeq(cmp.Or(os.Getenv("GROWTH"), "1:3000,1000:3000"), ",") {
		var deployments, known int
		if _, err := fmt.Sscanf(size, "%d:%d", &deployments, &known); err != nil || deployments < 1 || known < 3*deployments {
			b.Fatalf("GROWTH: expected deployments:events with at least three events for each, got %q", size)
		}
		b.Run(fmt.Sprintf("deployments=%d/events=%d", deployments, known), func(b *testing.B) {
			dir := b.TempDir()
			fillLedger(b, dir, deployments, known)
			began := time.Now()
			p := start(b, binary, dir)
			ready := time.Since(began)
			var took []time.Duration
			for b.Loop() {
				took = append(took, p.replace(b, 500)...)
			}
			reportQuantiles(b, took)
			b.ReportMetric(ready.Seconds(), "s/start")
			b.ReportMetric(p.resident(b), "MiB")
			where, err := readEndpoints(dir)
			if err != nil {
				b.Fatal(err)
			}
			if known <= 10_000 { // what was filled in is what workers write
				if code, stdout, stderr := runVerb(b, map[string]string{"NATS_URL": where.NATS}, "verify"); code != exitOK {
					b.Errorf("slipway verify: exit code %d: %s%s", code, stdout, stderr)
				}
			}
			p.stop(b)
		})
	}
}

// replace replaces the model of a deployment that often, one after the other.
func (p *upProcess) replace(tb testing.TB, times int) (took []time.Duration) {
	tb.Helper()
	s := p.connect(tb)
	defer s.conn.Close()
	facts := []handlers.ModelFacts{s.upload("churn-v1"), s.upload("churn-v2")}
	outcomes, stop := s.follow()
	defer stop()
	name := "measured-" + strings.ToLower(nats.NewInbox()[7:17])
	op, data := "deploy", any(handlers.Deploy{Label: name, ModelChoice: handlers.ModelChoice{Model: &facts[0]}})
	for i := range times + 1 {
		msg := &nats.Msg{Subject: jetstream.CommandSubject("deployment", name, op)}
		text, err := json.Marshal(data)
		if err != nil {
			tb.Fatal(err)
		}
		msg.Data = structured(deployment.KindDeployment, name, op, nats.NewInbox(), string(text))
		began := time.Now()
		s.publish(msg)
		if e := <-outcomes; e.Outcome != events.Completed || e.Subject != name {
			tb.Fatalf("got %s of %s: %s, want completed of %s", e.Outcome, e.Subject, e.detail(), name)
		}
		took = append(took, time.Since(began))
		op, data = "replace", handlers.Replace{Reason: deployment.ReasonOther, ModelChoice: handlers.ModelChoice{Model: &facts[(i+1)%2]}}
	}
	return took[1:]
}

// filler writes into empty streams and buckets what workers would have written
// there, only faster.
type filler struct {
	tb      testing.TB
	js      natsjs.JetStream
	schemas *schemas.Set
	known   []known
	events  uint64 // so far
}

// known is where the history of a deployment stands.
type known struct {
	name   string
	state  *deployment.State
	thread worker.Thread
	last   uint64
}

// fillLedger fills a data directory: commands in turn for so many deployments,
// each of which has failed, and has three events.
func fillLedger(tb testing.TB, dir string, deployments, size int) {
	tb.Helper()
	server, err := embedded.Start(embedded.Options{Dir: dir, Port: -1, SyncInterval: time.Minute, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	conn, err := nats.Connect("", server.InProcess())
	if err != nil {
		tb.Fatal(err)
	}
	js, err := natsjs.New(conn, natsjs.WithPublishAsyncMaxPending(4096), natsjs.WithPublishAsyncErrHandler(func(_ natsjs.JetStream, m *nats.Msg, err error) {
		tb.Errorf("fill %s: %v", m.Subject, err)
	}))
	if err != nil {
		tb.Fatal(err)
	}
	if err := jetstream.Provision(tb.Context(), js, 1, maxAckWait); err != nil {
		tb.Fatal(err)
	}
	f := &filler{tb: tb, js: js, known: make([]known, deployments)}
	if f.schemas, err = schemas.Load(); err != nil {
		tb.Fatal(err)
	}
	for i := range f.known {
		f.known[i].name = fmt.Sprint("known-", i)
	}
	for sequence := range uint64(size / 3) { //nolint:gosec // never negative
		f.command(sequence+1, &f.known[sequence%uint64(deployments)])
	}
	for i := range f.known {
		f.view(jetstream.DeploymentsBucket, f.known[i].name, worker.DeploymentView{State: *f.known[i].state, LedgerSequence: f.known[i].last})
	}
	<-js.PublishAsyncComplete()
	ledger, err := js.Stream(tb.Context(), jetstream.EventsStream)
	if err != nil {
		tb.Fatal(err)
	}
	if got := ledger.CachedInfo().State; got.LastSeq != f.events {
		tb.Fatalf("the ledger ends with event %d, want %d", got.LastSeq, f.events)
	}
	f.acknowledge(size / 3)
	conn.Close()
	if err := server.Stop(); err != nil {
		tb.Fatal(err)
	}
	syscall.Sync() // the disk is not to be busy with this afterwards
}

// acknowledge lets the consumer of the workers know that all commands are finished.
func (f *filler) acknowledge(commands int) {
	f.tb.Helper()
	consumer, err := f.js.Consumer(f.tb.Context(), jetstream.CommandsStream, jetstream.WorkersConsumer)
	if err != nil {
		f.tb.Fatal(err)
	}
	messages, err := consumer.Messages(natsjs.PullMaxMessages(10_000))
	if err != nil {
		f.tb.Fatal(err)
	}
	defer messages.Stop()
	for i := range commands {
		msg, err := messages.Next()
		if err != nil {
			f.tb.Fatal(err)
		}
		if i < commands-1 {
			err = msg.Ack()
		} else {
			err = msg.DoubleAck(f.tb.Context()) // then the others have come, too
		}
		if err != nil {
			f.tb.Fatal(err)
		}
	}
}

// command writes a command, its events, and its record.
func (f *filler) command(sequence uint64, k *known) {
	id, at := fmt.Sprint("fill-", sequence), time.Now().UTC()
	ref := worker.CommandRef{
		Source: "/fill", ID: id, Token: events.Token("/fill", id), Type: "dev.slipway.deployment.deploy.requested.v1",
		Digest: "0123456789abcdef", Sequence: sequence, StoredAt: at,
	}
	f.publish(jetstream.CommandSubject("deployment", k.name, "deploy"), nil, structured(deployment.KindDeployment, k.name, "deploy", id, `{"label":"Known","modelId":"nobody"}`))

	shown := &deployment.State{Name: deployment.Name(k.name), Label: "Known", Status: deployment.StatusDeploying, Revision: 1, CreatedAt: at, CreatedBy: "/fill", UpdatedAt: at, UpdatedBy: "/fill"}
	thread := k.thread
	thread.Committed = k.state
	thread.Claim = &worker.Claim{Token: ref.Token, Worker: "filler", Attempt: 1}
	thread.Claim.Sequence = f.event(k, events.Started, worker.Data{Command: ref, Deployment: shown, Ledger: thread})
	f.event(k, events.Validated, worker.Data{
		Command: ref, Deployment: shown, Ledger: thread, Status: deployment.Passing, Message: "Model can be used.",
		Checks: deployment.Checks{deployment.CheckArtifact: {Status: deployment.Passing, Message: "The artifact is what it says."}},
	})
	after := *shown
	after.Status = deployment.StatusFailed
	after.LastFailure = &deployment.LastFailure{Code: string(deployment.CodeServerFailed), Message: "cannot", At: at, Command: ref.Token}
	if k.state != nil {
		after.Revision, after.CreatedAt = k.state.Revision+1, k.state.CreatedAt
	}
	k.state = &after
	recent := append(k.thread.Recent, fmt.Sprintf("%s:failed:%s:%d", ref.Token, ref.Digest, sequence))
	k.thread = worker.Thread{Watermark: sequence, Recent: recent[max(0, len(recent)-64):]}
	failure := &worker.Failure{Code: deployment.CodeServerFailed, Class: deployment.CodeServerFailed.Class(), Message: "cannot"}
	last := f.event(k, events.Failed, worker.Data{Command: ref, Deployment: k.state, Failure: failure, Ledger: k.thread})
	f.view(jetstream.OperationsBucket, ref.Token, worker.OperationView{
		Token: ref.Token, Source: ref.Source, ID: ref.ID, Kind: deployment.KindDeployment, Name: k.name, Type: ref.Type,
		Outcome: events.Failed, Done: true, Attempt: 1, Failure: failure, Digest: ref.Digest, Sequence: sequence, StoredAt: at, LedgerSequence: last,
	})
}

func (f *filler) event(k *known, outcome events.Outcome, data worker.Data) (sequence uint64) {
	data.Worker, data.Attempt, data.Ledger.Previous = "filler", 1, k.last
	typ := events.Type{Kind: "deployment", Op: "deploy", Outcome: outcome}
	e, err := events.Fact{
		Type: typ, ID: events.FactID(data.Command.Token, outcome, 0), Subject: k.name, Time: data.Command.StoredAt,
		Schema: f.schemas.File(typ.String()), Revision: data.Deployment.Revision, CausationID: data.Command.ID, Data: data,
	}.Event()
	if err != nil {
		f.tb.Fatal(err)
	}
	header, body, err := events.Encode(e)
	if err != nil {
		f.tb.Fatal(err)
	}
	f.publish(jetstream.EventSubject(typ.Kind, k.name, typ.Op, string(outcome)), nats.Header(header), body)
	f.events++ // this is the only one who writes
	k.last = f.events
	return f.events
}

func (f *filler) view(bucket, key string, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		f.tb.Fatal(err)
	}
	f.publish("$KV."+bucket+"."+key, nil, text)
}

func (f *filler) publish(subject string, header nats.Header, body []byte) {
	if _, err := f.js.PublishMsgAsync(&nats.Msg{Subject: subject, Header: header, Data: body}, natsjs.WithStallWait(time.Minute)); err != nil {
		f.tb.Fatal(err)
	}
}
