package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/jetstream/jetstreamtest"
)

// replayed are the sequences of the events of a span.
func replayed(tb testing.TB, ledger *jetstream.Ledger, span jetstream.Span) (sequences []uint64) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	if err := ledger.Replay(ctx, span, func(m jetstream.Message) error {
		sequences = append(sequences, m.Sequence)
		return nil
	}); err != nil {
		tb.Fatalf("replay %+v: %v", span, err)
	}
	return sequences
}

func TestReplay(t *testing.T) {
	t.Parallel()
	ledger := openLedger(t, jetstreamtest.Start(t))
	churn, fraud := jetstream.Fence("deployment", "churn"), jetstream.Fence("deployment", "fraud")
	models, nobody := jetstream.EventSubject("model", "*", "*", "*"), jetstream.Fence("deployment", "nobody")
	if got := replayed(t, ledger, jetstream.Span{Filter: jetstream.AllEvents}); got != nil {
		t.Errorf("empty ledger: got %d, want nothing", got)
	}
	mustAppend(t, ledger, event("churn", "started", 0, "1"))
	mustAppend(t, ledger, event("fraud", "started", 0, "2"))
	mustAppend(t, ledger, event("churn", "completed", 1, "3"))
	var times []time.Time
	if err := ledger.Replay(t.Context(), jetstream.Span{Filter: jetstream.AllEvents}, func(m jetstream.Message) error {
		times = append(times, m.Time)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	const instant = time.Nanosecond
	for _, c := range []struct {
		name string
		span jetstream.Span
		want []uint64
	}{
		{"all", jetstream.Span{Filter: jetstream.AllEvents}, []uint64{1, 2, 3}},
		{"one deployment", jetstream.Span{Filter: churn}, []uint64{1, 3}},
		{"a deployment that ends before the ledger does", jetstream.Span{Filter: fraud}, []uint64{2}},
		{"no such deployment", jetstream.Span{Filter: nobody}, nil},
		{"no such kind", jetstream.Span{Filter: models}, nil},
		{"from the first", jetstream.Span{Filter: jetstream.AllEvents, From: 1}, []uint64{1, 2, 3}},
		{"from the second", jetstream.Span{Filter: jetstream.AllEvents, From: 2}, []uint64{2, 3}},
		{"from the last", jetstream.Span{Filter: jetstream.AllEvents, From: 3}, []uint64{3}},
		{"from beyond the last", jetstream.Span{Filter: jetstream.AllEvents, From: 4}, nil},
		{"from between two of one deployment", jetstream.Span{Filter: churn, From: 2}, []uint64{3}},
		{"from beyond the last of one deployment", jetstream.Span{Filter: fraud, From: 3}, nil},
		{"since long ago", jetstream.Span{Filter: jetstream.AllEvents, Since: times[0].Add(-time.Hour)}, []uint64{1, 2, 3}},
		{"since the second", jetstream.Span{Filter: jetstream.AllEvents, Since: times[1]}, []uint64{2, 3}},
		{"since just after the second", jetstream.Span{Filter: jetstream.AllEvents, Since: times[1].Add(instant)}, []uint64{3}},
		{"since the last", jetstream.Span{Filter: jetstream.AllEvents, Since: times[2]}, []uint64{3}},
		{"since just after the last", jetstream.Span{Filter: jetstream.AllEvents, Since: times[2].Add(instant)}, nil},
		{"since the second, of one deployment", jetstream.Span{Filter: churn, Since: times[1]}, []uint64{3}},
		{"since just after the last of one deployment", jetstream.Span{Filter: fraud, Since: times[1].Add(instant)}, nil},
	} {
		if diff := cmp.Diff(c.want, replayed(t, ledger, c.span)); diff != "" {
			t.Errorf("%s: sequences (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestReplayFollows(t *testing.T) {
	t.Parallel()
	ledger := openLedger(t, jetstreamtest.Start(t))
	mustAppend(t, ledger, event("churn", "started", 0, "1"))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got []uint64
	err := ledger.Replay(ctx, jetstream.Span{Filter: jetstream.Fence("deployment", "churn"), Follow: true}, func(m jetstream.Message) error {
		got = append(got, m.Sequence)
		if len(got) == 3 {
			return errEnough
		}
		mustAppend(t, ledger, event("fraud"+fmt.Sprint(len(got)), "started", 0, ""))
		mustAppend(t, ledger, event("churn", "progress", m.Sequence, ""))
		return nil
	})
	if diff := cmp.Diff([]uint64{1, 3, 5}, got); diff != "" || !errors.Is(err, errEnough) {
		t.Errorf("got %v, sequences (-want +got):\n%s", err, diff)
	}
	cancel()
	if err := ledger.Replay(ctx, jetstream.Span{Filter: jetstream.AllEvents, Follow: true}, func(jetstream.Message) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("follow when interrupted: got %v, want context.Canceled", err)
	}
}

// More events than a window holds come complete and in order.
func TestReplayManyWindows(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t)
	const many = 10_000
	fill(t, js, many)
	ledger := openLedger(t, js)
	for i, sequence := range replayed(t, ledger, jetstream.Span{Filter: jetstream.AllEvents}) {
		if sequence != uint64(i)+1 {
			t.Fatalf("event %d: got sequence %d", i, sequence)
		}
	}
	if got := len(replayed(t, ledger, jetstream.Span{Filter: jetstream.Fence("deployment", "churn-7")})); got != many/500 {
		t.Errorf("one deployment: got %d events, want %d", got, many/500)
	}
}

func TestRepublishIntoAStream(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t)
	ledger := openLedger(t, js)
	mustAppend(t, ledger, event("churn", "started", 0, `{"a": 1}`))
	mustAppend(t, ledger, event("fraud", "started", 0, "2"))
	mustAppend(t, ledger, event("churn", "completed", 1, "3"))
	stream, err := js.CreateStream(t.Context(), natsjs.StreamConfig{Name: "COPY", Subjects: []string{"copy.>"}})
	if err != nil {
		t.Fatal(err)
	}
	if r := republish(t, js, ledger, "copy.of"); r.Stream != "COPY" || r.Duplicates != 0 {
		t.Errorf("first run: got stream %q, %d duplicates, want COPY, 0", r.Stream, r.Duplicates)
	}
	mustAppend(t, ledger, event("fraud", "completed", 2, "4"))
	if r := republish(t, js, ledger, "copy.of"); r.Duplicates != 3 {
		t.Errorf("second run: got %d duplicates, want 3", r.Duplicates)
	}
	var got []string
	for sequence := uint64(1); sequence <= 4; sequence++ {
		m, err := stream.GetMsg(t.Context(), sequence)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(m.Subject, " ", m.Header["Content-Type"], m.Header["Slipway-Sequence"], m.Header["Nats-Msg-Id"], len(m.Header), " ", string(m.Data)))
	}
	want := []string{
		`copy.of.deployment.churn.deploy.started [text/plain] [1] [SLIPWAY_EVENTS.1] 4 {"a": 1}`,
		`copy.of.deployment.fraud.deploy.started [text/plain] [2] [SLIPWAY_EVENTS.2] 4 2`,
		`copy.of.deployment.churn.deploy.completed [text/plain] [3] [SLIPWAY_EVENTS.3] 4 3`,
		`copy.of.deployment.fraud.deploy.completed [text/plain] [4] [SLIPWAY_EVENTS.4] 4 4`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	if info, err := stream.Info(t.Context()); err != nil || info.State.Msgs != 4 {
		t.Errorf("got %d messages, %v, want 4", info.State.Msgs, err)
	}
}

func TestRepublishWithoutAStream(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t)
	ledger := openLedger(t, js)
	mustAppend(t, ledger, event("churn", "started", 0, "1"))
	subscription, err := js.Conn().SubscribeSync("copy.>")
	if err != nil {
		t.Fatal(err)
	}
	if r := republish(t, js, ledger, "copy"); r.Stream != "" {
		t.Errorf("got stream %q, want none", r.Stream)
	}
	m, err := subscription.NextMsg(patience)
	if err != nil || m.Subject != "copy.deployment.churn.deploy.started" || m.Header.Get(jetstream.SequenceHeader) != "1" {
		t.Errorf("got %+v, %v", m, err)
	}
}

// A stream that refuses an event, or that stores only some, is an error.
func TestRepublishIsRefused(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t)
	ledger := openLedger(t, js)
	for i := range 3 {
		mustAppend(t, ledger, event("churn", "progress", uint64(i), "1")) //nolint:gosec // small
	}
	for _, config := range []natsjs.StreamConfig{
		{Name: "FULL", Subjects: []string{"full.>"}, MaxMsgs: 1, Discard: natsjs.DiscardNew},
		{Name: "SOME", Subjects: []string{"some.deployment.churn.>", "some.model.*.*.*"}},
	} {
		if _, err := js.CreateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
	}
	r, err := jetstream.NewRepublisher(t.Context(), js, "full", jetstream.AllEvents)
	if err != nil {
		t.Fatal(err)
	}
	_ = ledger.Replay(t.Context(), jetstream.Span{Filter: jetstream.AllEvents}, r.Publish)
	if err := r.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "maximum messages") {
		t.Errorf("full stream: got %v, want that it is full", err)
	}
	for filter, ok := range map[string]bool{
		jetstream.AllEvents:                                 false,
		jetstream.Fence("deployment", "churn"):              true,
		jetstream.Fence("deployment", "fraud"):              true, // no stream at all
		jetstream.EventSubject("model", "*", "*", "*"):      true,
		jetstream.EventSubject("deployment", "*", "*", "*"): false,
	} {
		r, err := jetstream.NewRepublisher(t.Context(), js, "some", filter)
		if (err == nil) != ok {
			t.Errorf("%s: got %v, want ok %t", filter, err, ok)
		}
		if err == nil {
			if err := r.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestCheckPrefix(t *testing.T) {
	t.Parallel()
	for prefix, ok := range map[string]bool{
		"replay": true, "a.b.c": true, "slipway.replay": true, "slipway.eventsof": true, "slipwayx": true,
		"": false, "a..b": false, "a.": false, ".a": false, "a.*": false, "a.>": false, "a b": false,
		"slipway": false, "slipway.events": false, "slipway.commands": false, "slipway.events.deployment": false, "slipway.commands.x": false,
		"$KV.deployments": false, "$JS.API": false, "_INBOX.x": false,
	} {
		if err := jetstream.CheckPrefix(prefix); (err == nil) != ok {
			t.Errorf("%q: got %v, want ok %t", prefix, err, ok)
		}
	}
}

func TestRawBucket(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t)
	if _, err := jetstream.OpenRawBucket(t.Context(), js, "nowhere"); !errors.Is(err, jetstream.ErrNoBucket) {
		t.Errorf("no bucket: got %v, want ErrNoBucket", err)
	}
	kv, err := js.KeyValue(t.Context(), jetstream.DeploymentsBucket)
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{"good": "{}", "bad": "{", "empty": "", "gone": "{}"} {
		if _, err := kv.PutString(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := kv.Delete(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	b, err := jetstream.OpenRawBucket(t.Context(), js, jetstream.DeploymentsBucket)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	if err := b.Each(t.Context(), func(key string, value []byte) {
		if value == nil {
			t.Errorf("%s: got nil, want a value", key)
		}
		got[key] = string(value)
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"good": "{}", "bad": "{", "empty": ""}, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	if value, revision, err := b.Load(t.Context(), "bad"); string(value) != "{" || revision == 0 || err != nil {
		t.Errorf("bad: got %q %d %v", value, revision, err)
	}
	if value, revision, err := b.Load(t.Context(), "empty"); value == nil || revision == 0 || err != nil {
		t.Errorf("empty: got %v %d %v, want a value", value, revision, err)
	}
	if value, revision, err := b.Load(t.Context(), "gone"); value != nil || revision != 0 || err != nil {
		t.Errorf("gone: got %q %d %v, want nothing", value, revision, err)
	}
}

func TestInventory(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t)
	openLedger(t, js)
	assets, err := jetstream.Inventory(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range assets {
		got = append(got, fmt.Sprint(a.Kind, " ", a.Name, " ", a.Replicas, " ", a.Storage))
	}
	want := []string{
		"stream SLIPWAY_COMMANDS 1 file", "consumer workers 1 file", "stream SLIPWAY_EVENTS 1 file", "bucket deployments 1 file",
		"bucket operations 1 file", "bucket models 1 file", "bucket servers 1 file", "bucket serving 1 file", "object store artifacts 1 file",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("assets (-want +got):\n%s", diff)
	}
	if err := js.DeleteKeyValue(t.Context(), jetstream.ModelsBucket); err != nil {
		t.Fatal(err)
	}
	if _, err := jetstream.Inventory(t.Context(), js); err == nil || !strings.Contains(err.Error(), "bucket models") {
		t.Errorf("without a bucket: got %v, want an error that names it", err)
	}
}

func TestEachCommand(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t)
	commands, err := jetstream.OpenCommands(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	each := func() (got []string) {
		t.Helper()
		if err := commands.Each(t.Context(), func(subject string, sequence uint64) {
			got = append(got, fmt.Sprint(sequence, " ", subject))
		}); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := each(); got != nil {
		t.Errorf("no commands: got %q", got)
	}
	for _, subject := range []string{"slipway.commands.deployment.churn.deploy", "slipway.commands.what"} {
		if _, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: subject, Data: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"1 slipway.commands.deployment.churn.deploy", "2 slipway.commands.what"}, each()); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}
