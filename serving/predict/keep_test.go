package predict

import (
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-ml/slipway/deployment"
)

// TestGoingBackIsASwitch goes back to the model before: nothing is opened or
// loaded for it.
func TestGoingBackIsASwitch(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Keep = time.Hour
	url, _ := start(t, b.Server)
	b.want(t, 10, 1, ref("m-1"), nil)
	b.answerTo(t, 10, 1)
	b.want(t, 11, 2, ref("m-1"), ref("m-2"))
	b.answerTo(t, 11, 2)
	b.want(t, 11, 3, ref("m-2"), nil)
	b.answerTo(t, 11, 3)
	wantAnswer(t, url, "m-2", "2")

	b.opener.setFault("digest-of-m-1", deployment.Reject(deployment.CodeArtifactNotFound, "", "gone"))
	b.want(t, 12, 4, ref("m-2"), ref("m-1"))
	wantObserved(t, b.answerTo(t, 12, 4), "m-2", "m-1")
	b.want(t, 12, 5, ref("m-1"), nil)
	wantObserved(t, b.answerTo(t, 12, 5), "m-1", "")
	wantAnswer(t, url, "m-1", "1")
	// And without being prepared, as Restore does it.
	b.want(t, 13, 6, ref("m-2"), nil)
	wantObserved(t, b.answerTo(t, 13, 6), "m-2", "")
	wantAnswer(t, url, "m-2", "2")
	if want := []deployment.Digest{"digest-of-m-1", "digest-of-m-2"}; !slices.Equal(b.opener.opened, want) {
		t.Errorf("opened %v, want each model once", b.opener.opened)
	}
}

// answers is what the version of churn answers.
func (b *bench) answers(t *testing.T, version string) string {
	t.Helper()
	return b.answersOf(t, "churn", version)
}

// TestVersionsAreAddressable asks for each of the versions that are loaded.
func TestVersionsAreAddressable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.Keep = 5 * time.Minute
		defer bubble(t, b)()
		for round, step := range []struct {
			active, target string
			want           [3]string // of m-1, m-2, m-3
		}{
			{"m-1", "", [3]string{"1", "none", "none"}},
			{"m-1", "m-2", [3]string{"1", "2", "none"}},
			{"m-2", "", [3]string{"1", "2", "none"}},
			{"m-2", "m-3", [3]string{"none", "2", "3"}}, // never more than two
			{"m-2", "", [3]string{"none", "2", "none"}},
			{"m-3", "", [3]string{"none", "2", "3"}},
			{"m-3", "m-2", [3]string{"none", "2", "3"}},
			{"m-3", "", [3]string{"none", "2", "3"}},
		} {
			var target *deployment.ModelRef
			if step.target != "" {
				target = ref(step.target)
			}
			b.want(t, 10, uint64(round+1), ref(step.active), target)
			synctest.Wait()
			if got := [3]string{b.answers(t, "m-1"), b.answers(t, "m-2"), b.answers(t, "m-3")}; got != step.want {
				t.Errorf("active %q, target %q: versions 1 to 3 answer %q, want %q", step.active, step.target, got, step.want)
			}
		}
		pass(5*time.Minute - time.Second)
		if got := b.answers(t, "m-2"); got != "2" {
			t.Errorf("the previous model answers %q before its time is over", got)
		}
		pass(2 * time.Second)
		if got := b.answers(t, "m-2"); got != "none" {
			t.Errorf("the previous model answers %q after its time", got)
		}
		if got := b.answers(t, "m-3"); got != "3" {
			t.Errorf("the current model answers %q", got)
		}
		b.want(t, 11, 9, ref("m-2"), nil)
		synctest.Wait()
		if err := b.desired.Delete(t.Context(), "desired.churn"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := b.answers(t, "m-3"); got != "none" {
			t.Errorf("a model of a deployment that is deleted answers %q", got)
		}
	})
}

// TestTheKeptModelGoesBeforeAnotherIsLoaded holds a load up.
func TestTheKeptModelGoesBeforeAnotherIsLoaded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.Keep = time.Hour
		gate := make(chan struct{})
		b.opener.gates["digest-of-m-3"] = gate
		defer bubble(t, b)()
		b.want(t, 10, 1, ref("m-1"), nil)
		synctest.Wait()
		b.want(t, 10, 2, ref("m-2"), nil)
		synctest.Wait()
		before := b.answers(t, "m-1")
		b.want(t, 11, 3, ref("m-2"), ref("m-3"))
		synctest.Wait()
		if after := b.answers(t, "m-1"); before != "1" || after != "none" {
			t.Errorf("the kept model answers %q, and %q while another one is loaded", before, after)
		}
		close(gate)
		synctest.Wait()
		wantObserved(t, b.observed.value("observed.churn.one"), "m-2", "m-3")
	})
}

// TestPredictionThatDoesNotEndHoldsUpNobody lets a prediction run on the old
// model for ever: the switch is reported, and the next one made.
func TestPredictionThatDoesNotEndHoldsUpNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		stuck := &constant{features: 2, value: 1, begun: make(chan struct{}, 1), end: make(chan struct{})}
		read := b.read
		b.read = func(path string, format deployment.Format) (Model, error) {
			if path == "digest-of-m-1" {
				return stuck, nil
			}
			return read(path, format)
		}
		stop := bubble(t, b)
		b.want(t, 10, 1, ref("m-1"), nil)
		synctest.Wait()
		answered := make(chan string, 1)
		go func() {
			_, body := do(t, b.Handler(), "POST", "/v2/models/churn/infer", twoZeros)
			answered <- body
		}()
		<-stuck.begun
		b.want(t, 11, 2, ref("m-2"), nil)
		synctest.Wait()
		if got := b.answers(t, "m-2"); got != "2" {
			t.Errorf("the new model answers %q while a prediction runs on the old one", got)
		}
		if o := b.observed.value("observed.churn.one"); o.Round == 2 {
			t.Errorf("reported before the old model is drained or late: %+v", o)
		}
		pass(DefaultGrace + time.Second)
		o := b.observed.value("observed.churn.one")
		wantObserved(t, o, "m-2", "")
		if o.Round != 2 || o.Drained != 0 {
			t.Errorf("got %+v, want the switch reported, and nothing drained", o)
		}
		b.want(t, 12, 3, ref("m-2"), ref("m-3"))
		synctest.Wait()
		wantObserved(t, b.observed.value("observed.churn.one"), "m-2", "m-3")
		close(stuck.end)
		if body := <-answered; !strings.Contains(body, `"model_version":"m-1"`) || !strings.Contains(body, `"data":[1]`) {
			t.Errorf("the prediction that ran on the old model was answered with %s", body)
		}
		stop()
	})
}

// TestReplacedModelIsFreed: nothing holds on to a model that was replaced and
// need not be kept.
func TestReplacedModelIsFreed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	freed := make(chan struct{})
	read := b.read
	b.read = func(path string, format deployment.Format) (Model, error) {
		m, err := read(path, format)
		if c, ok := m.(*constant); ok && path == "digest-of-m-1" {
			goruntime.AddCleanup(c, func(freed chan struct{}) { close(freed) }, freed)
		}
		return m, err
	}
	url, _ := start(t, b.Server)
	b.want(t, 10, 1, ref("m-1"), nil)
	b.answerTo(t, 10, 1)
	wantAnswer(t, url, "m-1", "1")
	b.want(t, 11, 2, ref("m-1"), ref("m-2"))
	b.answerTo(t, 11, 2)
	b.want(t, 11, 3, ref("m-2"), nil)
	b.answerTo(t, 11, 3)
	for ctx := patience(t); ; {
		goruntime.GC()
		select {
		case <-freed:
			return
		case <-ctx.Done():
			t.Fatal("the model that was replaced is still there")
		case <-time.After(time.Millisecond):
		}
	}
}
