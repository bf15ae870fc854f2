package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/slipway-ml/slipway/artifacts"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/worker"
)

// zeroName is the deployment that is asked for predictions.
const zeroName = "churn"

// zero is a deployment whose model is changed all the time while callers ask two
// prediction servers for predictions.
type zero struct {
	*chaos
	*rand.Rand
	broken deployment.Artifact

	begun atomic.Int64 // operations that were published
	ended atomic.Int64 // operations whose outcome is known
	turns []turn
	model deployment.Name // serves
	early deployment.Name // served before
	tries int
	count map[string]int
	exits int // of processes by themselves, before the broker was up

	mu      sync.Mutex
	endings map[uint64]chan entry // by sequence of the command

	guard *sync.Mutex // of what is expected, once callers run
}

// operation is what the driver may do. Add a line to operations to have more of it.
type operation struct {
	name   string
	weight int
	do     func(*zero)
}

func operations() []operation {
	return []operation{
		{"replace", 10, (*zero).replace},
		{"rollback", 4, (*zero).rollback},
		{"update", 2, (*zero).update},
		{"update of the model", 4, (*zero).updateModel},
		{"back to a version by an update", 2, (*zero).updateToVersion},
		{"replace by a model whose golden rows fail", 2, (*zero).replaceGolden},
		{"replace by a broken file", 2, (*zero).replaceBroken},
		{"replace and cancel", 3, (*zero).replaceAndCancel},
	}
}

// TestZeroInterruption changes the model of a deployment again and again, in every
// way that there is and also in vain, and kills one of two prediction servers now
// and then, while callers ask for predictions without a pause. No prediction
// fails; each is by exactly one model, whose turn it is, and on no connection an old
// one comes after a new one. CHAOS_SECONDS is how long, CHAOS_SEED chooses as an
// earlier run has.
func TestZeroInterruption(t *testing.T) {
	z := newZero(t, 2)
	if os.Getenv("CHAOS_SECONDS") == "" {
		z.seconds = 6 * time.Second
	}
	callers, stop := z.call(4, nil)
	changing, done := context.WithTimeout(t.Context(), z.seconds)
	defer done()
	var killing sync.WaitGroup
	killing.Go(func() { z.killServers(changing) })
	all := operations()
	var choices []operation
	for _, o := range all {
		choices = append(choices, slices.Repeat([]operation{o}, o.weight)...)
	}
	for i := 0; (changing.Err() == nil || i < len(all)) && !t.Failed(); i++ {
		o := choices[z.IntN(len(choices))]
		if i < len(all) { // each at least once
			o = all[i]
		}
		o.do(z)
		z.count[o.name]++
	}
	done()
	killing.Wait()
	stop()
	z.check(callers)
}

// newZero starts the processes and deploys the first model.
func newZero(tb testing.TB, servers int, more ...string) *zero {
	tb.Helper()
	z := &zero{count: make(map[string]int), endings: make(map[uint64]chan entry)}
	z.chaos = newProcesses(tb, buildStatic(tb), oneNode(tb, tb.TempDir()), 1, servers, more...)
	z.Rand = rand.New(rand.NewPCG(z.seed, 3))
	z.broken = z.upload([]byte("not a model"))
	for _, p := range z.servers {
		z.ready(tb.Context(), p, 0)
	}
	z.exits = z.byThemselves()
	follow := context.WithoutCancel(tb.Context())
	follow, stop := context.WithCancel(follow)
	var following sync.WaitGroup
	following.Go(func() { z.follow(follow) })
	tb.Cleanup(func() {
		stop()
		following.Wait()
	})
	facts, model := z.next()
	z.change("deploy", handlers.Deploy{Label: "Churn", ModelChoice: handlers.ModelChoice{Model: &facts}}, model)
	return z
}

func (z *zero) byThemselves() (count int) {
	for _, p := range z.children {
		_, exits := p.byItself()
		count += len(exits)
	}
	return count
}

func (z *zero) upload(content []byte) deployment.Artifact {
	z.tb.Helper()
	sum := sha256.Sum256(content)
	a := deployment.Artifact{Digest: deployment.DigestOf(sum[:]), Size: int64(len(content))}
	a.Object = artifacts.ObjectName(a.Digest)
	objects, err := jetstream.OpenObjects(z.tb.Context(), z.JetStream)
	if err == nil {
		err = objects.Put(z.tb.Context(), a.Object, bytes.NewReader(content))
	}
	if err != nil {
		z.tb.Fatal(err)
	}
	return a
}

// ready waits until the server says where it is, in another process than that one.
func (z *zero) ready(ctx context.Context, p *child, before int) {
	ctx, cancel := context.WithTimeout(ctx, chaosStart)
	defer cancel()
	for {
		if where, err := readEndpoints(p.dir); err == nil && where.PID != before {
			return
		}
		if wait(ctx, 20*time.Millisecond) != nil {
			z.tb.Errorf("%s is not ready within %s:\n%s", p.name, chaosStart, p.tail(1500))
			return
		}
	}
}

// killServers kills one server after the other, each once the one before is back.
func (z *zero) killServers(ctx context.Context) {
	random := rand.New(rand.NewPCG(z.seed, 4))
	for wait(ctx, time.Second+time.Duration(random.Int64N(int64(2*time.Second)))) == nil {
		victim := z.servers[random.IntN(len(z.servers))]
		where, err := readEndpoints(victim.dir)
		if err != nil {
			z.tb.Errorf("%s: %v", victim.name, err)
			return
		}
		z.kill(victim)
		z.ready(context.WithoutCancel(ctx), victim, where.PID)
	}
}

// call starts callers; stop ends them and says what failed.
func (z *zero) call(count int, took func(by deployment.Name, asked, answered time.Time)) (callers []*caller, stop func()) {
	z.tb.Helper()
	body, err := inferRequest([][]*float64{z.sample.Row})
	if err != nil {
		z.tb.Fatal(err)
	}
	known := &sync.Mutex{}
	right := func(answer []byte) (deployment.Name, error) {
		known.Lock()
		defer known.Unlock()
		return z.rightAnswer(answer)
	}
	z.guard = known
	ctx, cancel := context.WithCancel(z.tb.Context())
	var asking sync.WaitGroup
	for i := range count {
		home := i % len(z.servers)
		c := &caller{
			servers: slices.Concat(z.servers[home:], z.servers[:home]), body: body, right: right, ended: &z.ended, begun: &z.begun, took: took,
		}
		callers = append(callers, c)
		asking.Go(func() {
			if err := c.run(ctx); err != nil {
				z.tb.Errorf("caller %d, after %d answers: %v\n%s", i, c.answered, err, z.tails())
			}
		})
	}
	return callers, func() {
		cancel()
		asking.Wait()
	}
}

// follow hands the outcome of each command to whoever waits for it.
func (z *zero) follow(ctx context.Context) {
	err := z.Ledger.Follow(ctx, jetstream.AllEvents, 1, nil, func(m jetstream.Message) error {
		e, err := readEntry(m)
		if err == nil && e.Outcome.Terminal() {
			z.ending(e.Command.Sequence) <- e
		}
		return err
	})
	if ctx.Err() == nil {
		z.tb.Errorf("follow the events: %v", err)
	}
}

func (z *zero) ending(sequence uint64) chan entry {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.endings[sequence] == nil {
		z.endings[sequence] = make(chan entry, 1)
	}
	return z.endings[sequence]
}

// publish publishes a command, and returns its id and sequence.
func (z *zero) publish(op string, data any) (id string, sequence uint64) {
	z.tb.Helper()
	text, err := json.Marshal(data)
	if err != nil {
		z.tb.Fatal(err)
	}
	id = nats.NewInbox()
	ack, err := z.JetStream.PublishMsg(z.tb.Context(), &nats.Msg{
		Subject: jetstream.CommandSubject(string(deployment.KindDeployment), zeroName, op),
		Data:    structured(deployment.KindDeployment, zeroName, op, id, string(text)),
	})
	if err != nil {
		z.tb.Fatal(err)
	}
	return id, ack.Sequence
}

// outcome waits for the outcome of a command.
func (z *zero) outcome(sequence uint64) entry {
	z.tb.Helper()
	select {
	case e := <-z.ending(sequence):
		return e
	case <-time.After(chaosDrain):
		z.tb.Fatalf("command %d is not finished after %s\n%s", sequence, chaosDrain, z.tails())
		return entry{}
	}
}

// carry publishes a command and waits for its outcome, which is an operation.
func (z *zero) carry(op string, data any) entry {
	z.tb.Helper()
	z.begun.Add(1)
	_, sequence := z.publish(op, data)
	return z.outcome(sequence)
}

// completed is carry of what has to complete.
func (z *zero) completed(op string, data any) {
	z.tb.Helper()
	if e := z.carry(op, data); e.Outcome != events.Completed {
		z.tb.Fatalf("%s ended as %s: %s", op, e.Outcome, e.detail())
	}
}

// change is an operation that is to lead to the model.
func (z *zero) change(op string, data any, to deployment.Name) {
	z.tb.Helper()
	z.completed(op, data)
	z.turns = append(z.turns, turn{to, z.begun.Load(), true})
	if to != z.model {
		z.model, z.early = to, z.model
	}
	z.ended.Store(z.begun.Load())
}

// next is a model that was not there before.
func (z *zero) next() (handlers.ModelFacts, deployment.Name) {
	z.tries++
	facts := z.facts(1000 + z.tries)
	id := facts.Named("").ContentID()
	if z.guard != nil {
		z.guard.Lock()
		defer z.guard.Unlock()
	}
	z.expected[id] = z.prediction(z.tries)
	return facts, id
}

func replaceBy(facts handlers.ModelFacts) handlers.Replace {
	return handlers.Replace{Reason: deployment.ReasonAccuracy, ModelChoice: handlers.ModelChoice{Model: &facts}}
}

func (z *zero) replace() {
	facts, model := z.next()
	z.change("replace", replaceBy(facts), model)
}

func (z *zero) rollback() {
	if z.early == "" {
		z.replace()
	}
	z.change("rollback", handlers.Rollback{Reason: deployment.ReasonErrors}, z.early)
}

func (z *zero) update() {
	label := fmt.Sprint("Churn ", z.begun.Load())
	z.change("update", handlers.Update{Label: &label}, z.model)
}

// updateModel changes the label and the model at once.
func (z *zero) updateModel() {
	label := fmt.Sprint("Churn ", z.begun.Load())
	facts, model := z.next()
	z.change("update", handlers.Update{Label: &label, ModelChoice: handlers.ModelChoice{Model: &facts}}, model)
}

// updateToVersion goes back to the newest version of the model before this one.
func (z *zero) updateToVersion() {
	if z.early == "" {
		z.updateModel()
	}
	versions, err := worker.ReadVersions(z.tb.Context(), z.Ledger, zeroName)
	if err != nil {
		z.tb.Fatal(err)
	}
	for _, version := range slices.Backward(versions) {
		if version.ModelID == z.early && version.Number > 0 {
			z.change("update", handlers.Update{Version: version.Number}, z.early)
			return
		}
	}
	z.tb.Fatalf("model %s served before, and there is no version of it in %+v", z.early, versions)
}

// inVain is an operation that is to be rejected for that reason.
func (z *zero) inVain(facts handlers.ModelFacts, code deployment.Code) {
	z.tb.Helper()
	e := z.carry("replace", replaceBy(facts))
	if e.Outcome != events.Rejected || e.Failure == nil || e.Failure.Code != code {
		z.tb.Fatalf("ended as %s: %s, want it rejected with %s", e.Outcome, e.detail(), code)
	}
	z.ended.Store(z.begun.Load())
}

func (z *zero) replaceGolden() {
	facts, _ := z.next()
	facts.Golden = &deployment.Golden{Rows: []deployment.GoldenRow{{Input: z.sample.Row, Output: []float64{z.prediction(z.tries + 1)}}}}
	z.inVain(facts, deployment.CodeGoldenRowsFailing)
}

func (z *zero) replaceBroken() {
	facts, _ := z.next()
	facts.Artifact = z.broken
	z.inVain(facts, deployment.CodeArtifactInvalid)
}

// replaceAndCancel cancels a replacement while it is carried out, or too late.
func (z *zero) replaceAndCancel() {
	z.begun.Add(1)
	facts, model := z.next()
	id, sequence := z.publish("replace", replaceBy(facts))
	_ = wait(z.tb.Context(), time.Duration(z.Int64N(int64(20*time.Millisecond))))
	_, cancel := z.publish(handlers.OpCancel, handlers.Cancel{Source: "/test", ID: id})
	switch e := z.outcome(sequence); e.Outcome {
	case events.Completed:
		z.turns = append(z.turns, turn{model, z.begun.Load(), true})
		z.model, z.early = model, z.model
	case events.Cancelled: // some servers may have switched for a moment
		z.turns = append(z.turns, turn{model, z.begun.Load(), false}, turn{z.model, z.begun.Load(), false})
	default:
		z.tb.Fatalf("ended as %s: %s", e.Outcome, e.detail())
	}
	z.outcome(cancel)
	z.ended.Store(z.begun.Load())
}

// check holds what the callers have seen against the turns.
func (z *zero) check(callers []*caller) {
	z.tb.Helper()
	answers, connections, moved := 0, 0, 0
	for i, c := range callers {
		if c.answered == 0 {
			z.tb.Errorf("caller %d was never answered", i)
		}
		for n, on := range c.connections {
			if err := explain(z.turns, on); err != nil {
				z.tb.Errorf("CHAOS_SEED=%d: caller %d, connection %d: %v", z.seed, i, n, err)
			}
		}
		answers, connections, moved = answers+c.answered, connections+len(c.connections), moved+c.moved
	}
	if exits := z.byThemselves(); exits > z.exits {
		z.tb.Errorf("%d processes ended by themselves:\n%s", exits-z.exits, z.tails())
	}
	line := fmt.Sprintf("zero: %d predictions on %d connections, %d asked again of another server; %d operations, %d kills: %v",
		answers, connections, moved, z.begun.Load(), z.kills, z.count)
	z.tb.Log(line)
	if testing.Verbose() {
		fmt.Println(line)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	turns := []turn{{"a", 1, true}, {"b", 2, true}, {"c", 3, false}, {"b", 3, false}, {"a", 4, true}}
	for _, test := range []struct {
		name    string
		answers []seen
		ok      bool
	}{
		{"in order", []seen{{"a", 1, 1}, {"b", 1, 2}, {"b", 2, 2}, {"a", 4, 4}}, true},
		{"cancelled, seen for a moment", []seen{{"b", 2, 2}, {"c", 2, 3}, {"b", 2, 3}, {"b", 3, 4}}, true},
		{"old after new", []seen{{"b", 1, 2}, {"a", 1, 2}}, false},
		{"old after completed", []seen{{"a", 2, 2}}, false},
		{"not asked for yet", []seen{{"b", 1, 1}}, false},
		{"never served", []seen{{"x", 1, 4}}, false},
		{"cancelled, and again", []seen{{"c", 2, 3}, {"b", 3, 3}, {"c", 3, 3}}, false},
		{"back to the first", []seen{{"a", 1, 1}, {"a", 3, 4}}, true},
		{"back too early", []seen{{"b", 2, 2}, {"a", 2, 3}}, false},
	} {
		if err := explain(turns, test.answers); (err == nil) != test.ok {
			t.Errorf("%s: got %v, want explained: %v", test.name, err, test.ok)
		}
	}
	if explain(nil, []seen{{"a", 0, 0}}) == nil {
		t.Error("an answer without a turn is explained")
	}
}
