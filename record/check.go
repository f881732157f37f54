package record

import (
	"fmt"
	"math"
)

// Limits are what a topic demands of a batch that a client sends.
type Limits struct {
	// MaxBytes is max.message.bytes: of the batch as it is sent, compressed. 0 is
	// no limit.
	MaxBytes int
	// Now, in milliseconds, makes timestamps be checked (KIP-937): none may lie
	// more than AfterMax milliseconds after it or BeforeMax before it. A negative
	// bound is none. 0 is for topics with LogAppendTime, where nobody reads what
	// the client wrote.
	Now                 int64
	BeforeMax, AfterMax int64
}

// Check checks a batch that a client sends, in place: b is exactly one batch
// (Produce v3). It reads the header and the CRC and decompresses nothing; of an
// uncompressed batch it does not read the records either (CheckRecords does).
// Timestamps are therefore those of the header: the base and the largest.
//
// It fails with one of the sentinels of errors.go.
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
	case h.LogAppendTime():
		return h, fmt.Errorf("%w: clients may not set LogAppendTime, the broker does", ErrInvalidTimestamp)
	case h.NumRecords <= 0 || h.LastOffsetDelta != h.NumRecords-1:
		return h, fmt.Errorf("%w: %d records, but the last offset delta is %d", ErrInvalidRecord, h.NumRecords, h.LastOffsetDelta)
	case !plausible(h, len(b)-HeaderLen):
		return h, fmt.Errorf("%w: %d records in %d bytes (%s)", ErrInvalidRecord, h.NumRecords, len(b)-HeaderLen, h.Codec())
	case h.ProducerID >= 0 && (h.ProducerEpoch < 0 || h.BaseSequence < 0):
		return h, fmt.Errorf("%w: producer %d with epoch %d and sequence %d", ErrInvalidRecord, h.ProducerID, h.ProducerEpoch, h.BaseSequence)
	case h.ProducerID < 0 && h.Transactional():
		return h, fmt.Errorf("%w: a transaction without a producer id", ErrInvalidRecord)
	}
	return h, checkTimestamps(h, l)
}

func checkTimestamps(h Header, l Limits) error {
	if l.Now == 0 {
		return nil
	}
	if l.AfterMax >= 0 && h.MaxTimestamp > l.Now && h.MaxTimestamp-l.Now > l.AfterMax {
		return fmt.Errorf("%w: %d lies more than %d ms in the future", ErrInvalidTimestamp, h.MaxTimestamp, l.AfterMax)
	}
	// -1 is Kafka's "no timestamp".
	if h.BaseTimestamp >= 0 && l.BeforeMax >= 0 && l.Now-h.BaseTimestamp > l.BeforeMax {
		return fmt.Errorf("%w: %d lies more than %d ms in the past", ErrInvalidTimestamp, h.BaseTimestamp, l.BeforeMax)
	}
	return nil
}

// plausible reports whether so many records can be in so many bytes. Compressed
// ones count at the most that they may become: otherwise a batch of a hundred
// bytes takes two thousand million offsets.
func plausible(h Header, n int) bool {
	if h.Codec() != None {
		n = limit(n)
	}
	return int64(h.NumRecords)*minRecord <= int64(n)
}

// CheckStored checks a batch as the log keeps it: b is exactly one batch with a
// right CRC, whose records, fewer than its offsets when it was compacted, can be
// in its bytes. Unlike Check it takes control batches, LogAppendTime and batches
// that compaction emptied. Whatever is wrong is ErrCorrupt, or
// ErrUnsupportedMagic.
func CheckStored(b []byte) (Header, error) {
	h, err := ParseHeader(b)
	if err != nil {
		return h, err
	}
	if h.Size() != len(b) {
		return h, fmt.Errorf("%w: a batch of %d bytes in %d bytes", ErrCorrupt, h.Size(), len(b))
	}
	if crc := CRC(b); crc != h.CRC {
		return h, fmt.Errorf("%w: CRC-32C is %08x, the batch says %08x", ErrCorrupt, crc, h.CRC)
	}
	switch {
	case h.BaseOffset < 0 || h.BaseOffset > math.MaxInt64-math.MaxInt32-1:
		return h, fmt.Errorf("%w: base offset %d", ErrCorrupt, h.BaseOffset)
	case h.Codec() > Zstd:
		return h, fmt.Errorf("%w: codec %d", ErrCorrupt, h.Codec())
	case h.NumRecords < 0 || int64(h.NumRecords) > int64(h.LastOffsetDelta)+1:
		return h, fmt.Errorf("%w: %d records, but the last offset delta is %d", ErrCorrupt, h.NumRecords, h.LastOffsetDelta)
	case !plausible(h, len(b)-HeaderLen):
		return h, fmt.Errorf("%w: %d records in %d bytes (%s)", ErrCorrupt, h.NumRecords, len(b)-HeaderLen, h.Codec())
	}
	return h, nil
}
