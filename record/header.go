package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

// HeaderLen is the bytes of a batch before its records.
const HeaderLen = 61

// Overhead is the bytes of a batch that its length field does not count.
const Overhead = 12

// What can be wrong with a batch. kafka maps them to error codes.
var (
	ErrCorrupt          = errors.New("corrupt batch")
	ErrTooLarge         = errors.New("batch too large")
	ErrInvalidRecord    = errors.New("invalid record")
	ErrInvalidTimestamp = errors.New("invalid timestamp")
	ErrUnsupportedMagic = errors.New("unsupported message format")
	ErrUnsupportedCodec = errors.New("unsupported compression codec")
)

// Codec is how the records of a batch are compressed.
type Codec uint8

// The codecs, numbered as in the attributes.
const (
	None   Codec = 0
	Gzip   Codec = 1
	Snappy Codec = 2
	LZ4    Codec = 3
	Zstd   Codec = 4
)

// String is the codec's name in compression.type.
func (c Codec) String() string {
	switch c {
	case None:
		return "uncompressed"
	case Gzip:
		return "gzip"
	case Snappy:
		return "snappy"
	case LZ4:
		return "lz4"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("codec %d", uint8(c))
}

// ParseCodec is the reverse of String.
func ParseCodec(s string) (Codec, bool) {
	for c := None; c <= Zstd; c++ {
		if c.String() == s {
			return c, true
		}
	}
	return None, false
}

const (
	attrCodec         = 0x07
	attrLogAppendTime = 0x08
	attrTransactional = 0x10
	attrControl       = 0x20
)

// Header is the fixed part of a batch.
type Header struct {
	BaseOffset      int64
	Length          int32
	LeaderEpoch     int32
	Magic           int8
	CRC             uint32
	Attributes      int16
	LastOffsetDelta int32
	BaseTimestamp   int64
	MaxTimestamp    int64
	ProducerID      int64
	ProducerEpoch   int16
	BaseSequence    int32
	NumRecords      int32
}

// ParseHeader reads the header of the batch that b begins with, and checks that
// b holds all of the batch. Older formats give ErrUnsupportedMagic.
func ParseHeader(b []byte) (Header, error) {
	var h Header
	if len(b) < Overhead+5 {
		return h, fmt.Errorf("%w: %d bytes are too few for a batch", ErrCorrupt, len(b))
	}
	h.BaseOffset = int64(binary.BigEndian.Uint64(b))
	h.Length = int32(binary.BigEndian.Uint32(b[8:]))
	h.LeaderEpoch = int32(binary.BigEndian.Uint32(b[12:]))
	h.Magic = int8(b[16])
	if h.Magic != 2 {
		if h.Magic == 0 || h.Magic == 1 {
			return h, fmt.Errorf("%w: magic %d, want 2", ErrUnsupportedMagic, h.Magic)
		}
		return h, fmt.Errorf("%w: magic %d, want 2", ErrCorrupt, h.Magic)
	}
	if h.Length < HeaderLen-Overhead || int64(h.Length) > int64(len(b)-Overhead) {
		return h, fmt.Errorf("%w: length %d, but %d bytes are there", ErrCorrupt, h.Length, len(b)-Overhead)
	}
	h.CRC = binary.BigEndian.Uint32(b[17:])
	h.Attributes = int16(binary.BigEndian.Uint16(b[21:]))
	h.LastOffsetDelta = int32(binary.BigEndian.Uint32(b[23:]))
	h.BaseTimestamp = int64(binary.BigEndian.Uint64(b[27:]))
	h.MaxTimestamp = int64(binary.BigEndian.Uint64(b[35:]))
	h.ProducerID = int64(binary.BigEndian.Uint64(b[43:]))
	h.ProducerEpoch = int16(binary.BigEndian.Uint16(b[51:]))
	h.BaseSequence = int32(binary.BigEndian.Uint32(b[53:]))
	h.NumRecords = int32(binary.BigEndian.Uint32(b[57:]))
	return h, nil
}

func (h Header) put(b []byte) {
	binary.BigEndian.PutUint64(b, uint64(h.BaseOffset))
	binary.BigEndian.PutUint32(b[8:], uint32(h.Length))
	binary.BigEndian.PutUint32(b[12:], uint32(h.LeaderEpoch))
	b[16] = byte(h.Magic)
	binary.BigEndian.PutUint32(b[17:], h.CRC)
	binary.BigEndian.PutUint16(b[21:], uint16(h.Attributes))
	binary.BigEndian.PutUint32(b[23:], uint32(h.LastOffsetDelta))
	binary.BigEndian.PutUint64(b[27:], uint64(h.BaseTimestamp))
	binary.BigEndian.PutUint64(b[35:], uint64(h.MaxTimestamp))
	binary.BigEndian.PutUint64(b[43:], uint64(h.ProducerID))
	binary.BigEndian.PutUint16(b[51:], uint16(h.ProducerEpoch))
	binary.BigEndian.PutUint32(b[53:], uint32(h.BaseSequence))
	binary.BigEndian.PutUint32(b[57:], uint32(h.NumRecords))
}

// Size is the bytes of the whole batch.
func (h Header) Size() int { return int(h.Length) + Overhead }

// LastOffset is the offset of the batch's last record, or of the last one that
// compaction removed.
func (h Header) LastOffset() int64 { return h.BaseOffset + int64(h.LastOffsetDelta) }

// NextOffset is the offset behind the batch.
func (h Header) NextOffset() int64 { return h.LastOffset() + 1 }

// Codec is how the records are compressed.
func (h Header) Codec() Codec { return Codec(h.Attributes & attrCodec) }

// Control reports whether the batch holds a control record, which clients see
// as an offset without a record.
func (h Header) Control() bool { return h.Attributes&attrControl != 0 }

// Transactional reports whether the batch is part of a transaction.
func (h Header) Transactional() bool { return h.Attributes&attrTransactional != 0 }

// LogAppendTime reports whether all records have the batch's max timestamp.
func (h Header) LogAppendTime() bool { return h.Attributes&attrLogAppendTime != 0 }

// Idempotent reports whether the batch has a producer id and a sequence.
func (h Header) Idempotent() bool { return h.ProducerID >= 0 && h.BaseSequence >= 0 }

// LastSequence is the sequence of the last record; sequences wrap from 2³¹-1 to 0.
func (h Header) LastSequence() int32 { return AddSequence(h.BaseSequence, h.LastOffsetDelta) }

// AddSequence is seq+n, wrapped from 2³¹-1 to 0.
func AddSequence(seq, n int32) int32 {
	return int32((int64(seq) + int64(n)) & math.MaxInt32)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CRC is the CRC-32C that the batch's header should have.
func CRC(batch []byte) uint32 { return crc32.Checksum(batch[21:], castagnoli) }

// Rebase writes the base offset and the leader epoch in place. Neither is
// covered by the CRC.
func Rebase(batch []byte, base int64, epoch int32) {
	binary.BigEndian.PutUint64(batch, uint64(base))
	binary.BigEndian.PutUint32(batch[12:], uint32(epoch))
}

// StampLogAppendTime makes now, in milliseconds, the timestamp of all records of
// the batch, in place, with a new CRC.
func StampLogAppendTime(batch []byte, now int64) {
	attrs := binary.BigEndian.Uint16(batch[21:])
	binary.BigEndian.PutUint16(batch[21:], attrs|attrLogAppendTime)
	binary.BigEndian.PutUint64(batch[35:], uint64(now))
	binary.BigEndian.PutUint32(batch[17:], CRC(batch))
}

// Limits are what a topic demands of a batch that a client sends.
type Limits struct {
	MaxBytes int // max.message.bytes
	// CreateTime bounds, in milliseconds, when Now is set (KIP-937).
	Now                 int64
	BeforeMax, AfterMax int64
}

// Check checks a batch that a client sends, in place: b is exactly one batch. It
// reads the header and the CRC and decompresses nothing; of an uncompressed batch
// it does not read the records either (CheckRecords does).
func Check(b []byte, l Limits) (Header, error) {
	h, err := ParseHeader(b)
	if err != nil {
		return h, err
	}
	switch {
	case h.Size() != len(b):
		return h, fmt.Errorf("%w: a batch of %d bytes in %d bytes: want one batch a partition", ErrInvalidRecord, h.Size(), len(b))
	case l.MaxBytes > 0 && len(b) > l.MaxBytes:
		return h, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTooLarge, len(b), l.MaxBytes)
	}
	if crc := CRC(b); crc != h.CRC {
		return h, fmt.Errorf("%w: CRC-32C is %08x, the batch says %08x", ErrCorrupt, crc, h.CRC)
	}
	switch {
	case h.Codec() > Zstd:
		return h, fmt.Errorf("%w: %d", ErrUnsupportedCodec, h.Codec())
	case h.Control():
		return h, fmt.Errorf("%w: clients may not send control batches", ErrInvalidRecord)
	case h.NumRecords <= 0 || h.LastOffsetDelta != h.NumRecords-1:
		return h, fmt.Errorf("%w: %d records, but the last offset delta is %d", ErrInvalidRecord, h.NumRecords, h.LastOffsetDelta)
	case h.Codec() == None && int64(h.NumRecords)*minRecord > int64(len(b)-HeaderLen):
		return h, fmt.Errorf("%w: %d records in %d bytes", ErrInvalidRecord, h.NumRecords, len(b)-HeaderLen)
	case h.ProducerID >= 0 && (h.ProducerEpoch < 0 || h.BaseSequence < 0):
		return h, fmt.Errorf("%w: producer %d with epoch %d and sequence %d", ErrInvalidRecord, h.ProducerID, h.ProducerEpoch, h.BaseSequence)
	}
	if l.Now != 0 && !h.LogAppendTime() {
		if l.AfterMax >= 0 && h.MaxTimestamp > l.Now && h.MaxTimestamp-l.Now > l.AfterMax {
			return h, fmt.Errorf("%w: %d lies more than %d ms in the future", ErrInvalidTimestamp, h.MaxTimestamp, l.AfterMax)
		}
		if h.BaseTimestamp >= 0 && l.BeforeMax >= 0 && l.Now-h.BaseTimestamp > l.BeforeMax {
			return h, fmt.Errorf("%w: %d lies more than %d ms in the past", ErrInvalidTimestamp, h.BaseTimestamp, l.BeforeMax)
		}
	}
	return h, nil
}

// Next splits the first batch off b and returns its header and the rest. It
// checks lengths only.
func Next(b []byte) (h Header, batch, rest []byte, err error) {
	if h, err = ParseHeader(b); err != nil {
		return h, nil, nil, err
	}
	n := h.Size()
	return h, b[:n:n], b[n:], nil
}
