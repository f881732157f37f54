package web

import (
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firnlog/firn/catalog"
)

// cluster is what kafka_exporter exports of brokers, topics and partitions, and
// what of the catalog is worth a number.
type cluster struct{ source Source }

var (
	brokers       = desc("kafka_brokers", "Live brokers. Fewer than you run: look for the missing one's log.")
	brokerInfo    = desc("kafka_broker_info", "Always 1. The live brokers and where clients reach them.", "id", "address")
	brokerLoad    = desc("firn_broker_load_bytes_per_second", "Bytes per second that clients write and read at a broker, about, as gossip tells. Partitions are spread by number: one broker far above the others leads the busy ones.", "id")
	partitions    = desc("kafka_topic_partitions", "Partitions of a topic: how many consumers of a group can share it.", "topic")
	currentOffset = desc("kafka_topic_partition_current_offset", "High watermark of a partition. Its rate is what is produced.", "topic", "partition")
	oldestOffset  = desc("kafka_topic_partition_oldest_offset", "First offset that retention and DeleteRecords have left.", "topic", "partition")
	leader        = desc("kafka_topic_partition_leader", "Node that leads a partition; -1 when nobody does. That heals by itself within seconds, or brokers are missing, or an object is: the log of the partition's owner says which.", "topic", "partition")
	preferred     = desc("kafka_topic_partition_leader_is_preferred", "Always 1 with a leader: whoever leads is the first of the virtual replicas.", "topic", "partition")
	replicas      = desc("kafka_topic_partition_replicas", "Replicas shown, out of the live brokers. The bucket replicates, not the brokers.", "topic", "partition")
	inSync        = desc("kafka_topic_partition_in_sync_replica", "Always all replicas shown: every broker reads the same bucket.", "topic", "partition")
	under         = desc("kafka_topic_partition_under_replicated_partition", "1 when nobody leads the partition; otherwise it cannot be under-replicated.", "topic", "partition")

	led          = desc("firn_partitions_led", "Partitions that this broker leads. Very uneven between brokers for minutes: look at their logs.")
	topicBytes   = desc("firn_topic_bytes", "Bytes of a topic in the bucket, as far as the catalog describes them. What retention has to hold down.", "topic")
	tierBytes    = desc("firn_tier_bytes", "Bytes that a tier holds now: tail and block in memory, hot on disk, bucket for ever. bucket is reported by one broker.", "tier")
	catalogEntry = desc("firn_catalog_entry", "Number of the newest journal entry that this broker knows. Far behind other brokers: it does not reach the bucket.")
	sessionsOpen = desc("firn_sessions_open", "Sessions that are not sealed. More than one for each broker for minutes: a dead broker's data waits to be taken over.")
	orphans      = desc("firn_gc_orphans", "Objects that nothing refers to any more, waiting for gc.grace.ms. Growth for hours: deleting fails; see firn_object_requests_total{op=\"delete\"}.")
)

// Describe implements prometheus.Collector.
func (c *cluster) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{brokers, brokerInfo, brokerLoad, partitions, currentOffset, oldestOffset, leader, preferred, replicas, inSync, under, led, topicBytes, catalogEntry, sessionsOpen, orphans} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *cluster) Collect(ch chan<- prometheus.Metric) {
	state := c.source.State()
	live, self := c.source.Brokers()
	first := len(live) == 0 || live[0].Node == self // M1
	if first {
		send(ch, brokers, len(live))
		for _, b := range live {
			send(ch, brokerInfo, 1, strconv.Itoa(int(b.Node)), b.Address)
			send(ch, brokerLoad, b.Load, strconv.Itoa(int(b.Node)))
		}
	}
	mine := 0
	for _, t := range state.Topics() {
		if first {
			send(ch, partitions, len(t.Partitions), t.Name)
			var bytes int64
			for _, p := range t.Partitions {
				bytes += p.Bytes
			}
			send(ch, topicBytes, bytes, t.Name)
		}
		for _, p := range t.Partitions {
			start, end, ok := c.source.Span(p.ID)
			switch {
			case ok:
				mine++
				c.partition(ch, t, p, self, start, end, len(live))
			case owns(state, self, p), first && !leads(state, live, p): // it cannot be led, or has nobody
				c.partition(ch, t, p, -1, p.LogStart, p.Next, len(live))
			}
		}
	}
	send(ch, led, mine)
	send(ch, catalogEntry, state.Number())
	if first {
		open := 0
		for _, s := range state.Sessions() {
			if !s.Sealed {
				open++
			}
		}
		send(ch, sessionsOpen, open)
		send(ch, orphans, state.GarbageCount())
	}
}

// leads reports whether a live broker owns the partition.
func leads(state *catalog.State, live []Broker, p *catalog.Partition) bool {
	s, ok := state.Session(p.Owner)
	return ok && !s.Sealed && slices.ContainsFunc(live, func(b Broker) bool { return b.Node == s.Node })
}

// owns reports whether the partition is this broker's, led or not.
func owns(state *catalog.State, self int32, p *catalog.Partition) bool {
	s, ok := state.Session(p.Owner)
	return ok && !s.Sealed && s.Node == self
}

// partition sends what one partition is; node -1 when nobody leads it.
func (c *cluster) partition(ch chan<- prometheus.Metric, t *catalog.Topic, p *catalog.Partition, node int32, start, end int64, live int) {
	index := strconv.Itoa(int(p.ID.Index))
	n := min(max(int(t.Replicas), 1), max(live, 1))
	headless := 0
	if node < 0 {
		headless = 1
	}
	send(ch, currentOffset, end, t.Name, index)
	send(ch, oldestOffset, start, t.Name, index)
	send(ch, leader, node, t.Name, index)
	send(ch, preferred, 1-headless, t.Name, index)
	send(ch, replicas, n, t.Name, index)
	send(ch, inSync, n, t.Name, index)
	send(ch, under, headless, t.Name, index)
}

func send[N int | int32 | int64 | uint64](ch chan<- prometheus.Metric, d *prometheus.Desc, n N, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
}

func sendTotal(ch chan<- prometheus.Metric, d *prometheus.Desc, n int64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
}
