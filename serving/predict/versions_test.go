package predict

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ml/slipway/deployment"
)

// TestEveryVersionSpeaksTheProtocol asks for the current version, the candidate and
// the previous one by all paths that take a version.
func TestEveryVersionSpeaksTheProtocol(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Keep = time.Hour
	start(t, b.Server)
	h := b.Handler()
	ask := func(listed string, answers map[string]string) {
		t.Helper()
		_, body := do(t, h, "GET", "/v2/models/churn", "")
		if !strings.Contains(body, `"versions":[`+listed+`]`) {
			t.Errorf("got %s, want versions %s", body, listed)
		}
		for version, value := range answers {
			for path, want := range map[string]string{
				"GET /v2/models/churn/versions/" + version:               `"versions":[` + listed + `]`,
				"GET /v2/models/churn/versions/" + version + "/ready":    `{"name":"churn","ready":true}`,
				"POST /v2/models/churn/versions/" + version + "/infer":   `"model_version":"` + version + `","outputs":[{"name":"predict","shape":[1],"datatype":"FP32","data":[` + value + `]}]`,
				"GET /v1/models/churn/versions/" + version:               `{"name":"churn","ready":true}`,
				"POST /v1/models/churn/versions/" + version + ":predict": `{"predictions":[` + value + `],"model_version":"` + version + `"}`,
			} {
				method, path, _ := strings.Cut(path, " ")
				request := twoZeros
				if strings.HasPrefix(path, "/v1") {
					request = `{"instances":[[0,0]]}`
				}
				if status, body := do(t, h, method, path, request); status != 200 || !strings.Contains(body, want) {
					t.Errorf("%s %s: got %d %s, want %s", method, path, status, body, want)
				}
			}
		}
	}
	b.want(t, 1, 1, ref("m-1"), nil)
	b.answerTo(t, 1, 1)
	ask(`"m-1"`, map[string]string{"m-1": "1"})
	b.want(t, 2, 2, ref("m-1"), ref("m-2"))
	b.answerTo(t, 2, 2)
	ask(`"m-1","m-2"`, map[string]string{"m-1": "1", "m-2": "2"})
	b.want(t, 2, 3, ref("m-2"), nil)
	b.answerTo(t, 2, 3)
	ask(`"m-2","m-1"`, map[string]string{"m-1": "1", "m-2": "2"})
	if status, body := do(t, h, "GET", "/v2/models/churn/versions/m-3", ""); status != 404 {
		t.Errorf("got %d %s, want 404", status, body)
	}
}

// A previous model that is kept takes memory once, however often it comes back, and
// gives way to one that is loaded.
func TestKeptModelsAreAccountedFor(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Keep = time.Hour
	b.sized(200)
	start(t, b.Server)
	for round, step := range []struct {
		active, target, used string
	}{
		{"m-1", "", "100"},
		{"m-1", "m-2", "200"},
		{"m-2", "", "200"},
		{"m-2", "m-1", "200"},
		{"m-1", "", "200"},
		{"m-2", "", "200"},
		{"m-2", "m-3", "200"}, // m-1 went
		{"m-3", "", "200"},
		{"m-3", "broken", "100"},
	} {
		target := ref(step.target)
		if step.target == "" {
			target = nil
		}
		b.want(t, 1, uint64(round+1), ref(step.active), target)
		if o := b.answerTo(t, 1, uint64(round+1)); (o.Error != nil) != (step.target == "broken") {
			t.Errorf("active %q, target %q: got error %v", step.active, step.target, o.Error)
		}
		wantMetrics(t, b.Server, map[string]string{"memory_used_bytes": step.used})
	}
	b.want(t, 2, 1, nil, nil)
	b.answerTo(t, 2, 1)
	wantMetrics(t, b.Server, map[string]string{"memory_used_bytes": "0", `model_bytes{deployment="churn",format="xgboost",version="m-3"}`: ""})
}

// A model that is loaded but answers a golden row otherwise takes no memory after it.
func TestModelWithWrongGoldenRowsIsReleased(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Keep = time.Hour
	b.sized(0)
	url := b.started(t, b.Server)
	local := b.local()
	for i, id := range []string{"m-2", "m-1"} { // then m-2 is the previous one
		if err := local.Apply(patience(t), "churn", deployment.Serve{Model: *ref(id)}, uint64(i+1), quiet); err != nil {
			t.Fatal(err)
		}
	}
	wrong := &deployment.Golden{Rows: []deployment.GoldenRow{{Input: []*float64{nil, nil}, Output: []float64{9}}}}
	for i, id := range []string{"m-2", "m-3"} {
		err := local.Apply(patience(t), "churn", deployment.Serve{Model: *ref(id), Golden: wrong}, uint64(i+10), quiet)
		if _, ok := errors.AsType[*deployment.Failure](err); !ok {
			t.Errorf("%s: got %v, want a failure", id, err)
		}
		wantAnswer(t, url, "m-1", "1")
		wantMetrics(t, b.Server, map[string]string{"memory_used_bytes": []string{"200", "100"}[i]}) // m-2 is kept until another is loaded
	}
}
