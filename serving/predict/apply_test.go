package predict

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/serving"
)

// local is the worker's side of the servers of the bench.
func (b *bench) local() *serving.Local {
	return &serving.Local{Desired: b.desired, Observed: b.observed, Servers: b.servers, Look: 20 * time.Millisecond}
}

func quiet(string) {}

// started runs one more server on the buckets of the bench and waits until it is live.
func (b *bench) started(t *testing.T, s *Server) (url string) {
	t.Helper()
	url, _ = start(t, s)
	if _, err := b.servers.wait(patience(t), s.ID, func(serving.Server) bool { return true }); err != nil {
		t.Fatal(err)
	}
	return url
}

// TestReplaceUnderLoad replaces the model of two servers again and again, with a
// replacement that fails now and then, while clients ask both.
func TestReplaceUnderLoad(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	urls := []string{b.started(t, b.Server), b.started(t, b.sibling("two"))}
	local := b.local()
	if err := local.Apply(patience(t), "churn", deployment.Serve{Model: *ref("m-1")}, 1, quiet); err != nil {
		t.Fatal(err)
	}
	tickets := make(chan struct{}, 64) // each is good for one prediction; there are always some
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for range tickets {
				response, err := client.Post(urls[i%2]+"/v2/models/churn/infer", "", strings.NewReader(twoZeros))
				if err != nil {
					t.Errorf("prediction failed: %v", err)
					continue
				}
				text, err := io.ReadAll(response.Body)
				_ = response.Body.Close()
				one := strings.Contains(string(text), `"model_version":"m-1"`) && strings.Contains(string(text), `"data":[1]`)
				two := strings.Contains(string(text), `"model_version":"m-2"`) && strings.Contains(string(text), `"data":[2]`)
				if err != nil || response.StatusCode != 200 || !one && !two {
					t.Errorf("got %d %s: %v", response.StatusCode, text, err)
				}
			}
		})
	}
	serves := "m-1"
	for token := uint64(2); token < 60; token++ {
		for range cap(tickets) {
			tickets <- struct{}{}
		}
		next := []string{"m-1", "m-2", "broken"}[token%3]
		err := local.Apply(patience(t), "churn", deployment.Serve{Model: *ref(next)}, token, quiet)
		if failure, ok := errors.AsType[*deployment.Failure](err); next == "broken" && (!ok || failure.Code != deployment.CodeServerFailed) ||
			next != "broken" && err != nil {
			t.Errorf("apply %s: %v", next, err)
		}
		if next != "broken" {
			serves = next
		}
		d := b.desired.value("desired.churn")
		if d.Active == nil || d.Active.ID != deployment.Name(serves) || d.Target != nil || d.Token != token {
			t.Errorf("after %s with token %d got %+v, want %s active and no target", next, token, d, serves)
		}
	}
	close(tickets)
	all.Wait()
}

// TestNobodySwitchesIfOneCannot lets one of two servers be unable to load the
// target.
func TestNobodySwitchesIfOneCannot(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	two := b.sibling("two")
	two.Artifacts = &opener{faults: map[deployment.Digest]error{
		"digest-of-m-2": deployment.Reject(deployment.CodeDigestMismatch, "", "artifact has another digest"),
	}}
	urls := []string{b.started(t, b.Server), b.started(t, two)}
	local := b.local()
	if err := local.Apply(patience(t), "churn", deployment.Serve{Model: *ref("m-1")}, 1, quiet); err != nil {
		t.Fatal(err)
	}
	err := local.Apply(patience(t), "churn", deployment.Serve{Model: *ref("m-2")}, 2, quiet)
	failure, ok := errors.AsType[*deployment.Failure](err)
	if want := "prediction server two cannot serve model m-2: digest_mismatch: artifact has another digest"; !ok || failure.Message != want {
		t.Errorf("got %v, want the failure %q", err, want)
	}
	for _, url := range urls {
		wantAnswer(t, url, "m-1", "1")
	}
	for _, c := range b.observed.writes() {
		if c.value.Serving == "m-2" {
			t.Errorf("server %s switched", c.value.Server)
		}
	}
}

// TestFixturesThroughApply deploys the demo models as they are.
func TestFixturesThroughApply(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	files := store{}
	b.Artifacts, b.read = files, nil
	v1 := files.add(t, "churn-v1", "../../cmd/slipway/demo/churn-v1.ubj")
	v2 := files.add(t, "churn-v2", "../../cmd/slipway/demo/churn-v2.ubj")
	url := b.started(t, b.Server)
	for i, model := range []*deployment.ModelRef{v1, v2, v1} {
		if err := b.local().Apply(patience(t), "churn", deployment.Serve{Model: *model}, uint64(i+1), quiet); err != nil {
			t.Fatal(err)
		}
		text := sampleAnswer(t, url)
		want := map[deployment.Name]string{"churn-v1": "0.90327", "churn-v2": "0.96052"}[model.ID]
		if !strings.Contains(text, `"data":[`+want) {
			t.Errorf("%s: got %s, want %s", model.ID, text, want)
		}
	}
}

// sampleAnswer asks for the prediction of the demo's sample.
func sampleAnswer(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Post(url+"/v2/models/churn/infer", "", strings.NewReader(
		`{"inputs":[{"name":"input-0","shape":[1,6],"datatype":"FP64","data":[4.0,96.5,5.0,1.0,2.0,31.5]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
