package main

import (
	"math"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// scenarios are all there are, in their order.
func scenarios() []scenario {
	var all []scenario
	for _, some := range [][]scenario{connections(), metadata(), topics(), configs(), producing(), fetching(), offsets(), groups(), crowds(), late(), tools()} {
		all = append(all, some...)
	}
	return all
}

// create makes a topic and waits until it can be used. Its name is the symbol of its id.
func create(s *side, name string, partitions int32, settings ...string) [16]byte {
	q := creation(name, partitions, 1, settings...)
	if r := quiet[*kmsg.CreateTopicsResponse](s, q); len(r.Topics) != 1 || r.Topics[0].ErrorCode != 0 {
		s.say("create "+name, "failed")
		return [16]byte{}
	}
	id := usable(s, name, partitions)
	s.isID("id of "+name, id)
	return id
}

// usable waits until all partitions of a topic have a leader.
func usable(s *side, name string, partitions int32) [16]byte {
	for range 100 {
		r := quiet[*kmsg.MetadataResponse](s, describing(name))
		if len(r.Topics) == 1 && r.Topics[0].ErrorCode == 0 && len(r.Topics[0].Partitions) == int(partitions) {
			led := true
			for _, p := range r.Topics[0].Partitions {
				led = led && p.ErrorCode == 0 && p.Leader >= 0
			}
			if led && leading(s, name, partitions) {
				return r.Topics[0].TopicID
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.say("metadata of "+name, "no leaders")
	return [16]byte{}
}

// leading says whether the leader of every partition knows that it is one: Kafka's
// metadata tells of it earlier.
func leading(s *side, name string, partitions int32) bool {
	q := kmsg.NewPtrListOffsetsRequest()
	q.ReplicaID = -1
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = name
	for i := range partitions {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp, p.CurrentLeaderEpoch = i, -1, -1
		t.Partitions = append(t.Partitions, p)
	}
	q.Topics = append(q.Topics, t)
	for _, t := range quiet[*kmsg.ListOffsetsResponse](s, q).Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				return false
			}
		}
	}
	return true
}

// gone waits until nobody knows a topic any more.
func gone(s *side, name string) {
	for range 100 {
		r := quiet[*kmsg.MetadataResponse](s, describing(name))
		if len(r.Topics) == 1 && r.Topics[0].ErrorCode == 3 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.say("metadata of "+name, "still there")
}

func describing(names ...string) *kmsg.MetadataRequest {
	q := kmsg.NewPtrMetadataRequest()
	q.Topics = []kmsg.MetadataRequestTopic{}
	for _, n := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &n
		q.Topics = append(q.Topics, t)
	}
	return q
}

func creation(name string, partitions int32, replicas int16, settings ...string) *kmsg.CreateTopicsRequest {
	q := kmsg.NewPtrCreateTopicsRequest()
	q.TimeoutMillis = 15000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, replicas
	for i := 0; i < len(settings); i += 2 {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = settings[i], &settings[i+1]
		t.Configs = append(t.Configs, c)
	}
	q.Topics = append(q.Topics, t)
	return q
}

// metadata is what Metadata, DescribeCluster and DescribeTopicPartitions say.
func metadata() []scenario {
	return []scenario{
		{"metadata/of nothing", func(s *side) {
			q := kmsg.NewPtrMetadataRequest()
			every[*kmsg.MetadataResponse](s, "null topics", q)
			q.Topics = []kmsg.MetadataRequestTopic{}
			every[*kmsg.MetadataResponse](s, "no topics", q)
			q.IncludeClusterAuthorizedOperations, q.IncludeTopicAuthorizedOperations = true, true
			every[*kmsg.MetadataResponse](s, "no topics, operations", q)
		}},
		{"metadata/of topics", func(s *side) {
			id := create(s, "metadata", 3)
			q := describing("metadata")
			every[*kmsg.MetadataResponse](s, "one", q)
			q.IncludeTopicAuthorizedOperations, q.IncludeClusterAuthorizedOperations = true, true
			every[*kmsg.MetadataResponse](s, "operations", q)
			q = describing("metadata", "metadata")
			every[*kmsg.MetadataResponse](s, "twice", q)
			q = describing("nosuch", "", ".", "a b", strings.Repeat("x", 250), "metadata")
			q.AllowAutoTopicCreation = false
			for _, v := range s.versions(q.Key()) {
				if v >= 4 { // before, they are created
					ask[*kmsg.MetadataResponse](s, "unknown and illegal", v, q)
				}
			}
			q = describing()
			t := kmsg.NewMetadataRequestTopic()
			t.TopicID = id
			q.Topics = append(q.Topics, t)
			for _, v := range s.versions(q.Key()) {
				if v >= 10 {
					ask[*kmsg.MetadataResponse](s, "by id", v, q)
				}
			}
			t.TopicID[3]++
			q.Topics = append(q.Topics, t)
			for _, v := range s.versions(q.Key()) {
				if v >= 10 {
					ask[*kmsg.MetadataResponse](s, "by id, one unknown", v, q)
				}
			}
			q.Topics[0].Topic = kmsg.StringPtr("metadata")
			for _, v := range s.versions(q.Key()) {
				if v >= 10 {
					ask[*kmsg.MetadataResponse](s, "by name and id", v, q)
				}
			}
			q.Topics[0].TopicID, q.Topics = [16]byte{}, q.Topics[:1]
			q.Topics[0].Topic = nil
			for _, v := range s.versions(q.Key()) {
				if v >= 10 {
					ask[*kmsg.MetadataResponse](s, "neither name nor id", v, q)
				}
			}
		}},
		{"metadata/auto creation", func(s *side) {
			for _, v := range s.versions(3) {
				name := "auto-" + string(rune('a'+v))
				q := describing(name)
				q.AllowAutoTopicCreation = true
				ask[*kmsg.MetadataResponse](s, "first", v, q)
				id := usable(s, name, 1)
				s.isID("id of "+name, id)
				ask[*kmsg.MetadataResponse](s, "second", v, q)
			}
			q := describing("auto illegal", "auto-.")
			q.AllowAutoTopicCreation = true
			every[*kmsg.MetadataResponse](s, "illegal", q)
		}},
		{"metadata/cluster", func(s *side) {
			q := kmsg.NewPtrDescribeClusterRequest()
			q.EndpointType = 1
			every[*kmsg.DescribeClusterResponse](s, "brokers", q)
			q.IncludeClusterAuthorizedOperations = true
			every[*kmsg.DescribeClusterResponse](s, "operations", q)
			q.EndpointType = 2
			every[*kmsg.DescribeClusterResponse](s, "controllers", q)
			q.EndpointType = 9
			every[*kmsg.DescribeClusterResponse](s, "endpoint 9", q)
			q.EndpointType, q.IncludeFencedBrokers = 1, true
			every[*kmsg.DescribeClusterResponse](s, "fenced", q)
		}},
		{"metadata/topic partitions", func(s *side) {
			for _, n := range []string{"dtp-a", "dtp-b", "dtp-c"} {
				create(s, n, 3)
			}
			q := kmsg.NewPtrDescribeTopicPartitionsRequest()
			names := func(ns ...string) {
				q.Topics = nil
				for _, n := range ns {
					t := kmsg.NewDescribeTopicPartitionsRequestTopic()
					t.Topic = n
					q.Topics = append(q.Topics, t)
				}
			}
			q.ResponsePartitionLimit = 2000
			names("dtp-b", "dtp-a", "nosuch", "a b")
			every[*kmsg.DescribeTopicPartitionsResponse](s, "some", q)
			names("dtp-b", "dtp-a", "dtp-b")
			every[*kmsg.DescribeTopicPartitionsResponse](s, "twice", q)
			names("dtp-b", "")
			every[*kmsg.DescribeTopicPartitionsResponse](s, "no name", q)
			names("dtp-a", "dtp-b", "dtp-c")
			for _, limit := range []int32{0, -1, 1, 2, 3, 4, 8, 9, 10} {
				q.ResponsePartitionLimit = limit
				every[*kmsg.DescribeTopicPartitionsResponse](s, "limit", q)
			}
			q.ResponsePartitionLimit = 4
			cursor := kmsg.NewDescribeTopicPartitionsRequestCursor()
			q.Cursor = &cursor
			for _, at := range []struct {
				topic     string
				partition int32
			}{{"dtp-a", 0}, {"dtp-a", 2}, {"dtp-a", 3}, {"dtp-b", 1}, {"dtp-c", 0}, {"dtp-c", 2}, {"dtp-aa", 1}, {"dtp-z", 0}, {"", 0}, {"dtp-a", -1}} {
				cursor.Topic, cursor.Partition = at.topic, at.partition
				every[*kmsg.DescribeTopicPartitionsResponse](s, "cursor", q)
			}
			names()
			cursor.Topic, cursor.Partition = "dtp-b", 1
			every[*kmsg.DescribeTopicPartitionsResponse](s, "all from a cursor", q)
		}},
	}
}

// topics are made, grown and deleted.
func topics() []scenario {
	return []scenario{
		{"topics/create", func(s *side) {
			create(s, "exists", 1)
			create(s, "dotted.name", 1)
			cases := map[string]*kmsg.CreateTopicsRequest{}
			order := []string{}
			add := func(step string, q *kmsg.CreateTopicsRequest) {
				cases[step] = q
				order = append(order, step)
			}
			for _, n := range []string{"", ".", "..", "a b", "é", strings.Repeat("x", 250), "exists", "dotted_name", "__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata"} {
				q := creation(n, 1, 1)
				q.ValidateOnly = strings.HasPrefix(n, "__") // a Kafka with an odd __consumer_offsets coordinates nothing
				add("name "+n, q)
			}
			for _, p := range []int32{0, -1, -2, math.MinInt32} {
				add("partitions", creation("refused", p, 1))
			}
			for _, r := range []int16{0, -2} {
				add("replicas", creation("refused", 1, r))
			}
			for _, c := range [][]string{
				{"no.such", "1"}, {"retention.ms", "soon"}, {"retention.ms", "-2"}, {"retention.ms", ""}, {"cleanup.policy", "burn"}, {"cleanup.policy", ""},
				{"cleanup.policy", "compact,delete,compact"}, {"cleanup.policy", "compact,compact"}, {"retention.ms", "1", "retention.ms", "2"}, {"max.message.bytes", "-1"}, {"min.insync.replicas", "0"},
				{"compression.type", "brotli"}, {"compression.type", "none"}, {"segment.bytes", "1"}, {"message.timestamp.type", "Never"}, {"delete.retention.ms", "-1"},
				{"min.cleanable.dirty.ratio", "2"}, {"remote.storage.enable", "true"}, {"unclean.leader.election.enable", "maybe"}, {"message.format.version", "2.0"},
				{"max.compaction.lag.ms", "0"}, {"min.compaction.lag.ms", "10", "max.compaction.lag.ms", "5"}, {"local.retention.ms", "5", "retention.ms", "1"}, {"compression.gzip.level", "99"},
				{"preallocate", "TRUE"}, {"retention.ms", " 5 "}, {"flush.messages", "0"}, {"index.interval.bytes", "-1"}, {"segment.ms", "0"}, {"segment.index.bytes", "3"}, {"file.delete.delay.ms", "-1"},
				{"leader.replication.throttled.replicas", "1:2"}, {"leader.replication.throttled.replicas", "x"}, {"follower.replication.throttled.replicas", "*"},
				{"message.timestamp.before.max.ms", "-1"}, {"message.timestamp.after.max.ms", "x"}, {"retention.bytes", "-2"}, {"segment.jitter.ms", "-1"},
			} {
				q := creation("configured", 1, 1, c...)
				q.ValidateOnly = true
				add("config "+strings.Join(c, " "), q)
			}
			add("exists, and no partitions", creation("exists", 0, 1))
			add("exists, and no replicas", creation("exists", 1, 0))
			add("exists, and no such config", creation("exists", 1, 1, "no.such", "1"))
			add("exists, and wrong value", creation("exists", 1, 1, "retention.ms", "x"))
			add("collides, and wrong value", creation("dotted_name", 1, 1, "retention.ms", "x"))
			add("illegal, and wrong value", creation("a b", 0, 1, "retention.ms", "x"))
			null := creation("configured", 1, 1, "retention.ms", "")
			null.Topics[0].Configs[0].Value = nil
			add("config null", null)
			assigned := func(partitions int32, replicas int16, ps []int32, nodes ...[]int32) *kmsg.CreateTopicsRequest {
				q := creation("assigned", partitions, replicas)
				q.ValidateOnly = true
				for i, p := range ps {
					a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
					a.Partition, a.Replicas = p, nodes[i]
					q.Topics[0].ReplicaAssignment = append(q.Topics[0].ReplicaAssignment, a)
				}
				return q
			}
			add("assigned", assigned(-1, -1, []int32{0, 1}, []int32{1}, []int32{1}))
			add("assigned with counts", assigned(2, 1, []int32{0, 1}, []int32{1}, []int32{1}))
			add("assigned with replicas", assigned(-1, 1, []int32{0, 1}, []int32{1}, []int32{1}))
			add("assigned with a hole", assigned(-1, -1, []int32{0, 2}, []int32{1}, []int32{1}))
			add("assigned twice", assigned(-1, -1, []int32{0, 0}, []int32{1}, []int32{1}))
			add("assigned to one twice", assigned(-1, -1, []int32{0}, []int32{1, 1}))
			add("assigned to nobody", assigned(-1, -1, []int32{0}, []int32{}))
			add("assigned to -1", assigned(-1, -1, []int32{0}, []int32{-1}))
			twice := creation("twice", 1, 1)
			twice.Topics = append(twice.Topics, twice.Topics[0], creation("exists", 1, 1).Topics[0])
			add("twice", twice)
			thrice := creation("twice", 1, 1)
			thrice.Topics = append(thrice.Topics, thrice.Topics[0], thrice.Topics[0])
			add("three times", thrice)
			dry := creation("dry", 2, 1, "cleanup.policy", "compact")
			dry.ValidateOnly = true
			add("validate only", dry)
			dry = creation("dry", -1, -1)
			dry.ValidateOnly = true
			add("validate only, defaults", dry)
			add("none", &kmsg.CreateTopicsRequest{TimeoutMillis: 1000})
			for _, step := range order {
				for _, v := range s.versions(19) {
					if strings.HasPrefix(step, "partitions") && cases[step].Topics[0].NumPartitions == -1 && v >= 4 {
						continue // legal
					}
					ask[*kmsg.CreateTopicsResponse](s, step, v, cases[step])
				}
			}
			for _, v := range s.versions(19) {
				name := "created-" + string(rune('a'+v))
				q := creation(name, 2, 1, "cleanup.policy", "compact", "retention.ms", "604800000")
				r := ask[*kmsg.CreateTopicsResponse](s, "create", v, q)
				if len(r.Topics) == 1 {
					s.isID("id of "+name, usable(s, name, 2))
				}
				ask[*kmsg.CreateTopicsResponse](s, "create again", v, q)
			}
			for _, v := range s.versions(3) {
				if v >= 4 { // before, asking creates
					ask[*kmsg.MetadataResponse](s, "what is there", v, describing("dry", "created-c", "configured", "assigned", "refused"))
				}
			}
		}},
		{"topics/delete", func(s *side) {
			for _, v := range s.versions(20) {
				q := kmsg.NewPtrDeleteTopicsRequest()
				q.TimeoutMillis = 15000
				one := func(name *string, id [16]byte) {
					if name != nil {
						q.TopicNames = append(q.TopicNames, *name)
					}
					t := kmsg.NewDeleteTopicsRequestTopic()
					t.Topic, t.TopicID = name, id
					q.Topics = append(q.Topics, t)
				}
				reset := func() { q.Topics, q.TopicNames = nil, nil }
				ask[*kmsg.DeleteTopicsResponse](s, "none", v, q)
				id := create(s, "doomed", 1)
				other := create(s, "doomed-2", 1)
				one(kmsg.StringPtr("nosuch"), [16]byte{})
				ask[*kmsg.DeleteTopicsResponse](s, "unknown", v, q)
				one(kmsg.StringPtr("doomed"), [16]byte{})
				one(kmsg.StringPtr("doomed"), [16]byte{})
				ask[*kmsg.DeleteTopicsResponse](s, "twice", v, q)
				reset()
				one(kmsg.StringPtr(""), [16]byte{})
				ask[*kmsg.DeleteTopicsResponse](s, "empty name", v, q)
				if v >= 6 {
					reset()
					one(kmsg.StringPtr("doomed"), id)
					one(nil, [16]byte{1, 2, 3})
					ask[*kmsg.DeleteTopicsResponse](s, "both, and unknown", v, q)
					reset()
					one(nil, [16]byte{})
					ask[*kmsg.DeleteTopicsResponse](s, "neither", v, q)
					reset()
					one(nil, id)
					one(kmsg.StringPtr("doomed"), [16]byte{})
					ask[*kmsg.DeleteTopicsResponse](s, "once by name and once by id", v, q)
					reset()
					one(nil, other)
					ask[*kmsg.DeleteTopicsResponse](s, "by id", v, q)
					gone(s, "doomed-2")
					ask[*kmsg.DeleteTopicsResponse](s, "by id again", v, q)
				}
				reset()
				one(kmsg.StringPtr("doomed"), [16]byte{})
				one(kmsg.StringPtr("nosuch"), [16]byte{})
				ask[*kmsg.DeleteTopicsResponse](s, "one of two", v, q)
				if v < 6 {
					reset()
					one(kmsg.StringPtr("doomed-2"), [16]byte{})
					ask[*kmsg.DeleteTopicsResponse](s, "the other", v, q)
				}
				gone(s, "doomed")
				gone(s, "doomed-2")
			}
		}},
		{"topics/grow", func(s *side) {
			create(s, "grown", 2)
			grow := func(step string, ts ...kmsg.CreatePartitionsRequestTopic) {
				q := kmsg.NewPtrCreatePartitionsRequest()
				q.TimeoutMillis, q.Topics = 15000, ts
				q.ValidateOnly = true
				every[*kmsg.CreatePartitionsResponse](s, step, q)
			}
			to := func(name string, count int32, nodes ...[]int32) kmsg.CreatePartitionsRequestTopic {
				t := kmsg.NewCreatePartitionsRequestTopic()
				t.Topic, t.Count = name, count
				for _, n := range nodes {
					a := kmsg.NewCreatePartitionsRequestTopicAssignment()
					a.Replicas = n
					t.Assignment = append(t.Assignment, a)
				}
				return t
			}
			grow("none")
			grow("unknown", to("nosuch", 3))
			grow("same", to("grown", 2))
			grow("fewer", to("grown", 1))
			grow("none at all", to("grown", 0))
			grow("negative", to("grown", -1))
			grow("more", to("grown", 3))
			grow("twice", to("grown", 3), to("grown", 4), to("nosuch", 2))
			grow("assigned", to("grown", 3, []int32{1}))
			grow("assigned too few", to("grown", 4, []int32{1}))
			grow("assigned too many", to("grown", 3, []int32{1}, []int32{1}))
			grow("assigned to nobody", to("grown", 3, []int32{}))
			grow("assigned to one twice", to("grown", 3, []int32{1, 1}))
			grow("illegal", to("", 3), to("a b", 3))
			n := int32(2)
			for _, v := range s.versions(37) {
				n++
				q := kmsg.NewPtrCreatePartitionsRequest()
				q.TimeoutMillis = 15000
				q.Topics = append(q.Topics, to("grown", n))
				ask[*kmsg.CreatePartitionsResponse](s, "grow", v, q)
				usable(s, "grown", n)
			}
			every[*kmsg.MetadataResponse](s, "grown", describing("grown"))
		}},
	}
}
