package web

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firnlog/firn/record"
)

// Traffic counts what clients write and read, by topic. Topics are told by id, which
// costs no look-up of a name on the hot path; a scrape looks the names up, and
// forgets topics that are gone.
type Traffic struct {
	source Source   // set before the first scrape that shows it (Metrics.Show)
	topics sync.Map // record.TopicID to *traffic
}

type traffic struct {
	produced, fetched volume
	cold              atomic.Int64
}

type volume struct{ records, bytes atomic.Int64 }

func (t *Traffic) of(topic record.TopicID) *traffic {
	if c, ok := t.topics.Load(topic); ok {
		return c.(*traffic)
	}
	c, _ := t.topics.LoadOrStore(topic, new(traffic))
	return c.(*traffic)
}

// Produced counts records appended by producers, and the bytes of their batches.
func (t *Traffic) Produced(topic record.TopicID, records, bytes int64) {
	c := t.of(topic)
	c.produced.records.Add(records)
	c.produced.bytes.Add(bytes)
}

// Fetched counts records sent to consumers, and the bytes of their batches.
func (t *Traffic) Fetched(topic record.TopicID, records, bytes int64) {
	c := t.of(topic)
	c.fetched.records.Add(records)
	c.fetched.bytes.Add(bytes)
}

// Cold counts bytes of batches that had to be read from the bucket.
func (t *Traffic) Cold(topic record.TopicID, bytes int64) { t.of(topic).cold.Add(bytes) }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	producedRecords = desc("firn_kafka_produced_records_total", "Records that producers appended, by topic. A topic that stops without reason has a producer to look at.", "topic")
	producedBytes   = desc("firn_kafka_produced_bytes_total", "Bytes of batches that producers appended, compressed as they came. What a topic adds to the bucket.", "topic")
	fetchedRecords  = desc("firn_kafka_fetched_records_total", "Records sent to consumers, by topic. Batches are sent whole, so it may exceed what consumers asked for.", "topic")
	fetchedBytes    = desc("firn_kafka_fetched_bytes_total", "Bytes of batches sent to consumers. Divided by the produced bytes it is how often a topic is read.", "topic")
	coldBytes       = desc("firn_kafka_fetched_bucket_bytes_total", "Of the bytes sent to consumers, those that came from the bucket: which topic pays for GETs. Much while nobody replays: its consumers are further behind than the tiers before the bucket reach.", "topic")
)

// Describe implements prometheus.Collector.
func (t *Traffic) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{producedRecords, producedBytes, fetchedRecords, fetchedBytes, coldBytes} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (t *Traffic) Collect(ch chan<- prometheus.Metric) {
	state := t.source.State()
	t.topics.Range(func(k, v any) bool {
		topic, ok := state.Topic(k.(record.TopicID))
		if !ok {
			t.topics.Delete(k)
			return true
		}
		c := v.(*traffic)
		for _, m := range []struct {
			d *prometheus.Desc
			n *atomic.Int64
		}{
			{producedRecords, &c.produced.records},
			{producedBytes, &c.produced.bytes},
			{fetchedRecords, &c.fetched.records},
			{fetchedBytes, &c.fetched.bytes},
			{coldBytes, &c.cold},
		} {
			ch <- prometheus.MustNewConstMetric(m.d, prometheus.CounterValue, float64(m.n.Load()), topic.Name)
		}
		return true
	})
}
