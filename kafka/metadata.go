package kafka

import (
	"context"
	"errors"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/catalog"
)

// Metadata (3): brokers, controller, topics and who leads their partitions.
//
//   - Topics null means all, an empty list none; in v0 an empty list means all.
//     An unknown name is UNKNOWN_TOPIC_OR_PARTITION, an illegal one INVALID_TOPIC,
//     an unknown id UNKNOWN_TOPIC_ID with a null name (kafka.md 9).
//   - A topic is created when the broker allows it, the client allows it (v4+), and
//     it was named (kafka.md 10). Kafka answers with an error first and creates
//     meanwhile; here the topic is there at once, leaders included, and so is the
//     answer.
//   - v7 leader epochs (KIP-320), v8 authorised operations (KIP-430), v10 topic ids
//     and v12 lookup by them (KIP-516), v13 a top-level error (KIP-1102), never set:
//     any broker of the cluster knows enough.
//   - Replicas are virtual (kafka.md 14); nobody is ever offline.
func apiMetadata() api {
	return api{
		key: 3, name: "Metadata", min: 0, max: 13,
		shape: parseShape(9, `topics:[ id:uuid@10+ name:str?10+ ]?1+ create:bool@4+ clusterOps:bool@8-10 topicOps:bool@8+`),
		serve: on((*node).metadata),
	}
}

// operationsUnknown says that authorised operations were not asked for (KIP-430).
const operationsUnknown = math.MinInt32

// Without an authoriser everybody may do everything: the operations that exist for
// the resource, as bits of Kafka's AclOperation.
const (
	topicOperations   = 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<11 // READ WRITE CREATE DELETE ALTER DESCRIBE DESCRIBE_CONFIGS ALTER_CONFIGS
	groupOperations   = 1<<3 | 1<<6 | 1<<8 | 1<<10 | 1<<11                      // READ DELETE DESCRIBE DESCRIBE_CONFIGS ALTER_CONFIGS
	clusterOperations = 1<<5 | 1<<7 | 1<<8 | 1<<9 | 1<<10 | 1<<11 | 1<<12       // CREATE ALTER DESCRIBE CLUSTER_ACTION DESCRIBE_CONFIGS ALTER_CONFIGS IDEMPOTENT_WRITE
)

func (n *node) metadata(ctx context.Context, c *call, q *kmsg.MetadataRequest) *kmsg.MetadataResponse {
	r := kmsg.NewPtrMetadataResponse()
	if c.version < 12 && slices.ContainsFunc(q.Topics, func(t kmsg.MetadataRequestTopic) bool { return t.Topic == nil || t.TopicID != [16]byte{} }) {
		return refuseIDs(r, q)
	}
	v := n.viewBy(c.listener)
	r.Topics = n.describeTopics(ctx, &v, c.version, q)
	for _, b := range v.brokers {
		mb := kmsg.NewMetadataResponseBroker()
		mb.NodeID, mb.Host, mb.Port, mb.Rack = b.Node, b.Host, b.Port, orNull(b.Rack)
		r.Brokers = append(r.Brokers, mb)
	}
	r.ClusterID = kmsg.StringPtr(v.ClusterID())
	r.ControllerID = v.controller()
	r.AuthorizedOperations = operationsUnknown
	if q.IncludeClusterAuthorizedOperations {
		r.AuthorizedOperations = clusterOperations
	}
	return r
}

// describeTopics describes the topics that are asked for, in a view which is all of the
// answer's: leaders must be among the brokers in it.
func (n *node) describeTopics(ctx context.Context, v *view, version int16, q *kmsg.MetadataRequest) []kmsg.MetadataResponseTopic {
	out := []kmsg.MetadataResponseTopic{}
	if q.Topics == nil || version == 0 && len(q.Topics) == 0 {
		for _, t := range v.Topics() {
			out = append(out, v.describe(t, q))
		}
		return out
	}
	if q.AllowAutoTopicCreation || version < 4 {
		if n.autoCreate(ctx, *v, q.Topics) {
			*v = n.viewBy(v.listener)
		}
	}
	for _, want := range q.Topics { // before the first is described
		v.topic(ctx, deref(want.Topic), want.TopicID, want.Topic == nil)
	}
	told := map[string]bool{}
	for _, want := range q.Topics {
		if want.Topic != nil {
			if told[*want.Topic] {
				continue // a name that comes twice is answered once
			}
			told[*want.Topic] = true
		}
		out = append(out, v.named(want, q))
	}
	return out
}

// refuseIDs answers a request that asks by id, or by nothing, in a version that has
// the fields and not yet the meaning: all of it is INVALID_REQUEST (KAFKA-14314).
func refuseIDs(r *kmsg.MetadataResponse, q *kmsg.MetadataRequest) *kmsg.MetadataResponse {
	r.ControllerID = -1
	r.Brokers, r.Topics = []kmsg.MetadataResponseBroker{}, []kmsg.MetadataResponseTopic{}
	for _, t := range q.Topics {
		mt := kmsg.NewMetadataResponseTopic()
		mt.ErrorCode, mt.Topic, mt.TopicID = int16(codeInvalidRequest), t.Topic, t.TopicID
		if mt.Topic == nil {
			mt.Topic = new(string)
		}
		mt.AuthorizedOperations = operationsUnknown
		mt.Partitions = []kmsg.MetadataResponseTopicPartition{}
		r.Topics = append(r.Topics, mt)
	}
	return r
}

// named describes a topic that was asked for by name, or by id.
func (v view) named(want kmsg.MetadataRequestTopic, q *kmsg.MetadataRequest) kmsg.MetadataResponseTopic {
	name := deref(want.Topic)
	t, code := v.find(name, want.TopicID, want.Topic == nil)
	if code == codeNone {
		return v.describe(t, q)
	}
	mt := kmsg.NewMetadataResponseTopic()
	mt.Topic, mt.TopicID = want.Topic, want.TopicID
	mt.AuthorizedOperations = operationsUnknown
	if want.Topic != nil && catalog.CheckTopicName(name) != nil {
		code = codeInvalidTopic
	}
	mt.ErrorCode = int16(code)
	mt.Partitions = []kmsg.MetadataResponseTopicPartition{}
	return mt
}

// describe describes a topic.
func (v view) describe(t *catalog.Topic, q *kmsg.MetadataRequest) kmsg.MetadataResponseTopic {
	mt := kmsg.NewMetadataResponseTopic()
	mt.Topic, mt.TopicID, mt.IsInternal = kmsg.StringPtr(t.Name), t.ID, t.Internal
	mt.AuthorizedOperations = operationsUnknown
	if q.IncludeTopicAuthorizedOperations {
		mt.AuthorizedOperations = topicOperations
	}
	mt.Partitions = make([]kmsg.MetadataResponseTopicPartition, 0, len(t.Partitions))
	for _, p := range t.Partitions {
		mp := kmsg.NewMetadataResponseTopicPartition()
		mp.Partition, mp.LeaderEpoch = p.ID.Index, p.Epoch
		leader, ok := v.leader(p)
		if !ok {
			mp.ErrorCode = int16(codeLeaderNotAvailable)
		}
		mp.Leader = leader
		mp.Replicas = v.replicas(t.Replicas, leader)
		mp.ISR = mp.Replicas
		mp.OfflineReplicas = []int32{}
		mt.Partitions = append(mt.Partitions, mp)
	}
	return mt
}

// autoCreate creates those of the topics that are named, unknown and legal, if the
// broker allows it. It reports whether anything may have changed.
func (n *node) autoCreate(ctx context.Context, v view, topics []kmsg.MetadataRequestTopic) bool {
	var missing []NewTopic
	seen := map[string]bool{}
	for _, t := range topics {
		if t.Topic == nil || seen[*t.Topic] || internalName(*t.Topic) || v.CheckNewTopic(*t.Topic) != nil {
			continue
		}
		seen[*t.Topic] = true
		missing = append(missing, NewTopic{
			Name:       *t.Topic,
			Partitions: int32(n.settingInt(settingPartitions, defaultPartitions)),
			Replicas:   int16(n.settingInt(settingReplicas, defaultReplicas)),
		})
	}
	if len(missing) == 0 || !n.settingBool(settingAutoCreate, true) {
		return false
	}
	// What fails stays unknown, and the client asks again. Two brokers that create
	// the same topic at once are both right.
	for _, err := range n.Topics.Create(ctx, missing) {
		if err == nil || errors.Is(err, catalog.ErrExists) {
			return true
		}
	}
	return false
}

// internalName says whether a name belongs to a topic that only the broker makes.
func internalName(name string) bool {
	return name == "__consumer_offsets" || name == "__transaction_state"
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
