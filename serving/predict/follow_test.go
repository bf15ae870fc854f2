package predict

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/serving"
)

var twoZeros = `{"inputs":[{"name":"input-0","shape":[2],"datatype":"FP32","data":[0,0]}]}`

// ask posts a row of two zeros to churn.
func ask(t *testing.T, url string) (status int, body string) {
	t.Helper()
	response, err := http.Post(url+"/v2/models/churn/infer", "application/json", bytes.NewBufferString(twoZeros))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func wantAnswer(t *testing.T, url, model, value string) {
	t.Helper()
	status, body := ask(t, url)
	want := `{"model_name":"churn","model_version":"` + model + `","outputs":[{"name":"predict","shape":[1],"datatype":"FP32","data":[` + value + `]}]}`
	if status != 200 || body != want {
		t.Errorf("got %d %s, want %s", status, body, want)
	}
}

func wantObserved(t *testing.T, got serving.Observed, serves, prepared string) {
	t.Helper()
	if got.Serving != deployment.Name(serves) || got.Prepared != deployment.Name(prepared) || got.Error != nil {
		t.Errorf("got %+v with error %+v, want serving %q, prepared %q, no error", got, got.Error, serves, prepared)
	}
}

func TestPrepareBesideThenSwitch(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	url, _ := start(t, b.Server)
	<-b.ready

	b.want(t, 10, 1, nil, ref("m-1"))
	o := b.answerTo(t, 10, 1)
	wantObserved(t, o, "", "m-1")
	if o.Instance == "" || o.Instance != b.instance || o.Server != "one" || o.Deployment != "churn" || o.At.IsZero() {
		t.Errorf("got %+v, want who observes what and when", o)
	}
	if status, body := ask(t, url); status != 503 {
		t.Errorf("got %d %s before anything is active, want 503", status, body)
	}

	b.want(t, 10, 2, ref("m-1"), nil)
	wantObserved(t, b.answerTo(t, 10, 2), "m-1", "")
	wantAnswer(t, url, "m-1", "1")

	b.want(t, 20, 3, ref("m-1"), ref("m-2"))
	wantObserved(t, b.answerTo(t, 20, 3), "m-1", "m-2")
	wantAnswer(t, url, "m-1", "1")
	b.want(t, 20, 4, ref("m-2"), nil)
	wantObserved(t, b.answerTo(t, 20, 4), "m-2", "")
	wantAnswer(t, url, "m-2", "2")

	if want := []deployment.Digest{"digest-of-m-1", "digest-of-m-2"}; !slices.Equal(b.opener.opened, want) {
		t.Errorf("opened %v, want each model once", b.opener.opened)
	}
}

func TestWithdrawnTargetIsDropped(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	url, _ := start(t, b.Server)
	b.want(t, 10, 1, ref("m-1"), ref("m-2"))
	wantObserved(t, b.answerTo(t, 10, 1), "m-1", "m-2")
	b.want(t, 10, 2, ref("m-1"), nil)
	wantObserved(t, b.answerTo(t, 10, 2), "m-1", "")
	wantAnswer(t, url, "m-1", "1")
}

func TestTargetThatServesAlreadyIsPrepared(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	start(t, b.Server)
	b.want(t, 10, 1, ref("m-1"), ref("m-1"))
	wantObserved(t, b.answerTo(t, 10, 1), "m-1", "m-1")
}

func TestOlderClaimIsIgnored(t *testing.T) {
	t.Parallel()
	for _, older := range []struct{ token, round uint64 }{
		{10, 9}, // of a worker that was thought dead
		{20, 4},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			defer bubble(t, b)()
			b.want(t, 20, 5, ref("m-2"), nil)
			synctest.Wait()
			b.want(t, older.token, older.round, ref("m-1"), nil)
			synctest.Wait()
			o := b.observed.value("observed.churn.one")
			wantObserved(t, o, "m-2", "")
			if o.Token != 20 || o.Round != 5 || slices.Contains(b.opener.opened, "digest-of-m-1") {
				t.Errorf("token %d round %d was answered with %+v", older.token, older.round, o)
			}
			b.want(t, 20, 6, ref("m-2"), ref("m-3"))
			synctest.Wait()
			wantObserved(t, b.observed.value("observed.churn.one"), "m-2", "m-3")
		})
	}
}

func TestModelThatCannotBeLoaded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	url, _ := start(t, b.Server)
	b.want(t, 10, 1, ref("m-1"), nil)
	b.answerTo(t, 10, 1)
	b.want(t, 11, 2, ref("m-1"), ref("broken"))
	o := b.answerTo(t, 11, 2)
	if o.Serving != "m-1" || o.Prepared != "" || o.Error == nil {
		t.Fatalf("got %+v, want m-1 serving and an error", o)
	}
	want := serving.Failure{Model: "broken", Code: "artifact_invalid", Message: "artifact is not a model: digest-of-broken"}
	if *o.Error != want {
		t.Errorf("got %+v, want %+v", *o.Error, want)
	}
	wantAnswer(t, url, "m-1", "1")
}

func TestDeletedDeploymentIsUnloaded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	url, _ := start(t, b.Server)
	b.want(t, 10, 1, ref("m-1"), nil)
	b.answerTo(t, 10, 1)
	if err := b.desired.Delete(t.Context(), "desired.churn"); err != nil {
		t.Fatal(err)
	}
	if err := b.observed.waitGone(patience(t), "observed.churn.one"); err != nil {
		t.Fatal("the observation stays")
	}
	if status, body := ask(t, url); status != 404 {
		t.Errorf("got %d %s, want 404", status, body)
	}
	// A deployment of that name may come back.
	b.want(t, 5, 1, ref("m-3"), nil)
	wantObserved(t, b.answerTo(t, 5, 1), "m-3", "")
	wantAnswer(t, url, "m-3", "3")
}

func TestBrokenWatchIsBegunAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	url, _ := start(t, b.Server)
	b.want(t, 10, 1, ref("m-1"), nil)
	b.wantOf(t, "gone", 10, 1, ref("m-5"), nil)
	b.answerTo(t, 10, 1)
	if _, err := b.observed.wait(patience(t), "observed.gone.one", func(serving.Observed) bool { return true }); err != nil {
		t.Fatal(err)
	}
	// While nobody watches one deployment changes and another is deleted.
	b.desired.mu.Lock()
	close(b.desired.cut)
	b.desired.cut = make(chan struct{})
	delete(b.desired.values, "desired.gone")
	b.desired.values["desired.churn"] = serving.Desired{Deployment: "churn", Token: 11, Round: 2, Active: ref("m-2")}
	b.desired.mu.Unlock()
	wantObserved(t, b.answerTo(t, 11, 2), "m-2", "")
	wantAnswer(t, url, "m-2", "2")
	if err := b.observed.waitGone(patience(t), "observed.gone.one"); err != nil {
		t.Error("what was deleted meanwhile is still served")
	}
}

// TestNewestEntryWins holds a load up and changes what is desired meanwhile: the
// load is given up, and only the newest entry is answered.
func TestNewestEntryWins(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.opener.gates["digest-of-m-1"] = make(chan struct{}) // never opens
	b.opener.asked = make(chan deployment.Digest, 10)
	start(t, b.Server)
	b.want(t, 10, 1, nil, ref("m-1"))
	if d := <-b.opener.asked; d != "digest-of-m-1" {
		t.Fatalf("asked for %s", d)
	}
	b.want(t, 11, 2, nil, ref("m-2"))
	wantObserved(t, b.answerTo(t, 11, 2), "", "m-2")
	for _, c := range b.observed.writes() {
		if c.value.Round == 1 {
			t.Errorf("the outdated entry was answered: %+v", *c.value)
		}
	}
}

// TestSlowModelHoldsUpNobody keeps one deployment loading while another is
// deployed, switched and asked.
func TestSlowModelHoldsUpNobody(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	gate := make(chan struct{})
	b.opener.gates["digest-of-m-9"] = gate
	b.wantOf(t, "slow", 10, 1, ref("m-9"), nil)
	url, _ := start(t, b.Server)
	b.want(t, 11, 1, ref("m-1"), nil)
	wantObserved(t, b.answerTo(t, 11, 1), "m-1", "")
	wantAnswer(t, url, "m-1", "1")
	if status := get(t, url+"/v2/health/ready"); status != 503 {
		t.Errorf("got %d while a model is missing, want 503", status)
	}
	if b.Ready() {
		t.Error("ready while a model is missing")
	}
	close(gate)
	<-b.ready
	if status := get(t, url+"/v2/health/ready"); status != 200 {
		t.Errorf("got %d, want 200", status)
	}
}

func get(t *testing.T, url string) (status int) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// nobody is a listener without clients, so that a server can run in a bubble.
type nobody struct{ closed chan struct{} }

func (n nobody) Accept() (net.Conn, error) {
	<-n.closed
	return nil, net.ErrClosed
}
func (n nobody) Close() error   { close(n.closed); return nil }
func (n nobody) Addr() net.Addr { return &net.TCPAddr{} }

// pass lets time go by on the fake clock.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// bubble runs the server on a fake clock.
func bubble(t *testing.T, b *bench) (stop func()) {
	t.Helper()
	ended := make(chan error, 1)
	l := nobody{make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- b.Run(ctx, l) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	}
}

func TestPassingTroubleIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.opener.setFault("digest-of-m-1", errors.New("no responders"))
		b.wantOf(t, "churn", 10, 1, ref("m-1"), nil)
		b.wantOf(t, "other", 10, 1, ref("m-2"), nil)
		stop := bubble(t, b)
		defer stop()
		synctest.Wait()
		o := b.observed.value("observed.churn.one")
		want := serving.Failure{Model: "m-1", Code: "store_unavailable", Message: "no responders", Retryable: true}
		if o.Serving != "" || o.Error == nil || *o.Error != want {
			t.Errorf("got %+v, want the error %+v", o, want)
		}
		if b.Ready() {
			t.Error("ready without the model")
		}
		if o := b.observed.value("observed.other.one"); o.Serving != "m-2" {
			t.Errorf("the other deployment shows %+v, want m-2 serving", o)
		}
		writes := len(b.observed.writes())
		pass(10 * time.Minute)
		tries := len(b.opener.opened)
		if tries < 40 || tries > 60 { // every 15 seconds in the end
			t.Errorf("tried %d times in 10 minutes, want about 45", tries)
		}
		if len(b.observed.writes()) != writes {
			t.Error("the same observation was written again")
		}
		b.opener.setFault("digest-of-m-1", nil)
		pass(16 * time.Second)
		wantObserved(t, b.observed.value("observed.churn.one"), "m-1", "")
		if !b.Ready() {
			t.Error("not ready though everything is served")
		}
	})
}

func TestObservationIsWrittenAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.observed.fault(errors.New("no responders"))
		b.want(t, 10, 1, ref("m-1"), nil)
		defer bubble(t, b)()
		pass(time.Minute)
		b.observed.fault(nil)
		pass(16 * time.Second)
		wantObserved(t, b.observed.value("observed.churn.one"), "m-1", "")
	})
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		stop := bubble(t, b)
		synctest.Wait()
		entry := b.servers.value("one")
		if entry.ID != "one" || entry.Instance != b.instance || entry.URL != "http://one" || !slices.Equal(entry.Formats, formats()) || entry.StartedAt.IsZero() {
			t.Errorf("got %+v", entry)
		}
		b.servers.fault(errors.New("no responders"))
		pass(12 * time.Second)
		b.servers.fault(nil)
		pass(50 * time.Second)
		if n := len(b.servers.writes()); n < 10 || n > 12 {
			t.Errorf("renewed %d times in a minute with 2 missed, want every 5 seconds", n)
		}
		stop()
		if len(b.servers.values) != 0 {
			t.Error("the entry stays after a clean stop")
		}
		if b.Ready() {
			t.Error("ready after the stop")
		}
	})
}

func TestEachProcessIsANewInstance(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.want(t, 10, 1, ref("m-1"), nil)
	_, stop := start(t, b.Server)
	first := b.answerTo(t, 10, 1).Instance
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	again := b.sibling("one")
	start(t, again)
	if _, err := b.observed.wait(patience(t), "observed.churn.one", func(o serving.Observed) bool {
		return o.Instance != first && o.Serving == "m-1"
	}); err != nil {
		t.Error("the new process does not observe under a new instance")
	}
}
