package client_test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/client"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
)

// Each completed event says by itself what others want to know: the models before
// and after, why, for whom, the verdict, and the whole deployment. What the ledger
// says of the past is the same however often it is read, and after everything that
// was made of it has been made again.
func TestFactsForOthers(t *testing.T) {
	t.Parallel()
	up := startUp(t)
	c := connect(t, up.NATS)
	register(t, c)
	done := completed(t, c)
	on, label := true, "Customer churn"
	command := client.Command{Name: "churn", Actor: "ada"}
	var all []client.Event
	for _, publish := range []func() (client.Pending, error){
		func() (client.Pending, error) { return c.Deploy(t.Context(), command, deploy("Churn", "churn-v1")) },
		func() (client.Pending, error) { return c.Replace(t.Context(), command, replace("churn-v2")) },
		func() (client.Pending, error) {
			return c.Rollback(t.Context(), command, handlers.Rollback{Reason: deployment.ReasonErrors, ReasonText: "false alarms"})
		},
		func() (client.Pending, error) {
			return c.Update(t.Context(), command, handlers.Update{ModelChoice: handlers.ModelChoice{ModelID: "churn-v2"}})
		},
		func() (client.Pending, error) {
			return c.Rename(t.Context(), command, handlers.Rename{Version: 2, Name: &label})
		},
		func() (client.Pending, error) {
			return c.Drift(t.Context(), command, handlers.Drift{TargetDriftEnabled: &on})
		},
		func() (client.Pending, error) { return c.Update(t.Context(), command, handlers.Update{Label: &label}) },
		func() (client.Pending, error) { return c.Deactivate(t.Context(), command) },
		func() (client.Pending, error) { return c.Activate(t.Context(), command) },
		func() (client.Pending, error) { return c.Delete(t.Context(), command) },
	} {
		all = append(all, done(publish()))
	}
	var previous *deployment.State
	for _, e := range all {
		check := func(what string, ok bool) {
			t.Helper()
			if !ok {
				t.Errorf("%s: got %s, want %s", e.Op, e.Stored.Body, what)
			}
		}
		d := e.Deployment
		check("the outcome", e.Outcome == events.Completed && *e.Changed)
		check("who asked, and for whom", e.Command.Actor == "ada" && e.Command.Source == c.Source && d.UpdatedBy != "")
		check("the whole deployment", d != nil && d.Name == "churn" && d.Revision > 0 && !d.CreatedAt.IsZero())
		switch e.Op {
		case "deploy":
			check("the new model and its checks", d.Model.ID == "churn-v1" && d.Previous == nil && len(e.Checks) > 0)
		case "replace", "rollback":
			r := e.Replacement
			check("old and new model", r.OldModel == previous.Model.ID && r.NewModel == d.Model.ID && d.Previous.ID == r.OldModel)
			check("the reason", r.Reason != "" && r.Rollback == (e.Op == "rollback") && (r.ReasonText != "") == r.Rollback)
			check("the verdict", e.Validation.Status == deployment.Passing && e.Validation.NewModel == r.NewModel && len(e.Checks) >= 11)
		case "rename":
			check("the name", e.Renamed.Version == 2 && *e.Renamed.Name == label && d.Revision == previous.Revision)
		case "drift":
			check("before and after", *e.Drift == deployment.DriftChange{Before: previous.DriftTracking, After: d.DriftTracking} && e.Drift.Before != e.Drift.After)
		case "delete":
			check("a tombstone", d.DeletedAt != nil && d.DeletedBy != "")
		}
		previous = d
	}

	past := readPast(t, c)
	if diff := cmp.Diff(past, readPast(t, c)); diff != "" {
		t.Errorf("read again (-first +second):\n%s", diff)
	}
	bucket, err := c.JetStream.KeyValue(t.Context(), jetstream.DeploymentsBucket)
	if err != nil {
		t.Fatal(err)
	}
	if err := bucket.Delete(t.Context(), "churn"); err != nil { // so that there is something to rebuild
		t.Fatal(err)
	}
	for _, verb := range []string{"rebuild", "verify"} {
		cmd := exec.CommandContext(t.Context(), program, verb)
		cmd.Env = []string{"NATS_URL=" + up.NATS, "HOME=" + t.TempDir()}
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("slipway %s: %v\n%s", verb, err, said)
		}
	}
	if diff := cmp.Diff(past, readPast(t, c)); diff != "" {
		t.Errorf("after a rebuild (-before +after):\n%s", diff)
	}
}

// readPast is the history of churn, what is shown of it, and the whole ledger, byte
// for byte.
func readPast(tb testing.TB, c *client.Client) string {
	tb.Helper()
	served, err := c.History(tb.Context(), "churn")
	if err != nil {
		tb.Fatal(err)
	}
	versions, err := c.Versions(tb.Context(), "churn")
	if err != nil {
		tb.Fatal(err)
	}
	if len(served) != 4 || len(versions) != 4 || versions[2].Name == "" || versions[2].Actor != "ada" {
		tb.Errorf("got %d models in the history and versions %+v, want 4 of both, one with a name", len(served), versions)
	}
	page, err := c.List(tb.Context(), client.Query{Deleted: true})
	if err != nil {
		tb.Fatal(err)
	}
	text, err := json.MarshalIndent([]any{served, versions, page}, "", "  ")
	if err != nil {
		tb.Fatal(err)
	}
	past := bytes.NewBuffer(append(text, '\n'))
	err = c.Ledger.Replay(tb.Context(), jetstream.Span{Filter: jetstream.AllEvents}, func(m jetstream.Message) error {
		past.Write(append(m.Body, '\n'))
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return past.String()
}
