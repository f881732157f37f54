package main

import (
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// production is a request to produce one batch to one partition.
func production(topic string, partition int32, acks int16, b []byte) *kmsg.ProduceRequest {
	q := kmsg.NewPtrProduceRequest()
	q.Acks, q.TimeoutMillis = acks, 10000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, b
	t.Partitions = append(t.Partitions, p)
	q.Topics = append(q.Topics, t)
	return q
}

// give produces and notes nothing.
func give(s *side, topic string, partition int32, b []byte) {
	q := production(topic, partition, -1, b)
	for range 50 {
		r := quiet[*kmsg.ProduceResponse](s, q)
		if len(r.Topics) == 1 && len(r.Topics[0].Partitions) == 1 && r.Topics[0].Partitions[0].ErrorCode == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond) // a new leader may not know yet that it is one
	}
	s.say("produce to "+topic, "failed")
}

// producerID takes a producer id.
func producerID(s *side) int64 {
	q := kmsg.NewPtrInitProducerIDRequest()
	q.TransactionTimeoutMillis, q.ProducerID, q.ProducerEpoch = 60000, -1, -1
	for range 50 {
		if r := quiet[*kmsg.InitProducerIDResponse](s, q); r.ErrorCode == 0 {
			return r.ProducerID
		}
		time.Sleep(50 * time.Millisecond) // while Kafka fetches its first block of ids
	}
	s.say("producer id", "none")
	return -1
}

// producing is what brokers say to batches.
func producing() []scenario {
	everyBatch := func(s *side, topic, step string, b []byte) {
		every[*kmsg.ProduceResponse](s, step, production(topic, 0, -1, b))
	}
	return []scenario{
		{"produce/batches", func(s *side) {
			create(s, "produced", 2)
			create(s, "odd", 1) // for what one of them takes and the other does not: offsets part there
			good := batch(some(2))
			give(s, "produced", 0, good)
			everyBatch(s, "produced", "good", good)
			everyBatch(s, "produced", "gzip", batch(some(3), zipped))
			everyBatch(s, "nosuch", "unknown topic", good)
			everyBatch(s, "", "empty topic", good)
			every[*kmsg.ProduceResponse](s, "unknown partition", production("produced", 9, -1, good))
			every[*kmsg.ProduceResponse](s, "negative partition", production("produced", -1, -1, good))
			every[*kmsg.ProduceResponse](s, "acks 1", production("produced", 0, 1, good))
			every[*kmsg.ProduceResponse](s, "acks 2", production("produced", 0, 2, good))
			every[*kmsg.ProduceResponse](s, "acks -2", production("produced", 0, -2, good))
			everyBatch(s, "produced", "no bytes", []byte{})
			// Nothing at all makes Kafka fall silent for that connection.
			ask[*kmsg.ProduceResponse](s, "null", 9, production("produced", 0, -1, nil))
			everyBatch(s, "produced", "no records", batch(nil))
			flipped := batch(some(2))
			flipped[len(flipped)-2] ^= 0xff
			everyBatch(s, "produced", "wrong checksum", flipped)
			everyBatch(s, "produced", "cut", good[:len(good)-3])
			everyBatch(s, "produced", "only a header", good[:40])
			everyBatch(s, "produced", "two batches", append(batch(some(1)), good...))
			everyBatch(s, "odd", "bytes behind", append(batch(some(1)), 1, 2, 3))
			everyBatch(s, "produced", "magic 1", batch(some(1), func(b *kmsg.RecordBatch) { b.Magic = 1 }))
			everyBatch(s, "produced", "magic 3", batch(some(1), func(b *kmsg.RecordBatch) { b.Magic = 3 }))
			everyBatch(s, "produced", "control", batch(some(1), func(b *kmsg.RecordBatch) { b.Attributes = 0x20 }))
			everyBatch(s, "produced", "too few deltas", batch(some(2), func(b *kmsg.RecordBatch) { b.LastOffsetDelta = 0 }))
			everyBatch(s, "produced", "too many deltas", batch(some(2), func(b *kmsg.RecordBatch) { b.LastOffsetDelta = 5 }))
			everyBatch(s, "produced", "too many records claimed", batch(some(2), func(b *kmsg.RecordBatch) { b.NumRecords, b.LastOffsetDelta = 3, 2 }))
			everyBatch(s, "produced", "too few records claimed", batch(some(2), func(b *kmsg.RecordBatch) { b.NumRecords, b.LastOffsetDelta = 1, 0 }))
			everyBatch(s, "produced", "negative count", batch(some(1), func(b *kmsg.RecordBatch) { b.NumRecords = -1 }))
			everyBatch(s, "produced", "codec 7", batch(some(1), func(b *kmsg.RecordBatch) { b.Attributes = 7 }))
			everyBatch(s, "odd", "garbage as gzip", batch(some(1), func(b *kmsg.RecordBatch) { b.Attributes = 1 }))
			everyBatch(s, "odd", "LogAppendTime set", batch(some(1), func(b *kmsg.RecordBatch) { b.Attributes = 8 }))
			everyBatch(s, "produced", "base offset 77", batch(some(1), func(b *kmsg.RecordBatch) { b.FirstOffset = 77 }))
			everyBatch(s, "produced", "leader epoch 9", batch(some(1), func(b *kmsg.RecordBatch) { b.PartitionLeaderEpoch = 9 }))
			everyBatch(s, "produced", "wrong max timestamp", batch(some(1), func(b *kmsg.RecordBatch) { b.MaxTimestamp += 5 }))
			everyBatch(s, "produced", "no timestamp", batch(some(1), func(b *kmsg.RecordBatch) { b.FirstTimestamp, b.MaxTimestamp = -1, -1 }))
			everyBatch(s, "produced", "transactional without id", batch(some(1), of(5, 0, 0), func(b *kmsg.RecordBatch) { b.Attributes = 0x10 }))
			for _, v := range s.versions(0) {
				q := production("produced", 0, -1, good)
				q.Topics = append(q.Topics, production("nosuch", 0, -1, good).Topics[0])
				q.Topics[0].Partitions = append(q.Topics[0].Partitions, production("produced", 1, -1, flipped).Topics[0].Partitions[0])
				ask[*kmsg.ProduceResponse](s, "good, unknown and wrong", v, q)
				q.Topics = nil
				ask[*kmsg.ProduceResponse](s, "nothing", v, q)
			}
		}},
		{"produce/without answer", func(s *side) {
			create(s, "acks-0", 1)
			for _, v := range s.versions(0) {
				s.redial()
				s.conn.send(v, production("acks-0", 0, 0, batch(some(1))))
				s.say("good", s.outcome())
				s.redial()
				s.conn.send(v, production("nosuch", 0, 0, batch(some(1))))
				s.say("unknown topic", s.outcome())
			}
			s.redial()
		}},
		{"produce/limits", func(s *side) {
			create(s, "small", 1, "max.message.bytes", "300")
			everyBatch(s, "small", "fits", batch(some(2)))
			everyBatch(s, "small", "does not fit", batch([]rec{{key: "k", value: strings.Repeat("x", 300)}}))
			everyBatch(s, "small", "fits when zipped", batch([]rec{{key: "k", value: strings.Repeat("x", 1000)}}, zipped))
			create(s, "keyed", 1, "cleanup.policy", "compact")
			everyBatch(s, "keyed", "with keys", batch(some(2)))
			everyBatch(s, "keyed", "one without", batch([]rec{{key: "a"}, {noKey: true, value: "x"}, {key: "b"}, {noKey: true}}))
			everyBatch(s, "keyed", "one without, zipped", batch([]rec{{key: "a"}, {noKey: true, value: "x"}}, zipped))
			create(s, "either", 1, "cleanup.policy", "compact,delete")
			everyBatch(s, "either", "one without", batch([]rec{{key: "a"}, {noKey: true, value: "x"}}))
			create(s, "timed", 1, "message.timestamp.before.max.ms", "3600000", "message.timestamp.after.max.ms", "60000")
			for _, at := range []struct {
				step string
				by   time.Duration
			}{{"in time", 0}, {"too late", -2 * time.Hour}, {"too early", time.Hour}} {
				everyBatch(s, "timed", at.step, batch(some(2), func(b *kmsg.RecordBatch) {
					b.FirstTimestamp += at.by.Milliseconds()
					b.MaxTimestamp += at.by.Milliseconds()
				}))
			}
			everyBatch(s, "timed", "one too early", batch([]rec{{key: "a"}, {key: "b", after: time.Hour.Milliseconds()}}))
			create(s, "stamped", 1, "message.timestamp.type", "LogAppendTime")
			everyBatch(s, "stamped", "stamped", batch(some(2)))
			everyBatch(s, "stamped", "stamped already", batch(some(1), func(b *kmsg.RecordBatch) { b.Attributes = 8 }))
			create(s, "recompressed", 1, "compression.type", "gzip")
			everyBatch(s, "recompressed", "plain", batch(some(2)))
		}},
		{"produce/sequences", func(s *side) {
			create(s, "sequenced", 1)
			give(s, "sequenced", 0, batch(some(1)))
			producerID(s)
			for _, v := range s.versions(22) {
				q := kmsg.NewPtrInitProducerIDRequest()
				q.TransactionTimeoutMillis, q.ProducerID, q.ProducerEpoch = 60000, -1, -1
				r := ask[*kmsg.InitProducerIDResponse](s, "an id", v, q)
				s.is("a producer", decimal(r.ProducerID))
				q.ProducerID, q.ProducerEpoch = r.ProducerID, 0
				r = ask[*kmsg.InitProducerIDResponse](s, "another", v, q)
				s.is("a producer", decimal(r.ProducerID))
				q.ProducerID, q.ProducerEpoch = 5, -1
				ask[*kmsg.InitProducerIDResponse](s, "half an id", v, q)
				q.ProducerID, q.ProducerEpoch = -1, 5
				ask[*kmsg.InitProducerIDResponse](s, "the other half", v, q)
				q.ProducerID, q.ProducerEpoch, q.TransactionTimeoutMillis = -1, -1, -5
				r = ask[*kmsg.InitProducerIDResponse](s, "a negative timeout", v, q)
				s.is("a producer", decimal(r.ProducerID))
				q.TransactionalID = kmsg.StringPtr("")
				q.TransactionTimeoutMillis = 1000
				ask[*kmsg.InitProducerIDResponse](s, "an empty transactional id", v, q)
			}
			send := func(step string, id int64, epoch int16, sequence int32, n int) {
				q := production("sequenced", 0, -1, batch(some(n), of(id, epoch, sequence)))
				ask[*kmsg.ProduceResponse](s, step, s.newest(q), q)
			}
			for _, first := range []int32{0, 7} {
				id := producerID(s)
				send("first", id, 0, first, 2)
				send("second", id, 0, first+2, 1)
				send("second again", id, 0, first+2, 1)
				send("first again", id, 0, first, 2)
				send("a part of first", id, 0, first, 1)
				send("a gap", id, 0, first+9, 1)
				send("behind the gap", id, 0, first+3, 1)
				for i := range int32(6) {
					send("more", id, 0, first+4+i, 1)
				}
				send("an old one", id, 0, first+2, 1)
				send("one of the last five", id, 0, first+6, 1)
				send("next epoch, not from 0", id, 1, 5, 1)
				send("next epoch", id, 1, 0, 1)
				send("old epoch", id, 0, first+10, 1)
				send("old epoch again", id, 0, first+9, 1)
				send("epoch 5", id, 5, 0, 1)
			}
			const most = 1<<31 - 1
			id := producerID(s)
			send("wrap: close to the end", id, 0, most-2, 2)
			send("wrap: over it", id, 0, most, 3)
			send("wrap: over it again", id, 0, most, 3)
			send("wrap: behind", id, 0, 2, 1)
			send("wrap: a gap", id, 0, 4, 1)
			send("id without epoch", id, -1, -1, 1)
			send("id without sequence", id, 0, -1, 1)
			send("unknown id", 1<<40, 0, 0, 1)
			send("unknown id, late", 1<<40+1, 3, 99, 1)
		}},
	}
}
