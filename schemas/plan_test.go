package schemas_test

import (
	"strings"
	"testing"
)

// requested are the types of commands.
func requested(tb testing.TB) (types []string) {
	tb.Helper()
	for name := range byName(tb) {
		if strings.HasSuffix(name, ".requested.v1.json") {
			types = append(types, strings.TrimSuffix(name, ".json"))
		}
	}
	return types
}

// There is a plan for every command, and what programs send is accepted by it.
func TestPlansAcceptWhatIsUsual(t *testing.T) {
	t.Parallel()
	set := load(t)
	for eventType, usual := range map[string][]string{
		deploy: {
			`{"label":"Churn","modelId":"churn-v1"}`, "{ \"label\" : \"Kündigung\",\r\n\t\"modelId\": \"churn-v1\" }\n",
			`{"label":"Churn","description":null,"importance":"HIGH","model":` + model + `}`,
			`{"label":"` + strings.Repeat("ü", 512) + `","modelId":"churn-v1"}`,
		},
		replace: {
			`{"reason":"OTHER","modelId":"churn-v2"}`, `{"reason":"ACCURACY","reasonText":"","strict":true,"model":` + model + `}`,
		},
		register: {model},
		"dev.slipway.deployment.cancel.requested.v1":     {`{"source":"/pipeline","id":"42"}`},
		"dev.slipway.deployment.deactivate.requested.v1": {`{}`},
	} {
		for _, data := range usual {
			if !set.Accepts(eventType, []byte(data)) {
				t.Errorf("%s: %s is not accepted; it has %v", eventType, data, set.Explain(eventType, []byte(data)))
			}
		}
	}
}

// FuzzPlan: what a plan accepts, the schema finds nothing wrong with.
func FuzzPlan(f *testing.F) {
	set, types := load(f), requested(f)
	for _, seed := range []string{
		`{}`, `{"label":"Churn","modelId":"churn-v1"}`, `{"label":"a","label":"b"}`, `{"label":"","modelId":"x"}`, `{"modelId":"x","model":{}}`,
		`{"reason":"OTHER","model":` + model + `}`, model, `{"reason":"OTHER","modelId":"churn-v2","strict":null}`, `{"reason":"OTHER","modelId":"churn-v2",}`,
		`{"source":"/pipeline","id":"42"}`, `{"source":"/pipeline","id":""}`, `{"label":null}`, `{"description":null}`, `{"description":"\u0041"}`,
		strings.Replace(model, "48213", "048213", 1), strings.Replace(model, "48213", "48213.0", 1), strings.Replace(model, "48213", "0", 1),
		strings.Replace(model, "leaves", "stays", 1), strings.Replace(model, `"classes":["stays","leaves"]`, `"classes":["stays"]`, 1),
		strings.Replace(model, `[{"name":"tenure","type":"numeric"},`, "[", 1), "{\"label\":\"\xff\",\"modelId\":\"x\"}", `{"label":"a","modelId":"x"} {}`,
		`{"targetDrift":{"enabled":true}}`, `{"featureDrift":{"enabled":false},"targetDrift":null}`,
	} {
		for i := range types {
			f.Add(i, []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, i int, data []byte) {
		eventType := types[max(0, i)%len(types)]
		if !set.Accepts(eventType, data) {
			return
		}
		if found := set.Explain(eventType, data); len(found) > 0 {
			t.Errorf("%s: %q is accepted, but has %v", eventType, data, found)
		}
	})
}
