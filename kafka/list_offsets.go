package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
)

// ListOffsets (2): offsets by time, and the special ones (kafka.md 37).
//
//   - -1 latest: the high watermark, or the last stable offset for read_committed.
//     -2 earliest: the log start. -3, v7+: the first record with the largest
//     timestamp (KIP-734). -4, v8+: the earliest that the hot tier holds (KIP-405).
//     -5, v9+: the last one that was sealed into the bucket (KIP-1005). -6, v11: the
//     first one that was not (KIP-1023).
//   - A time finds the first record whose timestamp is at least that, exact inside
//     batches; -1/-1 when there is none.
//   - A special time that the version does not know is UNSUPPORTED_VERSION, as in
//     ListOffsetsRequest.
//   - v2 isolation, v4 leader epochs both ways (KIP-320), v10 a timeout.
func apiListOffsets() api {
	return api{
		key: 2, name: "ListOffsets", min: 1, max: 11,
		shape: parseShape(6, `replica:i32 isolation:i8@2+ topics:[ name:str partitions:[ partition:i32 epoch:i32@4+ time:i64 ] ] timeout:i32@10+`),
		serve: on((*node).listOffsets),
	}
}

// special are the negative timestamps, with the version that brought each.
var special = map[int64]struct {
	since int16
	kind  FindKind
}{
	-3: {7, MaxTimestamp},
	-4: {8, EarliestLocal},
	-5: {9, LatestTiered},
	-6: {11, EarliestPendingSealed},
}

const (
	latest   = -1
	earliest = -2
)

func (n *node) listOffsets(ctx context.Context, c *call, q *kmsg.ListOffsetsRequest) *kmsg.ListOffsetsResponse {
	v := n.view()
	r := kmsg.NewPtrListOffsetsResponse()
	type key struct {
		topic     string
		partition int32
	}
	asked := map[key]int{}
	for i := range q.Topics {
		for _, p := range q.Topics[i].Partitions {
			asked[key{q.Topics[i].Topic, p.Partition}]++
		}
	}
	type find struct {
		place
		part *catalog.Partition
		q    *kmsg.ListOffsetsRequestTopicPartition
	}
	var finds []find
	var ids []record.Partition
	for i := range q.Topics {
		qt := &q.Topics[i]
		rt := kmsg.NewListOffsetsResponseTopic()
		rt.Topic = qt.Topic
		t, code := v.topic(ctx, qt.Topic, [16]byte{}, false)
		for j := range qt.Partitions {
			qp := &qt.Partitions[j]
			rp := kmsg.NewListOffsetsResponseTopicPartition()
			rp.Partition = qp.Partition
			switch {
			case asked[key{qt.Topic, qp.Partition}] == 0:
				continue // it has its answer
			case q.ReplicaID >= 0 || asked[key{qt.Topic, qp.Partition}] > 1:
				asked[key{qt.Topic, qp.Partition}] = 0
				rp.ErrorCode = int16(codeInvalidRequest)
			case code != codeNone:
				rp.ErrorCode = int16(code)
			default:
				part, code := v.partition(ctx, t, qp.Partition)
				if rp.ErrorCode = int16(code); code == codeNone {
					finds, ids = append(finds, find{place{i, len(rt.Partitions)}, part, qp}), append(ids, part.ID)
				}
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		r.Topics = append(r.Topics, rt)
	}
	n.settle(ctx, ids)
	together(len(finds), findWidth, func(i int) {
		f := finds[i]
		rp := &r.Topics[f.topic].Partitions[f.partition]
		rp.ErrorCode = int16(n.offset(ctx, f.part, c.version, q.IsolationLevel == 1, f.q, rp))
	})
	return r
}

// offset answers for one partition.
func (n *node) offset(ctx context.Context, part *catalog.Partition, version int16, committed bool, q *kmsg.ListOffsetsRequestTopicPartition, r *kmsg.ListOffsetsResponseTopicPartition) code {
	pr, code := n.lead(part.ID, q.CurrentLeaderEpoch)
	if code != codeNone {
		return code
	}
	end := pr.HighWatermark
	if committed {
		end = pr.LastStable
	}
	found := Found{Offset: -1, Timestamp: -1, Epoch: -1}
	switch q.Timestamp {
	case latest:
		found = Found{Offset: end, Timestamp: -1, Epoch: pr.Epoch}
	case earliest:
		found = Found{Offset: pr.LogStart, Timestamp: -1, Epoch: epochAt(part, pr.LogStart)}
	default:
		f := Find{Kind: FirstAt, Time: q.Timestamp, End: end}
		if q.Timestamp < 0 {
			s, ok := special[q.Timestamp]
			if !ok || version < s.since {
				return codeUnsupportedVersion
			}
			f.Kind, f.Time = s.kind, 0
		}
		var err error
		if found, err = n.History.Find(ctx, part.ID, f); err != nil {
			return n.code("ListOffsets", err)
		}
	}
	r.Offset, r.Timestamp = found.Offset, found.Timestamp
	if version >= 4 {
		r.LeaderEpoch = found.Epoch
	}
	return codeNone
}

// epochAt is the leader epoch of the record at an offset, or -1.
func epochAt(p *catalog.Partition, offset int64) int32 {
	epoch := int32(-1)
	for _, e := range p.Epochs {
		if e.Start > offset {
			break
		}
		epoch = e.Epoch
	}
	return epoch
}
