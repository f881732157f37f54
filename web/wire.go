package web

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Wire observes the Kafka listener. It is a kafka.Observer.
type Wire struct {
	connections prometheus.Gauge
	refused     *prometheus.CounterVec
	malformed   *prometheus.CounterVec
	took        *prometheus.HistogramVec
	in, out     *prometheus.CounterVec
}

func newWire(f factory) *Wire {
	return &Wire{
		connections: f.gauge("firn_kafka_connections",
			"Open connections. Near max.connections, raise it or find the client that leaks them."),
		refused: f.counters("firn_kafka_connections_refused_total",
			"Connections closed as soon as they came, by reason: raise the limit that the reason names, or stop the client.", "reason"),
		malformed: f.counters("firn_kafka_malformed_requests_total",
			"Connections closed because of what they sent. Not a Kafka client, a broken one, or one with TLS against a listener without: the log has its address.", "api"),
		took: f.durations("firn_kafka_request_duration_seconds",
			"From the last byte of a request read to its answer written. Produce is about one put of the bucket; Fetch includes the client's own long poll.", "api"),
		in: f.counters("firn_kafka_request_bytes_total",
			"Bytes of requests. Growth without firn_kafka_produced_bytes_total is overhead: small batches, or many clients that only ask.", "api"),
		out: f.counters("firn_kafka_response_bytes_total",
			"Bytes of answers: what leaves this machine, and in clouds what traffic between zones costs.", "api"),
	}
}

// Connected counts a connection opened (+1) or closed (-1).
func (w *Wire) Connected(delta int) { w.connections.Add(float64(delta)) }

// Refused counts a connection that was closed at once.
func (w *Wire) Refused(why string) { w.refused.WithLabelValues(why).Inc() }

// Answered counts one request.
func (w *Wire) Answered(api string, _ int16, in, out int, took time.Duration) {
	w.took.WithLabelValues(api).Observe(took.Seconds())
	w.in.WithLabelValues(api).Add(float64(in))
	w.out.WithLabelValues(api).Add(float64(out))
}

// Malformed counts a connection that was closed because of what it sent.
func (w *Wire) Malformed(api string) {
	if api == "" {
		api = "unknown"
	}
	w.malformed.WithLabelValues(api).Inc()
}
