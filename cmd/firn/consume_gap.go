package main

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// skipGaps drops the partitions of which nothing is left but a gap: compaction
// may have removed the last records before the end, and a client never hears of
// offsets that have no record.
func (l left) skipGaps(ctx context.Context, cl *kgo.Client) error {
	var topics []string
	for at := range l {
		topics = append(topics, at.topic)
	}
	known, err := kadm.NewClient(cl).ListTopicsWithInternal(ctx, topics...)
	if err != nil {
		return err
	}
	for at, s := range l {
		t := known[at.topic]
		next, err := nextRecord(ctx, cl, t, at.partition, s.from)
		if err != nil {
			return err
		}
		if next >= s.to {
			delete(l, at)
			cl.PauseFetchPartitions(map[string][]int32{at.topic: {at.partition}})
		}
	}
	return nil
}

// nextRecord is the offset of the first batch with records at or behind an offset,
// or the high watermark when there is none.
func nextRecord(ctx context.Context, cl *kgo.Client, t kadm.TopicDetail, partition int32, from int64) (int64, error) {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = 0, 0, 1<<20, -1
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, from, 1<<20
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic, rt.TopicID, rt.Partitions = t.Topic, [16]byte(t.ID), append(rt.Partitions, p)
	req.Topics = append(req.Topics, rt)
	for {
		req.Topics[0].Partitions[0].FetchOffset = from
		got, err := cl.Broker(int(t.Partitions[partition].Leader)).Request(ctx, req)
		if err != nil {
			return 0, err
		}
		resp := got.(*kmsg.FetchResponse)
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			return 0, err
		}
		if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
			return 0, fmt.Errorf("%s partition %d: the answer is about something else", t.Topic, partition)
		}
		rp := resp.Topics[0].Partitions[0]
		if err := kerr.ErrorForCode(rp.ErrorCode); err != nil {
			return 0, fmt.Errorf("%s partition %d: %w", t.Topic, partition, err)
		}
		next := from
		for b := rp.RecordBatches; ; {
			var batch kmsg.RecordBatch
			if batch.ReadFrom(b) != nil || len(b) < 12+int(batch.Length) {
				break // no more whole ones
			}
			b = b[12+batch.Length:]
			last := batch.FirstOffset + int64(batch.LastOffsetDelta)
			if batch.NumRecords > 0 && last >= from {
				return max(from, batch.FirstOffset), nil
			}
			next = max(next, last+1)
		}
		if next == from {
			return rp.HighWatermark, nil
		}
		from = next
	}
}
