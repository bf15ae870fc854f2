package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/client"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/serving"
)

// TestChaos runs a NATS server, four workers and two prediction servers as
// processes of their own, publishes commands of all kinds, and kills the
// processes at random, also several at once, each of which is started again.
// Workers are also frozen, so that they wake as zombies. In the end it reads
// everything back and checks what docs/guarantees.md promises.
// CHAOS_SECONDS is how long it kills (`make chaos`: five minutes), CHAOS_SEED
// repeats what an earlier run has chosen; when things happen differs all the same.
func TestChaos(t *testing.T) {
	c := newChaos(t, oneNode(t, t.TempDir()), 4, 2)
	c.run(chaosPlan{deployments: 30, pace: 40 * time.Millisecond, kill: c.killAnything})
}

// TestChaosCluster is TestChaos with three copies of everything on three NATS
// servers, of which one at a time is killed, and a worker now and then.
func TestChaosCluster(t *testing.T) {
	c := newChaos(t, threeNodes(t, t.TempDir()), 2, 1)
	c.run(chaosPlan{deployments: 15, pace: 80 * time.Millisecond, kill: c.killNodes})
}

// How long is waited, at most, for what follows when nothing is killed any more.
const (
	chaosStart = 60 * time.Second // for the first command to be possible
	chaosDrain = 90 * time.Second // for every command to be finished
	chaosRest  = 30 * time.Second // for what serves to be as the ledger says
)

// chaos is the processes of a run and what is known of it.
type chaos struct {
	*client.Client
	tb       testing.TB
	seed     uint64
	seconds  time.Duration
	dir      string
	nodes    []natsNode
	url      string
	conn     *nats.Conn
	children []*child
	brokers  []*child
	workers  []*child
	servers  []*child
	sample   sample
	expected map[deployment.Name]float64 // predictions for the sample, by model
	files    [2]handlers.ModelFacts
	ended    sync.WaitGroup
	kills    int
	freezes  int

	mu         sync.Mutex
	violations []string
	answers    int
}

// chaosPlan is what tells the runs apart.
type chaosPlan struct {
	deployments int
	pace        time.Duration // between two commands, on average
	kill        func(ctx context.Context, random *rand.Rand)
}

// newChaos starts the processes.
func newChaos(tb testing.TB, nodes []natsNode, workers, servers int) *chaos {
	tb.Helper()
	return newProcesses(tb, buildStatic(tb), nodes, workers, servers)
}

// newProcesses is newChaos with a program that is built already, and with more
// variables for it.
func newProcesses(tb testing.TB, slipway string, nodes []natsNode, workers, servers int, more ...string) *chaos {
	tb.Helper()
	seed := uint64(time.Now().UnixNano()) //nolint:gosec // any number will do
	if text := os.Getenv("CHAOS_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			tb.Fatalf("CHAOS_SEED: %v", err)
		}
	}
	seconds := 15
	if text := os.Getenv("CHAOS_SECONDS"); text != "" {
		var err error
		if seconds, err = strconv.Atoi(text); err != nil {
			tb.Fatalf("CHAOS_SECONDS: %v", err)
		}
	}
	tb.Logf("CHAOS_SEED=%d CHAOS_SECONDS=%d", seed, seconds)
	c := &chaos{tb: tb, seed: seed, seconds: time.Duration(seconds) * time.Second, dir: tb.TempDir(), nodes: nodes, sample: readSample(tb)}
	var urls []string
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	for _, node := range nodes {
		urls = append(urls, node.url())
		c.brokers = append(c.brokers, c.newChild(node.name, self, append([]string{chaosNATS}, node.args()...), nil))
		c.children = append(c.children, c.brokers[len(c.brokers)-1])
	}
	c.url = strings.Join(urls, ",")
	for i := range workers {
		name := fmt.Sprint("worker-", i)
		c.workers = append(c.workers, c.newChild(name, slipway, []string{"slipway", "worker"}, c.environment(name, more...)))
		c.children = append(c.children, c.workers[i])
	}
	for i := range servers {
		name := fmt.Sprint("predict-", i)
		c.servers = append(c.servers, c.newChild(name, slipway, []string{"slipway", "predict-server"}, c.environment(name, more...)))
		c.children = append(c.children, c.servers[i])
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(tb.Context()))
	tb.Cleanup(func() {
		stop()
		c.ended.Wait()
	})
	for _, p := range c.children {
		c.ended.Go(func() { p.run(ctx) })
	}
	c.connect()
	return c
}

// buildStatic builds the program as the gate does, without the race detector.
func buildStatic(tb testing.TB) (path string) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), "slipway")
	cmd := exec.CommandContext(tb.Context(), "go", "build", "-trimpath", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

func (c *chaos) environment(name string, more ...string) []string {
	return append([]string{
		"NATS_URL=" + c.url, "SLIPWAY_DATA_DIR=" + filepath.Join(c.dir, name), "SLIPWAY_REPLICAS=" + strconv.Itoa(len(c.nodes)),
		"SLIPWAY_HEALTH_ADDR=127.0.0.1:0", "SLIPWAY_PREDICT_ADDR=127.0.0.1:0", "SLIPWAY_SERVER_ID=" + name,
		// A short lease and frequent sweeps, so that the short run sees many of
		// them; and no end of attempts, as every kill may cost one.
		"SLIPWAY_LEASE=1s", "SLIPWAY_RECONCILE_INTERVAL=2s", "SLIPWAY_MAX_ATTEMPTS=1000", "SLIPWAY_LOG_FORMAT=text",
	}, more...) // of two with the same name, the last counts
}

// connect waits until there is a broker with everything on it, and puts the
// model files there.
func (c *chaos) connect() {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(c.tb.Context(), chaosStart)
	defer cancel()
	c.must(ctx, "connect", func(ctx context.Context) (err error) {
		if c.conn == nil {
			if c.conn, err = nats.Connect(c.url, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond)); err != nil {
				return err
			}
			c.tb.Cleanup(c.conn.Close)
		}
		js, err := jetstream.Open(ctx, c.conn)
		if err != nil {
			return err
		}
		c.Client, err = client.Over(ctx, js, "/test")
		return err
	})
	for i, id := range []deployment.Name{"churn-v1", "churn-v2"} {
		c.must(ctx, "upload", func(ctx context.Context) (err error) {
			d := &demoRun{Client: c.Client}
			d.sample.Features = c.sample.Features
			c.files[i], err = d.upload(ctx, id)
			return err
		})
	}
	c.expected = make(map[deployment.Name]float64)
	for variant := range chaosModels {
		c.expected[chaosModel(variant)] = c.prediction(variant)
	}
	for variant := range chaosVariants {
		c.expected[c.facts(variant).Named("").ContentID()] = c.prediction(variant)
	}
}

// facts are those of a model whose content depends on variant. There are two
// files; which model answers is in the model_version of an answer.
func (c *chaos) facts(variant int) handlers.ModelFacts {
	facts := c.files[variant%2]
	facts.Type = fmt.Sprint("variant ", variant)
	return facts
}

func (c *chaos) prediction(variant int) float64 {
	return c.sample.Expected[[]string{"churn-v1", "churn-v2"}[variant%2]]
}

// must repeats f until it succeeds.
func (c *chaos) must(ctx context.Context, what string, f func(context.Context) error) {
	c.tb.Helper()
	for {
		attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := f(attempt)
		cancel()
		if err == nil {
			return
		}
		if wait(ctx, 100*time.Millisecond) != nil {
			c.tb.Fatalf("%s: %v\n%s", what, err, c.tails())
		}
	}
}

// tails is the end of what each process has written.
func (c *chaos) tails() string {
	var text strings.Builder
	for _, p := range c.children {
		fmt.Fprintf(&text, "== %s\n%s\n", p.name, p.tail(1500))
	}
	return text.String()
}

// run publishes and kills, waits until everything is finished, and checks.
func (c *chaos) run(plan chaosPlan) {
	c.tb.Helper()
	began := time.Now()
	d := &driver{
		Rand: rand.New(rand.NewPCG(c.seed, 1)), facts: c.facts, deployments: plan.deployments, of: make(map[string][]*order),
	}
	watching, stopWatching := context.WithCancel(c.tb.Context())
	defer stopWatching()
	var watchers sync.WaitGroup
	watchers.Go(func() { c.watchServing(watching) })
	watchers.Go(func() { c.ask(watching, plan.deployments) })
	killing, stopKilling := context.WithTimeout(c.tb.Context(), c.seconds)
	defer stopKilling()
	watchers.Go(func() { plan.kill(killing, rand.New(rand.NewPCG(c.seed, 2))) })

	c.publish(killing, d, plan.pace)
	<-killing.Done()
	c.tb.Logf("%s: %d commands are acknowledged", time.Since(began).Round(time.Millisecond), len(d.orders))
	h := c.drain(d)
	c.tb.Logf("%s: %d events; every command is finished", time.Since(began).Round(time.Millisecond), len(h.events))
	c.check(d, h)
	c.tb.Logf("%s: checked", time.Since(began).Round(time.Millisecond))
	stopWatching()
	watchers.Wait()
	c.report(d, h)
}

// report says what came of the run; its last line is for `make chaos`.
func (c *chaos) report(d *driver, h *history) {
	c.tb.Helper()
	for _, p := range c.children {
		lives, exits := p.byItself()
		c.tb.Logf("%s: started %d times, ended by itself %d times", p.name, lives, len(exits))
		for why, times := range counted(exits) {
			c.tb.Logf("    %d times with %s", times, why)
		}
		if strings.HasPrefix(p.name, "nats") && len(exits) > 0 {
			c.violation("%s ended by itself: %s", p.name, exits[len(exits)-1])
		}
	}
	count := make(map[string]int)
	for _, e := range h.events {
		count[string(e.Outcome)]++
	}
	c.tb.Logf("events: %v; %d predictions were answered meanwhile; workers were frozen %d times", count, c.answers, c.freezes)
	if len(c.violations) > 0 {
		c.tb.Errorf("CHAOS_SEED=%d:\n%s\n%s", c.seed, strings.Join(c.violations[:min(len(c.violations), 40)], "\n"), c.tails())
	}
	line := fmt.Sprintf("chaos: %d commands, %d kills, %d violations", len(d.orders), c.kills, len(c.violations))
	c.tb.Log(line)
	if testing.Verbose() {
		fmt.Println(line)
	}
}

func counted(texts []string) map[string]int {
	count := make(map[string]int)
	for _, text := range texts {
		count[text]++
	}
	return count
}

func (c *chaos) violation(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.violations = append(c.violations, fmt.Sprintf(format, args...))
}

// publish publishes commands until ctx ends, those of one deployment one after
// the other, and returns once each is acknowledged.
func (c *chaos) publish(ctx context.Context, d *driver, pace time.Duration) {
	c.tb.Helper()
	const publishers = 8
	var queues [publishers]chan *order
	var publishing sync.WaitGroup
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.seconds+chaosDrain)
	defer cancel()
	for i := range queues {
		queues[i] = make(chan *order, 100000)
		publishing.Go(func() {
			for o := range queues[i] {
				if err := o.publish(late, c.JetStream); err != nil {
					c.violation("%v", err)
				}
			}
		})
	}
	for ctx.Err() == nil {
		o := d.next()
		sum := fnv.New32()
		_, _ = sum.Write([]byte(o.name)) // never fails
		queues[sum.Sum32()%publishers] <- o
		if d.IntN(4) > 0 { // bursts of four, on average
			continue
		}
		_ = wait(ctx, time.Duration(d.Int64N(int64(8*pace))))
	}
	for _, queue := range queues {
		close(queue)
	}
	publishing.Wait()
}

func (c *chaos) kill(victim *child) {
	if victim.kill() {
		c.kills++
	}
}

// freeze stops a worker for about as long as a lease or two (SIGSTOP), so that
// it wakes as a zombie more often than not, unless it is killed meanwhile. thawed
// is done when it goes on, which it does at once when ctx ends.
func (c *chaos) freeze(ctx context.Context, random *rand.Rand, victim *child, thawed *sync.WaitGroup) {
	duration := 500*time.Millisecond + time.Duration(random.Int64N(int64(2*time.Second)))
	if victim.signal(syscall.SIGSTOP) != nil {
		return
	}
	c.freezes++
	thawed.Go(func() {
		_ = wait(ctx, duration)
		_ = victim.signal(syscall.SIGCONT) // it may be another process by now, which does not mind
	})
}

// killAnything kills workers, prediction servers and the broker, also together,
// and freezes workers.
func (c *chaos) killAnything(ctx context.Context, random *rand.Rand) {
	var thawed sync.WaitGroup
	defer thawed.Wait()
	pick := func(from []*child) *child { return from[random.IntN(len(from))] }
	for wait(ctx, 150*time.Millisecond+time.Duration(random.Int64N(int64(750*time.Millisecond)))) == nil {
		var victims []*child
		switch dice := random.IntN(100); {
		case dice < 35:
			victims = []*child{pick(c.workers)}
		case dice < 50:
			c.freeze(ctx, random, pick(c.workers), &thawed)
		case dice < 60:
			victims = []*child{pick(c.workers), pick(c.workers)}
		case dice < 75:
			victims = []*child{pick(c.servers)}
		case dice < 85:
			victims = []*child{pick(c.brokers)}
		case dice < 95:
			victims = []*child{pick(c.brokers), pick(c.workers)}
		default:
			victims = slices.Concat(c.brokers, c.workers, c.servers)
		}
		for _, victim := range victims {
			c.kill(victim)
		}
	}
}

// killNodes kills one broker after the other, each once the one before is
// current again, and kills or freezes workers meanwhile.
func (c *chaos) killNodes(ctx context.Context, random *rand.Rand) {
	var thawed sync.WaitGroup
	defer thawed.Wait()
	pause := func() error {
		return wait(ctx, 200*time.Millisecond+time.Duration(random.Int64N(int64(600*time.Millisecond))))
	}
	for c.healthy(ctx) == nil && pause() == nil {
		c.kill(c.brokers[random.IntN(len(c.brokers))])
		victim := c.workers[random.IntN(len(c.workers))]
		switch random.IntN(4) {
		case 0:
			if pause() == nil {
				c.kill(victim)
			}
		case 1:
			c.freeze(ctx, random, victim, &thawed)
		}
		if pause() != nil {
			return
		}
	}
}

// healthy returns once every broker says that all it keeps is current.
func (c *chaos) healthy(ctx context.Context) error {
	for _, node := range c.nodes {
		for {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/healthz", node.monitor), nil)
			if err != nil {
				return err
			}
			response, err := http.DefaultClient.Do(request)
			if err == nil {
				_ = response.Body.Close()
				if response.StatusCode == http.StatusOK {
					break
				}
			}
			if err := wait(ctx, 200*time.Millisecond); err != nil {
				return err
			}
		}
	}
	return nil
}

// watchServing follows everything that is ever desired: a worker whose claim is
// outdated must not get through with a write.
func (c *chaos) watchServing(ctx context.Context) {
	newest := make(map[string]serving.Desired)
	var from uint64 = 1
	for ctx.Err() == nil {
		consumer, err := c.JetStream.OrderedConsumer(ctx, "KV_"+jetstream.ServingBucket, natsjs.OrderedConsumerConfig{
			FilterSubjects: []string{"$KV." + jetstream.ServingBucket + "." + serving.DesiredPrefix + ">"},
			DeliverPolicy:  natsjs.DeliverByStartSequencePolicy, OptStartSeq: from,
		})
		if err != nil {
			_ = wait(ctx, 50*time.Millisecond)
			continue
		}
		messages, err := consumer.Messages()
		if err != nil {
			_ = wait(ctx, 50*time.Millisecond)
			continue
		}
		stop := context.AfterFunc(ctx, messages.Stop)
		for {
			msg, err := messages.Next()
			if err != nil {
				break
			}
			meta, err := msg.Metadata()
			if err != nil {
				break
			}
			from = meta.Sequence.Stream + 1
			var now serving.Desired
			if err := json.Unmarshal(msg.Data(), &now); err != nil {
				c.violation("serving bucket: %s at %d: %v", msg.Subject(), from-1, err)
				continue
			}
			if before := newest[msg.Subject()]; now.Token < before.Token || now.Round <= before.Round {
				c.violation("serving bucket: %s at %d: token %d round %d after token %d round %d", msg.Subject(), from-1, now.Token, now.Round, before.Token, before.Round)
			}
			newest[msg.Subject()] = now
		}
		messages.Stop()
		stop()
	}
}

// ask asks for predictions all the time. A server that is killed answers
// nothing; what is answered is by one model, and right.
func (c *chaos) ask(ctx context.Context, deployments int) {
	body, err := inferRequest([][]*float64{c.sample.Row})
	if err != nil {
		c.violation("%v", err)
		return
	}
	for i := 0; wait(ctx, 20*time.Millisecond) == nil; i++ {
		where, err := readEndpoints(c.servers[i%len(c.servers)].dir)
		if err != nil { // it is starting
			continue
		}
		name := fmt.Sprint("deployment-", (i/len(c.servers))%deployments)
		asking, cancel := context.WithTimeout(ctx, 5*time.Second)
		answer, err := infer(asking, where.Predict, name, body)
		cancel()
		if err != nil {
			continue
		}
		c.answers++
		if _, err := c.rightAnswer(answer); err != nil {
			c.violation("prediction of %s by %s: %v", name, where.Predict, err)
		}
	}
}

// rightAnswer is the model that has given the answer, which is what XGBoost
// says for it.
func (c *chaos) rightAnswer(answer []byte) (deployment.Name, error) {
	var i inference
	if err := json.Unmarshal(answer, &i); err != nil {
		return "", err
	}
	want, known := c.expected[deployment.Name(i.ModelVersion)]
	if !known || len(i.Outputs) != 1 || len(i.Outputs[0].Data) != 1 || float32(i.Outputs[0].Data[0]) != float32(want) {
		return "", fmt.Errorf("got %s, want %v", answer, want)
	}
	return deployment.Name(i.ModelVersion), nil
}

// drain waits until each acknowledged command has a terminal event.
func (c *chaos) drain(d *driver) *history {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(c.tb.Context(), chaosDrain)
	defer cancel()
	h := newHistory(c.tb)
	for {
		var left []*order
		err := h.readEvents(ctx, c.Ledger)
		for _, o := range d.orders {
			if o.sequence > 0 && h.ended[o.sequence] == nil {
				left = append(left, o)
			}
		}
		if err == nil && len(left) == 0 {
			break
		}
		if wait(ctx, 200*time.Millisecond) != nil {
			c.dump()
			for _, o := range left[:min(len(left), 10)] {
				c.violation("not finished after %s: %v (%v)\n%s", chaosDrain, o, err, h.tail(string(o.kind), o.name))
			}
			break
		}
	}
	again, cancelAgain := context.WithTimeout(c.tb.Context(), chaosStart)
	defer cancelAgain()
	c.must(again, "read the commands", func(ctx context.Context) error { return h.readCommands(ctx, c.JetStream) })
	return h
}

// dump ends the workers so that they say what each of their goroutines does.
func (c *chaos) dump() {
	c.tb.Helper()
	for _, p := range c.workers {
		p.quit()
	}
	_ = wait(c.tb.Context(), time.Second)
	for _, p := range c.workers {
		for _, goroutine := range strings.Split(p.tail(1<<20), "\n\n") {
			if strings.HasPrefix(goroutine, "goroutine ") && strings.Contains(goroutine, module) {
				c.tb.Logf("%s: %s", p.name, goroutine)
			}
		}
	}
}

// check checks everything that was promised.
func (c *chaos) check(d *driver, h *history) {
	c.tb.Helper()
	h.violation = c.violation
	h.checkEvents()
	h.checkCommands(d.orders)
	want := h.checkOutcomes(d.orders)
	c.checkProjections()
	c.checkServing(want)
}

// checkProjections is `slipway verify`, until nothing differs: what a worker did
// not live to project is projected by the next sweep.
func (c *chaos) checkProjections() {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(c.tb.Context(), chaosRest)
	defer cancel()
	for {
		code, stdout, stderr := runVerb(c.tb, map[string]string{"NATS_URL": c.url}, "verify")
		if code == exitOK {
			return
		}
		if wait(ctx, time.Second) != nil {
			c.violation("slipway verify: exit code %d: %s%s", code, stdout, stderr)
			return
		}
	}
}

// checkServing waits until each deployment is served as the ledger says.
func (c *chaos) checkServing(want map[string]deployment.Name) {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(c.tb.Context(), chaosRest)
	defer cancel()
	for {
		err := c.serves(ctx, want)
		if err == nil {
			return
		}
		if wait(ctx, 200*time.Millisecond) != nil {
			c.violation("serving, %s after everything has ended: %v", chaosRest, err)
			return
		}
	}
}

// serves says where something else is served than what is wanted.
func (c *chaos) serves(ctx context.Context, want map[string]deployment.Name) (err error) {
	b := opener{ctx: ctx, js: c.JetStream}
	servers := open[serving.Server](&b, jetstream.ServersBucket)
	desires := open[serving.Desired](&b, jetstream.ServingBucket)
	observes := open[serving.Observed](&b, jetstream.ServingBucket)
	if b.err != nil {
		return b.err
	}
	live, err := servers.List(ctx, "")
	if err != nil {
		return err
	}
	if len(live) != len(c.servers) {
		return fmt.Errorf("%d servers are live, want %d", len(live), len(c.servers))
	}
	body, err := inferRequest([][]*float64{c.sample.Row})
	if err != nil {
		return err
	}
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for _, name := range slices.Sorted(maps.Keys(want)) {
		model := want[name]
		desired, _, err := desires.Load(ctx, serving.DesiredKey(deployment.Name(name)))
		if err != nil {
			return err
		}
		var active deployment.Name
		if desired.Active != nil {
			active = desired.Active.ID
		}
		if active != model || desired.Target != nil {
			fault("%s: desired is %q, target %v, want %q", name, active, desired.Target, model)
			continue
		}
		for id, server := range live {
			observed, revision, err := observes.Load(ctx, serving.ObservedKey(deployment.Name(name), id))
			if err != nil {
				return err
			}
			if desired.Round > 0 && (observed.Instance != server.Instance || observed.Token != desired.Token || observed.Round != desired.Round || observed.Serving != model || observed.Error != nil) {
				fault("%s: %s (instance %s) observes %+v at revision %d, want %q of token %d round %d", name, id, server.Instance, observed, revision, model, desired.Token, desired.Round)
			}
			answer, err := infer(ctx, server.URL, name, body)
			if model == "" {
				if err == nil {
					fault("%s: %s answers %s, want none", name, id, answer)
				}
				continue
			}
			if err != nil {
				fault("%s: %s: %w", name, id, err)
			} else if by, err := c.rightAnswer(answer); err != nil || by != model {
				fault("%s: %s answers by %q, want %q: %w", name, id, by, model, err)
			}
		}
	}
	return errors.Join(faults...)
}
