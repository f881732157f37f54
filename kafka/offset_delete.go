package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/coord/group"
)

// OffsetDelete (47): a group forgets offsets (KIP-496). A topic that the group is
// subscribed to is GROUP_SUBSCRIBED_TO_TOPIC (kafka.md 44). Offsets of topics that
// are gone can be deleted too.
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
	exists := func(name string, index int32) bool {
		t, _ := v.topic(name, [16]byte{}, false)
		return t != nil && index >= 0 && int(index) < len(t.Partitions)
	}
	for _, t := range q.Topics {
		for _, p := range t.Partitions {
			if exists(t.Topic, p.Partition) {
				d.Partitions = append(d.Partitions, group.TopicPartition{Topic: t.Topic, Partition: p.Partition})
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
	i := 0
	for _, t := range q.Topics {
		rt := kmsg.NewOffsetDeleteResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetDeleteResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, int16(codeUnknownTopicOrPartition)
			if exists(t.Topic, p.Partition) {
				rp.ErrorCode = int16(n.groupCode("OffsetDelete", a.Errs[i]))
				i++
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		r.Topics = append(r.Topics, rt)
	}
	return r
}
