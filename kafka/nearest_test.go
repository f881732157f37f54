package kafka

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
)

// history is a topic of one partition with ten batches, eight of which the catalog
// describes as so many bytes, led by broker 1 in rack a; broker 2 is in rack b.
func history(t *testing.T, bytes int64) (*fake, uint64, *catalog.Topic) {
	t.Helper()
	f := newFake()
	f.brokers = []Broker{{Node: 1, Host: "firn", Port: 9092, Rack: "a"}, {Node: 2, Host: "firn", Port: 9093, Rack: "b"}}
	other := f.apply(&catalog.RegisterSession{Node: 2, Nonce: [16]byte{2}, Advertised: "firn:9093", Rack: "b"})[0].ID
	topic := f.topic("t", 1)
	f.fill(topic, 0, 10, 100)
	p := topic.Partitions[0]
	f.must(t, &catalog.Cover{Session: f.session, To: 1, Extents: []catalog.Located{{
		Partition: p.ID,
		Extent:    catalog.Extent{Next: 8, Epoch: p.Epoch, Object: catalog.WAL(f.session, 0), Pos: 64, Len: bytes, Records: 8},
	}}})
	return f, other, topic
}

func (f *fake) must(t *testing.T, cmds ...catalog.Command) {
	t.Helper()
	for _, r := range f.apply(cmds...) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		for _, err := range r.Items {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestMuchHistoryIsReadFromTheNearestBroker(t *testing.T) { // KIP-392
	for _, x := range []struct {
		name    string
		bytes   int64
		rack    string
		offset  int64
		version int16
		want    int32
	}{
		{"another rack", 2 << 20, "b", 0, 11, 2},
		{"in the middle", 2 << 20, "b", 7, 16, 2},
		{"the leader's rack", 2 << 20, "a", 0, 11, -1},
		{"a rack without broker", 2 << 20, "c", 0, 11, -1},
		{"no rack", 2 << 20, "", 0, 11, -1},
		{"the tail", 2 << 20, "b", 8, 11, -1},
		{"little", 1 << 10, "b", 0, 11, -1},
	} {
		t.Run(x.name, func(t *testing.T) {
			f, _, _ := history(t, x.bytes)
			c := serve(t, f, Limits{}).client(t)
			q := fetchOf(x.version, f, "t", x.offset)
			q.Rack, q.MaxWaitMillis, q.MinBytes = x.rack, 60_000, 1
			began := time.Now()
			r := ask[*kmsg.FetchResponse](c, x.version, q).Topics[0].Partitions[0]
			if r.ErrorCode != 0 || r.PreferredReadReplica != x.want || r.HighWatermark != 10 {
				t.Errorf("code %d, preferred %d, high watermark %d; want preferred %d", r.ErrorCode, r.PreferredReadReplica, r.HighWatermark, x.want)
			}
			if (len(r.RecordBatches) == 0) != (x.want >= 0) {
				t.Errorf("%d bytes", len(r.RecordBatches))
			}
			if time.Since(began) > 30*time.Second {
				t.Error("who is to go elsewhere was kept waiting")
			}
			again := ask[*kmsg.FetchResponse](c, x.version, q).Topics[0].Partitions[0]
			if again.PreferredReadReplica != -1 || len(again.RecordBatches) == 0 {
				t.Errorf("who could not go is sent again, to %d", again.PreferredReadReplica)
			}
		})
	}
}

func TestWhoCouldNotGoStaysForAWhile(t *testing.T) {
	var s sends
	now := time.Now()
	c, other := comer{"10.0.0.1:5", record.Partition{}}, comer{"10.0.0.1:6", record.Partition{}}
	for _, x := range []struct {
		after  time.Duration
		c      comer
		offset int64
		want   bool
	}{
		{0, c, 5, true},
		{time.Second, other, 5, true},
		{time.Second, c, 90, true}, // it was there, and is back with the next need
		{time.Millisecond, c, 90, false},
		{time.Second, c, 95, false},
		{time.Second, other, 6, true},
		{sendAgain, c, 200, true},
	} {
		now = now.Add(x.after)
		if got := s.allow(x.c, x.offset, now); got != x.want {
			t.Errorf("%s at %d: sent is %v, want %v", x.c.peer, x.offset, got, x.want)
		}
	}
}

func TestABrokerServesHistoryThatItDoesNotLead(t *testing.T) { // KIP-392
	f, other, topic := history(t, 2<<20)
	f.brokers[0].Rack, f.brokers[1].Rack = "b", "a"
	id := topic.Partitions[0].ID
	old := topic.Partitions[0].Epoch
	f.must(t, &catalog.Release{Session: f.session, Partitions: []record.Partition{id}})
	f.must(t, &catalog.Take{Session: other, Items: []catalog.TakeItem{{Partition: id, Epoch: old + 1, Start: 8}}})
	f.must(t, &catalog.Trim{Items: []catalog.TrimItem{{Partition: id, LogStart: 2}}})
	f.log(topic, 0).gone = true
	c := serve(t, f, Limits{}).client(t)
	get := func(version int16, edit func(*kmsg.FetchRequest, *kmsg.FetchRequestTopicPartition)) kmsg.FetchResponseTopicPartition {
		q := fetchOf(version, f, "t", 2)
		q.Rack = "b"
		edit(q, &q.Topics[0].Partitions[0])
		return ask[*kmsg.FetchResponse](c, version, q).Topics[0].Partitions[0]
	}
	for _, v := range []int16{11, 16} {
		r := get(v, func(*kmsg.FetchRequest, *kmsg.FetchRequestTopicPartition) {})
		if r.ErrorCode != 0 || r.HighWatermark != 8 || r.LastStableOffset != 8 || r.LogStartOffset != 2 || r.PreferredReadReplica != -1 || len(r.RecordBatches) == 0 {
			t.Errorf("v%d: code %d, %d..%d, stable %d, preferred %d, %d bytes", v, r.ErrorCode, r.LogStartOffset, r.HighWatermark, r.LastStableOffset, r.PreferredReadReplica, len(r.RecordBatches))
		}
	}
	for _, x := range []struct {
		name string
		want code
		edit func(*kmsg.FetchRequest, *kmsg.FetchRequestTopicPartition)
	}{
		{"who is not near has come by mistake", codeNotLeaderOrFollower, func(q *kmsg.FetchRequest, _ *kmsg.FetchRequestTopicPartition) { q.Rack = "a" }},
		{"nor who says nothing", codeNotLeaderOrFollower, func(q *kmsg.FetchRequest, _ *kmsg.FetchRequestTopicPartition) { q.Rack = "" }},
		{"below the log start", codeOffsetOutOfRange, func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) { p.FetchOffset = 1 }},
		{"an old leader epoch", codeFencedLeaderEpoch, func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) { p.CurrentLeaderEpoch = old }},
		{"a leader epoch to come", codeUnknownLeaderEpoch, func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) { p.CurrentLeaderEpoch = old + 2 }},
	} {
		r := get(12, x.edit)
		wantCode(t, x.name, r.ErrorCode, x.want)
		if x.want == codeNotLeaderOrFollower && (r.CurrentLeader.LeaderID != 2 || r.CurrentLeader.LeaderEpoch != old+1) {
			t.Errorf("%s: leader %d of epoch %d is named", x.name, r.CurrentLeader.LeaderID, r.CurrentLeader.LeaderEpoch)
		}
	}
	for _, at := range []int64{8, 10} {
		r := get(12, func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) {
			p.FetchOffset, p.LastFetchedEpoch = at, old+1
		})
		if r.ErrorCode != 0 || r.PreferredReadReplica != 2 || r.HighWatermark != 8 || len(r.RecordBatches) != 0 {
			t.Errorf("the tail, %d, is the leader's: code %d, preferred %d, high watermark %d", at, r.ErrorCode, r.PreferredReadReplica, r.HighWatermark)
		}
	}
	r := get(12, func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) { p.LastFetchedEpoch = old + 5 })
	wantCode(t, "an epoch that never was", r.ErrorCode, codeOffsetOutOfRange)
}
