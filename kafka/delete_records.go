package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
)

// DeleteRecords (21): moves log starts forward.
//
//   - -1 means up to the high watermark, beyond it is OFFSET_OUT_OF_RANGE, below the
//     log start changes nothing. A topic that is only compacted is POLICY_VIOLATION,
//     an internal one INVALID_TOPIC (kafka.md 54). The new log start is returned once
//     it is durable.
func apiDeleteRecords() api {
	return api{
		key: 21, name: "DeleteRecords", min: 0, max: 2,
		shape: parseShape(2, `topics:[ name:str partitions:[ partition:i32 offset:i64 ] ] timeout:i32`),
		serve: on((*node).deleteRecords),
	}
}

func (n *node) deleteRecords(ctx context.Context, _ *call, q *kmsg.DeleteRecordsRequest) *kmsg.DeleteRecordsResponse {
	v := n.view()
	r := kmsg.NewPtrDeleteRecordsResponse()
	type cut struct {
		place
		part   *catalog.Partition
		offset int64
	}
	var cuts []cut
	var ids []record.Partition
	for i := range q.Topics {
		qt := &q.Topics[i]
		rt := kmsg.NewDeleteRecordsResponseTopic()
		rt.Topic = qt.Topic
		t, code := v.topic(ctx, qt.Topic, [16]byte{}, false)
		for _, qp := range qt.Partitions {
			rp := kmsg.NewDeleteRecordsResponseTopicPartition()
			rp.Partition, rp.LowWatermark = qp.Partition, -1
			fault := code
			var part *catalog.Partition
			if fault == codeNone {
				part, fault = v.partition(ctx, t, qp.Partition)
			}
			if fault == codeNone {
				fault = n.keeps(t)
			}
			if rp.ErrorCode = int16(fault); fault == codeNone {
				cuts, ids = append(cuts, cut{place{i, len(rt.Partitions)}, part, qp.Offset}), append(ids, part.ID)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		r.Topics = append(r.Topics, rt)
	}
	n.settle(ctx, ids)
	together(len(cuts), trimWidth, func(i int) {
		rp := &r.Topics[cuts[i].topic].Partitions[cuts[i].partition]
		start, err := n.trim(ctx, cuts[i].part, cuts[i].offset)
		rp.LowWatermark, rp.ErrorCode = start, int16(n.code("DeleteRecords", err))
	})
	return r
}

// keeps says why nothing of a topic may be deleted.
func (n *node) keeps(t *catalog.Topic) code {
	switch {
	case t.Internal:
		return codeInvalidTopic
	case t.Has("cleanup.policy", "compact", n.Settings.Setting) && !t.Has("cleanup.policy", "delete", n.Settings.Setting):
		return codePolicyViolation
	}
	return codeNone
}

// trim moves one log start and returns the new one, or -1.
func (n *node) trim(ctx context.Context, p *catalog.Partition, offset int64) (int64, error) {
	pr, code := n.lead(p.ID, -1)
	if code != codeNone {
		return -1, code
	}
	if offset == -1 {
		offset = pr.HighWatermark
	}
	switch {
	case offset < 0 || offset > pr.HighWatermark:
		return -1, ErrOutOfRange
	case offset <= pr.LogStart:
		return pr.LogStart, nil
	}
	start, err := n.History.Trim(ctx, p.ID, offset)
	if err != nil {
		return -1, err
	}
	return start, nil
}
