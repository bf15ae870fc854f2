package client_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/client"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/handlers"
)

// said is all that a refusal says: the envelope of datarobot.md R22, without its findings.
type said struct {
	code    deployment.Code
	class   deployment.Class
	message string
	errors  map[string]string
	status  deployment.CheckStatus // of the checks, if there are any
}

// line is one line of datarobot.md, as a command and what is to be said to it.
type line struct {
	page           string // where it is, and what it says
	op, name, data string
	said
}

const minimalModel = `{"format":"xgboost","target":{"name":"a","type":"Binary"},"features":[{"name":"a","type":"numeric"}],"artifact":{"object":"a","digest":"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","size":1}}`

const conflictStatus = "Deployment is already in process of status change or already in requested status"

// datarobotLines are the lines of datarobot.md section 6, and the requirements of
// section 9 that say how a command is refused, in the order of the page. In the
// cloud, where the page says so, which is up with the server eu-1.
func datarobotLines(cloud bool) []line {
	const (
		data      = deployment.InvalidData
		cannot    = "Model cannot be used to replace the current model of the deployment."
		one       = "expected exactly one of modelId, model, source"
		reasons   = `expected one of ACCURACY, DATA_DRIFT, ERRORS, SCHEDULED_REFRESH, SCORING_SPEED, DEPRECATION, OTHER, got "WHIM"`
		none      = `deployment "gone" does not exist: deploy it first`
		inactive  = `deployment "idle" is inactive: activate it first`
		candidate = `{"reason":"OTHER","modelId":"churn-v2"}`
	)
	invalid := func(code deployment.Code, field, text string) said {
		return said{code, deployment.ClassInvalid, data, map[string]string{field: text}, ""}
	}
	conflict := func(code deployment.Code, message string) said {
		return said{code, deployment.ClassConflict, message, nil, ""}
	}
	unknown := said{deployment.CodeModelNotFound, deployment.ClassNotFound, `model "churn-v9" is not registered: register it first, or give the model inline`, nil, ""}
	unknown.errors = map[string]string{"modelId": unknown.message}
	gone := said{deployment.CodeDeploymentNotFound, deployment.ClassNotFound, none, nil, ""}
	if cloud {
		return []line{
			{"6, R2: no server", "deploy", "fresh", `{"label":"Fresh","modelId":"churn-v1"}`, invalid(deployment.CodeMissingField, "defaultPredictionServerId", "Specifying default prediction server ID is required in DataRobot Cloud.")},
			{"R2: a server that is not registered", "deploy", "fresh", `{"label":"Fresh","modelId":"churn-v1","defaultPredictionServerId":"eu-2"}`, invalid(deployment.CodeUnknownServer, "defaultPredictionServerId", `prediction server "eu-2" is not registered: registered are eu-1`)},
			{"6: view but not edit", "update", "locked", `{"label":"x"}`, said{deployment.CodeNotPermitted, deployment.ClassForbidden, `expected a command from /people/*, who may change deployment "locked", got one from "/test/TestDataRobotTexts/cloud"`, nil, ""}},
			{"4, 6: the check of it", "replace", "locked", candidate, said{
				deployment.CodeNotPermitted, deployment.ClassForbidden, cannot, nil, deployment.Failing,
			}},
		}
	}
	return []line{
		{"6, R1: label missing", "deploy", "fresh", `{"modelId":"churn-v1"}`, invalid(deployment.CodeMissingField, "label", "is required")},
		{"R1: modelId missing", "deploy", "fresh", `{"label":"Fresh"}`, invalid(deployment.CodeMissingField, "modelId", "is required")},
		{"R1: both missing", "deploy", "fresh", `{}`, said{deployment.CodeMissingField, deployment.ClassInvalid, data, map[string]string{"label": "is required", "modelId": "is required"}, ""}},
		{"6, R9: reason missing", "replace", "live", `{"modelId":"churn-v2"}`, invalid(deployment.CodeMissingField, "reason", "is required")},
		{"6, R2: a server on premises", "deploy", "fresh", `{"label":"Fresh","modelId":"churn-v1","defaultPredictionServerId":"eu-1"}`, invalid(deployment.CodeInvalidField, "defaultPredictionServerId", "Specifying default prediction server ID is not supported in current DataRobot installation.")},
		{"6: bad reference", "deploy", "fresh", `{"label":"Fresh","modelId":"churn-v9"}`, unknown},
		{"6: bad reference", "replace", "live", `{"reason":"OTHER","modelId":"churn-v9"}`, unknown},
		{"6, T1: already active", "activate", "live", `{}`, conflict(deployment.CodeAlreadyInStatus, conflictStatus)},
		{"6, T1: already inactive", "deactivate", "idle", `{}`, conflict(deployment.CodeAlreadyInStatus, conflictStatus)},
		{"6, R6: unknown", "update", "gone", `{"label":"x"}`, gone},
		{"6: neither model id", "replace", "live", `{"reason":"OTHER"}`, invalid(deployment.CodeMissingField, "modelId", "is required")},
		{"6: both", "replace", "live", `{"reason":"OTHER","modelId":"churn-v2","model":` + minimalModel + `}`, said{deployment.CodeInvalidField, deployment.ClassInvalid, data, nil, ""}},
		{"R7: deleted again", "delete", "gone", `{}`, gone},
		{"R8: empty update", "update", "live", `{}`, said{deployment.CodeEmptyUpdate, deployment.ClassInvalid, data, nil, ""}},
		{"R8: never the label", "update", "live", `{"label":null}`, invalid(deployment.CodeInvalidField, "label", "got null, want string")},
		{"R9: unknown reason", "replace", "live", `{"reason":"WHIM","modelId":"churn-v2"}`, invalid(deployment.CodeUnknownEnum, "reason", reasons)},
		{"R12: failing check", "replace", "live", `{"reason":"OTHER","modelId":"churn-v1"}`, said{
			deployment.CodeIsCurrentModel, deployment.ClassConflict, cannot,
			map[string]string{"modelId": `expected another model than the current one, got "churn-v1", which is the current one`},
			deployment.Failing,
		}},
		{"R19: neither flag", "drift", "live", `{}`, said{deployment.CodeEmptyUpdate, deployment.ClassInvalid, data, nil, ""}},
		{"R21: replace of a deleted one", "replace", "gone", candidate, gone},
		{"R21: replace of an inactive one", "replace", "idle", candidate, conflict(deployment.CodeDeploymentInactive, inactive)},
		{"R21: drift of an inactive one", "drift", "idle", `{"targetDriftEnabled":true}`, conflict(deployment.CodeDeploymentInactive, inactive)},
	}
}

// What is said to a command that is refused is what datarobot.md says, line by
// line: class, code, message, and the text of each field.
func TestDataRobotTexts(t *testing.T) {
	t.Parallel()
	for _, installation := range []string{"onprem", "cloud"} {
		t.Run(installation, func(t *testing.T) {
			t.Parallel()
			up := startUp(t, "SLIPWAY_INSTALLATION="+installation, "SLIPWAY_SERVER_ID=eu-1", "SLIPWAY_PERMISSIONS=locked=/people/*,live=*,idle=*,gone=*,fresh=*")
			c := connect(t, up.NATS)
			register(t, c)
			done := completed(t, c)
			cloud := installation == "cloud"
			churn := deploy("Churn", "churn-v1")
			if cloud {
				churn.Server = "eu-1"
			}
			for _, name := range []string{"live", "idle", "gone", "locked"} {
				done(c.Deploy(t.Context(), client.Command{Name: name, Actor: "/people/ada"}, churn))
			}
			done(c.Deactivate(t.Context(), client.Command{Name: "idle"}))
			done(c.Delete(t.Context(), client.Command{Name: "gone"}))
			before := everything(t, c)
			for _, l := range datarobotLines(cloud) {
				t.Run(l.page+" "+l.op, func(t *testing.T) {
					p, err := c.Publish(t.Context(), deployment.KindDeployment, l.op, client.Command{Name: l.name}, json.RawMessage(l.data))
					if err != nil {
						t.Fatal(err)
					}
					_, err = c.Wait(t.Context(), p)
					refused, ok := errors.AsType[*client.Error](err)
					if !ok {
						t.Fatalf("got %v, want a refusal", err)
					}
					got := said{refused.Code, refused.Class, refused.Message, refused.Errors, ""}
					if len(refused.Checks) > 0 {
						got.status = refused.Checks.Status()
					}
					if diff := cmp.Diff(l.said, got, cmp.AllowUnexported(said{})); diff != "" {
						t.Errorf("what is said (-page +got):\n%s", diff)
					}
					if diff := cmp.Diff(before, everything(t, c)); diff != "" {
						t.Errorf("what there is (-before +after):\n%s", diff)
					}
				})
			}
			predictInactive(t, up)
		})
	}
}

// predictInactive asks an inactive deployment for a prediction (datarobot.md section 6).
func predictInactive(tb testing.TB, up slipway) {
	tb.Helper()
	request, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, up.Predict+"/v2/models/idle/infer", strings.NewReader("{}"))
	if err != nil {
		tb.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		tb.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusForbidden || string(text) != `{"error":"Deployment is inactive"}` {
		tb.Errorf("got %s %s, %v, want 403 and that the deployment is inactive", response.Status, text, err)
	}
}

// The texts of section 3 of datarobot.md, of a verdict that is passing and of one
// that is failing.
func TestDataRobotVerdicts(t *testing.T) {
	t.Parallel()
	c := connect(t, "")
	register(t, c)
	completed(t, c)(c.Deploy(t.Context(), client.Command{Name: "verdicts", ID: "once"}, deploy("Churn", "churn-v1")))
	for model, want := range map[deployment.Name]deployment.Validation{
		"churn-v2": {Status: deployment.Passing, Message: "Model can be used to replace the current model of the deployment."},
		"churn-v1": {Status: deployment.Failing, Message: "Model cannot be used to replace the current model of the deployment."},
	} {
		verdict, err := c.Validate(t.Context(), client.Command{Name: "verdicts"}, handlers.Validate{ModelChoice: handlers.ModelChoice{ModelID: model}})
		if err != nil {
			t.Fatal(err)
		}
		want.CurrentModel, want.NewModel = verdict.CurrentModel, verdict.NewModel
		if diff := cmp.Diff(want, verdict.Validation); diff != "" {
			t.Errorf("verdict on %s (-page +got):\n%s", model, diff)
		}
		for name, text := range map[deployment.CheckName]string{"target": "Target is compatible.", "permission": "User has permission to replace model."} {
			if diff := cmp.Diff(deployment.Check{Status: deployment.Passing, Message: text}, verdict.Checks[name]); diff != "" {
				t.Errorf("check %s of %s (-page +got):\n%s", name, model, diff)
			}
		}
	}
}
