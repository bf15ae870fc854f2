package predict

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-ml/slipway/deployment"
)

// answersOf is what the version of a deployment answers, "none" if nothing does.
func (b *bench) answersOf(t *testing.T, name, version string) string {
	t.Helper()
	status, body := do(t, b.Handler(), "POST", "/v2/models/"+name+"/versions/"+version+"/infer", twoZeros)
	if status != 200 {
		return "none"
	}
	_, data, _ := strings.Cut(body, `"data":[`)
	value, _, _ := strings.Cut(data, "]")
	return value
}

// TestKeptModelsGoBeforeOneIsRefused fills the memory with kept models of two
// deployments: a third one gets it, from the one that is kept longest, and no more
// than it needs. What would not fit even so is refused and takes nothing.
func TestKeptModelsGoBeforeOneIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.Keep = time.Hour
		b.sized(450)
		defer bubble(t, b)()
		for i, step := range []struct{ name, model string }{{"first", "m-1"}, {"second", "m-2"}, {"first", "m-3"}, {"second", "m-4"}} {
			b.wantOf(t, deployment.Name(step.name), 10, uint64(i+1), ref(step.model), nil)
			pass(time.Second)
		}
		large := ref("m-5")
		large.Size = 251 // with both of the kept models gone there are 250
		b.wantOf(t, "churn", 10, 1, large, nil)
		synctest.Wait()
		if o := b.observed.value("observed.churn.one"); o.Error == nil || o.Error.Code != string(deployment.CodeMemoryExceeded) {
			t.Errorf("a model that does not fit: got %+v", o)
		}
		if got := [2]string{b.answersOf(t, "first", "m-1"), b.answersOf(t, "second", "m-2")}; got != [2]string{"1", "2"} {
			t.Errorf("the kept models answer %q after a model was refused", got)
		}
		b.want(t, 10, 2, ref("m-5"), nil)
		synctest.Wait()
		wantObserved(t, b.observed.value("observed.churn.one"), "m-5", "")
		if got := [2]string{b.answersOf(t, "first", "m-1"), b.answersOf(t, "second", "m-2")}; got != [2]string{"none", "2"} {
			t.Errorf("the kept models answer %q after a model needed room, want the older one gone", got)
		}
		if got := [2]string{b.answersOf(t, "first", "m-3"), b.answersOf(t, "second", "m-4")}; got != [2]string{"3", "4"} {
			t.Errorf("the current models answer %q", got)
		}
		wantMetrics(t, b.Server, map[string]string{"memory_used_bytes": "400"})
		b.wantOf(t, "first", 10, 9, ref("m-1"), nil) // loaded again
		synctest.Wait()
		if got := b.answersOf(t, "first", "m-1"); got != "1" {
			t.Errorf("the model that was let go answers %q when it is wanted again", got)
		}
		wantMetrics(t, b.Server, map[string]string{"memory_used_bytes": "400"})
	})
}

// TestRoomIsWaitedFor lets a request run on the kept model of the same deployment,
// and of another one, while their memory is needed.
func TestRoomIsWaitedFor(t *testing.T) {
	t.Parallel()
	for _, name := range []deployment.Name{"churn", "other"} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.Keep = time.Hour
			stuck := &constant{features: 2, value: 1, bytes: 100, begun: make(chan struct{}, 2), end: make(chan struct{})}
			b.sized(250)
			read := b.read
			b.read = func(path string, format deployment.Format) (Model, error) {
				if path == "digest-of-m-1" {
					return stuck, nil
				}
				return read(path, format)
			}
			defer bubble(t, b)()
			b.want(t, 10, 1, ref("m-1"), nil)
			synctest.Wait()
			b.want(t, 10, 2, ref("m-2"), nil)
			synctest.Wait()
			answered := make(chan string, 1)
			go func() { answered <- b.answers(t, "m-1") }()
			<-stuck.begun
			b.wantOf(t, name, 10, 3, ref("m-3"), nil)
			pass(time.Second)
			if got := b.answersOf(t, string(name), "m-3"); got != "none" {
				t.Errorf("%s: the new model answers %q while there is no room for it", name, got)
			}
			close(stuck.end)
			if got := <-answered; got != "1" {
				t.Errorf("%s: the request on the kept model is answered with %q", name, got)
			}
			synctest.Wait()
			if got := b.answersOf(t, string(name), "m-3"); got != "3" {
				t.Errorf("%s: the new model answers %q when there is room", name, got)
			}
			if o := b.observed.value("observed." + string(name) + ".one"); o.Error != nil {
				t.Errorf("%s: got %+v", name, o.Error)
			}
		})
	}
}
