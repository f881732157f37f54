package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func listOf(topic string, times ...int64) *kmsg.ListOffsetsRequest {
	q := kmsg.NewPtrListOffsetsRequest()
	q.ReplicaID = -1
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	for i, at := range times {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp, p.CurrentLeaderEpoch = int32(i), at, -1
		t.Partitions = append(t.Partitions, p)
	}
	q.Topics = append(q.Topics, t)
	return q
}

func TestSemantic37ListOffsets(t *testing.T) {
	f := newFake()
	topic := f.topic("t", 1)
	f.fill(topic, 0, 9, 100)
	l := f.log(topic, 0)
	l.start, l.lso, l.epoch = 2, 6, 4
	for _, x := range []struct {
		find  Find
		found Found
	}{
		{Find{Kind: FirstAt, Time: 1000, End: 9}, Found{5, 1001, 3}},
		{Find{Kind: FirstAt, Time: 1000, End: 6}, Found{5, 1001, 3}},
		{Find{Kind: MaxTimestamp, End: 9}, Found{8, 2000, 4}},
		{Find{Kind: MaxTimestamp, End: 6}, Found{4, 1500, 4}},
		{Find{Kind: EarliestLocal, End: 9}, Found{7, -1, 4}},
		{Find{Kind: LatestTiered, End: 9}, Found{6, -1, 4}},
		{Find{Kind: EarliestPendingSealed, End: 9}, Found{7, -1, 4}},
	} {
		l.found[x.find] = x.found
	}
	c := serve(t, f, Limits{}).client(t)
	for _, x := range []struct {
		name          string
		time          int64
		committed     bool
		since         int16
		offset, stamp int64
	}{
		{"latest", -1, false, 1, 9, -1},
		{"latest, read_committed", -1, true, 2, 6, -1},
		{"earliest", -2, false, 1, 2, -1},
		{"time", 1000, false, 1, 5, 1001},
		{"time, read_committed", 1000, true, 2, 5, 1001},
		{"time that nothing reaches", 5000, false, 1, -1, -1},
		{"max timestamp", -3, false, 7, 8, 2000},
		{"max timestamp, read_committed", -3, true, 7, 4, 1500},
		{"earliest local", -4, false, 8, 7, -1},
		{"latest tiered", -5, false, 9, 6, -1},
		{"earliest pending", -6, false, 11, 7, -1},
	} {
		for v := int16(1); v <= 11; v++ {
			q := listOf("t", x.time)
			if x.committed {
				q.IsolationLevel = 1
			}
			if x.committed && v < 2 {
				continue
			}
			p := ask[*kmsg.ListOffsetsResponse](c, v, q).Topics[0].Partitions[0]
			if v < x.since {
				wantCode(t, x.name, p.ErrorCode, codeUnsupportedVersion)
				continue
			}
			if p.ErrorCode != 0 || p.Offset != x.offset || p.Timestamp != x.stamp {
				t.Errorf("%s v%d: error %d, offset %d, timestamp %d; want %d, %d", x.name, v, p.ErrorCode, p.Offset, p.Timestamp, x.offset, x.stamp)
			}
		}
	}
	twice := listOf("t", -1, -1)
	twice.Topics[0].Partitions[1].Partition = 0
	for _, p := range ask[*kmsg.ListOffsetsResponse](c, 11, twice).Topics[0].Partitions {
		wantCode(t, "a partition twice", p.ErrorCode, codeInvalidRequest)
	}
	wantCode(t, "unknown special time", ask[*kmsg.ListOffsetsResponse](c, 11, listOf("t", -7)).Topics[0].Partitions[0].ErrorCode, codeUnsupportedVersion)
	wantCode(t, "unknown topic", ask[*kmsg.ListOffsetsResponse](c, 11, listOf("u", -1)).Topics[0].Partitions[0].ErrorCode, codeUnknownTopicOrPartition)
}

func TestSemantic12LeaderEpochs(t *testing.T) {
	f := newFake()
	topic := f.topic("t", 1)
	f.log(topic, 0).epoch = 5
	c := serve(t, f, Limits{}).client(t)
	for epoch, want := range map[int32]code{-1: codeNone, 5: codeNone, 4: codeFencedLeaderEpoch, 6: codeUnknownLeaderEpoch} {
		fq := fetchOf(9, f, "t", 0)
		fq.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch
		wantCode(t, "Fetch", ask[*kmsg.FetchResponse](c, 9, fq).Topics[0].Partitions[0].ErrorCode, want)
		wantCode(t, "Fetch v8 has no epoch", ask[*kmsg.FetchResponse](c, 8, fq).Topics[0].Partitions[0].ErrorCode, codeNone)
		lq := listOf("t", -1)
		lq.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch
		wantCode(t, "ListOffsets", ask[*kmsg.ListOffsetsResponse](c, 4, lq).Topics[0].Partitions[0].ErrorCode, want)
		oq := epochOf("t", epoch, 5)
		wantCode(t, "OffsetForLeaderEpoch", ask[*kmsg.OffsetForLeaderEpochResponse](c, 4, oq).Topics[0].Partitions[0].ErrorCode, want)
	}
}

func epochOf(topic string, current, epoch int32) *kmsg.OffsetForLeaderEpochRequest {
	q := kmsg.NewPtrOffsetForLeaderEpochRequest()
	q.ReplicaID = -1
	t := kmsg.NewOffsetForLeaderEpochRequestTopic()
	t.Topic = topic
	p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	p.CurrentLeaderEpoch, p.LeaderEpoch = current, epoch
	t.Partitions = append(t.Partitions, p)
	q.Topics = append(q.Topics, t)
	return q
}

func TestSemantic13OffsetForLeaderEpoch(t *testing.T) {
	f := newFake()
	topic := f.topic("t", 1)
	f.fill(topic, 0, 3, 100)
	f.log(topic, 0).epoch = 5
	c := serve(t, f, Limits{}).client(t)
	for v := int16(2); v <= 4; v++ {
		p := ask[*kmsg.OffsetForLeaderEpochResponse](c, v, epochOf("t", -1, 5)).Topics[0].Partitions[0]
		if p.ErrorCode != 0 || p.LeaderEpoch != 5 || p.EndOffset != 3 {
			t.Errorf("v%d: %+v, want epoch 5 that ends at 3", v, p)
		}
		p = ask[*kmsg.OffsetForLeaderEpochResponse](c, v, epochOf("t", -1, 6)).Topics[0].Partitions[0]
		if p.ErrorCode != 0 || p.LeaderEpoch != -1 || p.EndOffset != -1 {
			t.Errorf("v%d: %+v, want -1, -1 for an unknown epoch", v, p)
		}
	}
	// Fetch v12 tells a client whose log parts from ours, and sends it nothing.
	q := fetchOf(12, f, "t", 3)
	q.Topics[0].Partitions[0].LastFetchedEpoch = 5
	if p := ask[*kmsg.FetchResponse](c, 12, q).Topics[0].Partitions[0]; p.ErrorCode != 0 || p.DivergingEpoch.Epoch != -1 {
		t.Errorf("in step: %+v", p)
	}
	q.Topics[0].Partitions[0].LastFetchedEpoch = 9
	wantCode(t, "an epoch that never was", ask[*kmsg.FetchResponse](c, 12, q).Topics[0].Partitions[0].ErrorCode, codeOffsetOutOfRange)
}
