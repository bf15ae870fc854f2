package predict

import (
	"fmt"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway/deployment"
)

// scrape is what /metrics shows of ours: values by name and labels.
func scrape(t *testing.T, s *Server) map[string]string {
	t.Helper()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if kind := w.Header().Get("Content-Type"); w.Code != 200 || !strings.HasPrefix(kind, "text/plain") {
		t.Fatalf("got %d %s", w.Code, kind)
	}
	if !strings.Contains(w.Body.String(), "\ngo_goroutines ") || !strings.Contains(w.Body.String(), "\nprocess_resident_memory_bytes ") {
		t.Error("nothing is said of the process")
	}
	found := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^slipway_predict_(\S+) (\S+)$`).FindAllStringSubmatch(w.Body.String(), -1) {
		found[m[1]] = m[2]
	}
	return found
}

// wantMetrics compares some of the values; an empty one must not be there.
func wantMetrics(t *testing.T, s *Server, want map[string]string) {
	t.Helper()
	got := scrape(t, s)
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s: got %q, want %q", name, got[name], value)
		}
	}
}

func TestRequestsAreCounted(t *testing.T) {
	t.Parallel()
	s := standing(t)
	h := s.Handler()
	for range 3 {
		do(t, h, "POST", "/v2/models/churn/infer", twoZeros)
	}
	do(t, h, "POST", "/v1/models/churn:predict", `{"instances":[[1,2],[3,4]]}`)
	do(t, h, "POST", "/v1/models/churn:predict", `{"instances":[[1]]}`)
	do(t, h, "POST", "/v2/models/churn/versions/m-9/infer", twoZeros)
	do(t, h, "POST", "/v2/models/deploying/infer", twoZeros)
	do(t, h, "POST", "/v2/models/nan/infer", `{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}`)
	for i := range 100 { // names that clients make up are no labels
		do(t, h, "POST", fmt.Sprintf("/v2/models/nobody-%d/infer", i), twoZeros)
	}
	wantMetrics(t, s, map[string]string{
		`requests_total{deployment="churn",version="m-1"}`:                            "4",
		`request_duration_seconds_count{deployment="churn",version="m-1"}`:            "4",
		`request_duration_seconds_bucket{deployment="churn",version="m-1",le="+Inf"}`: "4",
		`errors_total{deployment="churn",status="400",version="m-1"}`:                 "1",
		`errors_total{deployment="churn",status="404",version=""}`:                    "1",
		`errors_total{deployment="deploying",status="503",version=""}`:                "1",
		`errors_total{deployment="nan",status="500",version="m-4"}`:                   "1",
		`errors_total{deployment="",status="404",version=""}`:                         "100",
		`requests_total{deployment="nan",version="m-4"}`:                              "",
		`in_flight_requests`: "0",
		`ready`:              "0",
	})
}

// TestModelsAreCounted follows a deployment through switches, as its keeper does.
func TestModelsAreCounted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.read = func(string, deployment.Format) (Model, error) {
		return &constant{features: 2, value: 1, bytes: 1000}, nil
	}
	b.want(t, 1, 1, ref("m-1"), nil)
	url, _ := start(t, b.Server)
	<-b.ready
	ask(t, url)
	b.want(t, 2, 1, ref("m-1"), ref("m-2"))
	b.answerTo(t, 2, 1)
	wantMetrics(t, b.Server, map[string]string{
		`model_bytes{deployment="churn",format="xgboost",version="m-1"}`: "1000",
		`model_bytes{deployment="churn",format="xgboost",version="m-2"}`: "1000",
		`memory_used_bytes`:               "2000",
		`memory_limit_bytes`:              "0",
		`ready`:                           "1",
		`swaps_total{deployment="churn"}`: "",
	})
	b.want(t, 2, 2, ref("m-2"), nil)
	b.answerTo(t, 2, 2)
	ask(t, url)
	wantMetrics(t, b.Server, map[string]string{
		`model_bytes{deployment="churn",format="xgboost",version="m-1"}`: "",
		`model_bytes{deployment="churn",format="xgboost",version="m-2"}`: "1000",
		`memory_used_bytes`:                                "1000",
		`swaps_total{deployment="churn"}`:                  "1",
		`drained_requests_total{deployment="churn"}`:       "0",
		`drain_duration_seconds_count{deployment="churn"}`: "1",
		`requests_total{deployment="churn",version="m-1"}`: "1", // still to be scraped
		`requests_total{deployment="churn",version="m-2"}`: "1",
	})
	b.want(t, 3, 1, ref("m-3"), nil)
	b.answerTo(t, 3, 1)
	wantMetrics(t, b.Server, map[string]string{
		`requests_total{deployment="churn",version="m-1"}`: "",
		`requests_total{deployment="churn",version="m-2"}`: "1",
		`swaps_total{deployment="churn"}`:                  "2",
	})
}
