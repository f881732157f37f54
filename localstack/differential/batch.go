package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// past is a time that both brokers are told of and that is not now.
var past = time.Now().Add(-10 * time.Minute).UnixMilli()

// rec is a record to produce.
type rec struct {
	key, value string
	noKey      bool
	after      int64 // its time, in milliseconds after the batch's
}

// batch makes a record batch; change may spoil it before its checksum is taken.
func batch(rs []rec, change ...func(*kmsg.RecordBatch)) []byte {
	var records []byte
	most := past
	for i, r := range rs {
		k := kmsg.Record{TimestampDelta64: r.after, OffsetDelta: int32(i), Key: []byte(r.key), Value: []byte(r.value)}
		if r.noKey {
			k.Key = nil
		}
		k.Length = int32(len(k.AppendTo(nil)) - 1) // a length of 0 takes one byte
		records = k.AppendTo(records)
		most = max(most, past+r.after)
	}
	b := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, LastOffsetDelta: int32(len(rs) - 1), FirstTimestamp: past, MaxTimestamp: most,
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(len(rs)), Records: records,
	}
	for _, c := range change {
		c(&b)
	}
	return seal(b)
}

// seal encodes a batch with its length and checksum.
func seal(b kmsg.RecordBatch) []byte {
	out := b.AppendTo(nil)
	binary.BigEndian.PutUint32(out[8:], uint32(len(out)-12))
	binary.BigEndian.PutUint32(out[17:], crc32.Checksum(out[21:], crc32.MakeTable(crc32.Castagnoli)))
	return out
}

// zipped compresses a batch's records by gzip.
func zipped(b *kmsg.RecordBatch) {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b.Records)
	_ = w.Close()
	b.Records, b.Attributes = out.Bytes(), b.Attributes|1
}

// of makes a batch that a producer with an id sends.
func of(id int64, epoch int16, sequence int32) func(*kmsg.RecordBatch) {
	return func(b *kmsg.RecordBatch) { b.ProducerID, b.ProducerEpoch, b.FirstSequence = id, epoch, sequence }
}

// some are n plain records.
func some(n int) []rec {
	var rs []rec
	for i := range n {
		rs = append(rs, rec{key: "k", value: "value", after: int64(i)})
	}
	return rs
}
