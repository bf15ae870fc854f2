package schemas_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/schemas"
)

const (
	deploy   = "dev.slipway.deployment.deploy.requested.v1"
	replace  = "dev.slipway.deployment.replace.requested.v1"
	register = "dev.slipway.model.register.requested.v1"
)

// model is what a model given inline looks like.
const model = `{"format":"xgboost","target":{"name":"churned","type":"Binary","classes":["stays","leaves"]},` +
	`"features":[{"name":"tenure","type":"numeric"},{"name":"plan","type":"categorical"}],` +
	`"artifact":{"object":"churn/v1.ubj","digest":"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","size":48213}}`

// with is the model with one piece of its text exchanged.
func with(tb testing.TB, piece, other string) string {
	tb.Helper()
	if strings.Count(model, piece) != 1 {
		tb.Fatalf("the model has %q %d times, want once", piece, strings.Count(model, piece))
	}
	return strings.Replace(model, piece, other, 1)
}

func load(tb testing.TB) *schemas.Set {
	tb.Helper()
	set, err := schemas.Load()
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

func TestCheckFindsNothingWrong(t *testing.T) {
	t.Parallel()
	set := load(t)
	for _, test := range []struct{ eventType, data string }{
		{deploy, `{"label":"Churn","modelId":"churn-v1"}`},
		{deploy, `{"label":"Churn","description":null,"modelId":"churn-v1"}`},
		{deploy, `{"label":"Churn","description":"Who leaves","model":` + model + `}`},
		{deploy, " {\n\t\"label\" : \"Kündigung 🙂\", \"modelId\":\"churn-v1\"}\r\n"},
		{deploy, `{"label":"` + strings.Repeat("ü", 512) + `","modelId":"churn-v1"}`}, // 512 characters, 1024 bytes
		{replace, `{"reason":"OTHER","modelId":"churn-v1"}`},
		{replace, `{"reason":"ACCURACY","reasonText":"","model":` + model + `}`},
		{register, model},
		{register, with(t, `,"classes":["stays","leaves"]`, "")},
		{register, with(t, `"object":"churn/v1.ubj"`, `"url":"https://example.com/churn.ubj"`)},
		{register, with(t, `"format"`, `"type":"XGBoost Classifier","format"`)},
	} {
		if got := set.Check(test.eventType, json.RawMessage(test.data)); got != nil {
			t.Errorf("%s %s: got %v, want nothing", test.eventType, test.data, got)
		}
	}
}

// Each keyword that the schemas use, with the path that it is about and the
// message that a person reads.
func TestCheckSaysWhatIsWrongAndWhere(t *testing.T) {
	t.Parallel()
	set := load(t)
	tests := map[string]struct {
		eventType, data string
		want            []schemas.Finding
	}{
		"required": {
			deploy, `{"modelId":"churn-v1"}`,
			[]schemas.Finding{{"label", "required", "label is required"}},
		},
		"required, nested": {
			deploy, `{"label":"Churn","model":` + with(t, `"name":"churned",`, "") + `}`,
			[]schemas.Finding{{"model.target.name", "required", "model.target.name is required"}},
		},
		"required, in an array": {
			register, with(t, `{"name":"plan","type":"categorical"}`, `{"type":"categorical"}`),
			[]schemas.Finding{{"features[1].name", "required", "features[1].name is required"}},
		},
		"required, several of one": {
			replace, `{"reason":"OTHER","model":{}}`,
			[]schemas.Finding{
				{"model.artifact", "required", "model.artifact is required"},
				{"model.features", "required", "model.features is required"},
				{"model.format", "required", "model.format is required"},
				{"model.target", "required", "model.target is required"},
			},
		},
		"additionalProperties": {
			deploy, `{"label":"Churn","modelID":"x","modelId":"churn-v1"}`,
			[]schemas.Finding{{"modelID", "additionalProperties", "modelID is not a known member"}},
		},
		"additionalProperties, nested": {
			register, with(t, `{"name":"tenure","type":"numeric"}`, `{"name":"tenure","type":"numeric","unit":"months"}`),
			[]schemas.Finding{{"features[0].unit", "additionalProperties", "features[0].unit is not a known member"}},
		},
		"additionalProperties, a name with a dot": {
			deploy, `{"label":"Churn","modelId":"churn-v1","a.b/c~d":1}`,
			[]schemas.Finding{{"a.b/c~d", "additionalProperties", "a.b/c~d is not a known member"}},
		},
		"enum": {
			replace, `{"reason":"because","modelId":"churn-v1"}`,
			[]schemas.Finding{{"reason", "enum", `reason: expected one of ACCURACY, DATA_DRIFT, ERRORS, SCHEDULED_REFRESH, SCORING_SPEED, DEPRECATION, OTHER, got "because"`}},
		},
		"enum, another type": {
			register, with(t, `"Binary"`, `7`),
			[]schemas.Finding{{"target.type", "enum", `target.type: expected one of Binary, Regression, Multiclass, got 7`}},
		},
		"enum, null": {
			replace, `{"reason":null,"modelId":"churn-v1"}`,
			[]schemas.Finding{{"reason", "enum", `reason: expected one of ACCURACY, DATA_DRIFT, ERRORS, SCHEDULED_REFRESH, SCORING_SPEED, DEPRECATION, OTHER, got null`}},
		},
		"pattern": {
			deploy, `{"label":"Churn","modelId":"Churn V1"}`,
			[]schemas.Finding{{"modelId", "pattern", `modelId: expected a string that matches ^[a-z]([-a-z0-9]{0,51}[a-z0-9])?$, got "Churn V1"`}},
		},
		"pattern, a line end": {
			deploy, `{"label":"Churn","modelId":"churn\n"}`,
			[]schemas.Finding{{"modelId", "pattern", `modelId: expected a string that matches ^[a-z]([-a-z0-9]{0,51}[a-z0-9])?$, got "churn\n"`}},
		},
		"pattern, nested": {
			register, with(t, `"sha256:9f`, `"md5:9f`),
			[]schemas.Finding{{"artifact.digest", "pattern", `artifact.digest: expected a string that matches ^sha256:[0-9a-f]{64}$, got "md5:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`}},
		},
		"type": {
			deploy, `{"label":1,"modelId":"churn-v1"}`,
			[]schemas.Finding{{"label", "type", "label: got number, want string"}},
		},
		"type, one of two": {
			deploy, `{"label":"Churn","description":true,"modelId":"churn-v1"}`,
			[]schemas.Finding{{"description", "type", "description: got boolean, want null or string"}},
		},
		"type, of data itself": {
			deploy, `["label"]`,
			[]schemas.Finding{{"", "type", "data: got array, want object"}},
		},
		"type, null for an object": {
			replace, `{"reason":"OTHER","model":null}`,
			[]schemas.Finding{{"model", "type", "model: got null, want object"}},
		},
		"type, a fraction": {
			register, with(t, "48213", "48213.5"),
			[]schemas.Finding{{"artifact.size", "type", "artifact.size: got number, want integer"}},
		},
		"minLength": {
			deploy, `{"label":"","modelId":"churn-v1"}`,
			[]schemas.Finding{{"label", "minLength", "label: minLength: got 0, want 1"}},
		},
		"maxLength": {
			deploy, `{"label":"` + strings.Repeat("x", 513) + `","modelId":"churn-v1"}`,
			[]schemas.Finding{{"label", "maxLength", "label: maxLength: got 513, want 512"}},
		},
		"minItems": {
			register, with(t, `{"name":"tenure","type":"numeric"},{"name":"plan","type":"categorical"}`, ""),
			[]schemas.Finding{{"features", "minItems", "features: minItems: got 0, want 1"}},
		},
		"minItems, of classes": {
			register, with(t, `"stays","leaves"`, `"stays"`),
			[]schemas.Finding{{"target.classes", "minItems", "target.classes: minItems: got 1, want 2"}},
		},
		"maximum": {
			register, with(t, "48213", "9007199254740992"),
			[]schemas.Finding{{"artifact.size", "maximum", "artifact.size: expected 9007199254740991 or less, got 9007199254740992"}},
		},
		"uniqueItems": {
			register, with(t, `"stays","leaves"`, `"stays","leaves","stays"`),
			[]schemas.Finding{{"target.classes", "uniqueItems", "target.classes: items at 0 and 2 are equal"}},
		},
		"minimum": {
			register, with(t, "48213", "0"),
			[]schemas.Finding{{"artifact.size", "minimum", "artifact.size: expected 1 or more, got 0"}},
		},
		"minimum, negative": {
			register, with(t, "48213", "-1"),
			[]schemas.Finding{{"artifact.size", "minimum", "artifact.size: expected 1 or more, got -1"}},
		},
		"oneOf, none": {
			deploy, `{"label":"Churn"}`,
			[]schemas.Finding{{"", "required", "expected exactly one of modelId, model, source"}, {"modelId", "required", "modelId is required"}},
		},
		"oneOf, both": {
			deploy, `{"label":"Churn","modelId":"churn-v1","model":` + model + `}`,
			[]schemas.Finding{{"", "oneOf", "expected exactly one of modelId, model, source"}},
		},
		"anyOf, none": {
			"dev.slipway.deployment.update.requested.v1", `{}`,
			[]schemas.Finding{{"", "anyOf", "expected at least one of label, description, importance, modelId, model, source, version, commit"}},
		},
		"oneOf, or none, two": {
			"dev.slipway.deployment.update.requested.v1", `{"label":"Churn","modelId":"churn-v1","version":1}`,
			[]schemas.Finding{{"", "oneOf", "expected exactly one of modelId, model, source, version, commit, or none"}},
		},
		"anyOf, two": {
			"dev.slipway.deployment.update.requested.v1", `{"label":"Churn","description":null}`, nil,
		},
		"oneOf, none, nested": {
			replace, `{"reason":"OTHER","model":` + with(t, `"object":"churn/v1.ubj",`, "") + `}`,
			[]schemas.Finding{
				{"model.artifact", "required", "expected exactly one of model.artifact.url, model.artifact.object"},
				{"model.artifact.url", "required", "model.artifact.url is required"},
			},
		},
		"oneOf, both, nested": {
			register, with(t, `"object"`, `"url":"https://example.com/m","object"`),
			[]schemas.Finding{{"artifact", "oneOf", "expected exactly one of artifact.url, artifact.object"}},
		},
		"several at once, in the order of their paths": {
			deploy, `{"label":"","lable":"Churn","description":5,"model":` +
				`{"format":"pickle","target":{"name":"churned","type":"Ternary"},"features":[{"name":"a","type":"numeric"},{"name":"","typ":"numeric"}],` +
				`"artifact":{"digest":"none","size":"big"}}}`,
			[]schemas.Finding{
				{"description", "type", "description: got number, want null or string"},
				{"label", "minLength", "label: minLength: got 0, want 1"},
				{"lable", "additionalProperties", "lable is not a known member"},
				{"model.artifact", "required", "expected exactly one of model.artifact.url, model.artifact.object"},
				{"model.artifact.digest", "pattern", `model.artifact.digest: expected a string that matches ^sha256:[0-9a-f]{64}$, got "none"`},
				{"model.artifact.size", "type", "model.artifact.size: got string, want integer"},
				{"model.artifact.url", "required", "model.artifact.url is required"},
				{"model.features[1].name", "minLength", "model.features[1].name: minLength: got 0, want 1"},
				{"model.features[1].typ", "additionalProperties", "model.features[1].typ is not a known member"},
				{"model.features[1].type", "required", "model.features[1].type is required"},
				{"model.format", "enum", "model.format: expected one of " + formats() + `, got "pickle"`},
				{"model.target.type", "enum", `model.target.type: expected one of Binary, Regression, Multiclass, got "Ternary"`},
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 5 { // the members of an object have no order
				if diff := cmp.Diff(test.want, set.Check(test.eventType, json.RawMessage(test.data))); diff != "" {
					t.Fatalf("findings for %s (-want +got):\n%s", test.data, diff)
				}
			}
		})
	}
}

func TestCheckOfWhatIsNotJSON(t *testing.T) {
	t.Parallel()
	set := load(t)
	for _, data := range []string{
		"", " ", "{", `{"label":}`, `{"label":"a"} {}`, `{"label":"a"}]`, "label: Churn", "\x00", `{"label":"a",}`, `[1,]`, `{"a" 1}`,
		`{'label':'a'}`, `{"label":01}`, `{"label":NaN}`, `{"label":"` + "\n" + `"}`, `{"label":"\x41"}`, "\ufeff{}",
	} {
		got := set.Check(deploy, json.RawMessage(data))
		if len(got) != 1 || got[0].Keyword != "json" || got[0].Path != "" || !strings.HasPrefix(got[0].Message, "expected JSON: ") {
			t.Errorf("%q: got %v, want one finding that it is not JSON", data, got)
		}
	}
}

func TestCheckOfAnUnknownType(t *testing.T) {
	t.Parallel()
	set := load(t)
	for _, eventType := range []string{"", "dev.slipway.deployment.explode.requested.v1", "..", "common", "state.v1.json"} {
		got := set.Check(eventType, json.RawMessage(`{}`))
		if len(got) != 1 || got[0].Keyword != "schema" || got[0].Message != "no schema for events of type "+eventType {
			t.Errorf("%q: got %v, want one finding that there is no schema", eventType, got)
		}
	}
}

// Of two members with one name a reader takes the first, another the last, a
// third one mixes them: what is checked would not be what is carried out.
func TestCheckRefusesAMemberThatIsGivenTwice(t *testing.T) {
	t.Parallel()
	set := load(t)
	tests := map[string]struct{ eventType, data, path string }{
		"at the top":      {deploy, `{"label":"Churn","modelId":"churn-v1","label":"Churn"}`, "label"},
		"nested":          {register, with(t, `"object":"churn/v1.ubj"`, `"object":"a","object":"churn/v1.ubj"`), "artifact.object"},
		"in an array":     {register, with(t, `"name":"plan"`, `"name":"plan","name":"plan"`), "features[1].name"},
		"by an escape":    {deploy, `{"label":"Churn","modelId":"churn-v1","l\u0061bel":"Churn"}`, "label"},
		"a whole object":  {deploy, `{"label":"Churn","model":{"artifact":{"url":"file:///etc/passwd"}},"model":` + model + `}`, "model"},
		"the empty name":  {deploy, `{"label":"Churn","modelId":"churn-v1","":1,"":1}`, ""},
		"an unknown name": {deploy, `{"label":"Churn","modelId":"churn-v1","x":{"y":1,"y":1}}`, "x.y"},
	}
	for name, test := range tests {
		found := false
		for _, finding := range set.Check(test.eventType, json.RawMessage(test.data)) {
			found = found || finding.Path == test.path && strings.HasSuffix(finding.Message, " is given twice")
		}
		if !found {
			t.Errorf("%s: got %v, want a finding that %s is given twice", name, set.Check(test.eventType, json.RawMessage(test.data)), test.path)
		}
	}
}

// What a stranger sends must neither take the process down nor keep it busy.
func TestCheckBearsHugeData(t *testing.T) {
	t.Parallel()
	set := load(t)
	tests := map[string]string{
		"a label of 2 MB":           `{"label":"` + strings.Repeat("x", 2<<20) + `","modelId":"churn-v1"}`,
		"a name of 2 MB":            `{"label":"Churn","modelId":"` + strings.Repeat("A", 2<<20) + `"}`,
		"a member of 2 MB":          `{"label":"Churn","modelId":"churn-v1","` + strings.Repeat("x", 2<<20) + `":1}`,
		"an enum of 2 MB":           `{"label":"Churn","model":{"format":{"` + strings.Repeat("x", 2<<20) + `":1}}}`,
		"100,000 unknown members":   `{"label":"Churn"` + manyMembers(100_000) + `}`,
		"100,000 bad features":      `{"label":"Churn","model":{"features":[1` + strings.Repeat(",1", 100_000) + `]}}`,
		"10,000 arrays deep":        strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000),
		"1,000,000 arrays deep":     strings.Repeat("[", 1_000_000) + strings.Repeat("]", 1_000_000),
		"10,000 objects deep":       strings.Repeat(`{"model":`, 10_000) + "1" + strings.Repeat("}", 10_000),
		"1,000,000 unclosed arrays": strings.Repeat("[", 1_000_000),
		"a number of 1 MB":          `{"label":` + strings.Repeat("9", 1<<20) + `}`,
		"a huge exponent":           `{"label":"Churn","model":{"artifact":{"size":1e999999999}}}`,
		"huge exponents to compare": `{"label":"Churn","model":{"target":{"classes":[1` + strings.Repeat(",1e999999999", 30) + `]}}}`,
		"tiny exponents to compare": `{"label":"Churn","model":{"target":{"classes":[1` + strings.Repeat(",1e-999999999", 30) + `]}}}`,
		"exponents that cost":       `{"label":"Churn","model":{"target":{"classes":[1` + strings.Repeat(",1e999999", 20_000) + `]}}}`,
		"exponents that cost a lot": `{"label":"Churn","model":{"target":{"classes":[1` + strings.Repeat(",1e-999999", 20_000) + `]}}}`,
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			got := set.Check(deploy, json.RawMessage(data))
			if took := time.Since(start); took > time.Minute { // it takes milliseconds; without limits, minutes
				t.Errorf("took %s", took)
			}
			if len(got) == 0 {
				t.Fatal("got no finding")
			}
			// A rejected event carries the findings twice and has to fit into 1 MiB.
			size := 0
			for _, finding := range got {
				size += len(finding.Path) + len(finding.Message)
			}
			if size > 100<<10 {
				t.Errorf("%d findings have %d bytes, want few enough to be published", len(got), size)
			}
		})
	}
}

func TestCheckRefusesDeepNesting(t *testing.T) {
	t.Parallel()
	set := load(t)
	for _, test := range []struct {
		open, inner, end string
		depth            int
		keyword          string
	}{
		{"[", "", "]", 1000, "type"},
		{"[", "", "]", 1001, "json"},
		{`{"label":`, "1", "}", 1000, "type"},
		{`{"label":`, "1", "}", 1001, "json"},
	} {
		data := strings.Repeat(test.open, test.depth) + test.inner + strings.Repeat(test.end, test.depth)
		found := set.Check(deploy, json.RawMessage(data))
		i := slices.IndexFunc(found, func(f schemas.Finding) bool { return f.Keyword == test.keyword })
		if i < 0 || test.keyword == "json" && found[i].Message != "expected JSON: objects and arrays are nested more than 1000 deep" {
			t.Errorf("%d times %s: got %v, want a finding by %s", test.depth, test.open, found, test.keyword)
		}
	}
}

func manyMembers(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, `,"m%d":1`, i)
	}
	return text.String()
}

func TestCheckOfLargeNumbers(t *testing.T) {
	t.Parallel()
	set := load(t)
	tests := map[string]bool{
		"1":                   true,
		"1.0":                 true, // an integer to JSON Schema; the handlers refuse it
		"1e3":                 true,
		"9007199254740991":    true,
		"9007199254740992":    false, // not every reader of JSON holds more exactly
		"9223372036854775808": false,
		"1e16":                false,
		"1e300":               false,
		"1e400":               false, // more than a float64 holds
		"1e999999999":         false,
		"1e-999999999":        false,
		"-1e999999999":        false,
	}
	for number, valid := range tests {
		got := set.Check(register, json.RawMessage(with(t, "48213", number)))
		if valid != (len(got) == 0) {
			t.Errorf("size %s: got %v, want valid %t", number, got, valid)
		}
		for _, finding := range got {
			if finding.Path != "artifact.size" || finding.Message == "" {
				t.Errorf("size %s: got %+v, want a message about artifact.size", number, finding)
			}
		}
	}
}

// These are not computed with at all.
func TestCheckRefusesNumbersWithoutEnd(t *testing.T) {
	t.Parallel()
	set := load(t)
	for _, number := range []string{strings.Repeat("9", 401), "0." + strings.Repeat("1", 400), "1e401", "1E+401", "1e-401", "1e99999999999999999999"} {
		want := []schemas.Finding{{"artifact.size", "number", "artifact.size: expected a number of at most 400 digits and an exponent of at most 400"}}
		if diff := cmp.Diff(want, set.Check(register, json.RawMessage(with(t, "48213", number)))); diff != "" {
			t.Errorf("size %.10s: findings (-want +got):\n%s", number, diff)
		}
	}
}

func TestCheckOfEvents(t *testing.T) {
	t.Parallel()
	set := load(t)
	const rest = `"command":{"token":"abcdefghijklmnopqrstuvwxyz","sequence":7,"storedAt":"2026-03-01T08:00:00Z"},"worker":"w1","ledger":{"previous":0,"watermark":7}`
	tests := map[string]struct {
		eventType, data string
		want            []schemas.Finding
	}{
		"started":  {"dev.slipway.deployment.deploy.started.v1", `{"attempt":1,` + rest + `}`, nil},
		"progress": {"dev.slipway.model.register.progress.v1", `{"attempt":1,"message":"fetching",` + rest + `}`, nil},
		"rejected": {
			"dev.slipway.deployment.unknown.rejected.v1",
			`{"failure":{"code":"not_cloudevent","class":"invalid","message":"no","retryable":false},"raw":{"digest":"sha256:` + strings.Repeat("0", 64) + `","size":0,"head":""},` + rest + `}`, nil,
		},
		"a member of another outcome": {
			"dev.slipway.deployment.deploy.started.v1", `{"attempt":1,"changed":true,` + rest + `}`,
			[]schemas.Finding{{"changed", "unevaluatedProperties", "changed is not a known member"}},
		},
		"no attempt": {
			"dev.slipway.deployment.deploy.failed.v1", `{"failure":{"code":"panic","class":"internal","message":"no","retryable":true},` + rest + `}`,
			[]schemas.Finding{{"attempt", "required", "attempt is required"}},
		},
		"a time that is none": {
			"dev.slipway.deployment.deploy.expired.v1", `{"expiredAt":"yesterday",` + rest + `}`,
			[]schemas.Finding{{"expiredAt", "format", "expiredAt: 'yesterday' is not valid date-time: less than 20 characters long"}},
		},
		"completed has a schema of its own": {
			"dev.slipway.model.register.completed.v1", `{"changed":true,` + rest + `}`,
			[]schemas.Finding{{"model", "required", "model is required"}},
		},
	}
	for name, test := range tests {
		if diff := cmp.Diff(test.want, set.Check(test.eventType, json.RawMessage(test.data))); diff != "" {
			t.Errorf("%s: findings (-want +got):\n%s", name, diff)
		}
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	set := load(t)
	for eventType, want := range map[string]string{
		deploy: deploy + ".json",
		"dev.slipway.deployment.deploy.completed.v1": "dev.slipway.deployment.deploy.completed.v1.json",
		"dev.slipway.deployment.deploy.rejected.v1":  "outcome.rejected.v1.json",
		"dev.slipway.model.unknown.rejected.v1":      "outcome.rejected.v1.json",
		"dev.slipway.invalid.unknown.rejected.v1":    "outcome.rejected.v1.json",
		"dev.slipway.deployment.unknown.explode.v1":  "",
		"":         "",
		"rejected": "",
	} {
		if got := set.File(eventType); got != want {
			t.Errorf("File(%q): got %q, want %q", eventType, got, want)
		}
	}
}

// formats is the list of formats as a message names them.
func formats() string {
	var names []string
	for _, format := range deployment.Formats() {
		names = append(names, string(format))
	}
	return strings.Join(names, ", ")
}
