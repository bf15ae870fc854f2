package predict

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/slipway-ml/slipway/deployment"
)

// metrics are what /metrics shows. Labels are deployments, versions and statuses
// that there are, never what a client made up, and those of a version go some time
// after it: so their number is bounded.
type metrics struct {
	registry    *prometheus.Registry
	requests    *prometheus.CounterVec
	errors      *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	predictions *prometheus.CounterVec
	dropped     prometheus.Counter
	bytes       *prometheus.GaugeVec
	swaps       *prometheus.CounterVec
	drained     *prometheus.CounterVec
	draining    *prometheus.HistogramVec

	mu     sync.RWMutex
	counts map[versionKey]*counts
	models map[[3]string]int64 // bytes, by the labels
}

// versionKey is a version of a deployment.
type versionKey struct{ deployment, version string }

// counts are the metrics of one version that every request touches, looked up once.
type counts struct {
	requests    prometheus.Counter
	predictions prometheus.Counter
	seconds     prometheus.Observer
}

// The edges of the histograms, in seconds: from a small model's row to the default
// deadline.
var (
	requestEdges = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	drainEdges   = []float64{.0001, .001, .01, .1, 1, 10, 30}
)

func newMetrics() *metrics {
	const namespace, subsystem = "slipway", "predict"
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help}
	}
	histogram := func(name, help string, edges []float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help, Buckets: edges}
	}
	ofDeployment, ofVersion := []string{"deployment"}, []string{"deployment", "version"}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		counts:   map[versionKey]*counts{},
		models:   map[[3]string]int64{},
		requests: prometheus.NewCounterVec(counter("requests_total",
			"Requests for predictions that were answered with predictions."), ofVersion),
		errors: prometheus.NewCounterVec(counter("errors_total",
			"Requests for predictions that were answered with an error, by its HTTP status. The version is empty if none was reached, the deployment if there is none."),
			append(ofVersion, "status")),
		seconds: prometheus.NewHistogramVec(histogram("request_duration_seconds",
			"From the start of a request to the end of its answer, of requests that were answered with predictions.", requestEdges), ofVersion),
		predictions: prometheus.NewCounterVec(counter("predictions_total",
			"Predicted rows that monitoring was told of."), ofVersion),
		dropped: prometheus.NewCounter(counter("tap_dropped_total",
			"Answered requests that monitoring was not told of, because its queue was full.")),
		bytes: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "model_bytes",
			Help: "Memory of a loaded model. There is one for each model that is loaded, also while it is prepared or drained.",
		}, append(ofVersion, "format")),
		swaps: prometheus.NewCounterVec(counter("swaps_total",
			"Times that another model took over the answers of a deployment."), ofDeployment),
		drained: prometheus.NewCounterVec(counter("drained_requests_total",
			"Requests that were running on a model when another one took over, and have ended."), ofDeployment),
		draining: prometheus.NewHistogramVec(histogram("drain_duration_seconds",
			"From the moment another model took over until the last request on the old one ended.", drainEdges), ofDeployment),
	}
	m.registry.MustRegister(m.requests, m.errors, m.seconds, m.predictions, m.dropped, m.bytes, m.swaps, m.drained, m.draining,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// handler answers a scrape.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// gauge registers a number that is asked for at each scrape.
func (m *metrics) gauge(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "slipway", Subsystem: "predict", Name: name, Help: help,
	}, value))
}

// of are the counts of a version.
func (m *metrics) of(deployment, version string) *counts {
	key := versionKey{deployment, version}
	m.mu.RLock()
	c := m.counts[key]
	m.mu.RUnlock()
	if c != nil {
		return c
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c = &counts{
		requests:    m.requests.WithLabelValues(deployment, version),
		predictions: m.predictions.WithLabelValues(deployment, version),
		seconds:     m.seconds.WithLabelValues(deployment, version),
	}
	m.counts[key] = c
	return c
}

// answered counts a request that was answered with predictions.
func (m *metrics) answered(deployment, version string, took time.Duration) {
	c := m.of(deployment, version)
	c.requests.Inc()
	c.seconds.Observe(took.Seconds())
}

// failed counts a request that was answered with an error.
func (m *metrics) failed(deployment, version string, status int) {
	m.errors.WithLabelValues(deployment, version, strconv.Itoa(status)).Inc()
}

// loaded shows a model that takes so many bytes more from now on; as many less when
// it is gone.
func (m *metrics) loaded(name deployment.Name, ref deployment.ModelRef, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	labels := [3]string{string(name), string(ref.ID), string(ref.Format)}
	if m.models[labels] += bytes; m.models[labels] != 0 {
		m.bytes.WithLabelValues(labels[:]...).Set(float64(m.models[labels]))
		return
	}
	delete(m.models, labels)
	m.bytes.DeleteLabelValues(labels[:]...)
}

// switched counts a switch and forgets the versions of the deployment but the new
// one and the old one: what was last counted of that is still to be scraped.
func (m *metrics) switched(name deployment.Name, now, old *version) {
	if now != nil && old != nil {
		m.swaps.WithLabelValues(string(name)).Inc()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for key := range m.counts {
		if key.deployment != string(name) || now.named(key.version) || old.named(key.version) {
			continue
		}
		delete(m.counts, key)
		labels := prometheus.Labels{"deployment": key.deployment, "version": key.version}
		m.requests.DeletePartialMatch(labels)
		m.errors.DeletePartialMatch(labels)
		m.predictions.DeletePartialMatch(labels)
		m.seconds.DeletePartialMatch(labels)
	}
}

// drainedOff counts what ran on an old model at a switch, once it has ended.
func (m *metrics) drainedOff(name deployment.Name, requests int64, took time.Duration) {
	m.drained.WithLabelValues(string(name)).Add(float64(requests))
	m.draining.WithLabelValues(string(name)).Observe(took.Seconds())
}
