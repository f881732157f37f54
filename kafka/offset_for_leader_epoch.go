package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/record"
)

// OffsetForLeaderEpoch (23): where an epoch ended, for clients that check after a
// change of leader whether what they read is still there (KIP-320).
//
//   - The answer is the largest epoch at or below the asked one and its end offset
//     (kafka.md 13). One older than all that are known ends where the first of these
//     begins (LeaderEpochFileCache.endOffsetFor). The current epoch ends at the high
//     watermark: nothing above it was ever shown to anybody.
//   - v2 fences by the client's leader epoch, v3 names a replica: there is none.
func apiOffsetForLeaderEpoch() api {
	return api{
		key: 23, name: "OffsetForLeaderEpoch", min: 2, max: 4,
		shape: parseShape(4, `replica:i32@3+ topics:[ name:str partitions:[ partition:i32 current:i32@2+ epoch:i32 ] ]`),
		serve: on((*node).offsetForLeaderEpoch),
	}
}

func (n *node) offsetForLeaderEpoch(ctx context.Context, c *call, q *kmsg.OffsetForLeaderEpochRequest) *kmsg.OffsetForLeaderEpochResponse {
	v := n.view()
	r := kmsg.NewPtrOffsetForLeaderEpochResponse()
	type end struct {
		place
		id record.Partition
		q  *kmsg.OffsetForLeaderEpochRequestTopicPartition
	}
	var ends []end
	var ids []record.Partition
	for i := range q.Topics {
		qt := &q.Topics[i]
		rt := kmsg.NewOffsetForLeaderEpochResponseTopic()
		rt.Topic = qt.Topic
		t, code := v.topic(ctx, qt.Topic, [16]byte{}, false)
		for j := range qt.Partitions {
			qp := &qt.Partitions[j]
			rp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			rp.Partition, rp.LeaderEpoch, rp.EndOffset = qp.Partition, -1, -1
			fault := code
			if c.version >= 3 && q.ReplicaID >= 0 {
				fault = codeInvalidRequest
			}
			if fault == codeNone {
				part, code := v.partition(ctx, t, qp.Partition)
				if fault = code; code == codeNone {
					ends, ids = append(ends, end{place{i, j}, part.ID, qp}), append(ids, part.ID)
				}
			}
			rp.ErrorCode = int16(fault)
			rt.Partitions = append(rt.Partitions, rp)
		}
		r.Topics = append(r.Topics, rt)
	}
	n.settle(ctx, ids)
	together(len(ends), findWidth, func(i int) {
		e := ends[i]
		rp := &r.Topics[e.topic].Partitions[e.partition]
		pr, fault := n.lead(e.id, e.q.CurrentLeaderEpoch)
		if fault == codeNone {
			epoch, end, err := n.epochEnd(ctx, e.id, pr, e.q.LeaderEpoch)
			if fault = n.code("OffsetForLeaderEpoch", err); err == nil {
				rp.LeaderEpoch, rp.EndOffset = epoch, end
			}
		}
		rp.ErrorCode = int16(fault)
	})
	return r
}

// epochEnd is History.EpochEnd for epochs that have been: a client that knows of a
// later one is told that nobody here does (LeaderEpochFileCache.endOffsetFor).
func (n *node) epochEnd(ctx context.Context, id record.Partition, pr Progress, epoch int32) (int32, int64, error) {
	if epoch > pr.Epoch {
		return -1, -1, nil
	}
	return n.History.EpochEnd(ctx, id, epoch)
}
