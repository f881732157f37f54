package kafka

import (
	"bytes"
	"encoding/binary"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
)

func produceOf(version, acks int16, topic string, partition int32, records []byte) *kmsg.ProduceRequest {
	q := kmsg.NewPtrProduceRequest()
	q.Version, q.Acks, q.TimeoutMillis = version, acks, 5000
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, records
	tp := kmsg.NewProduceRequestTopic()
	tp.Topic, tp.Partitions = topic, []kmsg.ProduceRequestTopicPartition{p}
	q.Topics = append(q.Topics, tp)
	return q
}

func (f *fake) appended() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.appends)
}

// waitFor waits for something that other goroutines do.
func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	for began := time.Now(); !ok(); time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("it did not happen")
		}
	}
}

// produceOne produces one batch and returns the answer for its partition.
func produceOne(c *client, version int16, topic string, records []byte) kmsg.ProduceResponseTopicPartition {
	c.t.Helper()
	return ask[*kmsg.ProduceResponse](c, version, produceOf(version, -1, topic, 0, records)).Topics[0].Partitions[0]
}

func TestSemantic20Acks(t *testing.T) {
	f := newFake()
	topic := f.topic("t", 1)
	p := serve(t, f, Limits{})

	c := p.client(t)
	for _, acks := range []int16{2, -2, 100} {
		r := ask[*kmsg.ProduceResponse](c, 9, produceOf(9, acks, "t", 0, batch(0, 1, "a")))
		wantCode(t, "acks", r.Topics[0].Partitions[0].ErrorCode, codeInvalidRequiredAcks)
	}
	if f.appended() != 0 {
		t.Fatal("something was appended")
	}
	// acks=0 is not answered: the next answer is that of the next request.
	q := produceOf(9, 0, "t", 0, batch(0, 1, "a"))
	c.send(q)
	ask[*kmsg.MetadataResponse](c, 9, kmsg.NewPtrMetadataRequest())
	if hw := f.log(topic, 0).hw; hw != 1 {
		t.Fatalf("high watermark %d, want 1", hw)
	}
	// A fault of acks=0 closes the connection.
	c.send(produceOf(9, 0, "nowhere", 0, batch(0, 1, "a")))
	c.closed()
}

func TestSemantic21BatchesAreValidated(t *testing.T) {
	f := newFake()
	f.topic("t", 1)
	f.topic("compacted", 1, "cleanup.policy", "compact")
	c := serve(t, f, Limits{}).client(t)
	now := time.Now().UnixMilli()
	good := batch(record.None, now, "a", "b")
	wantCode(t, "good", produceOne(c, 9, "t", good).ErrorCode, codeNone)
	before := f.appended()

	change := func(at int, v ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], v)
		binary.BigEndian.PutUint32(b[17:], record.CRC(b))
		return b
	}
	corrupt := bytes.Clone(good)
	corrupt[len(corrupt)-1] ^= 1
	control := record.Builder{Template: record.Header{Attributes: 0x20}}
	control.Add(now, []byte{0, 0, 0, 0}, []byte{0, 0, 0, 0, 0, 0})
	controlBatch, _ := control.Build()
	transactional := record.Builder{Template: record.Header{Attributes: 0x10, ProducerID: 7}, HasProducer: true}
	transactional.Add(now, []byte("k"), []byte("v"))
	txn, _ := transactional.Build()
	for name, x := range map[string]struct {
		topic string
		b     []byte
		want  code
	}{
		"two batches":             {"t", append(bytes.Clone(good), good...), codeInvalidRecord},
		"no batch":                {"t", nil, codeInvalidRecord},
		"CRC":                     {"t", corrupt, codeCorruptMessage},
		"header cut":              {"t", good[:16], codeInvalidRecord},
		"a base offset":           {"t", change(7, 9), codeInvalidRecord},
		"magic 1":                 {"t", change(16, 1), codeInvalidRecord},
		"cut short":               {"t", good[:len(good)-1], codeInvalidRecord},
		"count":                   {"t", change(57, 0, 0, 0, 3), codeInvalidRecord},
		"count and delta":         {"t", change(23, 0, 0, 0, 2), codeInvalidRecord},
		"lies about its records":  {"t", bothCounts(change(23, 0, 0, 0, 2)), codeInvalidRecord},
		"control":                 {"t", controlBatch, codeInvalidRecord},
		"codec 7":                 {"t", change(21, 0, 7), codeUnsupportedCompressionType},
		"two hours in the future": {"t", batch(record.None, now+2*3600_000, "a"), codeInvalidTimestamp},
		"LogAppendTime":           {"t", change(21, 0, 8), codeInvalidTimestamp},
		"transactional":           {"t", txn, codeTransactionalIDAuthorizationFailed},
		"unknown topic":           {"none", good, codeUnknownTopicOrPartition},
	} {
		got := produceOne(c, 9, x.topic, x.b)
		wantCode(t, name, got.ErrorCode, x.want)
		if got.BaseOffset != -1 {
			t.Errorf("%s: offset %d", name, got.BaseOffset)
		}
	}
	wantCode(t, "half an hour in the future", produceOne(c, 9, "t", batch(record.None, now+1800_000, "a")).ErrorCode, codeNone)

	noKey := record.Builder{}
	noKey.Add(now, []byte("k"), []byte("v"))
	noKey.Add(now, nil, []byte("v"))
	noKey.Add(now, nil, []byte("w"))
	b, _ := noKey.Build()
	got := produceOne(c, 9, "compacted", b)
	wantCode(t, "null key", got.ErrorCode, codeInvalidRecord)
	// Every one of them is named: clients give up those and send the others again.
	if len(got.ErrorRecords) != 2 || got.ErrorRecords[0].RelativeOffset != 1 || got.ErrorRecords[1].RelativeOffset != 2 || !strings.Contains(*got.ErrorRecords[0].ErrorMessage, "key") {
		t.Errorf("record errors %+v, want those of records 1 and 2", got.ErrorRecords)
	}
	late := record.Builder{}
	late.Add(now, []byte("k"), []byte("v"))
	late.Add(now+7200_000, []byte("k"), []byte("v"))
	b, _ = late.Build()
	got = produceOne(c, 9, "t", b)
	wantCode(t, "one in the future", got.ErrorCode, codeInvalidTimestamp)
	if len(got.ErrorRecords) != 1 || got.ErrorRecords[0].RelativeOffset != 1 {
		t.Errorf("record errors %+v, want one for record 1", got.ErrorRecords)
	}
	if f.appended() != before+1 {
		t.Errorf("%d appends, want %d", f.appended(), before+1)
	}
}

// bothCounts makes the count of records agree with the last offset delta.
func bothCounts(b []byte) []byte {
	binary.BigEndian.PutUint32(b[57:], binary.BigEndian.Uint32(b[23:])+1)
	binary.BigEndian.PutUint32(b[17:], record.CRC(b))
	return b
}

func TestSemantic22SizeLimitIsThatOfTheBatch(t *testing.T) {
	f := newFake()
	f.topic("small", 1, "max.message.bytes", "2000")
	f.topic("packed", 1, "max.message.bytes", "2000", "compression.type", "uncompressed")
	f.topic("default", 1)
	c := serve(t, f, Limits{}).client(t)
	big := strings.Repeat("x", 10_000)
	now := time.Now().UnixMilli()
	wantCode(t, "uncompressed", produceOne(c, 9, "small", batch(record.None, now, big)).ErrorCode, codeMessageTooLarge)
	wantCode(t, "compressed", produceOne(c, 9, "small", batch(record.Gzip, now, big)).ErrorCode, codeNone)
	wantCode(t, "after recompression", produceOne(c, 9, "packed", batch(record.Gzip, now, big)).ErrorCode, codeMessageTooLarge)
	wantCode(t, "1 MiB by default", produceOne(c, 9, "default", batch(record.None, now, strings.Repeat("x", 1<<20))).ErrorCode, codeMessageTooLarge)
	f.mu.Lock()
	f.settings["message.max.bytes"] = "3000000"
	f.mu.Unlock()
	wantCode(t, "by the broker's setting", produceOne(c, 9, "default", batch(record.None, now, strings.Repeat("x", 1<<20))).ErrorCode, codeNone)
}

func TestSemantic23LogAppendTime(t *testing.T) {
	f := newFake()
	stamped := f.topic("stamped", 1, "message.timestamp.type", "LogAppendTime")
	f.topic("created", 1)
	c := serve(t, f, Limits{}).client(t)
	before := time.Now().UnixMilli()
	got := produceOne(c, 9, "stamped", batch(record.Snappy, 5, "a"))
	if got.LogAppendTime < before || got.LogAppendTime > time.Now().UnixMilli() {
		t.Errorf("log append time %d, want now", got.LogAppendTime)
	}
	b := f.log(stamped, 0).batches[0]
	h, _ := record.ParseHeader(b)
	if !h.LogAppendTime() || h.MaxTimestamp != got.LogAppendTime || record.CRC(b) != h.CRC {
		t.Errorf("stored: %+v, CRC %08x", h, record.CRC(b))
	}
	if got := produceOne(c, 9, "created", batch(record.None, before, "a")); got.LogAppendTime != -1 {
		t.Errorf("log append time %d with CreateTime, want -1", got.LogAppendTime)
	}
}

func TestALargestTimestampThatAClientLeavesOutIsFilledIn(t *testing.T) {
	f := newFake()
	p := f.topic("created", 1)
	c := serve(t, f, Limits{}).client(t)
	now := time.Now().UnixMilli()
	without := func(codec record.Codec, ts int64) []byte {
		b := batch(codec, ts, "a", "b", "c")
		record.StampMaxTimestamp(b, -1)
		return b
	}
	for codec := record.None; codec <= record.Zstd; codec++ {
		want, _ := record.ParseHeader(batch(codec, now, "a", "b", "c"))
		wantCode(t, codec.String(), produceOne(c, 9, "created", without(codec, now)).ErrorCode, codeNone)
		l := f.log(p, 0)
		b := l.batches[len(l.batches)-1]
		if h, err := record.CheckStored(b); err != nil || h.MaxTimestamp != want.MaxTimestamp {
			t.Errorf("%s: largest timestamp %d, want %d; %v", codec, h.MaxTimestamp, want.MaxTimestamp, err)
		}
	}
	wantCode(t, "in the future", produceOne(c, 9, "created", without(record.Gzip, now+48*3600*1000)).ErrorCode, codeInvalidTimestamp)
}

func TestSemantic24CodecsEndToEnd(t *testing.T) {
	f := newFake()
	kept := f.topic("kept", 1)
	c := serve(t, f, Limits{}).client(t)
	now := time.Now().UnixMilli()
	values := []string{strings.Repeat("a", 300), strings.Repeat("b", 300)}
	for from := record.None; from <= record.Zstd; from++ {
		b := batch(from, now, values...)
		wantCode(t, from.String(), produceOne(c, 7, "kept", b).ErrorCode, codeNone)
		l := f.log(kept, 0)
		if !bytes.Equal(l.batches[len(l.batches)-1][record.HeaderLen:], b[record.HeaderLen:]) {
			t.Errorf("%s: the records were changed", from)
		}
		for to := record.None; to <= record.Zstd; to++ {
			name := from.String() + "-" + to.String()
			topic := f.topic(name, 1, "compression.type", to.String())
			wantCode(t, name, produceOne(c, 7, name, batch(from, now, values...)).ErrorCode, codeNone)
			stored := f.log(topic, 0).batches[0]
			h, _ := record.ParseHeader(stored)
			dec := record.BorrowDecoder()
			if err := record.CheckRecords(h, stored, dec, true); h.Codec() != to || err != nil || h.CRC != record.CRC(stored) || h.NumRecords != 2 {
				t.Errorf("%s: stored as %s, %v", name, h.Codec(), err)
			}
			dec.Return()
		}
	}
	wantCode(t, "zstd by Produce v6", produceOne(c, 6, "kept", batch(record.Zstd, now, "a")).ErrorCode, codeUnsupportedCompressionType)
	for _, v := range []int16{4, 9, 10, 16} {
		got := ask[*kmsg.FetchResponse](c, v, fetchOf(v, f, "kept", 4)).Topics[0].Partitions[0]
		wantCode(t, "zstd by Fetch", got.ErrorCode, codeNone)
		var last record.Header
		for b := got.RecordBatches; len(b) > 0; {
			var err error
			if last, _, b, err = record.Next(b); err != nil {
				t.Fatalf("Fetch v%d of zstd: %v", v, err)
			}
		}
		if last.Codec() != record.Zstd {
			t.Errorf("Fetch v%d of zstd ends with %s", v, last.Codec())
		}
	}
}

func TestSemantic28ErrorsOfTheLog(t *testing.T) {
	n := New(Options{}).node
	for err, want := range map[error]code{
		ErrProducerEpoch:      codeInvalidProducerEpoch, // never PRODUCER_FENCED
		ErrOutOfOrderSequence: codeOutOfOrderSequenceNumber,
		ErrInvalidTxnState:    codeInvalidTxnState,
		ErrNotLeader:          codeNotLeaderOrFollower,
		ErrTimedOut:           codeRequestTimedOut,
		ErrStorage:            codeKafkaStorageError,
		ErrClosing:            codeNotLeaderOrFollower,
	} {
		if got := n.produceCode(err); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
}

func TestNotLeaderTellsWhoIs(t *testing.T) {
	for listener, host := range map[string]string{"": "other", "OUT": "OUT.other"} {
		notLeader(t, listener, host)
	}
}

// notLeader is told to a client that came by the listener, who is sent to the host.
func notLeader(t *testing.T, listener, host string) {
	f := newFake()
	f.listener = listener
	topic := f.topic("t", 1)
	f.brokers = append(f.brokers, Broker{Node: 2, Host: "other", Port: 9093, Rack: "b"})
	second := f.apply(&catalog.RegisterSession{Node: 2, Advertised: "other:9093", Nonce: [16]byte{2}})[0].ID
	f.apply(&catalog.Release{Session: f.session, Partitions: []record.Partition{topic.Partitions[0].ID}})
	if err := f.apply(&catalog.Take{Session: second, Items: []catalog.TakeItem{{Partition: topic.Partitions[0].ID, Epoch: 1}}})[0].Item(0); err != nil {
		t.Fatal(err)
	}
	f.log(topic, 0).gone = true
	c := serve(t, f, Limits{}).client(t)

	r := ask[*kmsg.ProduceResponse](c, 10, produceOf(10, -1, "t", 0, batch(0, 1, "a")))
	p := r.Topics[0].Partitions[0]
	wantCode(t, "produce", p.ErrorCode, codeNotLeaderOrFollower)
	if p.CurrentLeader.LeaderID != 2 || p.CurrentLeader.LeaderEpoch != 1 || len(r.Brokers) != 1 || r.Brokers[0].Host != host {
		t.Errorf("produce: %+v %+v", p.CurrentLeader, r.Brokers)
	}
	fr := ask[*kmsg.FetchResponse](c, 16, fetchOf(16, f, "t", 0))
	fp := fr.Topics[0].Partitions[0]
	wantCode(t, "fetch", fp.ErrorCode, codeNotLeaderOrFollower)
	if fp.CurrentLeader.LeaderID != 2 || fp.CurrentLeader.LeaderEpoch != 1 || len(fr.Brokers) != 1 || fr.Brokers[0].Host != host || *fr.Brokers[0].Rack != "b" {
		t.Errorf("fetch: %+v %+v", fp.CurrentLeader, fr.Brokers)
	}
}

func TestTransactionsAreRefusedForGood(t *testing.T) {
	f := newFake()
	f.topic("t", 1)
	c := serve(t, f, Limits{}).client(t)
	q := produceOf(9, -1, "t", 0, batch(0, 1, "a"))
	q.TransactionID = kmsg.StringPtr("x")
	wantCode(t, "Produce", ask[*kmsg.ProduceResponse](c, 9, q).Topics[0].Partitions[0].ErrorCode, codeTransactionalIDAuthorizationFailed)
	i := kmsg.NewPtrInitProducerIDRequest()
	i.TransactionalID = kmsg.StringPtr("x")
	wantCode(t, "InitProducerId", ask[*kmsg.InitProducerIDResponse](c, 4, i).ErrorCode, codeTransactionalIDAuthorizationFailed)
	fc := kmsg.NewPtrFindCoordinatorRequest()
	fc.CoordinatorType, fc.CoordinatorKeys = 1, []string{"x"}
	wantCode(t, "FindCoordinator", ask[*kmsg.FindCoordinatorResponse](c, 6, fc).Coordinators[0].ErrorCode, codeTransactionalIDAuthorizationFailed)
	ok := ask[*kmsg.InitProducerIDResponse](c, 4, kmsg.NewPtrInitProducerIDRequest())
	if ok.ErrorCode != 0 || ok.ProducerID < 1000 || ok.ProducerEpoch != 0 {
		t.Errorf("idempotent producer: %+v", ok)
	}
	half := kmsg.NewPtrInitProducerIDRequest()
	half.ProducerID = 5
	wantCode(t, "id without epoch", ask[*kmsg.InitProducerIDResponse](c, 3, half).ErrorCode, codeInvalidRequest)
}

func TestInternalTopicsTakeNoProduce(t *testing.T) {
	f := newFake()
	f.apply(&catalog.CreateTopic{Name: "__consumer_offsets", ID: record.TopicID{9}, Replicas: 1, Owners: []uint64{f.session}, Internal: true})
	c := serve(t, f, Limits{}).client(t)
	wantCode(t, "produce", produceOne(c, 9, "__consumer_offsets", batch(0, 1, "a")).ErrorCode, codeInvalidTopic)
}

// A hundred clients that send compressed batches to a compacted topic together take no more
// memory than a few: what a megabyte becomes is there for few of them at a time.
func TestFewBatchesAreDecompressedAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := unpacking
		unpacking = make(chan struct{}, 1)
		defer func() { unpacking = before }()
		f := newFake()
		topic := f.topic("t", 1, "cleanup.policy", "compact", "compression.type", "gzip")
		r := rulesOf(topic, f.Setting, 1)
		var ended atomic.Int32
		for name, b := range map[string][]byte{
			"zstd": batch(record.Zstd, 1, "a"), "of the future": batch(record.Zstd, 1<<50, "a"), "without a largest timestamp": untimed(batch(record.Zstd, 1, "a")),
		} {
			unpacking <- struct{}{}
			go func() {
				_, _, _ = admit(b, 9, r, 1)
				ended.Add(1)
			}()
			synctest.Wait()
			if ended.Load() != 0 {
				t.Errorf("%s: it was decompressed beside another one", name)
			}
			if _, _, err := admit(batch(record.None, 1, "a"), 9, r, 1); err != nil {
				t.Errorf("one that is not compressed: %v", err)
			}
			<-unpacking
			synctest.Wait()
			if ended.Swap(0) != 1 || len(unpacking) != 0 {
				t.Errorf("%s: its place was not given back", name)
			}
		}
	})
}

// untimed leaves the largest timestamp out of a batch.
func untimed(b []byte) []byte {
	record.StampMaxTimestamp(b, -1)
	return b
}
