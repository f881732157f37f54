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
	// Source tells of the cluster; without one, Show adds it later.
	Source Source
	// Ready is what /readyz says; may be nil.
	Ready *Readiness
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
	if o.Ready != nil {
		f.reading("firn_ready", "1 while clients may be sent to this broker, else 0; /readyz says why. 0 for minutes on one broker: look at its log; on all: at the bucket.",
			func() float64 {
				if o.Ready.Why() != "" {
					return 0
				}
				return 1
			})
	}
	m.Wire = newWire(f)
	m.Store = newStore(f)
	m.Uploads = newUploads(f, o.Now)
	m.Traffic = &Traffic{}
	if o.Source != nil {
		m.Show(o.Source)
	}
	return m
}

// Show adds what s tells of the cluster and of the broker's parts. It is called once, as
// soon as s can tell: a broker that starts is scraped before that.
func (m *Metrics) Show(s Source) {
	m.Traffic.source = s
	m.all.MustRegister(m.Traffic, &cluster{source: s}, &lag{source: s, most: maxLagSeries}, &readings{source: s})
	m.lag.MustRegister(&lag{source: s})
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
