package predict

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/serving"
)

// An inactive deployment says so, in the known text and the shape of every
// error, whatever it is asked.
func TestInactiveDeployment(t *testing.T) {
	t.Parallel()
	s := standing(t)
	k := stand(s, "idle", "m-1", nil)
	k.want.Store(&serving.Desired{Inactive: true})
	const want = `{"error":"Deployment is inactive"}`
	for method, paths := range map[string][]string{
		"POST": {"/infer", "/versions/m-1/infer"},
		"GET":  {"", "/ready", "/versions/m-1", "/versions/m-1/ready"},
	} {
		for _, path := range paths {
			if status, got := do(t, s.Handler(), method, "/v2/models/idle"+path, twoZeros); status != 403 || got != want {
				t.Errorf("%s %s: got %d %s, want 403 %s", method, path, status, got, want)
			}
		}
	}
	// Also while it is launched: until the model answers.
	k.want.Store(&serving.Desired{Inactive: true, Target: ref("m-1")})
	if status, got := do(t, s.Handler(), "POST", "/v2/models/idle/infer", twoZeros); status != 403 || got != want {
		t.Errorf("launching: got %d %s, want 403 %s", status, got, want)
	}
	if _, got := do(t, s.Handler(), "GET", "/v2/models", ""); strings.Contains(got, "idle") {
		t.Errorf("got %s, want an inactive deployment not among what is served", got)
	}
}

// TestStopUnderLoad stops and launches a deployment again and again while
// clients ask for predictions. Each request is answered by the model or told that
// the deployment is inactive; once Stop has returned no request is answered, and
// once Apply has returned none is refused.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	urls := []string{b.started(t, b.Server), b.started(t, b.sibling("two"))}
	local := b.local()
	tickets := make(chan struct{}, 64)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for range tickets {
				response, err := http.Post(urls[i%2]+"/v2/models/churn/infer", "", strings.NewReader(twoZeros))
				if err != nil {
					t.Errorf("prediction failed: %v", err)
					continue
				}
				text, err := io.ReadAll(response.Body)
				_ = response.Body.Close()
				answered := response.StatusCode == 200 && strings.Contains(string(text), `"data":[1]`)
				refused := response.StatusCode == 403 && string(text) == `{"error":"Deployment is inactive"}`
				if err != nil || !answered && !refused {
					t.Errorf("got %d %s: %v", response.StatusCode, text, err)
				}
			}
		})
	}
	if err := local.Apply(patience(t), "churn", deployment.Serve{Model: *ref("m-1")}, 1, quiet); err != nil {
		t.Fatal(err)
	}
	for token := uint64(2); token < 40; token += 2 {
		for range cap(tickets) {
			tickets <- struct{}{}
		}
		if err := local.Stop(patience(t), "churn", true, token, quiet); err != nil {
			t.Fatal(err)
		}
		for _, url := range urls {
			if status, body := ask(t, url); status != 403 {
				t.Errorf("stopped with token %d: got %d %s, want 403", token, status, body)
			}
		}
		if err := local.Apply(patience(t), "churn", deployment.Serve{Model: *ref("m-1")}, token+1, quiet); err != nil {
			t.Fatal(err)
		}
		for _, url := range urls {
			wantAnswer(t, url, "m-1", "1")
		}
	}
	close(tickets)
	all.Wait()
	if err := local.Stop(patience(t), "churn", false, 40, quiet); err != nil {
		t.Fatal(err)
	}
	for _, url := range urls {
		if status, body := ask(t, url); status != 404 {
			t.Errorf("deleted: got %d %s, want 404", status, body)
		}
	}
}
