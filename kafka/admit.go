package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
)

// rules are what a topic demands of the batches that clients send to it.
type rules struct {
	limits   record.Limits
	stamp    bool // message.timestamp.type=LogAppendTime
	needKey  bool // cleanup.policy has compact
	compress bool // compression.type is not producer
	codec    record.Codec
}

func rulesOf(t *catalog.Topic, setting func(string) (string, bool), now int64) rules {
	r := rules{
		limits:  record.Limits{MaxBytes: int(t.Int("max.message.bytes", setting))},
		stamp:   t.Config("message.timestamp.type", setting) == "LogAppendTime",
		needKey: t.Has("cleanup.policy", "compact", setting),
	}
	r.codec, r.compress = record.ParseCodec(t.Config("compression.type", setting))
	if r.stamp {
		r.limits.Now = 0 // nobody reads the clients' timestamps
	} else {
		r.limits.Now = now
		r.limits.BeforeMax = t.Int("message.timestamp.before.max.ms", setting)
		r.limits.AfterMax = t.Int("message.timestamp.after.max.ms", setting)
	}
	return r
}

// shortened says whether b is less than the batch that it begins.
func shortened(b []byte) bool {
	return len(b) < record.Overhead+5 || int64(int32(binary.BigEndian.Uint32(b[8:]))) > int64(len(b)-record.Overhead)
}

// unpacking bounds how many batches are read at once that have to be decompressed: each may
// take dozens of megabytes then, and more of them than processors are no faster.
var unpacking = make(chan struct{}, min(runtime.GOMAXPROCS(0), 8))

// unpack borrows a decoder for a batch. done gives it back.
func unpack(h record.Header) (dec *record.Decoder, done func()) {
	if h.Codec() == record.None {
		dec = record.BorrowDecoder()
		return dec, dec.Return
	}
	unpacking <- struct{}{}
	dec = record.BorrowDecoder()
	return dec, func() {
		dec.Return()
		<-unpacking
	}
}

// check is record.Check, which names the records whose timestamps are out of bounds.
func check(b []byte, l record.Limits) (record.Header, error) {
	h, err := record.Check(b, l)
	if errors.Is(err, record.ErrInvalidTimestamp) {
		dec, done := unpack(h)
		defer done()
		err = record.NameUntimely(h, b, dec, l, err)
	}
	return h, err
}

// fillMaxTimestamp writes the largest timestamp of the records into the batch.
func fillMaxTimestamp(h record.Header, b []byte) error {
	dec, done := unpack(h)
	defer done()
	_, newest, _, err := record.MaxAt(h, b, dec)
	if err == nil {
		record.StampMaxTimestamp(b, newest)
	}
	return err
}

// admit checks the batch that a client sends for one partition (kafka.md 21-24)
// and makes of it what is to be stored. It may write into b: the time of
// LogAppendTime, or the largest timestamp. What it returns is b, or another slice when
// it was compressed anew.
func admit(b []byte, version int16, r rules, now int64) (batch []byte, h record.Header, err error) {
	if len(b) == 0 {
		return nil, h, fmt.Errorf("%w: no batch", record.ErrInvalidRecord)
	}
	if shortened(b) {
		// Not CORRUPT_MESSAGE, which clients send again (ProduceRequest.validateRecords).
		return nil, h, fmt.Errorf("%w: want one whole batch a partition", record.ErrInvalidRecord)
	}
	if h, err = check(b, r.limits); err != nil {
		return nil, h, err
	}
	if h.MaxTimestamp < h.BaseTimestamp && !r.stamp {
		// Some clients leave it out. Searches by time and retention go by it.
		if err = fillMaxTimestamp(h, b); err == nil {
			h, err = check(b, r.limits)
		}
		if err != nil {
			return nil, h, err
		}
	}
	switch {
	case h.BaseOffset != 0:
		return nil, h, fmt.Errorf("%w: base offset %d, want 0 of a producer", record.ErrInvalidRecord, h.BaseOffset)
	case h.Codec() == record.Zstd && version < 7:
		return nil, h, fmt.Errorf("%w: zstd needs Produce v7 or later (KIP-110)", record.ErrUnsupportedCodec)
	case h.LogAppendTime() && !r.stamp:
		return nil, h, fmt.Errorf("%w: producers do not set LogAppendTime", record.ErrInvalidTimestamp)
	case h.Transactional():
		return nil, h, errTransactions
	}
	recompress := r.compress && r.codec != h.Codec()
	// Reading uncompressed records costs less than their CRC. Compressed ones are
	// read only where the topic demands it.
	if r.needKey || recompress || h.Codec() == record.None {
		dec, done := unpack(h)
		defer done()
		if err = record.CheckRecords(h, b, dec, r.needKey); err != nil {
			return nil, h, err
		}
		if recompress {
			if b, err = record.Recompress(h, b, dec, r.codec); err != nil {
				return nil, h, err
			}
			if r.limits.MaxBytes > 0 && len(b) > r.limits.MaxBytes {
				return nil, h, fmt.Errorf("%w: %d bytes after compression by the topic's codec, at most %d are allowed", record.ErrTooLarge, len(b), r.limits.MaxBytes)
			}
		}
	}
	if r.stamp {
		record.StampLogAppendTime(b, now)
	}
	if recompress || r.stamp {
		if h, err = record.ParseHeader(b); err != nil {
			return nil, h, err
		}
	}
	return b, h, nil
}
