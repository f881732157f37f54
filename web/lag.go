package web

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// maxLagSeries bounds the pairs of group and partition in /metrics: a thousand
// groups on a thousand partitions would be a million series on every scrape.
// /metrics/lag has them all, for whoever wants to pay for them.
const maxLagSeries = 5000

// lag is what kafka_exporter exports of groups: those that this broker
// coordinates (M1).
type lag struct {
	source Source
	most   int // 0: no bound
}

var (
	groupOffset    = desc("kafka_consumergroup_current_offset", "Offset that a group has committed.", "consumergroup", "topic", "partition")
	groupOffsetSum = desc("kafka_consumergroup_current_offset_sum", "Offsets that a group has committed, over the partitions of a topic.", "consumergroup", "topic")
	groupLag       = desc("kafka_consumergroup_lag", "Records between what a group has committed and the end of the partition: where the group's coordinator does not lead it, the end that the catalog knows, which is behind by what is not sealed yet, a minute's records as a rule. Growth: the consumers are slower than the producers, or one of them is stuck.", "consumergroup", "topic", "partition")
	groupLagSum    = desc("kafka_consumergroup_lag_sum", "Lag of a group, over the partitions of a topic, as far as the coordinator knows it: see kafka_consumergroup_lag. Alert on it when it grows for longer than a deployment takes.", "consumergroup", "topic")
	groupMembers   = desc("kafka_consumergroup_members", "Members of a group. 0 with lag: nobody consumes.", "consumergroup")
	lagOmitted     = desc("firn_metrics_lag_omitted_series", "Pairs of group and partition that are left out here, to keep a scrape cheap. Above 0, scrape /metrics/lag as well; the sums are complete.")
)

// Describe implements prometheus.Collector.
func (l *lag) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{groupOffset, groupLag} {
		ch <- d
	}
	if l.most > 0 {
		for _, d := range []*prometheus.Desc{groupOffsetSum, groupLagSum, groupMembers, lagOmitted} {
			ch <- d
		}
	}
}

// Collect implements prometheus.Collector.
func (l *lag) Collect(ch chan<- prometheus.Metric) {
	groups := l.source.Groups()
	series := 0
	for _, g := range groups {
		series += len(g.Offsets)
	}
	each := l.most == 0 || series <= l.most
	type sums struct {
		offset, lag int64
		known       bool // of at least one partition
	}
	for _, g := range groups {
		topics := map[string]sums{}
		for _, c := range g.Offsets {
			s := topics[c.Topic]
			s.offset += c.Offset
			behind := max(c.End-c.Offset, 0)
			if c.End >= 0 {
				s.lag += behind
				s.known = true
			}
			topics[c.Topic] = s
			if !each {
				continue
			}
			index := strconv.Itoa(int(c.Partition))
			send(ch, groupOffset, c.Offset, g.ID, c.Topic, index)
			if c.End >= 0 {
				send(ch, groupLag, behind, g.ID, c.Topic, index)
			}
		}
		if l.most == 0 {
			continue
		}
		for topic, s := range topics {
			send(ch, groupOffsetSum, s.offset, g.ID, topic)
			if s.known {
				send(ch, groupLagSum, s.lag, g.ID, topic)
			}
		}
		send(ch, groupMembers, g.Members, g.ID)
	}
	if l.most > 0 {
		if each {
			series = 0
		}
		send(ch, lagOmitted, series)
	}
}
