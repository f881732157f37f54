package cost

import (
	"errors"
	"fmt"
	"io"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// ErrForeign is the error of a page that no broker of Firn has written.
var ErrForeign = errors.New("not the metrics of a Firn broker")

// Sample is what one broker showed.
type Sample struct {
	// Uptime is how long its counters have counted, in seconds.
	Uptime   float64
	Version  string
	requests map[string]float64 // by operation
	moved    map[string]float64 // bytes, by operation
	produced map[string]float64 // bytes, by topic
	cold     map[string]float64 // bytes from the bucket, by topic
	stored   map[string]float64 // bytes, by topic: not a counter
	journal  float64            // puts of the journal
	readGets float64
	hits     float64 // reads that a tier before the bucket has answered
	live     float64 // brokers, as the one knows that tells
}

// maxPage bounds a page: that of a broker with ten thousand topics has some 10 MB.
const maxPage = 256 << 20

// Read reads a page of metrics in Prometheus' text format.
func Read(r io.Reader) (*Sample, error) {
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(io.LimitReader(r, maxPage))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForeign, err)
	}
	build, ok := families["firn_build_info"]
	if _, up := families["firn_uptime_seconds"]; !ok || !up {
		return nil, fmt.Errorf("%w: it has no firn_build_info and firn_uptime_seconds", ErrForeign)
	}
	s := &Sample{
		Version:  label(build.Metric[0], "version"),
		Uptime:   sum(families["firn_uptime_seconds"]),
		requests: by(families["firn_object_requests_total"], "op", answered), moved: by(families["firn_object_bytes_total"], "op", nil),
		produced: by(families["firn_kafka_produced_bytes_total"], "topic", nil), cold: by(families["firn_kafka_fetched_bucket_bytes_total"], "topic", nil),
		stored: by(families["firn_topic_bytes"], "topic", nil), journal: sum(families["firn_catalog_cas_attempts_total"]),
		readGets: sum(families["firn_read_gets_total"]), hits: sum(families["firn_cache_hits_total"]),
		live: sum(families["kafka_brokers"]),
	}
	return s, nil
}

// answered leaves out requests that got no answer: a store bills what it answers.
func answered(m *dto.Metric) bool {
	switch label(m, "reason") {
	case "unknown", "canceled":
		return false
	}
	return true
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.Label {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

func value(m *dto.Metric) float64 {
	return m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
}

func sum(f *dto.MetricFamily) float64 {
	n := 0.0
	for _, m := range f.GetMetric() {
		n += value(m)
	}
	return n
}

func by(f *dto.MetricFamily, name string, counts func(*dto.Metric) bool) map[string]float64 {
	out := map[string]float64{}
	for _, m := range f.GetMetric() {
		if counts == nil || counts(m) {
			out[label(m, name)] += value(m)
		}
	}
	return out
}

// Measurement is what a cluster does in a second, and what it stores.
type Measurement struct {
	// Seconds is how long was measured: the shortest of the brokers.
	Seconds float64
	Brokers int
	// Live is how many brokers the cluster has, as far as one of them told: more than
	// Brokers means that some of what the cluster does is not in here.
	Live  int
	rates Sample // per second, but for stored
}

// Add adds what one broker did from one sample to the next; before is nil for all
// that it did since it was started. A broker that was started again in between
// counts from there.
func (m *Measurement) Add(before, after *Sample) {
	took := after.Uptime
	if before != nil && before.Uptime < after.Uptime {
		took -= before.Uptime
	} else {
		before = &Sample{}
	}
	if took <= 0 {
		took = 1 // it was started this second
	}
	if m.Brokers == 0 || took < m.Seconds {
		m.Seconds = took
	}
	m.Brokers++
	m.Live = max(m.Live, int(after.live))
	for _, c := range []struct {
		into     *map[string]float64
		from, to map[string]float64
	}{
		{&m.rates.requests, before.requests, after.requests}, {&m.rates.moved, before.moved, after.moved},
		{&m.rates.produced, before.produced, after.produced}, {&m.rates.cold, before.cold, after.cold},
	} {
		if *c.into == nil {
			*c.into = map[string]float64{}
		}
		for k, v := range c.to {
			(*c.into)[k] += max(v-c.from[k], 0) / took
		}
	}
	m.rates.journal += max(after.journal-before.journal, 0) / took
	m.rates.readGets += max(after.readGets-before.readGets, 0) / took
	m.rates.hits += max(after.hits-before.hits, 0) / took
	if m.rates.stored == nil {
		m.rates.stored = map[string]float64{}
	}
	for k, v := range after.stored { // of one broker only
		m.rates.stored[k] += v
	}
}
