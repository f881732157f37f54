package main

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// configs are described and altered.
func configs() []scenario {
	describing := func(kind kmsg.ConfigResourceType, name string, names ...string) *kmsg.DescribeConfigsRequest {
		q := kmsg.NewPtrDescribeConfigsRequest()
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName, r.ConfigNames = kind, name, names
		q.Resources = append(q.Resources, r)
		q.IncludeSynonyms = true
		return q
	}
	const topic, broker, logger = kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger
	type edit struct {
		name  string
		op    kmsg.IncrementalAlterConfigOp
		value string
	}
	const set, unset, add, take = kmsg.IncrementalAlterConfigOpSet, kmsg.IncrementalAlterConfigOpDelete, kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract
	const null = "\x00"
	orNull := func(s string) *string {
		if s == null {
			return nil
		}
		return &s
	}
	editing := func(kind kmsg.ConfigResourceType, name string, es ...edit) *kmsg.IncrementalAlterConfigsRequest {
		q := kmsg.NewPtrIncrementalAlterConfigsRequest()
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kind, name
		for _, e := range es {
			c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			c.Name, c.Op, c.Value = e.name, e.op, orNull(e.value)
			r.Configs = append(r.Configs, c)
		}
		q.Resources = append(q.Resources, r)
		return q
	}
	altering := func(kind kmsg.ConfigResourceType, name string, settings ...string) *kmsg.AlterConfigsRequest {
		q := kmsg.NewPtrAlterConfigsRequest()
		r := kmsg.NewAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kind, name
		for i := 0; i < len(settings); i += 2 {
			c := kmsg.NewAlterConfigsRequestResourceConfig()
			c.Name, c.Value = settings[i], orNull(settings[i+1])
			r.Configs = append(r.Configs, c)
		}
		q.Resources = append(q.Resources, r)
		return q
	}
	return []scenario{
		{"configs/describe topics", func(s *side) {
			create(s, "described", 1, "cleanup.policy", "compact", "retention.ms", "604800000", "max.message.bytes", "2000000")
			q := describing(topic, "described")
			q.Resources[0].ConfigNames = nil
			every[*kmsg.DescribeConfigsResponse](s, "all", q)
			q.IncludeSynonyms, q.IncludeDocumentation = false, true
			every[*kmsg.DescribeConfigsResponse](s, "all, documented", q)
			q = describing(topic, "described", "cleanup.policy", "retention.ms", "no.such", "retention.ms")
			every[*kmsg.DescribeConfigsResponse](s, "some", q)
			q.Resources[0].ConfigNames = []string{}
			every[*kmsg.DescribeConfigsResponse](s, "empty list", q)
			for _, n := range []string{"nosuch", "", "a b"} {
				every[*kmsg.DescribeConfigsResponse](s, "topic "+n, describing(topic, n))
			}
			q = describing(topic, "described", "cleanup.policy")
			q.Resources = append(q.Resources, q.Resources[0], describing(topic, "nosuch").Resources[0])
			every[*kmsg.DescribeConfigsResponse](s, "twice", q)
			q.Resources = nil
			every[*kmsg.DescribeConfigsResponse](s, "none", q)
		}},
		{"configs/describe others", func(s *side) {
			names := []string{"default.replication.factor", "num.partitions", "delete.topic.enable", "auto.create.topics.enable", "message.max.bytes", "log.retention.ms",
				"log.retention.hours", "log.retention.minutes", "log.cleanup.policy", "compression.type", "offsets.retention.minutes", "group.initial.rebalance.delay.ms", "broker.rack",
				"advertised.listeners", "listeners", "node.id", "broker.id", "min.insync.replicas", "log.segment.bytes", "fetch.max.bytes", "max.connections"}
			every[*kmsg.DescribeConfigsResponse](s, "broker", describing(broker, "1", names...))
			all := describing(broker, "1")
			all.Resources[0].ConfigNames = nil
			ask[*kmsg.DescribeConfigsResponse](s, "broker, everything", s.newest(all), all)
			for _, n := range []string{"", "x", "-1", "99"} {
				every[*kmsg.DescribeConfigsResponse](s, "broker "+n, describing(broker, n, names...))
			}
			every[*kmsg.DescribeConfigsResponse](s, "logger 99", describing(logger, "99"))
			for _, k := range []kmsg.ConfigResourceType{0, 1, 3, 77} {
				every[*kmsg.DescribeConfigsResponse](s, "type", describing(k, "x"))
			}
			every[*kmsg.DescribeConfigsResponse](s, "client metrics", describing(16, "x"))
			every[*kmsg.DescribeConfigsResponse](s, "group", describing(32, "x"))
		}},
		{"configs/inherited by topics", func(s *side) {
			create(s, "inherits", 1, "cleanup.policy", "delete")
			seen := func(step string) {
				every[*kmsg.DescribeConfigsResponse](s, "after "+step, describing(topic, "inherits", "max.message.bytes", "cleanup.policy"))
			}
			edited := func(step, node string, e edit) {
				q := editing(broker, node, e)
				ask[*kmsg.IncrementalAlterConfigsResponse](s, step, s.newest(q), q)
				eventually(s, func() { seen(step) })
			}
			seen("nothing")
			edited("all brokers", "", edit{"message.max.bytes", set, "2000000"})
			edited("one broker", "1", edit{"message.max.bytes", set, "3000000"})
			edited("one broker, of what the topic has set", "1", edit{"log.cleanup.policy", set, "compact"})
			edited("one broker, unset", "1", edit{"message.max.bytes", unset, null})
			edited("one broker, unset, of what the topic has set", "1", edit{"log.cleanup.policy", unset, null})
			edited("all brokers, unset", "", edit{"message.max.bytes", unset, null})
		}},
		{"configs/edit topics", func(s *side) {
			create(s, "edited", 1, "cleanup.policy", "delete")
			seen := func(step string) {
				q := describing(topic, "edited", "cleanup.policy", "retention.ms", "max.message.bytes", "leader.replication.throttled.replicas")
				every[*kmsg.DescribeConfigsResponse](s, "after "+step, q)
			}
			for _, c := range []struct {
				step  string
				edits []edit
			}{
				{"set", []edit{{"retention.ms", set, "5000"}}},
				{"set again and another", []edit{{"retention.ms", set, "5000"}, {"max.message.bytes", set, "1048588"}}},
				{"append", []edit{{"cleanup.policy", add, "compact"}}},
				{"append what is there", []edit{{"cleanup.policy", add, "compact"}}},
				{"append many", []edit{{"cleanup.policy", add, "compact,delete"}}},
				{"subtract", []edit{{"cleanup.policy", take, "delete"}}},
				{"subtract what is not there", []edit{{"cleanup.policy", take, "delete"}}},
				{"subtract the last", []edit{{"cleanup.policy", take, "compact"}}},
				{"append to no list", []edit{{"retention.ms", add, "1"}}},
				{"subtract from no list", []edit{{"retention.ms", take, "1"}}},
				{"append to unknown", []edit{{"no.such", add, "1"}}},
				{"unset", []edit{{"retention.ms", unset, null}}},
				{"unset with a value", []edit{{"retention.ms", unset, "9"}}},
				{"unset what is not set", []edit{{"segment.bytes", unset, null}}},
				{"unset unknown", []edit{{"no.such", unset, null}}},
				{"set unknown", []edit{{"no.such", set, "1"}}},
				{"set illegal", []edit{{"retention.ms", set, "x"}}},
				{"set null", []edit{{"retention.ms", set, null}}},
				{"append null", []edit{{"cleanup.policy", add, null}}},
				{"set empty", []edit{{"cleanup.policy", set, ""}}},
				{"twice", []edit{{"retention.ms", set, "1"}, {"retention.ms", set, "2"}}},
				{"set and unset", []edit{{"retention.ms", set, "1"}, {"retention.ms", unset, null}}},
				{"operation 9", []edit{{"retention.ms", 9, "1"}}},
				{"one good, one bad", []edit{{"retention.ms", set, "1"}, {"no.such", set, "2"}}},
				{"nothing", nil},
				{"append to an empty list", []edit{{"leader.replication.throttled.replicas", add, "0:1"}}},
				{"reset list", []edit{{"cleanup.policy", unset, null}}},
			} {
				q := editing(topic, "edited", c.edits...)
				q.ValidateOnly = true
				every[*kmsg.IncrementalAlterConfigsResponse](s, c.step+", validate only", q)
				q.ValidateOnly = false
				every[*kmsg.IncrementalAlterConfigsResponse](s, c.step, q)
				seen(c.step)
			}
			for _, n := range []string{"nosuch", "", "a b"} {
				every[*kmsg.IncrementalAlterConfigsResponse](s, "topic "+n, editing(topic, n, edit{"retention.ms", set, "1"}))
			}
			q := editing(topic, "edited", edit{"retention.ms", set, "77"})
			q.Resources = append(q.Resources, editing(topic, "edited", edit{"retention.ms", set, "78"}).Resources[0])
			every[*kmsg.IncrementalAlterConfigsResponse](s, "resource twice", q)
			q.Resources = nil
			every[*kmsg.IncrementalAlterConfigsResponse](s, "none", q)
			seen("all")
		}},
		{"configs/replace", func(s *side) {
			create(s, "replaced", 1, "cleanup.policy", "compact", "retention.ms", "1000")
			seen := func(step string) {
				every[*kmsg.DescribeConfigsResponse](s, "after "+step, describing(topic, "replaced", "cleanup.policy", "retention.ms", "max.message.bytes"))
			}
			for _, c := range []struct {
				step     string
				settings []string
			}{
				{"replace", []string{"max.message.bytes", "2000000"}},
				{"unknown", []string{"no.such", "1"}},
				{"illegal", []string{"retention.ms", "x"}},
				{"null", []string{"retention.ms", null}},
				{"twice", []string{"retention.ms", "1", "retention.ms", "2"}},
				{"one bad", []string{"retention.ms", "7", "no.such", "2"}},
				{"empty", nil},
			} {
				q := altering(topic, "replaced", c.settings...)
				q.ValidateOnly = true
				every[*kmsg.AlterConfigsResponse](s, c.step+", validate only", q)
				q.ValidateOnly = false
				every[*kmsg.AlterConfigsResponse](s, c.step, q)
				seen(c.step)
			}
			for _, n := range []string{"nosuch", ""} {
				every[*kmsg.AlterConfigsResponse](s, "topic "+n, altering(topic, n, "retention.ms", "1"))
			}
			q := altering(topic, "replaced", "retention.ms", "77")
			q.Resources = append(q.Resources, altering(topic, "replaced", "retention.ms", "78").Resources[0])
			every[*kmsg.AlterConfigsResponse](s, "resource twice", q)
			seen("resource twice")
		}},
		{"configs/edit brokers", func(s *side) {
			seen := func(step string) {
				for _, n := range []string{"1", ""} {
					every[*kmsg.DescribeConfigsResponse](s, strings.TrimSpace("after "+step+" "+n), describing(broker, n, "message.max.bytes", "log.cleanup.policy", "num.partitions"))
				}
			}
			for _, c := range []struct {
				step, node string
				e          edit
			}{
				{"one", "1", edit{"message.max.bytes", set, "2000000"}},
				{"all", "", edit{"message.max.bytes", set, "3000000"}},
				{"append", "", edit{"log.cleanup.policy", add, "compact"}},
				{"one unset", "1", edit{"message.max.bytes", unset, null}},
				{"all unset", "", edit{"message.max.bytes", unset, null}},
				{"list unset", "", edit{"log.cleanup.policy", unset, null}},
				{"read-only", "1", edit{"num.partitions", set, "4"}},
				{"read-only, all", "", edit{"auto.create.topics.enable", set, "false"}},
				{"unknown", "", edit{"no.such", set, "1"}},
				{"illegal", "", edit{"message.max.bytes", set, "x"}},
				{"node 99", "99", edit{"message.max.bytes", set, "4000000"}},
				{"node x", "x", edit{"message.max.bytes", set, "4000000"}},
				{"node -1", "-1", edit{"message.max.bytes", set, "4000000"}},
			} {
				q := editing(broker, c.node, c.e)
				q.ValidateOnly = true
				ask[*kmsg.IncrementalAlterConfigsResponse](s, c.step+", validate only", s.newest(q), q)
				q.ValidateOnly = false
				ask[*kmsg.IncrementalAlterConfigsResponse](s, c.step, s.newest(q), q)
				if !strings.HasPrefix(c.step, "node") {
					eventually(s, func() { seen(c.step) })
				}
			}
			every[*kmsg.IncrementalAlterConfigsResponse](s, "type 77", editing(77, "x", edit{"a", set, "1"}))
			every[*kmsg.AlterConfigsResponse](s, "type 77", altering(77, "x", "a", "1"))
		}},
	}
}
