package jetstream_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/jetstream/jetstreamtest"
)

func openCommands(tb testing.TB, js natsjs.JetStream) *jetstream.Commands {
	tb.Helper()
	commands, err := jetstream.OpenCommands(tb.Context(), js)
	if err != nil {
		tb.Fatal(err)
	}
	return commands
}

// raw publishes as a program does that knows nothing of us.
func raw(tb testing.TB, js natsjs.JetStream, subject, body string) uint64 {
	tb.Helper()
	ack, err := js.PublishMsg(tb.Context(), &nats.Msg{Subject: subject, Data: []byte(body)})
	if err != nil {
		tb.Fatalf("publish %s: %v", subject, err)
	}
	return ack.Sequence
}

func TestNextIsTheOldestThatMatches(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t)
	commands := openCommands(t, js)
	churn := jetstream.CommandFilter("deployment", "churn")
	expect := func(filter string, from, want uint64) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		got, err := commands.Next(ctx, filter, from)
		if err != nil || got.Sequence != want {
			t.Errorf("next of %s from %d: got %d %v, want %d", filter, from, got.Sequence, err, want)
		}
	}
	expect(churn, 1, 0)
	for i, subject := range []string{
		"slipway.commands.deployment.churn.deploy",     // 1
		"slipway.commands.deployment.fraud.deploy",     // 2
		"slipway.commands.model.churn.register",        // 3: another kind
		"slipway.commands.deployment.churn.replace",    // 4
		"slipway.commands.deployment.churn.deploy.now", // 5: not of churn
		"slipway.commands.deployment.fraud.replace",    // 6
	} {
		if got := raw(t, js, subject, fmt.Sprint(i+1)); got != uint64(i+1) {
			t.Fatalf("%s has sequence %d, want %d", subject, got, i+1)
		}
	}
	expect(churn, 0, 1)
	expect(churn, 1, 1)
	expect(churn, 2, 4)
	expect(churn, 4, 4)
	expect(churn, 5, 0)
	expect(churn, 100, 0)
	expect(jetstream.CommandFilter("deployment", "fraud"), 3, 6)
	expect("slipway.commands.deployment.churn.deploy.now", 1, 5)

	first, err := commands.Next(t.Context(), churn, 1)
	if err != nil || first.Subject != "slipway.commands.deployment.churn.deploy" || string(first.Body) != "1" || first.Time.IsZero() {
		t.Errorf("got %+v %v, want command 1 as it was published", first, err)
	}
}

// A broker stores what is published on a subject that contains a wildcard. It
// is about nothing else.
func TestNextTakesWildcardsInSubjectsLiterally(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t)
	commands := openCommands(t, js)
	subjects := []string{
		"slipway.commands.deployment.churn.deploy",
		"slipway.commands.deployment.*.deploy",
		"slipway.commands.*.churn.deploy",
		"slipway.commands.deployment.>.deploy",
		"slipway.commands.deployment.churn.*",
		"slipway.commands.deployment.churn.>",
		"slipway.commands.deployment.churn.replace",
	}
	for _, subject := range subjects {
		raw(t, js, subject, "")
	}
	for _, test := range []struct {
		filter string
		want   []uint64
	}{
		{"slipway.commands.deployment.*.deploy", []uint64{2}},
		{"slipway.commands.*.churn.deploy", []uint64{3}},
		{"slipway.commands.deployment.>.deploy", []uint64{4}},
		{jetstream.CommandFilter("deployment", "churn"), []uint64{1, 5, 7}},
		{"slipway.commands.deployment.churn.>", []uint64{6}},
	} {
		var got []uint64
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		for from := uint64(1); ; {
			msg, err := commands.Next(ctx, test.filter, from)
			if err != nil {
				t.Fatalf("next of %s: %v", test.filter, err)
			}
			if msg.Sequence == 0 {
				break
			}
			got, from = append(got, msg.Sequence), msg.Sequence+1
		}
		cancel()
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.filter, diff)
		}
	}
}

func TestPublishTwiceIsOnce(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t)
	commands := openCommands(t, js)
	subject := jetstream.CommandSubject("deployment", "churn", "deploy")
	header := map[string][]string{"Content-Type": {"application/cloudevents+json"}}
	publish := func(id, body string) uint64 {
		t.Helper()
		sequence, err := commands.Publish(t.Context(), subject, id, header, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		return sequence
	}
	first := publish("token-1", "one")
	if second := publish("token-2", "two"); second != first+1 {
		t.Errorf("another id: got sequence %d, want %d", second, first+1)
	}
	if again := publish("token-1", "three"); again != first {
		t.Errorf("the same id again: got sequence %d, want that of the first, %d", again, first)
	}
	msg, err := commands.Next(t.Context(), subject, 1)
	if err != nil || msg.Sequence != first || string(msg.Body) != "one" || msg.Header["Content-Type"][0] != "application/cloudevents+json" {
		t.Errorf("got %+v %v, want the first one as it was published", msg, err)
	}
	if msg, err := commands.Next(t.Context(), subject, first+2); err != nil || msg.Sequence != 0 {
		t.Errorf("got %+v %v, want two commands stored", msg, err)
	}
	if _, err := commands.Publish(t.Context(), "slipway.events.deployment.churn.deploy.completed", "token-3", nil, nil); err == nil {
		t.Error("a command was published to the ledger")
	}
}

// consumer delivers to a channel until the test ends.
func consume(tb testing.TB, commands *jetstream.Commands) (deliveries <-chan jetstream.Delivery, stop func() error) {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	received, ended := make(chan jetstream.Delivery, 100), make(chan error, 1)
	go func() { ended <- commands.Consume(ctx, func(d jetstream.Delivery) { received <- d }) }()
	return received, func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(patience):
			return fmt.Errorf("consume did not end")
		}
	}
}

func delivered(tb testing.TB, deliveries <-chan jetstream.Delivery) jetstream.Delivery {
	tb.Helper()
	select {
	case d := <-deliveries:
		return d
	case <-time.After(patience):
		tb.Fatal("nothing is delivered")
		return jetstream.Delivery{}
	}
}

// unacknowledged waits until so many deliveries are not acknowledged, and no
// command is left to be delivered. The broker takes acknowledgements in its own time.
func unacknowledged(tb testing.TB, js natsjs.JetStream, want int) {
	tb.Helper()
	for late := time.Now().Add(patience); ; {
		consumer, err := js.Consumer(tb.Context(), jetstream.CommandsStream, jetstream.WorkersConsumer)
		if err != nil {
			tb.Fatal(err)
		}
		info := consumer.CachedInfo()
		if info.NumPending == 0 && info.NumAckPending == want {
			return
		}
		if time.Now().After(late) {
			tb.Fatalf("got %d waiting and %d unacknowledged, want none and %d", info.NumPending, info.NumAckPending, want)
		}
	}
}

func TestDeliveriesAreAcknowledgedOrComeAgain(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t) // waits 2 s for an acknowledgement
	commands := openCommands(t, js)
	deliveries, stop := consume(t, commands)
	raw(t, js, "slipway.commands.deployment.a.deploy", "")
	raw(t, js, "slipway.commands.deployment.b.deploy", "")
	first, second := delivered(t, deliveries), delivered(t, deliveries)
	if first.Subject != "slipway.commands.deployment.a.deploy" || first.Sequence != 1 || second.Subject != "slipway.commands.deployment.b.deploy" || second.Sequence != 2 {
		t.Errorf("got %s %d and %s %d, want commands 1 and 2", first.Subject, first.Sequence, second.Subject, second.Sequence)
	}
	if err := first.Ack(); err != nil {
		t.Errorf("ack: %v", err)
	}
	unacknowledged(t, js, 1)
	if err := second.Again(10 * time.Millisecond); err != nil {
		t.Errorf("again: %v", err)
	}
	again := delivered(t, deliveries)
	if again.Sequence != 2 {
		t.Errorf("got command %d again, want 2", again.Sequence)
	}
	// Renewed, it does not come again although the broker's patience is over.
	began := time.Now()
	renew := time.NewTicker(300 * time.Millisecond)
	defer renew.Stop()
	for time.Since(began) < 2500*time.Millisecond {
		select {
		case d := <-deliveries:
			t.Fatalf("command %d came again after %s though it was renewed", d.Sequence, time.Since(began))
		case <-renew.C:
			if err := again.Working(); err != nil {
				t.Errorf("working: %v", err)
			}
		}
	}
	// Not renewed, it does.
	if d := delivered(t, deliveries); d.Sequence != 2 {
		t.Errorf("got command %d, want 2 again", d.Sequence)
	} else if err := d.Ack(); err != nil {
		t.Errorf("ack: %v", err)
	}
	unacknowledged(t, js, 0)
	if err := stop(); err != nil {
		t.Errorf("consume: %v", err)
	}
}

// All workers share one consumer: each command goes to one of them, and what is
// left by one that stops goes to the others.
func TestConsumersShare(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t)
	commands := openCommands(t, js)
	one, stopOne := consume(t, commands)
	two, stopTwo := consume(t, commands)
	const count = 40
	for i := range count {
		raw(t, js, fmt.Sprintf("slipway.commands.deployment.d%d.deploy", i), "")
	}
	seen := make(map[uint64]bool)
	for range count {
		var d jetstream.Delivery
		select {
		case d = <-one:
		case d = <-two:
		case <-time.After(patience):
			t.Fatal("nothing is delivered")
		}
		if seen[d.Sequence] {
			t.Errorf("command %d went to both", d.Sequence)
		}
		seen[d.Sequence] = true
		if err := d.Ack(); err != nil {
			t.Error(err)
		}
	}
	if err := stopOne(); err != nil {
		t.Error(err)
	}
	raw(t, js, "slipway.commands.deployment.last.deploy", "")
	if d := delivered(t, two); d.Subject != "slipway.commands.deployment.last.deploy" {
		t.Errorf("got %s", d.Subject)
	}
	if err := stopTwo(); err != nil {
		t.Error(err)
	}
}

func TestConsumeEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t)
	commands := openCommands(t, js)
	ended := make(chan error, 1)
	received := make(chan jetstream.Delivery, 1)
	go func() { ended <- commands.Consume(t.Context(), func(d jetstream.Delivery) { received <- d }) }()
	raw(t, js, "slipway.commands.deployment.a.deploy", "")
	delivered(t, received)
	js.Conn().Close()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("consume ended without an error")
		}
	case <-time.After(patience):
		t.Error("consume did not end")
	}
}

// However the client's asking for more deliveries and its taking them fall
// together, the next ones come soon. Without the look of our own about one run in
// six waits for 30 s.
func TestDeliveriesDoNotStall(t *testing.T) {
	t.Parallel()
	const commands, soon = 100_000, 10 * time.Second
	js := jetstreamtest.Start(t)
	c := openCommands(t, js)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	late := time.AfterFunc(soon, cancel)
	var busy sync.WaitGroup
	var garbage atomic.Pointer[[]*int]
	taken := 0
	consumed := make(chan error, 1)
	go func() {
		consumed <- c.Consume(ctx, func(d jetstream.Delivery) {
			late.Reset(soon)
			_ = d.Ack()
			busy.Go(func() { // so that everybody waits for the connection and the collector
				for range 4 {
					garbage.Store(&[]*int{new(int), new(int)})
					_ = js.Conn().Publish("elsewhere", make([]byte, 1<<12))
				}
			})
			if taken++; taken == commands {
				cancel()
			}
		})
	}()
	for range commands {
		if _, err := js.PublishMsgAsync(&nats.Msg{Subject: "slipway.commands.deployment.churn.deploy"}, natsjs.WithStallWait(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	err := <-consumed
	busy.Wait()
	if err != nil || taken < commands {
		t.Errorf("after %d of %d deliveries none came for %s: %v", taken, commands, soon, err)
	}
}
