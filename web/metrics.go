package web

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Metrics is everything that a broker measures. Its parts are told what happens;
// their methods may be called from any goroutine, do not block, and do not allocate.
type Metrics struct {
	// Wire observes the Kafka listener.
	Wire *Wire
	// Store observes the bucket.
	Store *Store
	// Uploads observes the write path.
	Uploads *Uploads
	// Traffic counts what clients write and read, by topic.
	Traffic *Traffic

	all *prometheus.Registry
	lag *prometheus.Registry
}

// MetricsOptions are for NewMetrics.
type MetricsOptions struct {
	Version string
	// Source tells of the cluster; may be nil.
	Source Source
	// Now is the clock; nil for time.Now.
	Now func() time.Time
	// Process adds the metrics of Go's runtime and of the process.
	Process bool
}

// NewMetrics returns metrics with a registry of their own (M5).
func NewMetrics(o MetricsOptions) *Metrics {
	if o.Now == nil {
		o.Now = time.Now
	}
	m := &Metrics{all: prometheus.NewRegistry(), lag: prometheus.NewRegistry()}
	if o.Process {
		m.all.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	f := factory{m.all}
	f.gauges("firn_build_info", "Always 1. Its labels say which program this is: brokers that differ are in the middle of an upgrade.", "version", "go").
		WithLabelValues(o.Version, runtime.Version()).Set(1)
	began := o.Now()
	f.reading("firn_uptime_seconds", "Age of this broker's counters. Falling: it was started again; look at its log for why it ended.",
		func() float64 { return o.Now().Sub(began).Seconds() })
	m.Wire = newWire(f)
	m.Store = newStore(f)
	m.Uploads = newUploads(f, o.Now)
	m.Traffic = newTraffic(o.Source)
	m.all.MustRegister(m.Traffic)
	if o.Source != nil {
		m.all.MustRegister(&cluster{source: o.Source}, &lag{source: o.Source, most: maxLagSeries}, &readings{source: o.Source})
		m.lag.MustRegister(&lag{source: o.Source})
	}
	return m
}

// factory makes registered metrics.
type factory struct{ r prometheus.Registerer }

func (f factory) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	f.r.MustRegister(c)
	return c
}

func (f factory) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	f.r.MustRegister(c)
	return c
}

func (f factory) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	f.r.MustRegister(g)
	return g
}

func (f factory) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	f.r.MustRegister(g)
	return g
}

func (f factory) reading(name, help string, read func() float64) {
	f.r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
}

// seconds are buckets from half a millisecond, below any bucket's round trip, to
// half a minute, where clients give up.
var seconds = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

func (f factory) duration(name, help string) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: seconds})
	f.r.MustRegister(h)
	return h
}

func (f factory) durations(name, help string, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: seconds}, labels)
	f.r.MustRegister(h)
	return h
}
