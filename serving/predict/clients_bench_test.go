package predict

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/slipway-ml/slipway/deployment"
)

// BenchmarkClients asks a model of each runtime for single rows over loopback
// connections, so many at a time: requests per second, the median and the 99th
// percentile of what one takes, and what the bare runtime takes for the row in the
// same run. Clients and server share the processor.
func BenchmarkClients(b *testing.B) {
	for _, c := range []struct {
		path   string
		format deployment.Format
		body   string
	}{
		{"xgboost/testdata/3.2.0/many-trees.ubj", deployment.FormatXGBoost, rowBody},
		{"lightgbm/testdata/4.7.0/binary.txt", deployment.FormatLightGBM, rowBody},
		{"onnx/testdata/sklearn/forest.onnx", deployment.FormatONNX, rowBody},
	} {
		model, _, err := load(c.path, c.format)
		if err != nil {
			b.Fatal(err)
		}
		s := newBench(b).Server
		stand(s, "m", "m-1", model)
		server := httptest.NewServer(s.Handler())
		for _, clients := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/clients=%d", c.format, clients), func(b *testing.B) {
				askAll(b, server.URL+"/v2/models/m/infer", c.body, clients)
				b.ReportMetric(float64(bare(b, model).Nanoseconds()), "bare-ns")
			})
		}
		server.Close()
	}
}

const rowBody = `{"inputs":[{"name":"x","shape":[1,5],"datatype":"FP32","data":[0.1,0.2,0.3,0.4,0.5]}]}`

// askAll shares b.N requests among the clients.
func askAll(b *testing.B, url, body string, clients int) {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()
	times := make([][]time.Duration, clients)
	var all sync.WaitGroup
	b.ResetTimer()
	for i := range clients {
		all.Go(func() {
			for range (b.N + clients - 1) / clients {
				begin := time.Now()
				response, err := client.Post(url, "application/json", bytes.NewReader([]byte(body)))
				if err != nil {
					b.Error(err)
					return
				}
				_, err = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				if err != nil || response.StatusCode != http.StatusOK {
					b.Errorf("status %d, %v", response.StatusCode, err)
					return
				}
				times[i] = append(times[i], time.Since(begin))
			}
		})
	}
	all.Wait()
	b.StopTimer()
	took := slices.Concat(times...)
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	b.ReportMetric(float64(len(took))/b.Elapsed().Seconds(), "requests/s")
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
}

// bare is the best of what the model takes for a row.
func bare(b *testing.B, model Model) time.Duration {
	b.Helper()
	row, answer := []float64{0.1, 0.2, 0.3, 0.4, 0.5}, make([]float64, model.NumOutputs())
	best := time.Hour
	for range 1000 {
		begin := time.Now()
		if err := model.Predict(answer, row); err != nil {
			b.Fatal(err)
		}
		best = min(best, time.Since(begin))
	}
	return best
}
