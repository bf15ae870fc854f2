package predict

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
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
