package kafka

import (
	"bytes"
	"math/rand/v2"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
)

// fetchOf asks for one partition of one topic.
func fetchOf(version int16, f *fake, topic string, offset int64) *kmsg.FetchRequest {
	q := kmsg.NewPtrFetchRequest()
	q.Version, q.ReplicaID, q.ReplicaState.ID = version, -1, -1
	q.MinBytes, q.MaxBytes, q.SessionEpoch = 1, 1<<20, -1
	t, _ := f.State().TopicNamed(topic)
	ft := kmsg.NewFetchRequestTopic()
	ft.Topic = topic
	if t != nil {
		ft.TopicID = t.ID
	}
	q.Topics = append(q.Topics, ft)
	return withPartition(q, 0, offset)
}

func withPartition(q *kmsg.FetchRequest, index int32, offset int64) *kmsg.FetchRequest {
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = index, offset, 1<<20
	p.CurrentLeaderEpoch, p.LastFetchedEpoch, p.HighWatermark = -1, -1, 1<<63-1
	q.Topics[0].Partitions = append(q.Topics[0].Partitions, p)
	return q
}

// fill puts n batches of about size bytes into a partition.
func (f *fake) fill(t *catalog.Topic, p int32, n, size int) {
	for range n {
		f.put(t, p, batch(record.None, 1, string(make([]byte, size/2))))
	}
}

func records(r *kmsg.FetchResponse) (sizes []int) {
	for _, p := range r.Topics[0].Partitions {
		sizes = append(sizes, len(p.RecordBatches))
	}
	return sizes
}

func TestSemantic30LimitsOfKIP74(t *testing.T) {
	f := newFake()
	topic := f.topic("t", 4)
	for p := range int32(3) {
		f.fill(topic, p+1, 10, 1000) // partition 0 is empty
	}
	c := serve(t, f, Limits{}).client(t)
	one := len(f.log(topic, 1).batches[0])
	get := func(maxBytes, partitionMax int32) []int {
		q := fetchOf(12, f, "t", 0)
		for p := range int32(3) {
			withPartition(q, p+1, 0)
		}
		q.MaxBytes = maxBytes
		for i := range q.Topics[0].Partitions {
			q.Topics[0].Partitions[i].PartitionMaxBytes = partitionMax
		}
		return records(ask[*kmsg.FetchResponse](c, 12, q))
	}
	for _, x := range []struct {
		name              string
		max, partitionMax int32
		want              []int
	}{
		{"no limit", 1 << 20, 1 << 20, []int{0, 10 * one, 10 * one, 10 * one}},
		{"partition limit", 1 << 20, int32(3*one + 10), []int{0, 3 * one, 3 * one, 3 * one}},
		{"request limit", int32(15*one + 10), 1 << 20, []int{0, 10 * one, 5 * one, 0}},
		{"first batch larger than all limits", 1, 1, []int{0, one, 0, 0}},
		{"first batch larger than the partition's", 1 << 20, 1, []int{0, one, 0, 0}},
		{"no room at all", 0, 0, []int{0, one, 0, 0}},
	} {
		if got := get(x.max, x.partitionMax); !equal(got, x.want) {
			t.Errorf("%s: %v, want %v", x.name, got, x.want)
		}
	}
	f.mu.Lock()
	f.settings[settingFetchMax] = "2500"
	f.mu.Unlock()
	if got := get(1<<20, 1<<20); !equal(got, []int{0, 2500 / one * one, 0, 0}) && got[1] > 2500 {
		t.Errorf("fetch.max.bytes of the broker: %v", got)
	}
}

func equal(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestSemantic31LongPollEnds(t *testing.T) {
	type result struct {
		after time.Duration
		r     *kmsg.FetchResponse
	}
	poll := func(t *testing.T, f *fake, during func(), edit func(*kmsg.FetchRequest)) result {
		c := serve(t, f, Limits{}).client(t)
		q := fetchOf(12, f, "t", 0)
		q.MaxWaitMillis = 5000
		edit(q)
		done := make(chan result, 1)
		began := time.Now()
		go func() { r := ask[*kmsg.FetchResponse](c, 12, q); done <- result{time.Since(began), r} }()
		time.Sleep(time.Second)
		synctest.Wait()
		during()
		return <-done
	}
	type test struct {
		name   string
		edit   func(*kmsg.FetchRequest)
		during func(*fake, *catalog.Topic)
		want   time.Duration
	}
	for _, x := range []test{
		{"min bytes", func(*kmsg.FetchRequest) {}, func(f *fake, t *catalog.Topic) { f.fill(t, 0, 1, 100) }, time.Second},
		{"max wait", func(*kmsg.FetchRequest) {}, func(*fake, *catalog.Topic) {}, 5 * time.Second},
		{"not enough", func(q *kmsg.FetchRequest) { q.MinBytes = 1000 }, func(f *fake, t *catalog.Topic) { f.fill(t, 0, 1, 100) }, 5 * time.Second},
		{"min bytes is more than the partition may give", func(q *kmsg.FetchRequest) {
			q.MinBytes = 1 << 20
			q.Topics[0].Partitions[0].PartitionMaxBytes = 1000
		}, func(f *fake, t *catalog.Topic) { f.fill(t, 0, 50, 100) }, 5 * time.Second},
		{"full answer", func(q *kmsg.FetchRequest) { q.MinBytes, q.MaxBytes = 1000, 200 }, func(f *fake, t *catalog.Topic) { f.fill(t, 0, 9, 100) }, 5 * time.Second},
		{"min bytes 0", func(q *kmsg.FetchRequest) { q.MinBytes = 0 }, func(*fake, *catalog.Topic) {}, 0},
		{"error", func(q *kmsg.FetchRequest) { q.Topics[0].Partitions[0].FetchOffset = 99 }, func(*fake, *catalog.Topic) {}, 0},
		// A partition that does not exist must not make consumers of others spin.
		{"unknown partition beside", func(q *kmsg.FetchRequest) { withPartition(q, 9, 0) }, func(*fake, *catalog.Topic) {}, 5 * time.Second},
		{"unknown partition alone", func(q *kmsg.FetchRequest) { q.Topics[0].Partitions[0].Partition = 9 }, func(*fake, *catalog.Topic) {}, 0},
		{"leader lost", func(*kmsg.FetchRequest) {}, func(f *fake, t *catalog.Topic) {
			f.mu.Lock()
			f.logs[t.Partitions[0].ID].gone = true
			f.wakeLocked()
			f.mu.Unlock()
		}, time.Second},
		{"diverging epoch", func(q *kmsg.FetchRequest) {
			q.Topics[0].Partitions[0].LastFetchedEpoch = 0
			q.Topics[0].Partitions[0].FetchOffset = 3
		}, func(*fake, *catalog.Topic) {}, 0},
		{"empty request", func(q *kmsg.FetchRequest) { q.Topics = nil }, func(*fake, *catalog.Topic) {}, 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				topic := f.topic("t", 1)
				got := poll(t, f, func() { x.during(f, topic) }, x.edit)
				if got.after != x.want {
					t.Errorf("answered after %v, want %v", got.after, x.want)
				}
				if x.name == "diverging epoch" {
					if d := got.r.Topics[0].Partitions[0].DivergingEpoch; d.Epoch != 0 || d.EndOffset != 0 {
						t.Errorf("diverging epoch %+v, want 0 that ends at 0", d)
					}
				}
				if x.name == "not enough" && len(got.r.Topics[0].Partitions[0].RecordBatches) == 0 {
					t.Error("what there was is not in the answer")
				}
			})
		})
	}
}

func TestLongPollEndsWhenTheClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.topic("t", 1)
		c := serve(t, f, Limits{}).client(t)
		q := fetchOf(12, f, "t", 0)
		q.MaxWaitMillis = 1 << 30
		c.send(q)
		synctest.Wait()
		if n := len(f.watches); n != 1 {
			t.Fatalf("%d watches, want 1", n)
		}
		c.nc.Close()
		synctest.Wait()
		if n := len(f.watches); n != 0 {
			t.Fatalf("%d watches are left", n)
		}
	})
}

func TestSemantic32SessionsAreDeclined(t *testing.T) {
	f := newFake()
	f.fill(f.topic("t", 1), 0, 1, 100)
	c := serve(t, f, Limits{}).client(t)
	for v := int16(7); v <= 16; v++ {
		q := fetchOf(v, f, "t", 0)
		q.SessionEpoch = 0 // "give me a session"
		r := ask[*kmsg.FetchResponse](c, v, q)
		if r.SessionID != 0 || r.ErrorCode != 0 || len(r.Topics) != 1 {
			t.Errorf("v%d: session %d, error %d", v, r.SessionID, r.ErrorCode)
		}
		q.SessionID, q.SessionEpoch = 77, 3
		wantCode(t, "a session that nobody gave", ask[*kmsg.FetchResponse](c, v, q).ErrorCode, codeFetchSessionIDNotFound)
		q.SessionID, q.SessionEpoch = 77, -7
		wantCode(t, "a session that nobody gave, and no epoch", ask[*kmsg.FetchResponse](c, v, q).ErrorCode, codeFetchSessionIDNotFound)
		q.SessionID, q.SessionEpoch = 77, -1 // close it, and read without
		wantCode(t, "closing", ask[*kmsg.FetchResponse](c, v, q).ErrorCode, codeNone)
	}
}

func TestSemantic33And34Isolation(t *testing.T) {
	f := newFake()
	topic := f.topic("t", 1)
	f.fill(topic, 0, 4, 100)
	l := f.log(topic, 0)
	l.lso, l.aborted = 2, []AbortedTxn{{ProducerID: 7, FirstOffset: 1}, {ProducerID: 8, FirstOffset: 3}}
	size := len(l.batches[0])
	c := serve(t, f, Limits{}).client(t)
	for v := int16(4); v <= 16; v++ {
		q := fetchOf(v, f, "t", 0)
		p := ask[*kmsg.FetchResponse](c, v, q).Topics[0].Partitions[0]
		if len(p.RecordBatches) != 4*size || p.AbortedTransactions != nil || p.HighWatermark != 4 || p.LastStableOffset != 2 {
			t.Errorf("v%d read_uncommitted: %d bytes, aborted %v, hw %d, lso %d", v, len(p.RecordBatches), p.AbortedTransactions, p.HighWatermark, p.LastStableOffset)
		}
		q.IsolationLevel = 1
		p = ask[*kmsg.FetchResponse](c, v, q).Topics[0].Partitions[0]
		if len(p.RecordBatches) != 2*size || len(p.AbortedTransactions) != 1 || p.AbortedTransactions[0].ProducerID != 7 {
			t.Errorf("v%d read_committed: %d bytes, aborted %v", v, len(p.RecordBatches), p.AbortedTransactions)
		}
		q.Topics[0].Partitions[0].FetchOffset = 2
		p = ask[*kmsg.FetchResponse](c, v, q).Topics[0].Partitions[0]
		if p.ErrorCode != 0 || len(p.RecordBatches) != 0 || p.AbortedTransactions == nil {
			t.Errorf("v%d read_committed at the last stable offset: %+v", v, p)
		}
	}
}

func TestSemantic35EveryPartitionHasItsMarks(t *testing.T) {
	f := newFake()
	topic := f.topic("t", 1)
	control := record.Builder{Template: record.Header{Attributes: 0x20 | 0x10, ProducerID: 7}, HasProducer: true}
	control.Add(1, []byte{0, 0, 0, 0}, []byte{0, 0, 0, 0, 0, 0})
	b, _ := control.Build()
	f.put(topic, 0, b)
	f.log(topic, 0).start = 0
	c := serve(t, f, Limits{}).client(t)
	for v := int16(5); v <= 16; v++ {
		p := ask[*kmsg.FetchResponse](c, v, fetchOf(v, f, "t", 0)).Topics[0].Partitions[0]
		if len(p.RecordBatches) == 0 || p.HighWatermark != 1 || p.LastStableOffset != 1 || p.LogStartOffset != 0 {
			t.Errorf("v%d: %d bytes of a control batch, hw %d, lso %d, start %d", v, len(p.RecordBatches), p.HighWatermark, p.LastStableOffset, p.LogStartOffset)
		}
		p = ask[*kmsg.FetchResponse](c, v, fetchOf(v, f, "t", 1)).Topics[0].Partitions[0]
		if len(p.RecordBatches) != 0 || p.HighWatermark != 1 || p.LastStableOffset != 1 || p.LogStartOffset != 0 {
			t.Errorf("v%d: empty: %+v", v, p)
		}
	}
}

func TestSemantic36OffsetOutOfRange(t *testing.T) {
	f := newFake()
	topic := f.topic("t", 1)
	f.fill(topic, 0, 5, 100)
	f.log(topic, 0).start = 2
	c := serve(t, f, Limits{}).client(t)
	for offset, want := range map[int64]code{-1: codeOffsetOutOfRange, 1: codeOffsetOutOfRange, 2: codeNone, 5: codeNone, 6: codeOffsetOutOfRange} {
		p := ask[*kmsg.FetchResponse](c, 12, fetchOf(12, f, "t", offset)).Topics[0].Partitions[0]
		wantCode(t, "fetch", p.ErrorCode, want)
		if (offset == 5) != (want == codeNone && len(p.RecordBatches) == 0) {
			t.Errorf("offset %d: %d bytes", offset, len(p.RecordBatches))
		}
		if (want != codeNone) != (p.HighWatermark == -1 && p.LogStartOffset == -1 && p.LastStableOffset == -1) {
			t.Errorf("offset %d: %+v", offset, p)
		}
	}
}

// A consumer that has read from the new leader, and asks the old one, which has not heard of
// it, is sent back: it would begin anew at an offset that is out of range.
func TestWhatANewerLeaderHasIsNotOutOfRange(t *testing.T) {
	f, other, topic := history(t, 1)
	next := topic.Partitions[0].Epoch + 1
	f.others = []catalog.Command{
		&catalog.Release{Session: f.session, Partitions: []record.Partition{topic.Partitions[0].ID}},
		&catalog.Take{Session: other, Items: []catalog.TakeItem{{Partition: topic.Partitions[0].ID, Epoch: next, Start: 8}}},
	}
	c := serve(t, f, Limits{}).client(t)
	p := ask[*kmsg.FetchResponse](c, 12, fetchOf(12, f, "t", 11)).Topics[0].Partitions[0]
	wantCode(t, "fetch", p.ErrorCode, codeNotLeaderOrFollower)
	if p.CurrentLeader.LeaderID != 2 || p.CurrentLeader.LeaderEpoch != next || f.heard != 1 {
		t.Errorf("it is told of %+v, after %d looks", p.CurrentLeader, f.heard)
	}

	f, _, _ = history(t, 1)
	c = serve(t, f, Limits{}).client(t)
	q := fetchOf(12, f, "t", 11)
	q.Topics[0].Partitions = append(q.Topics[0].Partitions, q.Topics[0].Partitions[0])
	for _, p := range ask[*kmsg.FetchResponse](c, 12, q).Topics[0].Partitions {
		wantCode(t, "of the only leader", p.ErrorCode, codeOffsetOutOfRange)
	}
	if f.heard != 1 {
		t.Errorf("%d looks for one request", f.heard)
	}
}

func TestReplicasAreRefused(t *testing.T) {
	f := newFake()
	f.topic("t", 1)
	c := serve(t, f, Limits{}).client(t)
	q := fetchOf(12, f, "t", 0)
	q.ReplicaID = 2
	wantCode(t, "v12", ask[*kmsg.FetchResponse](c, 12, q).ErrorCode, codeInvalidRequest)
	q = fetchOf(16, f, "t", 0)
	q.ReplicaState.ID = 2
	wantCode(t, "v16", ask[*kmsg.FetchResponse](c, 16, q).ErrorCode, codeInvalidRequest)
}

// The hot path writes what kmsg would write, byte for byte.
func TestFetchEncodesLikeKmsg(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		f := &fetched{code: code(r.IntN(100))}
		for range r.IntN(3) {
			f.brokers = append(f.brokers, Broker{Node: int32(r.IntN(9)), Host: "host", Port: 9, Rack: []string{"", "r"}[r.IntN(2)]})
		}
		for range r.IntN(3) {
			ft := fetchedTopic{name: string(make([]byte, r.IntN(200))), id: [16]byte{1, 2}}
			for range r.IntN(4) {
				p := fetchedPartition{}
				p.reset(int32(r.IntN(9)), r.IntN(2) == 0)
				p.code, p.hw, p.lso, p.start = code(r.IntN(5)), 9, 8, 7
				for range r.IntN(3) {
					p.found.Bytes = append(p.found.Bytes, bytes.Repeat([]byte{7}, r.IntN(100)))
				}
				if p.committed {
					p.found.Aborted = make([]AbortedTxn, r.IntN(3))
				}
				if r.IntN(2) == 0 {
					p.divergingEpoch, p.divergingEnd = 3, 44
				}
				if r.IntN(2) == 0 {
					p.leader, p.epoch = 5, 6
				}
				if r.IntN(2) == 0 {
					p.nearest = 3
				}
				ft.partitions = append(ft.partitions, p)
			}
			f.topics = append(f.topics, ft)
		}
		for v := int16(4); v <= 16; v++ {
			out, parts := f.encode([]byte("head"), v)
			var got []byte
			for _, p := range parts {
				got = append(got, p...)
			}
			if want := append([]byte("head"), f.kmsg(v).AppendTo(nil)...); !bytes.Equal(got, want) {
				t.Fatalf("v%d: got\n%x, want\n%x", v, got, want)
			}
			_ = out
		}
	}
}

// kmsg is the answer as kmsg has it.
func (f *fetched) kmsg(version int16) *kmsg.FetchResponse {
	r := kmsg.NewPtrFetchResponse()
	r.Version, r.ErrorCode = version, int16(f.code)
	for _, b := range f.brokers {
		rb := kmsg.NewFetchResponseBroker()
		rb.NodeID, rb.Host, rb.Port, rb.Rack = b.Node, b.Host, b.Port, orNull(b.Rack)
		if version >= 12 {
			r.Brokers = append(r.Brokers, rb)
		}
	}
	for i := range f.topics {
		t := &f.topics[i]
		rt := kmsg.NewFetchResponseTopic()
		rt.Topic, rt.TopicID = t.name, t.id
		for j := range t.partitions {
			p := &t.partitions[j]
			rp := kmsg.NewFetchResponseTopicPartition()
			rp.Partition, rp.ErrorCode, rp.HighWatermark, rp.LastStableOffset, rp.LogStartOffset = p.index, int16(p.code), p.hw, p.lso, p.start
			if p.committed {
				rp.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
			}
			for _, a := range p.found.Aborted {
				ra := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
				ra.ProducerID, ra.FirstOffset = a.ProducerID, a.FirstOffset
				rp.AbortedTransactions = append(rp.AbortedTransactions, ra)
			}
			rp.PreferredReadReplica = p.nearest
			rp.RecordBatches = bytes.Join(p.found.Bytes, nil)
			if rp.RecordBatches == nil {
				rp.RecordBatches = []byte{}
			}
			rp.DivergingEpoch.Epoch, rp.DivergingEpoch.EndOffset = p.divergingEpoch, p.divergingEnd
			rp.CurrentLeader.LeaderID, rp.CurrentLeader.LeaderEpoch = p.leader, p.epoch
			rt.Partitions = append(rt.Partitions, rp)
		}
		r.Topics = append(r.Topics, rt)
	}
	return r
}

// Payloads reach the socket as they are: the parts are the log's own slices.
func TestFetchDoesNotCopyPayloads(t *testing.T) {
	payload := bytes.Repeat([]byte{9}, 1000)
	p := fetchedPartition{}
	p.reset(0, false)
	p.found.Bytes = [][]byte{payload}
	f := &fetched{topics: []fetchedTopic{{name: "t", partitions: []fetchedPartition{p}}}}
	_, parts := f.encode(nil, 12)
	for _, b := range parts {
		if &b[0] == &payload[0] {
			return
		}
	}
	t.Fatal("no part is the payload itself")
}

func TestReadsAreReleasedOnce(t *testing.T) {
	released := 0
	p := fetchedPartition{found: Batches{Bytes: [][]byte{{1}}, Release: func() { released++ }}}
	f := &fetched{topics: []fetchedTopic{{partitions: []fetchedPartition{p}}}}
	client, server := net.Pipe()
	go func() { client.Read(make([]byte, 5)); client.Close() }()
	c := &conn{s: New(Options{}), nc: server}
	if _, err := c.write(&call{api: c.s.node.table[keyFetch], header: header{version: 12}}, answer{fetch: f}); err == nil {
		t.Error("the write to a client that left succeeded")
	}
	if released != 1 {
		t.Errorf("released %d times by the write, want once", released)
	}
	if f.release(); released != 1 {
		t.Errorf("released %d times", released)
	}
}
