package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
)

// slipway runs a verb against the system, in this process.
func (s *system) slipway(args ...string) (code int, stdout, stderr string) {
	s.tb.Helper()
	var out, problems bytes.Buffer
	env := map[string]string{"NATS_URL": s.where.NATS, "USER": "tester", "SLIPWAY_DATA_DIR": s.dir, "SLIPWAY_LOG_LEVEL": "error"}
	code = run(s.tb.Context(), args, env, strings.NewReader(""), &out, &problems)
	return code, out.String(), problems.String()
}

// wants runs a verb that must end with the code.
func (s *system) wants(code int, args ...string) (stdout, stderr string) {
	s.tb.Helper()
	got, stdout, stderr := s.slipway(args...)
	if got != code {
		s.tb.Errorf("slipway %s: got exit code %d, want %d:\n%s%s", strings.Join(args, " "), got, code, stdout, stderr)
	}
	return stdout, stderr
}

// events are the whole ledger.
func (s *system) events() (all []entry) {
	s.tb.Helper()
	if err := s.Ledger.Replay(s.tb.Context(), jetstream.Span{Filter: jetstream.AllEvents}, func(m jetstream.Message) error {
		e, err := readEntry(m)
		all = append(all, e)
		return err
	}); err != nil {
		s.tb.Fatal(err)
	}
	return all
}

// inUse is a system that has registered two models and served one after the other.
func inUse(tb testing.TB) *system {
	tb.Helper()
	s := startUp(tb, nil)
	for _, id := range []deployment.Name{"churn-v1", "churn-v2"} {
		facts := s.upload(id)
		s.command(deployment.KindModel, string(id), "register", handlers.Register{ModelFacts: facts})
	}
	s.command(deployment.KindDeployment, "churn", "deploy", handlers.Deploy{Label: "Churn", ModelChoice: handlers.ModelChoice{ModelID: "churn-v1"}})
	e := s.command(deployment.KindDeployment, "churn", "replace", handlers.Replace{Reason: "ACCURACY", ModelChoice: handlers.ModelChoice{ModelID: "churn-v2"}})
	if e.Outcome != events.Completed {
		tb.Fatalf("replace: got %s: %s, want completed", e.Outcome, e.detail())
	}
	return s
}

func TestReplayVerb(t *testing.T) {
	t.Parallel()
	s := inUse(t)
	all := s.events()
	lines := func(keep func(entry) bool) string {
		var text strings.Builder
		for _, e := range all {
			if keep(e) {
				text.Write(append(slices.Clip(e.Stored.Body), '\n'))
			}
		}
		return text.String()
	}
	third := all[2].Stored
	exact := third.Time.UTC().Format(time.RFC3339Nano)
	for _, c := range []struct {
		args []string
		keep func(entry) bool
	}{
		{nil, func(entry) bool { return true }},
		{[]string{"--kind", "model"}, func(e entry) bool { return e.Kind == "model" }},
		{[]string{"churn"}, func(e entry) bool { return e.Kind == "deployment" }},
		{[]string{"churn-v1", "--kind", "model"}, func(e entry) bool { return e.Subject == "churn-v1" }},
		{[]string{"nobody"}, func(entry) bool { return false }},
		{[]string{"--from-sequence", "3"}, func(e entry) bool { return e.Stored.Sequence >= 3 }},
		{[]string{"--from-sequence", "4", "churn-v1", "--kind", "model"}, func(entry) bool { return false }},
		{[]string{"--from-time", exact}, func(e entry) bool { return e.Stored.Sequence >= 3 }},
		{[]string{"--from-time", "1h"}, func(entry) bool { return true }},
		{[]string{"--from-time", "0s"}, func(entry) bool { return false }},
		{[]string{"--from-time", "2999-01-01T00:00:00Z"}, func(entry) bool { return false }},
	} {
		stdout, stderr := s.wants(exitOK, append([]string{"replay"}, c.args...)...)
		if diff := cmp.Diff(lines(c.keep), stdout); diff != "" {
			t.Errorf("replay %s (-want +got):\n%s", c.args, diff)
		}
		if want := fmt.Sprintf("%d events in ", strings.Count(stdout, "\n")); !strings.Contains(stderr, want) {
			t.Errorf("replay %s: got %q on standard error, want %q", c.args, stderr, want)
		}
	}
	for _, args := range [][]string{
		{"Churn"},
		{"--from-time", "yesterday"},
		{"--from-time", "-1h"},
		{"--from-sequence", "1", "--from-time", "1h"},
		{"--to", "slipway.events"},
		{"--to", "$KV.deployments"},
		{"--to", "a.>"},
	} {
		s.wants(exitUsage, append([]string{"replay"}, args...)...)
	}
}

func TestReplayVerbPublishes(t *testing.T) {
	t.Parallel()
	s := inUse(t)
	all := s.events()
	stream, err := s.JetStream.CreateStream(t.Context(), natsjs.StreamConfig{Name: "AUDIT", Subjects: []string{"audit.>"}})
	if err != nil {
		t.Fatal(err)
	}
	s.wants(exitOK, "replay", "--to", "audit", "churn")
	_, stderr := s.wants(exitOK, "replay", "--to", "audit")
	if want := "stream AUDIT had 6 of them already"; !strings.Contains(stderr, want) {
		t.Errorf("got %q, want %q", stderr, want)
	}
	info, err := stream.Info(t.Context())
	if err != nil || info.State.Msgs != uint64(len(all)) {
		t.Fatalf("got %d messages, %v, want %d", info.State.Msgs, err, len(all))
	}
	first, err := stream.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if want := all[6].Stored; first.Header.Get("Slipway-Sequence") != fmt.Sprint(want.Sequence) || string(first.Data) != string(want.Body) ||
		first.Subject != "audit"+strings.TrimPrefix(want.Subject, "slipway.events") || first.Header.Get("Content-Type") != events.ContentType {
		t.Errorf("got %s %v, want event %d as it is", first.Subject, first.Header, want.Sequence)
	}
	_, stderr = s.wants(exitOK, "replay", "--to", "elsewhere")
	if !strings.Contains(stderr, "no stream stores elsewhere.>") {
		t.Errorf("got %q, want that no stream stores them", stderr)
	}
}

func TestVerifyAndRebuildVerbs(t *testing.T) {
	t.Parallel()
	s := inUse(t)
	stdout, _ := s.wants(exitOK, "verify")
	if want := "12 events, 7 keys: no difference\n"; stdout != want {
		t.Errorf("verify: got %q, want %q", stdout, want)
	}
	before := s.state("churn")

	kv, err := s.JetStream.KeyValue(t.Context(), jetstream.DeploymentsBucket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(t.Context(), "churn", "{"); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(t.Context(), "ghost", "{}"); err != nil {
		t.Fatal(err)
	}
	if err := s.JetStream.DeleteKeyValue(t.Context(), jetstream.ModelsBucket); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"deployments churn differs not as JSON: \"{\"", "deployments ghost extra",
		"models churn-v1 missing", "models churn-v2 missing", "12 events, 7 keys: 4 differ",
	}
	stdout, stderr := s.wants(exitFailed, "verify")
	for _, line := range want {
		if !strings.Contains(squeeze(stdout), line+"\n") {
			t.Errorf("verify: got\n%s\nwant a line %q", stdout, line)
		}
	}
	if !strings.Contains(stderr, "there is no bucket models") {
		t.Errorf("verify: got %q on standard error, want that there is no bucket", stderr)
	}
	stdout, _ = s.wants(exitFailed, "verify", "-o", "json")
	var report findings
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || len(report.Differences) != 4 || report.Position != 12 || report.Differences[0].Key != "churn" {
		t.Errorf("verify -o json: got %s, %v", stdout, err)
	}
	if dry, _ := s.wants(exitOK, "rebuild", "--dry-run"); !strings.Contains(dry, "7 keys: 4 differ") {
		t.Errorf("rebuild --dry-run: got\n%s", dry)
	}
	s.wants(exitFailed, "verify")
	if stdout, stderr = s.wants(exitOK, "rebuild"); !strings.Contains(stdout, "7 keys: 4 rewritten") || !strings.Contains(stderr, "made bucket models") {
		t.Errorf("rebuild: got\n%s%s", stdout, stderr)
	}
	s.wants(exitOK, "verify")
	if diff := cmp.Diff(before, s.state("churn")); diff != "" {
		t.Errorf("rebuilt (-before +after):\n%s", diff)
	}
	// What was rebuilt is what workers go on with.
	e := s.command(deployment.KindDeployment, "churn", "replace", handlers.Replace{Reason: "OTHER", ModelChoice: handlers.ModelChoice{ModelID: "churn-v1"}})
	if e.Outcome != events.Completed {
		t.Errorf("replace: got %s: %s, want completed", e.Outcome, e.detail())
	}
	s.wants(exitOK, "verify")
}

// squeeze makes every run of spaces in a line one.
func squeeze(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	return out.String()
}

func TestGetAtVerb(t *testing.T) {
	t.Parallel()
	s := inUse(t)
	for i, e := range s.events() {
		var want *deployment.State
		if e.Kind == "deployment" {
			want = e.Deployment
		}
		for _, at := range []string{fmt.Sprint(e.Stored.Sequence), e.Stored.Time.UTC().Format(time.RFC3339Nano)} {
			if want == nil {
				s.wants(exitNotFound, "get", "churn", "--at", at)
				continue
			}
			stdout, _ := s.wants(exitOK, "get", "churn", "-o", "json", "--at", at)
			var got struct {
				deployment.State
				LedgerSequence uint64 `json:"ledgerSequence"`
				Event          string `json:"event"`
			}
			if err := json.Unmarshal([]byte(stdout), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(*want, got.State); diff != "" || got.LedgerSequence != e.Stored.Sequence || got.Event != e.String() {
				t.Errorf("at event %d (%s): got event %d (%s), state (-want +got):\n%s", i, at, got.LedgerSequence, got.Event, diff)
			}
		}
	}
	last := s.events()[11].Stored
	for _, at := range []string{"99999", "2999-01-01T00:00:00Z", "0s"} {
		if stdout, _ := s.wants(exitOK, "get", "churn", "--at", at); !strings.Contains(squeeze(stdout), fmt.Sprintf("by event %d, dev.slipway.deployment.replace.completed.v1", last.Sequence)) {
			t.Errorf("at %s: got\n%s\nwant the newest state", at, stdout)
		}
	}
	s.wants(exitNotFound, "get", "nobody", "--at", "99999")
	s.wants(exitNotFound, "get", "churn", "--at", "0")
	s.wants(exitNotFound, "get", "churn", "--at", "1h")
	s.wants(exitUsage, "get", "churn", "--at", "noon")
}

func TestProvisionVerb(t *testing.T) {
	t.Parallel()
	s := startUp(t, nil)
	stdout, _ := s.wants(exitOK, "provision")
	for _, line := range []string{"stream SLIPWAY_EVENTS 1 file 0 0\n", "consumer workers 1 file 0 0\n", "bucket models 1 file 0 0\n", "object store artifacts 1 file 0 0\n"} {
		if !strings.Contains(squeeze(stdout), line) {
			t.Errorf("got\n%s\nwant a line %q", stdout, line)
		}
	}
	if err := s.JetStream.DeleteKeyValue(t.Context(), jetstream.ModelsBucket); err != nil {
		t.Fatal(err)
	}
	stdout, _ = s.wants(exitOK, "provision", "-o", "json")
	var assets []jetstream.Asset
	if err := json.Unmarshal([]byte(stdout), &assets); err != nil || len(assets) != 9 {
		t.Errorf("got %d assets, %v, want 9", len(assets), err)
	}
}

func TestRedriveVerb(t *testing.T) {
	t.Parallel()
	s := startUp(t, map[string]string{"SLIPWAY_MAX_ATTEMPTS": "1"})
	deploy := func(name, id, more string) entry {
		t.Helper()
		body := strings.Replace(string(structured("deployment", name, "deploy", id, `{"label":"x","modelId":"churn-v1"}`)), `{"specversion"`, "{"+more+`"specversion"`, 1)
		return s.outcomeOf(s.publish(&nats.Msg{Subject: jetstream.CommandSubject("deployment", name, "deploy"), Data: []byte(body)}))
	}
	rejected := deploy("churn", "run-1", `"correlationid":"pipeline-7",`)
	expired := deploy("late", "run-2", `"expirytime":"2020-01-01T00:00:00Z",`)
	s.publish(&nats.Msg{Subject: "slipway.commands.deployment.churn.deploy", Data: []byte(`{"specversion":"1.0","id":"run-3","source":"/test"}`)})
	other := structured("deployment", "churn", "replace", "run-1", `{"reason":"OTHER","modelId":"churn-v1"}`)
	other = bytes.Replace(other, []byte(`"/test"`), []byte(`"/elsewhere"`), 1)
	ambiguous := s.outcomeOf(s.publish(&nats.Msg{Subject: "slipway.commands.deployment.churn.replace", Data: other}))
	if rejected.Outcome != events.Rejected || expired.Outcome != events.Expired || ambiguous.Outcome != events.Rejected {
		t.Fatalf("got %s, %s, %s, want rejected, expired, rejected", rejected.Outcome, expired.Outcome, ambiguous.Outcome)
	}

	s.wants(exitNotFound, "redrive", "churn", "run-9")
	s.wants(exitNotFound, "redrive", "nobody", "run-1")
	s.wants(exitNotFound, "redrive", "churn", expired.Command.Token) // of another deployment
	s.wants(exitUsage, "redrive", "Churn", "run-1")
	s.wants(exitUsage, "redrive", "churn")
	s.wants(exitUsage, "redrive", "late", "run-2", "run-3", "--command-id", "new")
	if _, stderr := s.wants(exitRejected, "redrive", "churn", "run-3"); !strings.Contains(stderr, "cannot be carried out") {
		t.Errorf("got %q, want why", stderr)
	}
	if _, stderr := s.wants(exitConflict, "redrive", "churn", "run-1"); !strings.Contains(stderr, rejected.Command.Token) {
		t.Errorf("two with that id: got %q, want their tokens", stderr)
	}
	// Nothing has changed: it is rejected for the same reason.
	s.wants(exitNotFound, "redrive", "churn", rejected.Command.Token)

	facts := s.upload("churn-v1")
	s.command(deployment.KindModel, "churn-v1", "register", handlers.Register{ModelFacts: facts})
	before := len(s.events())
	stdout, stderr := s.wants(exitOK, "redrive", "churn", rejected.Command.Token, "--command-id", "again")
	if !strings.Contains(stdout, "churn completed: serves churn-v1") || !strings.Contains(stderr, "command again: deploy deployment churn") {
		t.Errorf("got %q, %q", stdout, stderr)
	}
	for _, e := range s.events()[before:] {
		ce, err := events.Decode(e.Stored.Header, e.Stored.Body)
		if err != nil {
			t.Fatal(err)
		}
		if e.Command.ID != "again" || e.Command.Source != "/slipway/cli/tester" || ce.Extensions()["correlationid"] != "pipeline-7" {
			t.Errorf("event %d: got command %+v, correlation id %v", e.Stored.Sequence, e.Command, ce.Extensions()["correlationid"])
		}
	}
	command, err := s.Commands.Next(t.Context(), jetstream.CommandFilter("deployment", "churn"), rejected.Command.Sequence+3)
	if err != nil {
		t.Fatal(err)
	}
	for command.Sequence > 0 && !bytes.Contains(command.Body, []byte(`"id":"again"`)) {
		if command, err = s.Commands.Next(t.Context(), jetstream.CommandFilter("deployment", "churn"), command.Sequence+1); err != nil {
			t.Fatal(err)
		}
	}
	ce, err := events.Decode(command.Header, command.Body)
	if err != nil || ce.Extensions()["causationid"] != "run-1" || string(ce.Data()) != `{"label":"x","modelId":"churn-v1"}` || ce.Type() != "dev.slipway.deployment.deploy.requested.v1" {
		t.Errorf("got %v, %v, want the same data, caused by run-1", ce, err)
	}
	// It was rejected once; its redrive is another command.
	s.wants(exitConflict, "redrive", "churn", "again")
	s.wants(exitOK, "redrive", "late", "run-2", "--command-async")

	// Failed: what it needs cannot be reached. Then again, and again.
	unreachable := facts
	unreachable.Artifact = deployment.Artifact{URL: "http://127.0.0.1:1/m", Digest: "sha256:" + deployment.Digest(strings.Repeat("0", 64)), Size: 3}
	failed := s.command(deployment.KindDeployment, "churn", "replace", handlers.Replace{Reason: "OTHER", ModelChoice: handlers.ModelChoice{Model: &unreachable}})
	if failed.Outcome != events.Failed {
		t.Fatalf("got %s, want failed", failed.Outcome)
	}
	s.wants(exitFailed, "redrive", "churn", failed.Command.Token, failed.Command.ID)
	s.wants(exitOK, "verify")
}
