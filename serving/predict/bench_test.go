package predict

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
)

// sink is a response writer that keeps nothing, so that what is measured is the
// handler's own.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkInfer asks the second demo model (50 trees) for the predictions of a
// batch: through the handler, and over a loopback connection. The metric
// times-direct compares each with the model's Predict alone in the same run.
func BenchmarkInfer(b *testing.B) {
	model, facts, err := load("../../cmd/slipway/demo/churn-v2.ubj", "xgboost")
	if err != nil {
		b.Fatal(err)
	}
	s := newBench(b).Server
	stand(s, "churn", "churn-v2", model)
	h := s.Handler()
	for _, rows := range []int{1, 64} {
		row := []byte(`4.25,96.5,5,1,2,31.5,`)
		body := fmt.Appendf(nil, `{"inputs":[{"name":"input-0","shape":[%d,6],"datatype":"FP32","data":[%s]}]}`,
			rows, bytes.TrimSuffix(bytes.Repeat(row, rows), []byte(",")))
		var q request
		if err := q.decode(body, nil); err != nil {
			b.Fatal(err)
		}
		answer := make([]float64, rows*facts.Outputs)
		direct := func() error { return model.Predict(answer, q.values) }

		compare := func(b *testing.B, ask func() error) {
			b.Helper()
			b.ReportAllocs()
			var asking, predicting time.Duration
			for b.Loop() {
				begin := time.Now()
				if err := ask(); err != nil {
					b.Fatal(err)
				}
				middle := time.Now()
				if err := direct(); err != nil {
					b.Fatal(err)
				}
				asking, predicting = asking+middle.Sub(begin), predicting+time.Since(middle)
			}
			b.ReportMetric(float64(asking.Nanoseconds())/float64(b.N), "ns/infer")
			b.ReportMetric(float64(predicting.Nanoseconds())/float64(b.N), "ns/direct")
			b.ReportMetric(float64(asking)/float64(predicting), "times-direct")
			b.ReportMetric(0, "ns/op") // of both together
		}
		b.Run(fmt.Sprintf("handler/rows=%d", rows), func(b *testing.B) {
			reader := bytes.NewReader(body)
			r := httptest.NewRequest("POST", "/v2/models/churn/infer", reader)
			closer := r.Body
			w := &sink{header: http.Header{}}
			compare(b, func() error {
				reader.Reset(body)
				r.Body = closer
				if h.ServeHTTP(w, r); w.status != 200 {
					return fmt.Errorf("status %d", w.status)
				}
				return nil
			})
		})
		b.Run(fmt.Sprintf("loopback/rows=%d", rows), func(b *testing.B) {
			server := httptest.NewServer(h)
			defer server.Close()
			url := server.URL + "/v2/models/churn/infer"
			compare(b, func() error {
				response, err := server.Client().Post(url, "application/json", bytes.NewReader(body))
				if err != nil {
					return err
				}
				_, err = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				if response.StatusCode != 200 {
					return fmt.Errorf("status %d", response.StatusCode)
				}
				return err
			})
		})
	}
}

// BenchmarkDecode is the part of an inference that reads the request.
func BenchmarkDecode(b *testing.B) {
	body := fmt.Appendf(nil, `{"inputs":[{"name":"input-0","shape":[1000,10],"datatype":"FP32","data":[%s]}]}`,
		bytes.TrimSuffix(bytes.Repeat([]byte("0.12345,"), 10000), []byte(",")))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	var q request
	for b.Loop() {
		if err := q.decode(body, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkNote is what a request costs beside its answer: the metrics, the request
// log and the tap for monitoring, with the queue empty and full.
func BenchmarkNote(b *testing.B) {
	s := newBench(b).Server
	s.LogEvery = 1000
	g := s.gear()
	e := exchange{begin: time.Now(), deployment: "churn", version: "churn-v2", rows: 1}
	row, answer := make([]float64, 6), make([]float64, 1)
	b.Run("metrics", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			g.metrics.answered(e.deployment, e.version, time.Millisecond)
		}
	})
	b.Run("log", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			g.log.write(b.Context(), &e, 200, time.Millisecond, nil)
		}
	})
	for _, rows := range []int{1, 64} {
		values, answers := slices.Repeat(row, rows), slices.Repeat(answer, rows)
		b.Run(fmt.Sprintf("tap/rows=%d", rows), func(b *testing.B) {
			b.ReportAllocs()
			t := newTap(tapRequests, tapValues, func() { b.Error("dropped") })
			for b.Loop() {
				t.offer(&e, values, answers, &namedTensors{})
				t.pass(<-t.queue, s.count)
			}
		})
		b.Run(fmt.Sprintf("tap-full/rows=%d", rows), func(b *testing.B) {
			b.ReportAllocs()
			t := newTap(0, tapValues, g.metrics.dropped.Inc)
			for b.Loop() {
				t.offer(&e, values, answers, &namedTensors{})
			}
		})
	}
}

// BenchmarkScrape is one answer of /metrics with 100 deployments of two versions.
func BenchmarkScrape(b *testing.B) {
	s := newBench(b).Server
	for i := range 100 {
		for _, version := range []string{"m-1", "m-2"} {
			s.gear().metrics.answered(fmt.Sprint("churn-", i), version, time.Millisecond)
		}
	}
	h := s.Handler()
	r := httptest.NewRequest("GET", "/metrics", nil)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(&sink{header: http.Header{}}, r)
	}
}
