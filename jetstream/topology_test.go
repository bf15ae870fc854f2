package jetstream_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/jetstream/embedded"
	"github.com/slipway-ml/slipway/jetstream/jetstreamtest"
)

// settings are what matters of a stream, as the server has it.
type settings struct {
	Subjects                                   []string
	Retention                                  natsjs.RetentionPolicy
	Storage                                    natsjs.StorageType
	Discard                                    natsjs.DiscardPolicy
	AllowDirect, DenyDelete, DenyPurge, Atomic bool
	Duplicates, MaxAge                         time.Duration
	MaxMsgs, MaxBytes, PerSubject              int64
}

func TestProvisionMakesWhatTheDesignSays(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t)
	day := func(d time.Duration) settings {
		return settings{
			Retention: natsjs.LimitsPolicy, Storage: natsjs.FileStorage, Discard: natsjs.DiscardOld,
			AllowDirect: true, Duplicates: d, MaxMsgs: -1, MaxBytes: -1, PerSubject: -1,
		}
	}
	commands := day(2 * time.Minute)
	commands.Subjects, commands.DenyDelete, commands.DenyPurge = []string{"slipway.commands.>"}, true, true
	events := day(2 * time.Minute)
	events.Subjects, events.DenyDelete, events.DenyPurge, events.Atomic = []string{"slipway.events.>"}, true, true, true
	want := map[string]settings{"SLIPWAY_COMMANDS": commands, "SLIPWAY_EVENTS": events}
	for _, bucket := range []string{"deployments", "operations", "models", "serving"} {
		kv := day(2 * time.Minute)
		kv.Subjects, kv.Discard, kv.PerSubject = []string{"$KV." + bucket + ".>"}, natsjs.DiscardNew, 1
		want["KV_"+bucket] = kv
	}
	servers := day(15 * time.Second)
	servers.Subjects, servers.Discard, servers.PerSubject, servers.MaxAge = []string{"$KV.servers.>"}, natsjs.DiscardNew, 1, 15*time.Second
	want["KV_servers"] = servers
	objects := day(2 * time.Minute)
	objects.Subjects, objects.Discard = []string{"$O.artifacts.C.>", "$O.artifacts.M.>"}, natsjs.DiscardNew
	want["OBJ_artifacts"] = objects

	got := make(map[string]settings)
	streams := js.ListStreams(t.Context())
	for info := range streams.Info() {
		c := info.Config
		got[c.Name] = settings{
			Subjects: c.Subjects, Retention: c.Retention, Storage: c.Storage, Discard: c.Discard,
			AllowDirect: c.AllowDirect, DenyDelete: c.DenyDelete, DenyPurge: c.DenyPurge, Atomic: c.AllowAtomicPublish,
			Duplicates: c.Duplicates, MaxAge: c.MaxAge, MaxMsgs: c.MaxMsgs, MaxBytes: c.MaxBytes, PerSubject: c.MaxMsgsPerSubject,
		}
		lazy := c.Name == "KV_deployments" || c.Name == "KV_operations"
		if c.Replicas != 1 || lazy != (c.PersistMode == natsjs.AsyncPersistMode) {
			t.Errorf("stream %s: got %d replicas, persist mode %v", c.Name, c.Replicas, c.PersistMode)
		}
	}
	if err := streams.Err(); err != nil {
		t.Fatal(err)
	}
	for name := range got { // the server purges roll-ups itself; what a bucket denies is nats.go's business
		if s := got[name]; name != "SLIPWAY_COMMANDS" && name != "SLIPWAY_EVENTS" {
			s.DenyDelete = false
			got[name] = s
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("streams (-want +got):\n%s", diff)
	}
	consumer, err := js.Consumer(t.Context(), "SLIPWAY_COMMANDS", "workers")
	if err != nil {
		t.Fatal(err)
	}
	c := consumer.CachedInfo().Config
	if c.AckPolicy != natsjs.AckExplicitPolicy || c.MaxDeliver != -1 || c.MaxAckPending != -1 || c.AckWait != 2*time.Second ||
		c.DeliverPolicy != natsjs.DeliverAllPolicy || c.FilterSubject != "" || c.InactiveThreshold != 0 {
		t.Errorf("got consumer %+v, want explicit acks, any number of deliveries and of pending acks, everything from the start", c)
	}
}

func TestTheLedgerCannotBeCut(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t)
	for _, name := range []string{jetstream.CommandsStream, jetstream.EventsStream} {
		stream, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish(t.Context(), map[string]string{
			jetstream.CommandsStream: "slipway.commands.deployment.a.deploy", jetstream.EventsStream: "slipway.events.deployment.a.deploy.started",
		}[name], nil); err != nil {
			t.Fatal(err)
		}
		if err := stream.DeleteMsg(t.Context(), 1); err == nil {
			t.Errorf("%s: a message was deleted", name)
		}
		if err := stream.Purge(t.Context()); err == nil {
			t.Errorf("%s: it was purged", name)
		}
	}
}

// Every process provisions at its start, so that many do it at once, also on a
// server that has work already.
func TestProvisionAgainIsHarmless(t *testing.T) {
	t.Parallel()
	server, js := jetstreamtest.StartIn(t, embedded.Options{Dir: t.TempDir(), SyncInterval: time.Minute})
	if _, err := js.Publish(t.Context(), "slipway.commands.deployment.a.deploy", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	before := infos(t, js)
	var processes errgroup.Group
	for range 8 {
		processes.Go(func() error {
			conn, err := nats.Connect(server.URL())
			if err != nil {
				return err
			}
			defer conn.Close()
			js, err := jetstream.Open(t.Context(), conn)
			if err != nil {
				return err
			}
			return jetstream.Provision(t.Context(), js, 1, 2*time.Second)
		})
	}
	if err := processes.Wait(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, infos(t, js)); diff != "" {
		t.Errorf("streams (-before +after):\n%s", diff)
	}
}

// An empty server, and all come at once.
func TestProvisionTogetherOnAnEmptyServer(t *testing.T) {
	t.Parallel()
	server, err := embedded.Start(options(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	var processes errgroup.Group
	for range 6 {
		processes.Go(func() error {
			conn, err := nats.Connect("", server.InProcess())
			if err != nil {
				return err
			}
			defer conn.Close()
			js, err := jetstream.Open(t.Context(), conn)
			if err != nil {
				return err
			}
			return jetstream.Provision(t.Context(), js, 1, time.Minute)
		})
	}
	if err := processes.Wait(); err != nil {
		t.Error(err)
	}
}

// A changed setting reaches a server that was provisioned before.
func TestProvisionBringsUpToDate(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t)
	if err := jetstream.Provision(t.Context(), js, 1, 7*time.Second); err != nil {
		t.Fatal(err)
	}
	consumer, err := js.Consumer(t.Context(), jetstream.CommandsStream, jetstream.WorkersConsumer)
	if err != nil {
		t.Fatal(err)
	}
	if got := consumer.CachedInfo().Config.AckWait; got != 7*time.Second {
		t.Errorf("got ack wait %s, want 7s", got)
	}
}

// infos are the configurations of all streams and how much is in them.
func infos(tb testing.TB, js natsjs.JetStream) map[string]any {
	tb.Helper()
	found := make(map[string]any)
	streams := js.ListStreams(tb.Context())
	for info := range streams.Info() {
		found[info.Config.Name] = []any{info.Config, info.State.Msgs, info.State.LastSeq, info.State.Consumers}
	}
	if err := streams.Err(); err != nil {
		tb.Fatal(err)
	}
	return found
}

func TestSubjects(t *testing.T) {
	t.Parallel()
	subject := jetstream.CommandSubject("deployment", "churn", "replace")
	if subject != "slipway.commands.deployment.churn.replace" {
		t.Errorf("got command subject %q", subject)
	}
	if kind, name, op, ok := jetstream.ParseCommandSubject(subject); !ok || kind != "deployment" || name != "churn" || op != "replace" {
		t.Errorf("got %q %q %q %t of %s", kind, name, op, ok, subject)
	}
	if got := jetstream.EventSubject("model", "m-1", "register", "completed"); got != "slipway.events.model.m-1.register.completed" {
		t.Errorf("got event subject %q", got)
	}
	if got := jetstream.Fence("deployment", "churn"); got != "slipway.events.deployment.churn.>" {
		t.Errorf("got fence %q", got)
	}
	if got := jetstream.CommandFilter("deployment", "churn"); got != "slipway.commands.deployment.churn.*" {
		t.Errorf("got filter %q", got)
	}
	for _, subject := range []string{
		"", "slipway.commands.", "slipway.commands.deployment.churn", "slipway.commands.deployment.churn.deploy.now",
		"slipway.events.deployment.churn.deploy", "other.commands.deployment.churn.deploy",
		// A filter made of these would match the commands of others.
		"slipway.commands.*.churn.deploy", "slipway.commands.deployment.*.deploy", "slipway.commands.deployment.>.deploy", "slipway.commands.>.churn.deploy",
		"slipway.commands.deployment.churn.>", // a CommandFilter does not find it
	} {
		if kind, name, op, ok := jetstream.ParseCommandSubject(subject); ok {
			t.Errorf("got %q %q %q of %q, want nothing", kind, name, op, subject)
		}
	}
	// The operation is in no filter and no fence: what is wrong with it is found out later.
	if _, name, op, ok := jetstream.ParseCommandSubject("slipway.commands.deployment.churn.*"); !ok || name != "churn" || op != "*" {
		t.Errorf("got %q %q %t, want churn and *", name, op, ok)
	}
}
