package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/worker"
)

// newAudit is an audit that has not begun.
func (s *system) newAudit() *worker.Audit {
	s.tb.Helper()
	a := &worker.Audit{Ledger: s.ledger, Commands: s.commands, Buckets: make(map[string]*jetstream.RawBucket)}
	for _, name := range worker.Projected() {
		bucket, err := jetstream.OpenRawBucket(s.tb.Context(), s.js, name)
		if err != nil && !errors.Is(err, jetstream.ErrNoBucket) {
			s.tb.Fatal(err)
		}
		a.Buckets[name] = bucket
	}
	return a
}

func (s *system) audit() *worker.Audit {
	s.tb.Helper()
	return s.auditAfter(time.Millisecond)
}

// auditAfter is an audit that gives workers so much time to project.
func (s *system) auditAfter(settle time.Duration) *worker.Audit {
	s.tb.Helper()
	a := s.newAudit()
	a.Settle = settle
	if err := a.Run(s.tb.Context()); err != nil {
		s.tb.Fatal(err)
	}
	return a
}

// found is what an audit found, a line each.
func found(a *worker.Audit) (lines []string) {
	for _, d := range a.Differences {
		line := fmt.Sprintf("%s %s %s", d.Bucket, d.Key, d.Kind)
		for _, f := range d.Fields {
			line += fmt.Sprintf(" %s:%s->%s", f.Path, f.From, f.To)
		}
		lines = append(lines, line)
	}
	for _, v := range a.Violations {
		lines = append(lines, fmt.Sprintf("%d %s %s %s: %s", v.Sequence, v.Kind, v.Name, v.Rule, v.Message))
	}
	return lines
}

// stored is every value of every projection, byte by byte.
func (s *system) stored() map[string]string {
	s.tb.Helper()
	all := make(map[string]string)
	for name, bucket := range s.newAudit().Buckets {
		if bucket == nil {
			continue
		}
		if err := bucket.Each(s.tb.Context(), func(key string, value []byte) { all[name+"/"+key] = string(value) }); err != nil {
			s.tb.Fatal(err)
		}
	}
	return all
}

// lived is a system with a history in which everything has happened, at rest.
func lived(t *testing.T) *system {
	t.Helper()
	s := newSystem(t)
	stop := s.run(s.worker("w1"))
	s.publish(request(deployment.KindModel, "churn-v2", "register", "1", handlers.Register{ModelFacts: facts(2)}))
	first := s.publish(deployRequest("churn", "2", 1))
	s.publish(request(deployment.KindDeployment, "churn", "replace", "3",
		handlers.Replace{Reason: deployment.ReasonAccuracy, ModelChoice: handlers.ModelChoice{ModelID: "churn-v2"}}))
	s.publish(deployRequest("fraud", "4", 1)) // the same model again
	s.outcomeOf(first)
	s.publish(deployRequest("churn", "2", 1))   // duplicate
	s.publish(deployRequest("fraud", "2", 3))   // id reused
	s.publish(replaceRequest("nobody", "5", 3)) // rejected
	s.publishRaw("slipway.commands.deployment.churn.replace", nil, []byte("no event"))
	s.publishRaw("slipway.commands.what.ever", nil, []byte("{}"))
	s.outcomeOf(s.publishRaw("slipway.commands.deployment.Not_A_Name.replace", nil, []byte("{}")))
	e, err := deployRequest("late", "6", 1).Event()
	if err != nil {
		t.Fatal(err)
	}
	e.SetExtension("expirytime", time.Now().Add(-time.Hour))
	header, body, err := events.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	late := s.publishRaw("slipway.commands.deployment.late.deploy", header, body)
	for sequence := first; sequence <= late; sequence++ { // before the target refuses
		s.outcomeOf(sequence)
	}
	s.target.refuse(deployment.Reject(deployment.CodeDigestMismatch, "model.artifact.digest", "it is another file"))
	s.outcomeOf(s.publish(deployRequest("gone", "7", 5))) // shown as deploying, then not at all
	s.target.refuse(errors.New("not now"))
	s.outcomeOf(s.publish(replaceRequest("fraud", "8", 6))) // failed after three attempts
	stop()                                                  // everything is projected
	return s
}

// What workers project as it happens is, byte by byte, what the ledger says.
func TestAuditOfWhatWorkersDo(t *testing.T) {
	t.Parallel()
	s := lived(t)
	a := s.audit()
	if diff := cmp.Diff([]string(nil), found(a)); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
	if len(a.Deployments) != 2 || len(a.Models) != 2 || a.Keys != len(a.Deployments)+len(a.Models)+len(a.Operations) || a.Unfinished != 0 {
		t.Errorf("got %d deployments, %d models, %d keys, %d unfinished commands, want 2, 2, all, 0", len(a.Deployments), len(a.Models), a.Keys, a.Unfinished)
	}
	before := s.stored()
	for _, name := range worker.Projected() {
		if err := s.js.DeleteKeyValue(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.audit(); len(got.Differences) != len(before) {
		t.Errorf("without buckets: got %d differences, want %d", len(got.Differences), len(before))
	}
	if err := jetstream.Provision(t.Context(), s.js, 1, time.Minute); err != nil {
		t.Fatal(err)
	}
	a = s.audit()
	if mended, err := a.Mend(t.Context()); err != nil || len(mended) != len(before) || len(a.Differences) > 0 {
		t.Errorf("mend: got %d, %v, %d left, want %d", len(mended), err, len(a.Differences), len(before))
	}
	if diff := cmp.Diff(before, s.stored()); diff != "" {
		t.Errorf("rebuilt from nothing (-before +after):\n%s", diff)
	}
}

// Whatever is done to a bucket is found, and nothing else is; what is written
// then is what was there.
func TestAuditFindsAndMends(t *testing.T) {
	t.Parallel()
	s := lived(t)
	before := s.stored()
	for bucket, key := range map[string]string{
		jetstream.DeploymentsBucket: "churn",
		jetstream.ModelsBucket:      "churn-v2",
		jetstream.OperationsBucket:  events.Token("/test", "2"),
	} {
		kv, err := s.js.KeyValue(t.Context(), bucket)
		if err != nil {
			t.Fatal(err)
		}
		put := func(key, value string) {
			t.Helper()
			if _, err := kv.PutString(t.Context(), key, value); err != nil {
				t.Fatal(err)
			}
		}
		value := before[bucket+"/"+key]
		sequence := fmt.Sprint(ledgerSequence(t, value))
		at := bucket + " " + key
		for _, c := range []struct {
			name string
			do   func()
			want []string
		}{
			{"key deleted", func() { _ = kv.Delete(t.Context(), key) }, []string{at + " missing"}},
			{"key purged", func() { _ = kv.Purge(t.Context(), key) }, []string{at + " missing"}},
			{"member changed", func() { put(key, set(t, value, "digest", "x")) }, []string{at + ` differs digest:"x"->` + member(t, value, "digest")}},
			{"member added", func() { put(key, set(t, value, "colour", []any{1, 2})) }, []string{at + " differs colour.0:1-> colour.1:2->"}},
			{"older event", func() { put(key, set(t, value, "ledgerSequence", 1)) }, []string{at + " differs ledgerSequence:1->" + sequence}},
			{"event of the future", func() { put(key, set(t, value, "ledgerSequence", 999999)) }, []string{at + " differs ledgerSequence:999999->" + sequence}},
			{"no JSON", func() { put(key, value[:len(value)-1]) }, []string{at + " differs :" + quoted(t, clipped(value[:len(value)-1])) + "->"}},
			{"nothing", func() { put(key, "") }, []string{at + ` differs :""->`}},
			{"two values", func() { put(key, "1 2") }, []string{at + ` differs :"1 2"->`}},
			{"extra key", func() { put("extra", value) }, []string{bucket + " extra extra"}},
			{"extra key, no JSON", func() { put("extra.two", "{") }, []string{bucket + " extra.two extra"}},
			{"extra key, empty", func() { put("extra", "") }, []string{bucket + " extra extra"}},
			{"other spelling", func() { put(key, indented(t, value)) }, nil},
			{"two at once", func() { put("extra", "{}"); put(key, "{") }, []string{at + ` differs :"{"->`, bucket + " extra extra"}},
		} {
			c.do()
			a := s.audit()
			got := found(a)
			if len(got) == 2 && got[0] > got[1] {
				got[0], got[1] = got[1], got[0]
			}
			if len(c.want) == 2 && c.want[0] > c.want[1] {
				c.want[0], c.want[1] = c.want[1], c.want[0]
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s %s: found (-want +got):\n%s", bucket, c.name, diff)
			}
			if mended, err := a.Mend(t.Context()); err != nil || len(mended) != len(c.want) {
				t.Errorf("%s %s: mended %d, %v, want %d", bucket, c.name, len(mended), err, len(c.want))
			}
			if c.name == "other spelling" {
				put(key, value)
			}
			if diff := cmp.Diff(before, s.stored()); diff != "" {
				t.Errorf("%s %s: (-before +mended):\n%s", bucket, c.name, diff)
			}
		}
	}
	if diff := cmp.Diff([]string(nil), found(s.audit())); diff != "" {
		t.Errorf("at the end (-want +got):\n%s", diff)
	}
}

// While workers work, an audit finds nothing that is not so, and mending takes
// back nothing that they write.
func TestAuditOfABusySystem(t *testing.T) {
	t.Parallel()
	const settle = 250 * time.Millisecond
	s := newSystem(t)
	stops := []func(){s.run(s.worker("w1")), s.run(s.worker("w2"))}
	ctx, cancel := context.WithCancel(t.Context())
	published := make(chan struct{})
	go func() {
		defer close(published) // also when a command has no outcome
		var last uint64
		for i := 0; ctx.Err() == nil; i++ {
			for d := range 4 {
				r := replaceRequest(fmt.Sprint("d", d), fmt.Sprint(d, "-", i), i)
				if i == 0 {
					r = deployRequest(r.Subject, r.ID, i)
				}
				last = s.publish(r) //nolint:contextcheck // it has the test's
			}
			s.outcomeOf(last) //nolint:contextcheck // it has the test's
		}
	}()
	kv, err := s.js.KeyValue(t.Context(), jetstream.DeploymentsBucket)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		a := s.auditAfter(settle)
		if got := found(a); len(got) > 0 {
			t.Errorf("audit %d: found %s", i, strings.Join(got, "\n"))
		}
		if _, err := kv.PutString(t.Context(), "extra", "{"); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			_ = kv.Delete(t.Context(), "d1") // perhaps its worker writes it again
		}
		a = s.auditAfter(settle)
		if _, err := a.Mend(t.Context()); err != nil {
			t.Errorf("audit %d: %v", i, err)
		}
	}
	cancel()
	<-published
	for _, stop := range stops {
		stop()
	}
	if got := found(s.audit()); len(got) > 0 {
		t.Errorf("at rest: found %s", strings.Join(got, "\n"))
	}
	s.history()
}

// While a command runs, the views stay at the event that began its attempt,
// however often the claim is renewed and whoever looks.
func TestAuditWhileACommandRuns(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	w := s.worker("w1")
	w.Lease = 30 * time.Millisecond
	s.run(w)
	running, goOn := make(chan struct{}), make(chan struct{})
	s.target.apply = func(context.Context, deployment.Name, deployment.ModelRef, uint64) error {
		close(running)
		<-goOn
		return nil
	}
	sequence := s.publish(deployRequest("churn", "1", 1))
	<-running
	var last jetstream.Message
	for { // until the claim was renewed
		var err error
		if last, err = s.ledger.Last(t.Context(), jetstream.Fence("deployment", "churn")); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(last.Subject, ".progress") {
			break
		}
	}
	a := s.audit()
	if got := found(a); len(got) > 0 || a.Unfinished != 1 {
		t.Errorf("got %d unfinished, want 1; found %s", a.Unfinished, strings.Join(got, "\n"))
	}
	if view, _ := s.deployment("churn"); view.Status != deployment.StatusDeploying || view.LedgerSequence != 1 {
		t.Errorf("got %s by event %d, want deploying by event 1", view.Status, view.LedgerSequence)
	}
	close(goOn)
	s.outcomeOf(sequence)
}

// A command whose turn has passed and that has no outcome is found; one whose
// turn is to come is counted.
func TestAuditFindsUnanswered(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	lost := s.publish(deployRequest("churn", "1", 1))
	s.publish(deployRequest("fraud", "2", 1))
	header, body := fact(t, func(d *worker.Data) { d.Command.Sequence, d.Ledger.Watermark = lost+5, lost+5 })
	if _, _, err := s.ledger.Append(t.Context(), jetstream.Write{
		Subject: "slipway.events.deployment.churn.deploy.completed", Header: header, Body: body, Fence: jetstream.Fence("deployment", "churn"),
	}); err != nil {
		t.Fatal(err)
	}
	a := s.newAudit()
	if err := a.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.Differences = nil
	want := []string{fmt.Sprintf("1 deployment churn outcome: command %d has no outcome, and the watermark is %d", lost, lost+5)}
	if diff := cmp.Diff(want, found(a)); diff != "" || a.Unfinished != 1 {
		t.Errorf("got %d unfinished, want 1; found (-want +got):\n%s", a.Unfinished, diff)
	}
}

// fact is a completed deploy of churn, as changed.
func fact(tb testing.TB, change func(*worker.Data)) (events.Header, []byte) {
	tb.Helper()
	data := worker.Data{Command: worker.CommandRef{Token: events.Token("/test", "1"), Sequence: 1}, Worker: "w", Ledger: worker.Thread{Watermark: 1}}
	change(&data)
	e, err := events.Fact{
		Type: events.Type{Kind: "deployment", Op: "deploy", Outcome: events.Completed}, ID: "x", Subject: "churn", Time: time.Now(), Data: data,
	}.Event()
	if err != nil {
		tb.Fatal(err)
	}
	header, body, err := events.Encode(e)
	if err != nil {
		tb.Fatal(err)
	}
	return header, body
}

// Every rule of the ledger, broken.
func TestFoldFindsViolations(t *testing.T) {
	t.Parallel()
	const completed, started = "slipway.events.deployment.churn.deploy.completed", "slipway.events.deployment.churn.deploy.started"
	add := func(f *worker.Fold, sequence uint64, subject string, change func(*worker.Data)) {
		header, body := fact(t, change)
		if subject == started {
			body = []byte(strings.Replace(string(body), "deploy.completed", "deploy.started", 1))
		}
		f.Add(jetstream.Message{Subject: subject, Sequence: sequence, Header: header, Body: body})
	}
	second := func(previous, command, watermark uint64) func(*worker.Data) {
		return func(d *worker.Data) {
			d.Command.Sequence, d.Ledger.Previous, d.Ledger.Watermark = command, previous, watermark
		}
	}
	for _, c := range []struct {
		name    string
		subject string
		change  func(*worker.Data)
		want    []string
	}{
		{"in order", completed, second(10, 2, 2), nil},
		{"after another event", completed, second(9, 2, 2), []string{"11 chain: continues event 9, want 10"}},
		{"after none", completed, second(0, 2, 2), []string{"11 chain: continues event 0, want 10"}},
		{"watermark goes back", completed, second(10, 2, 0), []string{"11 watermark: watermark 0, after 1"}},
		{"watermark stays", completed, second(10, 2, 1), []string{"11 watermark: watermark 1, at the outcome of command 2"}},
		{"two outcomes", completed, second(10, 1, 1), []string{"11 outcome: a second outcome of command 1; the first is event 10"}},
		{"goes on after its outcome", started, second(10, 1, 1), []string{"11 outcome: about command 1, which ended with event 10"}},
		{"other subject", started, nil, []string{"11 readable: an event of type dev.slipway.deployment.deploy.completed.v1 is on subject " + started}},
		{"no event", completed, nil, []string{"11 readable: read event 11 on " + completed + ": body: expected a CloudEvent as a JSON object: invalid character 'x' looking for beginning of value"}},
	} {
		f := worker.NewFold()
		add(f, 10, completed, func(*worker.Data) {})
		switch {
		case c.name == "no event":
			f.Add(jetstream.Message{Subject: c.subject, Sequence: 11, Body: []byte("x")})
		case c.change == nil:
			header, body := fact(t, second(10, 2, 2))
			f.Add(jetstream.Message{Subject: c.subject, Sequence: 11, Header: header, Body: body})
		default:
			add(f, 11, c.subject, c.change)
		}
		add(f, 11, completed, second(0, 1, 0)) // is in it already
		var got []string
		for _, v := range f.Violations {
			got = append(got, fmt.Sprintf("%d %s: %s", v.Sequence, v.Rule, v.Message))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: violations (-want +got):\n%s", c.name, diff)
		}
		if f.Position != 11 || f.Events != 2 {
			t.Errorf("%s: got position %d, %d events, want 11, 2", c.name, f.Position, f.Events)
		}
	}
	f := worker.NewFold()
	add(f, 1, started, second(0, 1, 0))
	add(f, 2, completed, second(1, 2, 2))
	if got := f.Violations; len(got) != 1 || got[0].Message != "about command 2, while command 1 has no outcome" {
		t.Errorf("a command is passed over: got %+v, want that it has no outcome", got)
	}
}

func decoded(tb testing.TB, value string) (m map[string]any) {
	tb.Helper()
	if err := json.Unmarshal([]byte(value), &m); err != nil {
		tb.Fatalf("%v: %s", err, value)
	}
	return m
}

func set(tb testing.TB, value, name string, to any) string {
	tb.Helper()
	m := maps.Clone(decoded(tb, value))
	m[name] = to
	return string(mustJSON(tb, m))
}

func member(tb testing.TB, value, name string) string {
	tb.Helper()
	if v, ok := decoded(tb, value)[name]; ok {
		return string(mustJSON(tb, v))
	}
	return ""
}

func ledgerSequence(tb testing.TB, value string) uint64 {
	tb.Helper()
	return uint64(decoded(tb, value)["ledgerSequence"].(float64))
}

func indented(tb testing.TB, value string) string {
	tb.Helper()
	text, err := json.MarshalIndent(decoded(tb, value), "", "  ")
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

func quoted(tb testing.TB, s string) string {
	tb.Helper()
	return string(mustJSON(tb, s))
}

func clipped(s string) string {
	if len(s) > 1000 {
		return s[:1000] + "..."
	}
	return s
}
