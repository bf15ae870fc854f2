package predict

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// do asks the handler and returns status and body, which have to be as the OpenAPI
// document has them.
func do(t *testing.T, h http.Handler, method, path, body string) (status int, text string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("%s %s: got content type %q", method, path, got)
	}
	checkAnswer(t, method, path, w.Code, w.Body.Bytes())
	if w.Code == 503 && w.Header().Get("Retry-After") == "" {
		t.Errorf("%s %s: got 503 without Retry-After", method, path)
	}
	return w.Code, w.Body.String()
}

// standing is a server with churn (m-1: 2 features, answers 0.5), multi (3
// outputs), deploying (nothing yet) and models that misbehave.
func standing(t *testing.T) *Server {
	t.Helper()
	s := newBench(t).Server
	s.Version = "1.2.3"
	stand(s, "churn", "m-1", &constant{features: 2, value: 0.5, names: []string{"age", "tenure"}})
	stand(s, "multi", "m-3", &constant{features: 1, outputs: 3, value: 1e-7})
	stand(s, "deploying", "", nil)
	stand(s, "nan", "m-4", &constant{features: 1, outputs: 2, value: math.NaN()})
	stand(s, "inf", "m-5", &constant{features: 1, value: math.Inf(-1)})
	stand(s, "faulty", "m-6", &constant{features: 1, err: fmt.Errorf("deliberate")})
	stand(s, "panicking", "m-7", &constant{features: 1, value: panics})
	stand(s, "many", "m-8", &constant{features: 1, outputs: maxAnswer})
	return s
}

func TestProtocol(t *testing.T) {
	t.Parallel()
	h := standing(t).Handler()
	const row = `{"inputs":[{"name":"input-0","shape":[2],"datatype":"FP32","data":[1,2]}]}`
	const one = `{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}`
	const two = `{"inputs":[{"name":"x","shape":[2,1],"datatype":"FP32","data":[1,2]}]}`
	for _, test := range []struct {
		method, path, body string
		status             int
		want               string // the whole answer, or part of it after "…"
	}{
		{"GET", "/v2", "", 200, `{"extensions":[],"name":"slipway","version":"1.2.3"}`},
		{"HEAD", "/v2", "", 200, "…"},
		{"GET", "/v2/health/live", "", 200, `{"live":true}`},
		{"GET", "/v2/health/ready", "", 503, `{"ready":false}`},
		{"GET", "/v2/models", "", 200, `{"models":["churn","deploying","faulty","inf","many","multi","nan","panicking"]}`},
		{"GET", "/v2/models/churn", "", 200, `{"inputs":[{"name":"input-0","datatype":"FP32","shape":[-1,2]}],"name":"churn",` +
			`"outputs":[{"name":"predict","datatype":"FP32","shape":[-1]}],"parameters":{"feature_names":["age","tenure"]},"platform":"xgboost","versions":["m-1"]}`},
		{"GET", "/v2/models/churn/versions/m-1", "", 200, `…"versions":["m-1"]`},
		{"GET", "/v2/models/multi", "", 200, `…"outputs":[{"name":"predict","datatype":"FP32","shape":[-1,3]}],"platform"`},
		{"GET", "/v2/models/churn/ready", "", 200, `{"name":"churn","ready":true}`},
		{"GET", "/v2/models/churn/versions/m-1/ready", "", 200, `{"name":"churn","ready":true}`},
		{"GET", "/v2/models/deploying/ready", "", 503, `{"name":"deploying","ready":false}`},
		{"GET", "/v2/models/deploying", "", 503, `{"error":"model deploying: not ready"}`},

		{"POST", "/v2/models/churn/infer", row, 200, `{"model_name":"churn","model_version":"m-1","outputs":[{"name":"predict","shape":[1],"datatype":"FP32","data":[0.5]}]}`},
		{"POST", "/v2/models/churn/versions/m-1/infer", row, 200, `…"model_version":"m-1"`},
		{"POST", "/v2/models/multi/infer", two, 200, `…"outputs":[{"name":"predict","shape":[2,3],"datatype":"FP32","data":[1e-07,1e-07,1e-07,1e-07,1e-07,1e-07]}]}`},
		{
			"POST", "/v2/models/churn/infer", `{"id":"é\n\"<1>","inputs":[{"name":"a","shape":[2],"datatype":"FP32","data":[1,2]}],"outputs":[{"name":"predict"}],"parameters":{"a":1}}`,
			200, `…"id":"é\n\"\u003c1\u003e","parameters":{"a":1},"outputs"`,
		},
		{"POST", "/v2/models/churn/infer", `{"id":"","inputs":[{"name":"a","shape":[2],"datatype":"FP32","data":[1,2]}]}`, 200, `…"id":"","outputs"`},

		{"GET", "/", "", 404, `{"error":"/: no such path"}`},
		{"GET", "/v3/models", "", 404, "…no such path"},
		{"GET", "/v2/models/nobody", "", 404, `{"error":"model \"nobody\": no such deployment"}`},
		{"GET", "/v2/models/nobody/ready", "", 404, "…no such deployment"},
		{"POST", "/v2/models/nobody/infer", row, 404, "…no such deployment"},
		{"GET", "/v2/models/churn/versions/m-2", "", 404, `…version \"m-2\" is not served, m-1 is`},
		{"GET", "/v2/models/churn/versions/m-2/ready", "", 404, "…is not served"},
		{"POST", "/v2/models/churn/versions/m-2/infer", row, 404, "…is not served"},
		{"POST", "/v2/models/deploying/infer", row, 503, "…not ready"},
		{"POST", "/v2/models", "", 405, "…expected GET"},
		{"GET", "/v2/models/churn/infer", "", 405, "…expected POST"},
		{"PUT", "/v2/health/live", "", 405, "…expected GET"},
		{"POST", "/v2/models/churn/infer", strings.Repeat(" ", DefaultBodyLimit+1), 413, "…more than 16777216 bytes"},
		{
			"POST", "/v2/models/churn/infer", `{"inputs":[{"name":"x","shape":[3],"datatype":"FP32","data":[1,2,3]}]}`, 400,
			`{"error":"input x: expected 2 values per row (age, tenure), got 3"}`,
		},
		{"POST", "/v2/models/many/infer", two, 413, "…2 rows of 16777216 values"},
		{"POST", "/v2/models/nan/infer", two, 500, `{"error":"model nan: version m-4: output predict: row 0, value 0 is NaN"}`},
		{"POST", "/v2/models/inf/infer", one, 500, "…output predict: row 0, value 0 is -Inf"},
		{"POST", "/v2/models/faulty/infer", one, 500, "…deliberate"},
		{"POST", "/v2/models/panicking/infer", one, 500, `{"error":"model panicking: version m-7: prediction broke off"}`},
	} {
		t.Run(test.method+" "+test.path+" "+fmt.Sprint(test.status), func(t *testing.T) {
			t.Parallel()
			status, got := do(t, h, test.method, test.path, test.body)
			part, partly := strings.CutPrefix(test.want, "…")
			if status != test.status || !partly && got != test.want || partly && !strings.Contains(got, part) {
				t.Errorf("got %d %s, want %d %s", status, got, test.status, test.want)
			}
		})
	}
}

// TestFailedInferencesReleaseTheVersion swaps the model out after every kind of
// answer: a reference that is not given back would keep it from draining.
func TestFailedInferencesReleaseTheVersion(t *testing.T) {
	t.Parallel()
	s := standing(t)
	h := s.Handler()
	for _, name := range s.names() {
		for _, method := range []string{"GET", "POST"} {
			for _, path := range []string{"", "/ready", "/infer", "/versions/m-1", "/versions/m-0/infer", "/versions/m-0/ready"} {
				do(t, h, method, "/v2/models/"+name+path, `{"inputs":[{"name":"x","shape":[2,1],"datatype":"FP32","data":[1,2]}]}`)
			}
		}
		k, err := s.keeper(name)
		if err != nil {
			t.Fatal(err)
		}
		if old, running := k.slot.swap(nil, false); old != nil && running != 0 {
			t.Errorf("%s: %d references are left", name, running)
		}
	}
}

func TestServerThatIsStartingKnowsNobody(t *testing.T) {
	t.Parallel()
	h := newBench(t).Handler()
	for method, path := range map[string]string{"GET": "/v2/models/churn/ready", "POST": "/v2/models/churn/infer"} {
		if status, body := do(t, h, method, path, twoZeros); status != 503 {
			t.Errorf("%s: got %d %s, want 503", path, status, body)
		}
	}
}

func TestBodyLimitCountsBytes(t *testing.T) {
	t.Parallel()
	s := standing(t)
	body := `{"inputs":[{"name":"x","shape":[2],"datatype":"FP32","data":[1,2]}]}`
	for _, test := range []struct {
		limit int64
		want  int
	}{{int64(len(body)), 200}, {int64(len(body)) - 1, 413}} {
		s.Limits.Body = test.limit
		for _, length := range []int64{int64(len(body)), -1} {
			r := httptest.NewRequest("POST", "/v2/models/churn/infer", strings.NewReader(body))
			r.ContentLength = length
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, r)
			if w.Code != test.want {
				t.Errorf("limit %d, announced length %d: got %d %s, want %d", test.limit, length, w.Code, w.Body, test.want)
			}
		}
	}
}

// TestServedFixtures asks for the predictions of model files that real XGBoost
// wrote, over HTTP, and compares them with its own.
func TestServedFixtures(t *testing.T) {
	t.Parallel()
	s := newBench(t).Server
	h := s.Handler()
	for i, f := range fixtures(t) {
		model, _, err := load(f.path, "xgboost")
		if err != nil {
			t.Errorf("%s: %v", f.path, err)
			continue
		}
		name := fmt.Sprintf("model-%d", i)
		stand(s, name, "m-1", model)
		data, err := json.Marshal(f.rows)
		if err != nil {
			t.Fatal(err)
		}
		status, text := do(t, h, "POST", "/v2/models/"+name+"/infer", fmt.Sprintf(
			`{"inputs":[{"name":"input-0","datatype":"FP32","data":%s,"shape":[%d,%d]}]}`, data, len(f.rows), f.features))
		var answer struct {
			Outputs []struct{ Data []float32 }
		}
		if err := json.Unmarshal([]byte(text), &answer); err != nil || status != 200 {
			t.Errorf("%s: got %d %s: %v", f.path, status, text, err)
			continue
		}
		got := answer.Outputs[0].Data
		if len(got) != len(f.expected) {
			t.Errorf("%s: got %d values, want %d", f.path, len(got), len(f.expected))
			continue
		}
		for j, want := range f.expected {
			if want == nil || math.Abs(float64(got[j]-*want)) > 1e-6*max(1, math.Abs(float64(*want))) {
				t.Errorf("%s: value %d: got %v, want %v", f.path, j, got[j], *want)
				break
			}
		}
	}
}

// unmarshal reads JSON.
func unmarshal(tb testing.TB, text string, into any) {
	tb.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
}
