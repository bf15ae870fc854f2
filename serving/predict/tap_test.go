package predict

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/serving/predict/onnx"
)

func TestTapHandsOverWhatWasAnswered(t *testing.T) {
	t.Parallel()
	s := standing(t)
	h := s.Handler()
	begin := time.Now()
	do(t, h, "POST", "/v1/models/churn:predict", `{"instances":[[1,null],[3,4]]}`)
	do(t, h, "POST", "/v2/models/multi/infer", `{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[7]}]}`)
	do(t, h, "POST", "/v2/models/churn/infer", `{}`) // not answered
	stopped, stop := context.WithCancel(t.Context())
	stop()
	type seen struct {
		Deployment, Version string
		Rows                int
		Values, Predictions []float64
	}
	var got []seen
	s.gear().tap.run(stopped, func(one *sample) { // what is in the queue at a stop is handed over, too
		if one.at.Before(begin) || one.at.After(time.Now()) {
			t.Errorf("got time %v", one.at)
		}
		got = append(got, seen{one.deployment, one.version, one.rows, append([]float64{}, one.values...), append([]float64{}, one.predictions...)})
	})
	want := []seen{
		{"churn", "m-1", 2, []float64{1, nan, 3, 4}, []float64{.5, .5}},
		{"multi", "m-3", 1, []float64{7}, []float64{1e-7, 1e-7, 1e-7}},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(sameFloat)); diff != "" {
		t.Errorf("samples (-want +got):\n%s", diff)
	}
	if held := s.gear().tap.held.Load(); held != 0 {
		t.Errorf("%d values are held by an empty queue", held)
	}
}

// Named tensors are handed over as they are: texts, numbers, every output, also one that
// the request did not ask for.
func TestTapHandsOverNamedTensors(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const path = "onnx/testdata/sklearn/columns-logistic"
	model, _, err := load(path+".onnx", deployment.FormatONNX)
	if err != nil {
		t.Fatal(err)
	}
	k := stand(b.Server, "m", "m-1", nil)
	k.slot.swap(newVersion(deployment.ModelRef{ID: "m-1", Format: deployment.FormatONNX}, model), false)
	h := b.Handler()
	body := goldenBody(t, path)
	for _, request := range []string{
		body,
		strings.TrimSuffix(body, "}") + `,"outputs":[{"name":"label"}]}`,
		strings.Replace(body, `"age"`, `"years"`, 1), // not answered
	} {
		do(t, h, "POST", "/v2/models/m/infer", request)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	count := 0
	b.gear().tap.run(stopped, func(one *sample) {
		count++
		n := one.named
		if one.deployment != "m" || one.version != "m-1" || one.rows != 12 || n.rows != 12 || len(one.values) != 0 || len(one.predictions) != 0 {
			t.Errorf("got %s, %s, %d rows, %d values", one.deployment, one.version, one.rows, len(one.values))
		}
		if diff := cmp.Diff([]string{"age", "income", "children", "city", "plan"}, n.inputNames); diff != "" || len(n.inputs) != 5 {
			t.Fatalf("inputs (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"label", "probabilities"}, n.outputNames); diff != "" || len(n.outputs) != 2 {
			t.Fatalf("outputs (-want +got):\n%s", diff)
		}
		if plans := onnx.Values[string](n.inputs[4]); len(plans) != 12 || !slices.Contains(plans, "gold") {
			t.Errorf("got plans %q", plans)
		}
		if labels := onnx.Values[string](n.outputs[0]); len(labels) != 12 || labels[0] != "leaves" {
			t.Errorf("got labels %q", labels)
		}
		if one.size < 12*8 || one.size > 12*20 {
			t.Errorf("got a size of %d values", one.size)
		}
	})
	if held := b.gear().tap.held.Load(); count != 2 || held != 0 {
		t.Errorf("got %d samples, want 2; %d values are held by an empty queue", count, held)
	}
	wantMetrics(t, b.Server, map[string]string{`tap_dropped_total`: "0"})

	// The queue is bounded by their size, too: nobody waits, and what is dropped is counted.
	dropped := 0
	small := newTap(100, 15, func() { dropped++ })
	tensor, err := onnx.NewTensor([]string{"four", "and", "twenty blackbirds baked in a pie"}, 3)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		small.offer(&exchange{rows: 3}, nil, nil, &namedTensors{rows: 3, inputs: []*onnx.Tensor{tensor}})
	}
	if dropped != 2 || small.held.Load() != 12 { // 3 headers, and 2, 2 and 5 for the texts
		t.Errorf("got %d dropped and %d values held", dropped, small.held.Load())
	}
}

// The queue is bounded by requests and by values. What finds it full is dropped and
// counted; nobody waits.
func TestTapDropsWhatFindsItFull(t *testing.T) {
	t.Parallel()
	dropped := 0
	e := &exchange{deployment: "churn", version: "m-1", rows: 1}
	few := newTap(2, 1000, func() { dropped++ })
	for range 5 {
		few.offer(e, []float64{1, 2}, []float64{3}, &namedTensors{})
	}
	if dropped != 3 || few.held.Load() != 6 {
		t.Errorf("got %d dropped and %d values held, want 3 and 6", dropped, few.held.Load())
	}
	dropped = 0
	small := newTap(100, 10, func() { dropped++ })
	for range 5 {
		small.offer(e, []float64{1, 2}, []float64{3}, &namedTensors{})
	}
	small.offer(e, make([]float64, 100), nil, &namedTensors{})
	if dropped != 3 || small.held.Load() != 9 {
		t.Errorf("got %d dropped and %d values held, want 3 and 9", dropped, small.held.Load())
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	small.run(stopped, func(*sample) {})
	small.offer(e, []float64{1, 2}, []float64{3}, &namedTensors{})
	if dropped != 3 || small.held.Load() != 3 {
		t.Errorf("after it was emptied: got %d dropped and %d values held, want 3 and 3", dropped, small.held.Load())
	}
}

// Predictions are answered however stuck monitoring is, and what was not told is
// counted: together it is everything.
func TestStuckMonitoringHoldsUpNobody(t *testing.T) {
	t.Parallel()
	s := standing(t)
	h := s.Handler()
	const clients, each = 8, 300 // more than the queue holds
	stuck, taken := make(chan struct{}), make(chan struct{}, 1)
	ended := make(chan struct{})
	stopped, stop := context.WithCancel(t.Context())
	go func() {
		defer close(ended)
		s.gear().tap.run(stopped, func(one *sample) {
			select {
			case taken <- struct{}{}:
			default:
			}
			<-stuck
			s.count(one)
		})
	}()
	do(t, h, "POST", "/v2/models/churn/infer", twoZeros)
	<-taken
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range each {
				if status, body := do(t, h, "POST", "/v2/models/churn/infer", twoZeros); status != 200 {
					t.Errorf("got %d %s", status, body)
				}
			}
		})
	}
	all.Wait()
	close(stuck)
	stop()
	<-ended
	wantMetrics(t, s, map[string]string{
		`requests_total{deployment="churn",version="m-1"}`:    "2401",
		`predictions_total{deployment="churn",version="m-1"}`: "1025", // one taken, and the queue
		`tap_dropped_total`: "1376",
	})
}

// A server that runs counts the rows that it has predicted.
func TestPredictionsAreCounted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.want(t, 1, 1, ref("m-1"), nil)
	url, stop := start(t, b.Server)
	<-b.ready
	ask(t, url)
	ask(t, url)
	if err := stop(); err != nil { // nothing is left in the queue then
		t.Fatal(err)
	}
	wantMetrics(t, b.Server, map[string]string{
		`predictions_total{deployment="churn",version="m-1"}`: "2",
		`tap_dropped_total`: "0",
	})
}
