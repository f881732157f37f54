package record

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Builder writes batches: for internal topics, compaction, replay and tests. The
// zero value writes uncompressed batches without a producer. Add records, then
// take the batch with Build, which starts the next one. It is not safe for
// concurrent use.
type Builder struct {
	Codec Codec
	// Level is the codec's level (KIP-390); 0 is its default.
	Level int
	// Template gives what the records do not: producer, transactional and control
	// attributes, leader epoch. Its ProducerID counts only with HasProducer.
	Template    Header
	HasProducer bool

	z          Compressor
	body       []byte
	scratch    []byte
	n          int32
	lastDelta  int32
	until      int32
	horizon    int64
	mortal     bool // it has a horizon
	baseTime   int64
	maxTime    int64
	baseOffset int64
}

// KeyValue is one header of a record.
type KeyValue struct {
	Key   string
	Value []byte
}

// Size is about the bytes of the batch so far, uncompressed.
func (b *Builder) Size() int { return HeaderLen + len(b.body) }

// Start sets the offset of the next batch's first record. The default is 0: the
// broker rebases what is produced.
func (b *Builder) Start(base int64) { b.baseOffset = base }

// Add appends a record with the next offset. Its bytes are copied.
func (b *Builder) Add(timestamp int64, key, value []byte, headers ...KeyValue) {
	delta := int32(0)
	if b.n > 0 {
		delta = b.lastDelta + 1
	}
	b.AddAt(delta, timestamp, key, value, headers...)
}

// AddAt appends a record at an offset relative to the batch's first, which lies
// behind those of the records before: who copies a compacted log keeps its gaps.
// Its bytes are copied.
func (b *Builder) AddAt(delta int32, timestamp int64, key, value []byte, headers ...KeyValue) {
	if delta < 0 || b.n > 0 && delta <= b.lastDelta {
		panic(fmt.Sprintf("record: R4: offset delta %d behind %d", delta, b.lastDelta))
	}
	if b.n == 0 {
		b.baseTime, b.maxTime = timestamp, timestamp
	}
	r := append(b.scratch[:0], 0) // attributes: none are defined
	r = binary.AppendVarint(r, timestamp-b.baseTime)
	r = binary.AppendVarint(r, int64(delta))
	r = appendBytes(r, key)
	r = appendBytes(r, value)
	r = binary.AppendVarint(r, int64(len(headers)))
	for _, h := range headers {
		r = binary.AppendVarint(r, int64(len(h.Key)))
		r = append(r, h.Key...)
		r = appendBytes(r, h.Value)
	}
	b.scratch = r
	b.body = binary.AppendVarint(b.body, int64(len(r)))
	b.body = append(b.body, r...)
	b.n++
	b.lastDelta = delta
	b.maxTime = max(b.maxTime, timestamp)
}

// Until makes the batch reach to an offset relative to its first although its
// last record lies before it. A batch must have records.
func (b *Builder) Until(delta int32) { b.until = delta }

// DeleteHorizon gives the batch one: see [Header.DeleteHorizon].
func (b *Builder) DeleteHorizon(ms int64) { b.horizon, b.mortal = ms, true }

func appendBytes(b, v []byte) []byte {
	if v == nil {
		return binary.AppendVarint(b, -1)
	}
	return append(binary.AppendVarint(b, int64(len(v))), v...)
}

// Build returns the batch as a slice of its own, nil when there are no records.
func (b *Builder) Build() ([]byte, error) {
	if b.n == 0 {
		return nil, nil
	}
	h := b.Template
	h.BaseOffset, h.Magic = b.baseOffset, 2
	h.Attributes = h.Attributes&^(attrCodec|attrLogAppendTime|attrDeleteHorizon) | int16(b.Codec)
	h.LastOffsetDelta, h.NumRecords = max(b.lastDelta, b.until), b.n
	h.BaseTimestamp, h.MaxTimestamp = b.baseTime, b.maxTime
	if !b.HasProducer {
		h.ProducerID, h.ProducerEpoch, h.BaseSequence = -1, -1, -1
	}
	if b.mortal {
		var err error
		if b.scratch, err = shift(b.scratch[:0], b.body, b.baseTime-b.horizon); err != nil {
			return nil, err
		}
		b.body, b.scratch = b.scratch, b.body
		h.Attributes, h.BaseTimestamp = h.Attributes|attrDeleteHorizon, b.horizon
	}
	out, err := b.z.seal(h, b.Codec, b.Level, b.body)
	b.body, b.n, b.lastDelta, b.until, b.mortal = b.body[:0], 0, 0, 0, false
	return out, err
}

// seal makes a batch of a header and its records, compressed with the codec; but
// uncompressed when nobody would believe how well they do (R2). The batch has exactly the
// memory that it needs: it may be kept for long.
func (z *Compressor) seal(h Header, c Codec, level int, records []byte) ([]byte, error) {
	body, err := z.compress(c, level, records)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c, err)
	}
	if c != None && len(records) > limit(len(body)) {
		c, body = None, records
	}
	if len(body) > math.MaxInt32-HeaderLen {
		return nil, fmt.Errorf("%w: %d bytes", ErrTooLarge, len(body))
	}
	out := make([]byte, HeaderLen+len(body))
	copy(out[HeaderLen:], body)
	h.Length = int32(len(out) - Overhead)
	h.Attributes = h.Attributes&^attrCodec | int16(c)
	h.put(out)
	binary.BigEndian.PutUint32(out[17:], CRC(out))
	return out, nil
}
