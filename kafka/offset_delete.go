package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/coord/group"
)

// OffsetDelete (47): a group forgets offsets (KIP-496). A topic that the group is
// subscribed to is GROUP_SUBSCRIBED_TO_TOPIC (kafka.md 44). A partition that
// does not exist is UNKNOWN_TOPIC_OR_PARTITION: offsets end with their topic.
func apiOffsetDelete() api {
	return api{
		key: 47, name: "OffsetDelete", min: 0, max: 0,
		shape: parseShape(-1, `group:str topics:[ name:str partitions:[ partition:i32 ] ]`),
		serve: on((*node).offsetDelete),
	}
}

func (n *node) offsetDelete(ctx context.Context, _ *call, q *kmsg.OffsetDeleteRequest) *kmsg.OffsetDeleteResponse {
	d := &group.DeleteOffsetsRequest{Group: q.Group}
	v := n.view()
	var exists []bool // in the order of the request
	for _, qt := range q.Topics {
		t, fault := v.topic(ctx, qt.Topic, [16]byte{}, false)
		for _, p := range qt.Partitions {
			found := fault
			if found == codeNone {
				_, found = v.partition(ctx, t, p.Partition)
			}
			if exists = append(exists, found == codeNone); found == codeNone {
				d.Partitions = append(d.Partitions, group.TopicPartition{Topic: qt.Topic, Partition: p.Partition})
			}
		}
	}
	a, err := n.Offsets.DeleteOffsets(ctx, d)
	if err == nil {
		err = a.Err
	}
	r := kmsg.NewPtrOffsetDeleteResponse()
	r.Topics = []kmsg.OffsetDeleteResponseTopic{}
	if err != nil {
		r.ErrorCode = int16(n.groupCode("OffsetDelete", err))
		return r
	}
	errs := a.Errs
	for _, t := range q.Topics {
		rt := kmsg.NewOffsetDeleteResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetDeleteResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, int16(codeUnknownTopicOrPartition)
			if exists[0] {
				rp.ErrorCode = int16(n.groupCode("OffsetDelete", errs[0]))
				errs = errs[1:]
			}
			exists = exists[1:]
			rt.Partitions = append(rt.Partitions, rp)
		}
		r.Topics = append(r.Topics, rt)
	}
	return r
}
