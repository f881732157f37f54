package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/coord/group"
)

// OffsetCommit (8): how far a group has come (kafka.md 41). It is answered when the
// commit is in the bucket.
//
//   - A partition that does not exist is UNKNOWN_TOPIC_OR_PARTITION, an unknown id
//     UNKNOWN_TOPIC_ID: a commit for a deleted topic does not reach one of the same
//     name (kafka.md 11).
//   - v2-4 may say how long to keep the offsets, which counts more than the broker's
//     retention, as in Kafka. v6 leader epochs, v7 static members, v9 a group that does not exist is
//     GROUP_ID_NOT_FOUND rather than ILLEGAL_GENERATION, v10 topic ids (KIP-848).
func apiOffsetCommit() api {
	return api{
		key: 8, name: "OffsetCommit", min: 2, max: 10,
		shape: parseShape(8, `group:str generation:i32@1+ member:str@1+ instance:str?@7+ retention:i64@2-4
			topics:[ name:str@0-9 id:uuid@10+ partitions:[ partition:i32 offset:i64 time:i64@1-1 epoch:i32@6+ metadata:str? ] ]`),
		serve: on((*node).offsetCommit),
	}
}

func (n *node) offsetCommit(ctx context.Context, c *call, q *kmsg.OffsetCommitRequest) *kmsg.OffsetCommitResponse {
	v := n.view()
	commit := &group.CommitRequest{
		Group: q.Group, MemberID: q.MemberID, InstanceID: q.InstanceID, Generation: q.Generation, NewErrors: c.version >= 9,
		RetentionMs: q.RetentionTimeMillis,
	}
	var places []place
	r := kmsg.NewPtrOffsetCommitResponse()
	r.Topics = make([]kmsg.OffsetCommitResponseTopic, 0, len(q.Topics))
	for i := range q.Topics {
		qt := &q.Topics[i]
		rt := kmsg.NewOffsetCommitResponseTopic()
		rt.Topic, rt.TopicID = qt.Topic, qt.TopicID
		t, code := v.topic(ctx, qt.Topic, qt.TopicID, c.version >= 10)
		for j := range qt.Partitions {
			qp := &qt.Partitions[j]
			rp := kmsg.NewOffsetCommitResponseTopicPartition()
			rp.Partition = qp.Partition
			fault := code
			if fault == codeNone {
				_, fault = v.partition(ctx, t, qp.Partition)
			}
			if rp.ErrorCode = int16(fault); fault == codeNone {
				commit.Offsets = append(commit.Offsets, group.Offset{
					TopicPartition: group.TopicPartition{Topic: t.Name, Partition: qp.Partition},
					Offset:         qp.Offset, LeaderEpoch: qp.LeaderEpoch, Metadata: deref(qp.Metadata), TopicID: t.ID,
				})
				places = append(places, place{i, j})
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		r.Topics = append(r.Topics, rt)
	}
	if len(places) == 0 {
		return r
	}
	a, err := n.Offsets.CommitOffsets(ctx, commit)
	for i, at := range places {
		fault := err
		if err == nil {
			fault = a.Errs[i]
		}
		r.Topics[at.topic].Partitions[at.partition].ErrorCode = int16(n.groupCode("OffsetCommit", fault))
	}
	return r
}
