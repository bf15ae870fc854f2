package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/client"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
)

// bad is a command that is to be refused. Its field and message are those of the
// first thing that is wrong.
type bad struct {
	op, name, data string
	class          deployment.Class
	code           deployment.Code
	field, message string
}

const noSuchField = "expected exactly one of modelId, model, source"

// badCommands are, for every operation, what is wrong with it (datarobot.md
// sections 6 and 9). Of the deployments, live is active, idle is inactive, gone is
// deleted, only people may change locked, and never has never been.
func badCommands() []bad {
	const (
		invalid, forbidden, notFound, conflict = deployment.ClassInvalid, deployment.ClassForbidden, deployment.ClassNotFound, deployment.ClassConflict

		reasons = `reason: expected one of ACCURACY, DATA_DRIFT, ERRORS, SCHEDULED_REFRESH, SCORING_SPEED, DEPRECATION, OTHER, got "WHIM"`
		already = "Deployment is already in process of status change or already in requested status"
		may     = `expected a command from /people/*, who may change deployment "locked", got one from "/test/TestBadInput"`
		server  = `"defaultPredictionServerId":"eu-1",`
	)
	commands := []bad{
		{"register", "fresh", `{"target":{"name":"a","type":"Binary"},"features":[{"name":"a","type":"numeric"}],"artifact":{"object":"a","digest":"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","size":1}}`, invalid, deployment.CodeMissingField, "format", "format is required"},
		{"register", "fresh", `{"format":"xgboost","features":[{"name":"a","type":"numeric"}],"artifact":{"object":"a","digest":"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","size":1}}`, invalid, deployment.CodeMissingField, "target", "target is required"},
		{"register", "fresh", `{"format":"xgboost","target":{"name":"a","type":"Binary"},"artifact":{"object":"a","digest":"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","size":1}}`, invalid, deployment.CodeMissingField, "features", "features is required"},
		{"register", "fresh", `{"format":"xgboost","target":{"name":"a","type":"Binary"},"features":[{"name":"a","type":"numeric"}]}`, invalid, deployment.CodeMissingField, "artifact", "artifact is required"},
		{"register", "churn-v1", `{"format":"xgboost","target":{"name":"a","type":"Binary"},"features":[{"name":"a","type":"numeric"}],"artifact":{"object":"a","digest":"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","size":1}}`, conflict, deployment.CodeModelExists, "", ""},

		{"deploy", "fresh", `{` + server + `"modelId":"churn-v1"}`, invalid, deployment.CodeMissingField, "label", "label is required"},
		{"deploy", "fresh", `{` + server + `"label":"Fresh"}`, invalid, deployment.CodeMissingField, "", noSuchField},
		{"deploy", "fresh", `{` + server + `"label":"Fresh","modelId":"churn-v9"}`, notFound, deployment.CodeModelNotFound, "modelId", `model "churn-v9" is not registered: register it first, or give the model inline`},
		{"deploy", "fresh", `{"label":"Fresh","modelId":"churn-v1"}`, invalid, deployment.CodeMissingField, "defaultPredictionServerId", "Specifying default prediction server ID is required in DataRobot Cloud."},
		{"deploy", "fresh", `{"defaultPredictionServerId":"eu-2","label":"Fresh","modelId":"churn-v1"}`, invalid, deployment.CodeUnknownServer, "defaultPredictionServerId", `prediction server "eu-2" is not registered: registered are eu-1`},
		{"deploy", "fresh", `{` + server + `"label":"Fresh","modelId":"churn-v1","importance":"high"}`, invalid, deployment.CodeUnknownEnum, "importance", `importance: expected one of CRITICAL, HIGH, MODERATE, LOW, got "high"`},
		{"deploy", "live", `{` + server + `"label":"Live","modelId":"churn-v2"}`, conflict, deployment.CodeDeploymentExists, "", `deployment "live" exists: replace its model, or deploy under another name`},
		{"deploy", "locked", `{` + server + `"label":"Locked","modelId":"churn-v2"}`, forbidden, deployment.CodeNotPermitted, "", may},

		{"update", "live", `{}`, invalid, deployment.CodeEmptyUpdate, "", "expected at least one of label, description, importance, modelId, model, source, version, commit"},
		{"update", "live", `{"label":""}`, invalid, deployment.CodeInvalidField, "label", "label: minLength: got 0, want 1"},
		{"update", "live", `{"importance":"high"}`, invalid, deployment.CodeUnknownEnum, "importance", `importance: expected one of CRITICAL, HIGH, MODERATE, LOW, got "high"`},
		{"update", "locked", `{"label":"x"}`, forbidden, deployment.CodeNotPermitted, "", may},
		{"update", "live", `{"label":"x","modelId":"churn-v2","version":1}`, invalid, deployment.CodeInvalidField, "", "expected exactly one of modelId, model, source, version, commit, or none"},
		{"update", "live", `{"label":"x","commit":"main"}`, invalid, deployment.CodeInvalidField, "commit", `commit: expected a string that matches ^[0-9a-f]{40}$, got "main"`},
		{"update", "live", `{"label":"x","commit":"` + strings.Repeat("0", 40) + `"}`, conflict, deployment.CodeNoContract, "commit", `model "churn-v1" of deployment "live" was deployed from no repository: expected source, modelId or model`},
		{"update", "live", `{"label":"x","modelId":"churn-v9"}`, notFound, deployment.CodeModelNotFound, "modelId", `model "churn-v9" is not registered: register it first, or give the model inline`},
		{"update", "live", `{"label":"x","modelId":"churn-v1"}`, conflict, deployment.CodeIsCurrentModel, "modelId", `expected another model than the current one, got "churn-v1", which is the current one`},
		{"update", "live", `{"label":"x","version":2}`, notFound, deployment.CodeVersionNotFound, "version", `deployment "live" has no version 2: expected one of 1`},
		{"update", "idle", `{"modelId":"churn-v2"}`, conflict, deployment.CodeDeploymentInactive, "", `deployment "idle" is inactive: activate it first`},
		{"update", "locked", `{"modelId":"churn-v1"}`, forbidden, deployment.CodeNotPermitted, "", may},
		{"update", "locked", `{"version":1}`, forbidden, deployment.CodeNotPermitted, "", may},

		{"rename", "live", `{"version":1}`, invalid, deployment.CodeMissingField, "name", "name is required"},
		{"rename", "live", `{"version":1,"name":""}`, invalid, deployment.CodeInvalidField, "name", "name: minLength: got 0, want 1"},
		{"rename", "live", `{"version":0,"name":"x"}`, invalid, deployment.CodeInvalidField, "version", "version: expected 1 or more, got 0"},
		{"rename", "live", `{"version":7,"name":"x"}`, notFound, deployment.CodeVersionNotFound, "version", `deployment "live" has no version 7: expected one of 1`},
		{"rename", "locked", `{"version":1,"name":"x"}`, forbidden, deployment.CodeNotPermitted, "", may},

		{"replace", "live", `{"modelId":"churn-v2"}`, invalid, deployment.CodeMissingField, "reason", "reason is required"},
		{"replace", "live", `{"reason":"WHIM","modelId":"churn-v2"}`, invalid, deployment.CodeUnknownEnum, "reason", reasons},
		{"replace", "live", `{"reason":"OTHER"}`, invalid, deployment.CodeMissingField, "", noSuchField},
		{"replace", "live", `{"reason":"OTHER","modelId":"churn-v9"}`, notFound, deployment.CodeModelNotFound, "modelId", `model "churn-v9" is not registered: register it first, or give the model inline`},
		{"replace", "live", `{"reason":"OTHER","modelId":"churn-v1"}`, conflict, deployment.CodeIsCurrentModel, "modelId", `expected another model than the current one, got "churn-v1", which is the current one`},
		{"replace", "idle", `{"reason":"OTHER","modelId":"churn-v2"}`, conflict, deployment.CodeDeploymentInactive, "", `deployment "idle" is inactive: activate it first`},
		{"replace", "locked", `{"reason":"OTHER","modelId":"churn-v1"}`, forbidden, deployment.CodeNotPermitted, "", may},

		{"rollback", "live", `{}`, invalid, deployment.CodeMissingField, "reason", "reason is required"},
		{"rollback", "live", `{"reason":"WHIM"}`, invalid, deployment.CodeUnknownEnum, "reason", reasons},
		{"rollback", "live", `{"reason":"OTHER"}`, conflict, deployment.CodeNoEarlierModel, "", `deployment "live" has served no model before "churn-v1": there is none to go back to`},
		{"rollback", "live", `{"reason":"OTHER","modelId":"churn-v1"}`, conflict, deployment.CodeIsCurrentModel, "modelId", `model "churn-v1" is the current model of deployment "live": expected an earlier one`},
		{"rollback", "live", `{"reason":"OTHER","modelId":"churn-v9"}`, notFound, deployment.CodeModelNeverServed, "modelId", `model "churn-v9" has never served deployment "live": expected a model that has, and there is none but the current one`},
		{"rollback", "live", `{"reason":"OTHER","version":3}`, notFound, deployment.CodeVersionNotFound, "version", `deployment "live" has no version 3: expected one of 1`},
		{"rollback", "locked", `{"reason":"OTHER","version":1}`, forbidden, deployment.CodeNotPermitted, "", may},
		{"rollback", "idle", `{"reason":"OTHER"}`, conflict, deployment.CodeDeploymentInactive, "", `deployment "idle" is inactive: activate it first`},
		{"rollback", "locked", `{"reason":"OTHER"}`, forbidden, deployment.CodeNotPermitted, "", may},

		{"validate", "live", `{}`, invalid, deployment.CodeMissingField, "", noSuchField},
		{"validate", "live", `{"modelId":"churn-v9"}`, notFound, deployment.CodeModelNotFound, "modelId", `model "churn-v9" is not registered: register it first, or give the model inline`},

		{"drift", "live", `{}`, invalid, deployment.CodeEmptyUpdate, "", "expected at least one of targetDriftEnabled, featureDriftEnabled"},
		{"drift", "live", `{"targetDriftEnabled":"yes"}`, invalid, deployment.CodeInvalidField, "targetDriftEnabled", "targetDriftEnabled: got string, want boolean"},
		{"drift", "idle", `{"targetDriftEnabled":true}`, conflict, deployment.CodeDeploymentInactive, "", `deployment "idle" is inactive: activate it first`},
		{"drift", "locked", `{"targetDriftEnabled":true}`, forbidden, deployment.CodeNotPermitted, "", may},

		{"activate", "live", `{}`, conflict, deployment.CodeAlreadyInStatus, "", already},
		{"activate", "locked", `{}`, forbidden, deployment.CodeNotPermitted, "", may},
		{"deactivate", "idle", `{}`, conflict, deployment.CodeAlreadyInStatus, "", already},
		{"deactivate", "locked", `{}`, forbidden, deployment.CodeNotPermitted, "", may},
		{"delete", "locked", `{}`, forbidden, deployment.CodeNotPermitted, "", may},

		{"cancel", "live", `{"id":"x"}`, invalid, deployment.CodeMissingField, "source", "source is required"},
		{"cancel", "live", `{"source":"/x"}`, invalid, deployment.CodeMissingField, "id", "id is required"},
		{"cancel", "live", `{"source":"/x","id":"x"}`, notFound, deployment.CodeCommandNotFound, "id", `command "x" from "/x": there is none of this deployment before this one`},
		{"cancel", "live", `{"source":"/test/TestBadInput","id":"first"}`, conflict, deployment.CodeCommandFinished, "id", `command "first" from "/test/TestBadInput" is completed: it can no longer be cancelled`},
		{"cancel", "locked", `{"source":"/x","id":"x"}`, forbidden, deployment.CodeNotPermitted, "", may},
	}
	for _, about := range []string{"gone", "never"} {
		for _, c := range []struct{ op, data string }{
			{"update", `{"label":"x"}`},
			{"update", `{"label":"x","modelId":"churn-v2"}`},
			{"update", `{"version":1}`},
			{"rename", `{"version":1,"name":"x"}`},
			{"rollback", `{"reason":"OTHER","version":1}`},
			{"replace", `{"reason":"OTHER","modelId":"churn-v2"}`},
			{"rollback", `{"reason":"OTHER"}`},
			{"validate", `{"modelId":"churn-v2"}`},
			{"drift", `{"targetDriftEnabled":true}`},
			{"activate", `{}`},
			{"deactivate", `{}`},
			{"delete", `{}`},
		} {
			commands = append(commands, bad{c.op, about, c.data, notFound, deployment.CodeDeploymentNotFound, "", fmt.Sprintf("deployment %q does not exist: deploy it first", about)})
		}
	}
	return commands
}

// Whatever is wrong with a command, through the client and by a real system it is
// refused with class, code, field and message, also when it is published again, and
// nothing changes.
func TestBadInput(t *testing.T) { //nolint:tparallel // one case after the other, on the same deployments
	t.Parallel()
	up := startUp(t, "SLIPWAY_INSTALLATION=cloud", "SLIPWAY_SERVER_ID=eu-1", "SLIPWAY_PERMISSIONS=locked=/people/*,live=*,idle=*,gone=*,fresh=*,never=*")
	c := connect(t, up.NATS)
	register(t, c)
	done := completed(t, c)
	first := deploy("Deployed", "churn-v1")
	first.Server = "eu-1"
	done(c.Deploy(t.Context(), client.Command{Name: "live", ID: "first"}, first))
	done(c.Deploy(t.Context(), client.Command{Name: "locked", Actor: "/people/ada"}, first))
	done(c.Replace(t.Context(), client.Command{Name: "locked", Actor: "/people/ada"}, replace("churn-v2")))
	done(c.Deploy(t.Context(), client.Command{Name: "idle"}, first))
	done(c.Deactivate(t.Context(), client.Command{Name: "idle"}))
	done(c.Deploy(t.Context(), client.Command{Name: "gone"}, first))
	done(c.Delete(t.Context(), client.Command{Name: "gone"}))
	before := everything(t, c)

	refused := map[string]bool{}
	for _, test := range badCommands() {
		t.Run(test.op+" "+test.name+" "+string(test.code)+" "+test.field, func(t *testing.T) {
			kind := deployment.KindDeployment
			if test.op == "register" {
				kind = deployment.KindModel
			}
			refused[test.op] = true
			var id string
			for range 2 { // the second time it is the same command
				p, err := c.Publish(t.Context(), kind, test.op, client.Command{Name: test.name, ID: id}, json.RawMessage(test.data))
				if err != nil {
					t.Fatal(err)
				}
				_, err = c.Wait(t.Context(), p)
				test.check(t, err)
				id = p.ID
			}
			if diff := cmp.Diff(before, everything(t, c)); diff != "" {
				t.Errorf("what there is (-before +after):\n%s", diff)
			}
		})
	}
	for _, o := range handlers.All() {
		if !refused[o.Op] {
			t.Errorf("%s is never refused", o.Op)
		}
	}
}

// check compares what is said, down to the text.
func (b bad) check(tb testing.TB, err error) {
	tb.Helper()
	said, ok := errors.AsType[*client.Error](err)
	if !ok {
		tb.Fatalf("got %v, want a *client.Error", err)
	}
	got := b
	got.class, got.code, got.field, got.message = said.Class, said.Code, said.Findings[0].Path, said.Findings[0].Message
	if b.message == "" { // it names digests
		got.message = ""
	}
	if diff := cmp.Diff(b, got, cmp.AllowUnexported(bad{})); diff != "" {
		tb.Errorf("refusal (-want +got):\n%s", diff)
	}
	text := strings.TrimPrefix(strings.TrimPrefix(b.message, b.field+": "), b.field+" ") // the field is the key
	if b.field != "" && b.message != "" && said.Errors[b.field] != text {
		tb.Errorf("got errors %v, want that of %s", said.Errors, b.field)
	}
	if said.Outcome != events.Rejected || said.Retryable || said.Op != b.op || said.Name != b.name {
		tb.Errorf("got %+v, want %s %s to be rejected and not worth another try", said, b.op, b.name)
	}
}

// everything is what there is: all deployments, deleted ones too, and all models,
// as JSON, without the sequences of the events that say so.
func everything(tb testing.TB, c *client.Client) string {
	tb.Helper()
	var states []deployment.State
	for _, deleted := range []bool{false, true} {
		page, err := c.List(tb.Context(), client.Query{Deleted: deleted, Limit: client.MostLimit})
		if err != nil {
			tb.Fatal(err)
		}
		for _, d := range page.Data {
			states = append(states, d.State)
		}
	}
	models, err := c.Models(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	text, err := json.MarshalIndent([]any{states, models}, "", "  ")
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// Where no prediction server is to be named, one that is named is refused.
func TestServerNotSupported(t *testing.T) {
	t.Parallel()
	c := connect(t, "")
	register(t, c)
	data := deploy("Fresh", "churn-v1")
	data.Server = "eu-1"
	p, err := c.Deploy(t.Context(), client.Command{Name: "no-server"}, data)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Wait(t.Context(), p)
	bad{
		"deploy", "no-server", "", deployment.ClassInvalid, deployment.CodeInvalidField, "defaultPredictionServerId",
		"Specifying default prediction server ID is not supported in current DataRobot installation.",
	}.check(t, err)
}

// Of replacements at the same time by the same model one wins, and the others are
// held against what it has led to (datarobot.md R20).
func TestConcurrentReplaces(t *testing.T) {
	t.Parallel()
	c := connect(t, "")
	register(t, c)
	completed(t, c)(c.Deploy(t.Context(), client.Command{Name: "contested"}, deploy("Churn", "churn-v1")))
	const senders = 8
	var all sync.WaitGroup
	results := make([]error, senders)
	for i := range senders {
		all.Go(func() {
			_, results[i] = c.ReplaceAndWait(t.Context(), client.Command{Name: "contested", Source: fmt.Sprint("/test/", i)}, replace("churn-v2"))
		})
	}
	all.Wait()
	won := slices.DeleteFunc(slices.Clone(results), func(err error) bool { return err != nil })
	if len(won) != 1 {
		t.Errorf("%d replacements completed, want one: %v", len(won), results)
	}
	for _, err := range results {
		if err != nil {
			bad{
				"replace", "contested", "", deployment.ClassConflict, deployment.CodeIsCurrentModel, "modelId",
				`expected another model than the current one, got "churn-v2", which is the current one`,
			}.check(t, err)
		}
	}
	if d, err := c.Get(t.Context(), "contested"); err != nil || d.Model.ID != "churn-v2" || d.Generation != 2 {
		t.Errorf("got %+v, %v, want the other model, once", d.State, err)
	}
}
