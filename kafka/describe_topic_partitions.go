package kafka

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/catalog"
)

// DescribeTopicPartitions (75): topics and partitions, some at a time (KIP-966).
// The Java admin client asks this first.
//
//   - Topics come in the order of their names, from the cursor on; an empty list
//     means all. At most 2,000 partitions, or what the client says, and at least one,
//     are in one answer; NextCursor tells where the next one begins. A cursor at a
//     topic that is not in the list, or at a partition below 0, is INVALID_REQUEST.
//   - There is no ELR and no offline replica: every replica can lead, always.
func apiDescribeTopicPartitions() api {
	return api{
		key: 75, name: "DescribeTopicPartitions", min: 0, max: 0,
		shape: parseShape(0, `topics:[ name:str ] limit:i32 cursor:( name:str partition:i32 )?`),
		serve: on((*node).describeTopicPartitions),
	}
}

// describeLimit is max.request.partition.size.limit.
const describeLimit = 2000

func (n *node) describeTopicPartitions(ctx context.Context, c *call, q *kmsg.DescribeTopicPartitionsRequest) *kmsg.DescribeTopicPartitionsResponse {
	v := n.viewBy(c.listener)
	r := kmsg.NewPtrDescribeTopicPartitionsResponse()
	r.Topics = []kmsg.DescribeTopicPartitionsResponseTopic{}
	var names []string
	for _, t := range q.Topics {
		names = append(names, t.Topic)
	}
	all := len(names) == 0
	if all {
		for t := range v.AllTopics() {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if q.Cursor != nil && (q.Cursor.Partition < 0 || !all && !slices.Contains(names, q.Cursor.Topic)) {
		return refuseCursor(r, names)
	}
	from := int32(0)
	if q.Cursor != nil {
		at, found := slices.BinarySearch(names, q.Cursor.Topic)
		names = names[at:]
		if found {
			from = q.Cursor.Partition
		}
	}
	left := max(1, min(describeLimit, int(q.ResponsePartitionLimit)))
	for _, name := range names {
		if left <= 0 {
			r.NextCursor = cursor(name, 0)
			break
		}
		t, code := v.topic(ctx, name, [16]byte{}, false)
		rt := kmsg.NewDescribeTopicPartitionsResponseTopic()
		rt.Topic, rt.AuthorizedOperations = &name, topicOperations
		rt.Partitions = []kmsg.DescribeTopicPartitionsResponseTopicPartition{}
		if t == nil {
			if catalog.CheckTopicName(name) != nil {
				code = codeInvalidTopic
			}
			rt.ErrorCode = int16(code)
			r.Topics = append(r.Topics, rt)
			continue
		}
		rt.TopicID, rt.IsInternal = t.ID, t.Internal
		first := min(int(from), len(t.Partitions))
		last := min(first+left, len(t.Partitions))
		for _, p := range t.Partitions[first:last] {
			rt.Partitions = append(rt.Partitions, v.describePartition(t, p))
		}
		left -= last - first
		from = 0
		r.Topics = append(r.Topics, rt)
		if last < len(t.Partitions) {
			r.NextCursor = cursor(name, int32(last))
			break
		}
	}
	return r
}

// refuseCursor answers a request whose cursor points nowhere.
func refuseCursor(r *kmsg.DescribeTopicPartitionsResponse, names []string) *kmsg.DescribeTopicPartitionsResponse {
	for _, name := range names {
		rt := kmsg.NewDescribeTopicPartitionsResponseTopic()
		rt.ErrorCode, rt.Topic, rt.AuthorizedOperations = int16(codeInvalidRequest), &name, operationsUnknown
		rt.Partitions = []kmsg.DescribeTopicPartitionsResponseTopicPartition{}
		r.Topics = append(r.Topics, rt)
	}
	return r
}

func cursor(topic string, partition int32) *kmsg.DescribeTopicPartitionsResponseNextCursor {
	c := kmsg.NewDescribeTopicPartitionsResponseNextCursor()
	c.Topic, c.Partition = topic, partition
	return &c
}

func (v view) describePartition(t *catalog.Topic, p *catalog.Partition) kmsg.DescribeTopicPartitionsResponseTopicPartition {
	rp := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
	rp.Partition, rp.LeaderEpoch = p.ID.Index, p.Epoch
	leader, ok := v.leader(p)
	if !ok {
		rp.ErrorCode = int16(codeLeaderNotAvailable)
	}
	rp.LeaderID = leader
	rp.Replicas = v.replicas(t.Replicas, leader)
	rp.ISR = rp.Replicas
	rp.EligibleLeaderReplicas, rp.LastKnownELR, rp.OfflineReplicas = []int32{}, []int32{}, []int32{}
	return rp
}
