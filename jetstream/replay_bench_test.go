package jetstream_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/jetstream/jetstreamtest"
)

// BenchmarkReplay reads a ledger of events of 1.5 KB about 500 deployments from
// its beginning, publishes it again, and publishes it again into a stream that is
// empty. The iterations are the events, 20,000 at least: `-benchtime 1000000x` is
// a ledger of a million.
func BenchmarkReplay(b *testing.B) {
	for name, replay := range map[string]func(b *testing.B, js natsjs.JetStream, ledger *jetstream.Ledger){
		"read": func(b *testing.B, _ natsjs.JetStream, ledger *jetstream.Ledger) {
			b.Helper()
			if err := ledger.Replay(b.Context(), jetstream.Span{Filter: jetstream.AllEvents}, func(jetstream.Message) error { return nil }); err != nil {
				b.Fatal(err)
			}
		},
		"publish": func(b *testing.B, js natsjs.JetStream, ledger *jetstream.Ledger) {
			b.Helper()
			republish(b, js, ledger, "nowhere")
		},
		"store": func(b *testing.B, js natsjs.JetStream, ledger *jetstream.Ledger) {
			b.Helper()
			if _, err := js.CreateStream(b.Context(), natsjs.StreamConfig{Name: "COPY", Subjects: []string{"copy.>"}}); err != nil {
				b.Fatal(err)
			}
			republish(b, js, ledger, "copy")
		},
	} {
		b.Run(name, func(b *testing.B) {
			js, size := jetstreamtest.Start(b), max(b.N, 20_000)
			fill(b, js, size)
			ledger := openLedger(b, js)
			b.ResetTimer()
			replay(b, js, ledger)
			b.ReportMetric(float64(size)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(0, "ns/op") // of fewer than 20,000, it would be wrong
		})
	}
}

func republish(tb testing.TB, js natsjs.JetStream, ledger *jetstream.Ledger, prefix string) *jetstream.Republisher {
	tb.Helper()
	r, err := jetstream.NewRepublisher(tb.Context(), js, prefix, jetstream.AllEvents)
	if err != nil {
		tb.Fatal(err)
	}
	if err := ledger.Replay(tb.Context(), jetstream.Span{Filter: jetstream.AllEvents}, r.Publish); err != nil {
		tb.Fatal(err)
	}
	if err := r.Close(context.WithoutCancel(tb.Context())); err != nil {
		tb.Fatal(err)
	}
	return r
}

// fill puts events of realistic size into the ledger, without their fences.
func fill(tb testing.TB, js natsjs.JetStream, size int) {
	tb.Helper()
	body := []byte(`{"specversion":"1.0","data":"` + strings.Repeat("x", 1450) + `"}`)
	for i := range size {
		m := nats.NewMsg(jetstream.EventSubject("deployment", fmt.Sprint("churn-", i%500), "replace", "completed"))
		m.Header["Content-Type"], m.Data = []string{"application/cloudevents+json; charset=utf-8"}, body
		if _, err := js.PublishMsgAsync(m, natsjs.WithStallWait(time.Minute)); err != nil {
			tb.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
}
