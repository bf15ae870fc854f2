package deployment_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
)

func TestParsePermissions(t *testing.T) {
	t.Parallel()
	got, err := deployment.ParsePermissions(" churn=/pipelines/churn, fraud-*=/teams/fraud/*,,*=mailto:ada=lovelace@example.com")
	want := deployment.Permissions{
		{Deployment: "churn", Actor: "/pipelines/churn"},
		{Deployment: "fraud-*", Actor: "/teams/fraud/*"},
		{Deployment: "*", Actor: "mailto:ada=lovelace@example.com"},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("got error %v (-want +got):\n%s", err, diff)
	}
	if got, err := deployment.ParsePermissions(""); err != nil || got != nil {
		t.Errorf("of nothing: got %v, %v, want none", got, err)
	}
	for text, why := range map[string]string{
		"churn":         `permission "churn": expected DEPLOYMENT=ACTOR, each a text that may end in *, such as churn=/pipelines/churn`,
		"churn=":        `permission "churn=": expected DEPLOYMENT=ACTOR, each a text that may end in *, such as churn=/pipelines/churn`,
		"=/x":           `permission "=/x": expected DEPLOYMENT=ACTOR, each a text that may end in *, such as churn=/pipelines/churn`,
		"*churn=/x":     `permission "*churn=/x": expected DEPLOYMENT=ACTOR, each a text that may end in *, such as churn=/pipelines/churn`,
		"a=/x,Churn=/x": `permission "Churn=/x": name "Churn": expected 1 to 53 lower-case letters, digits and dashes, starting with a letter and not ending with a dash`,
	} {
		if _, err := deployment.ParsePermissions(text); err == nil || err.Error() != why {
			t.Errorf("%q: got %v, want %s", text, err, why)
		}
	}
}

func TestPermissionsAllow(t *testing.T) {
	t.Parallel()
	permissions, err := deployment.ParsePermissions("churn=/pipelines/churn,fraud-*=/teams/fraud/*,*=user:ada")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, by, actor string
		want            bool
	}{
		{"churn", "/pipelines/churn", "", true},
		{"churn", "/pipelines/churn", "user:eve", true}, // what sends it may
		{"churn", "/pipelines/churn/2", "", false},
		{"churn-2", "/pipelines/churn", "", false},
		{"churn", "/teams/fraud/x", "", false},
		{"fraud-eu", "/teams/fraud/x", "", true},
		{"fraud-", "/teams/fraud/", "", true},
		{"fraud", "/teams/fraud/x", "", false},
		{"anything", "/cli", "user:ada", true}, // for whom it is sent may
		{"anything", "/cli", "", false},
		{"anything", "", "", false},
	} {
		cmd := deployment.Command{Kind: deployment.KindDeployment, Name: deployment.Name(test.name), By: test.by, Actor: test.actor}
		if got := permissions.Allow(cmd); got != test.want {
			t.Errorf("%q for %q on %s: got %t, want %t", test.by, test.actor, test.name, got, test.want)
		}
		if !(deployment.Permissions{}).Allow(cmd) {
			t.Errorf("%q on %s: without permissions, everybody may", test.by, test.name)
		}
		r := deployment.Policy{Permissions: permissions}.Permit(cmd)
		if (r == nil) != test.want {
			t.Errorf("%q on %s: got %v", test.by, test.name, r)
		}
	}
	r := deployment.Policy{Permissions: permissions}.Permit(deployment.Command{Name: "churn", By: "/cli", Actor: "user:eve"})
	want := `expected a command from /pipelines/churn or user:ada, who may change deployment "churn", got one from "user:eve"`
	if r == nil || r.Message != want || r.Code != deployment.CodeNotPermitted {
		t.Errorf("got %+v, want %s", r, want)
	}
	r = deployment.Policy{Permissions: permissions[:1]}.Permit(deployment.Command{Name: "fraud", By: "/cli"})
	if want := `expected a command from nobody, who may change deployment "fraud", got one from "/cli"`; r == nil || r.Message != want {
		t.Errorf("got %+v, want %s", r, want)
	}
}

// The texts are DataRobot's (datarobot.md section 6).
func TestInstallationChoosesAServer(t *testing.T) {
	t.Parallel()
	live := []string{"b", "a"}
	for _, test := range []struct {
		installation deployment.Installation
		id           string
		live         []string
		want         string // id, or what is wrong with it
		code         deployment.Code
	}{
		{"", "", live, "", ""},
		{deployment.OnPremises, "", nil, "", ""},
		{"", "a", live, "Specifying default prediction server ID is not supported in current DataRobot installation.", deployment.CodeInvalidField},
		{deployment.OnPremises, "a", live, "Specifying default prediction server ID is not supported in current DataRobot installation.", deployment.CodeInvalidField},
		{deployment.Cloud, "", live, "Specifying default prediction server ID is required in DataRobot Cloud.", deployment.CodeMissingField},
		{deployment.Cloud, "a", live, "a", ""},
		{deployment.Cloud, "c", live, `prediction server "c" is not registered: registered are a, b`, deployment.CodeUnknownServer},
		{deployment.Cloud, "c", nil, `prediction server "c" is not registered: there is none`, deployment.CodeUnknownServer},
	} {
		id, r := test.installation.Choose(test.id, test.live)
		var want *deployment.Rejection
		if test.code != "" {
			want = deployment.RejectField(test.code, "defaultPredictionServerId", "%s", test.want)
		}
		if diff := cmp.Diff(want, r); diff != "" || r == nil && id != test.want {
			t.Errorf("%q chooses %q of %q: got %q, want %q (-want +got):\n%s", test.installation, test.id, test.live, id, test.want, diff)
		}
	}
}
