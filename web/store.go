package web

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/trace"
	"github.com/firnlog/firn/web/cost"
)

// Store observes the bucket. It is a trace.Observer, and takes the attempts of a
// cold.Settler.
type Store struct {
	requests  *prometheus.CounterVec
	took      *prometheus.HistogramVec
	bytes     *prometheus.CounterVec
	inFlight  *prometheus.GaugeVec
	attempts  prometheus.Counter
	conflicts prometheus.Counter
	retries   prometheus.Counter
	hedges    prometheus.Counter
	collected prometheus.Counter
	cost      [trace.Ops]prometheus.Counter // dollars
	price     [trace.Ops]float64            // of one request
}

func newStore(f factory) *Store {
	s := &Store{
		requests: f.counters("firn_object_requests_total",
			"Requests to the bucket. outcome=failed is trouble: reason says whether to look at credentials (denied), the name of the bucket (no_bucket) or the network (unknown). outcome=answered are answers that the protocol expects, such as a name that is taken.", "op", "outcome", "reason"),
		took: f.durations("firn_object_request_duration_seconds",
			"How long requests to the bucket took. An acks=all produce takes one put: when puts get slow, producers do.", "op"),
		bytes: f.counters("firn_object_bytes_total",
			"Bytes sent (put) and received (get). Many more got than clients fetch means that readers do not share: raise cache.bytes.", "op"),
		inFlight: f.gauges("firn_object_requests_in_flight",
			"Requests to the bucket under way. Always many gets: cold readers wait for the bucket's throughput.", "op"),
		attempts: f.counter("firn_catalog_cas_attempts_total",
			"Entries that this broker tried to put into the journal. More than a few per second: many small changes, or brokers that rotate too often."),
		conflicts: f.counter("firn_catalog_cas_conflicts_total",
			"Entries that another broker put first, and that were tried again behind it. Harmless; more than half of the attempts means that too many brokers commit at once."),
		retries: f.counter("firn_upload_retries_total",
			"Puts sent again because the bucket's answer was not definite. A few are normal; many are a bucket that throttles or a network that drops."),
		hedges: f.counter("firn_upload_hedges_total",
			"Puts sent a second time because the first was slow. About one put in twenty at most."),
		collected: f.counter("firn_gc_deleted_objects_total",
			"Objects deleted after gc.grace.ms since nothing refers to them. None for hours while firn_gc_orphans grows: deleting fails."),
	}
	dollars := f.counters("firn_estimated_cost_dollars_total",
		"Dollars that this broker's requests to the bucket have cost at the prices of Amazon S3 Standard, whatever the store is. firn cost has other prices, storage, and topics.", "kind")
	prices, err := cost.ParsePrices(nil)
	if err != nil {
		panic(err) // the table is part of the program
	}
	for op := range trace.Ops {
		s.cost[op], s.price[op] = dollars.WithLabelValues(op.String()), prices.Requests[op.String()]/1000
		s.inFlight.WithLabelValues(op.String())
		s.requests.WithLabelValues(op.String(), "ok", "ok")
		s.bytes.WithLabelValues(op.String())
	}
	return s
}

// journalPrefix is where the journal's entries lie in the bucket (docs/FORMAT.md).
const journalPrefix = "catalog/journal/"

// probePrefix is where the store's examination puts its objects, and deletes them.
const probePrefix = "doctor/"

// Began counts a request under way.
func (s *Store) Began(op trace.Op) { s.inFlight.WithLabelValues(op.String()).Inc() }

// Ended counts a request and how it ended.
func (s *Store) Ended(e trace.Event) {
	op := e.Op.String()
	s.inFlight.WithLabelValues(op).Dec()
	s.requests.WithLabelValues(op, outcome(e.Outcome), e.Outcome.String()).Inc()
	if e.Op < trace.Ops && e.Outcome != trace.Unknown && e.Outcome != trace.Canceled { // a store bills what it answers
		s.cost[e.Op].Add(s.price[e.Op])
	}
	s.took.WithLabelValues(op).Observe(e.Took.Seconds())
	s.bytes.WithLabelValues(op).Add(float64(max(e.Bytes, 0)))
	if e.Op == trace.Delete && e.Outcome == trace.OK && !strings.HasPrefix(e.Name, probePrefix) {
		s.collected.Inc()
	}
	if e.Op == trace.Put && strings.HasPrefix(e.Name, journalPrefix) {
		s.attempts.Inc()
		if e.Outcome == trace.Exists {
			s.conflicts.Inc()
		}
	}
}

// Attempt counts an attempt of a Settler to put.
func (s *Store) Attempt(a cold.Attempt) {
	switch {
	case a.Peek:
	case a.Hedge:
		s.hedges.Inc()
	case a.Number > 1:
		s.retries.Inc()
	}
}

// outcome sorts outcomes by what an operator does about them: nothing (ok,
// answered, canceled) or something (failed).
func outcome(o trace.Outcome) string {
	switch o {
	case trace.OK:
		return "ok"
	case trace.Exists, trace.NotFound, trace.Range:
		return "answered"
	case trace.Canceled:
		return "canceled"
	}
	return "failed"
}
