package record

import (
	"encoding/binary"
	"fmt"
)

// minRecord is the bytes of the smallest record: length, attributes, timestamp
// and offset deltas, null key, null value, no headers.
const minRecord = 7

// Record is a view of one record of a batch. Its bytes belong to the batch, or
// to the buffer that the batch was decompressed into.
type Record struct {
	OffsetDelta    int32
	TimestampDelta int64
	Key, Value     []byte // nil when null
	headers        []byte
	nheaders       int
	raw            []byte
}

// Headers calls fn for each header of the record. A value is nil when null.
func (r Record) Headers(fn func(key string, value []byte)) {
	for k, v := range r.HeaderViews {
		fn(string(k), v)
	}
}

// HeaderViews calls yield for each header of the record until it returns false,
// with views and without allocating: for k, v := range r.HeaderViews.
func (r Record) HeaderViews(yield func(key, value []byte) bool) {
	d := fields{b: r.headers}
	for range r.nheaders {
		if k := d.bytes(); !yield(k, d.bytes()) {
			return
		}
	}
}

// NumHeaders is the number of the record's headers.
func (r Record) NumHeaders() int { return r.nheaders }

// fields reads the varints and byte strings of records; the first fault sticks.
type fields struct {
	b   []byte
	bad bool
}

func (d *fields) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *fields) bytes() []byte {
	n := d.varint()
	if n == -1 {
		return nil
	}
	if n < 0 || n > int64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

// Records iterates over the records of one batch without allocating for each:
//
//	it := record.Iterate(h, batch, &dec)
//	for it.Next() { it.Record … }
//	if it.Err() != nil …
type Records struct {
	Record Record
	h      Header
	rest   []byte
	left   int32
	next   int32
	err    error
}

// Iterate reads the records of a batch. Compressed ones are decompressed into
// dec's buffer, which the records refer to until its next use; the memory is
// bounded as Decoder says. Faults show in Err.
func Iterate(h Header, batch []byte, dec *Decoder) Records {
	it := Records{h: h, left: h.NumRecords}
	if h.NumRecords < 0 || h.Size() < HeaderLen || h.Size() > len(batch) {
		it.err = fmt.Errorf("%w: a header of %d records in %d bytes over %d bytes", ErrCorrupt, h.NumRecords, h.Size(), len(batch))
		return it
	}
	it.rest = batch[HeaderLen:h.Size():h.Size()]
	if h.Codec() != None {
		it.rest, it.err = dec.Decompress(h.Codec(), it.rest)
	}
	if it.err == nil && int64(h.NumRecords)*minRecord > int64(len(it.rest)) {
		it.err = fmt.Errorf("%w: %d records in %d bytes", ErrInvalidRecord, h.NumRecords, len(it.rest))
	}
	return it
}

// Next moves to the next record; false at the end, or when Err is set.
func (it *Records) Next() bool {
	if it.err != nil {
		return false
	}
	if it.left == 0 {
		if len(it.rest) > 0 {
			it.err = fmt.Errorf("%w: %d bytes behind the last record", ErrInvalidRecord, len(it.rest))
		}
		return false
	}
	d := fields{b: it.rest}
	n := d.varint()
	if d.bad || n < minRecord-1 || n > int64(len(d.b)) {
		it.err = fmt.Errorf("%w: record %d of %d is cut short", ErrInvalidRecord, it.h.NumRecords-it.left, it.h.NumRecords)
		return false
	}
	r := Record{raw: it.rest[: len(it.rest)-len(d.b)+int(n) : len(it.rest)-len(d.b)+int(n)]}
	it.rest = d.b[n:]
	d.b = d.b[1:n] // attributes, unused
	r.TimestampDelta = d.varint()
	delta := d.varint()
	r.Key, r.Value = d.bytes(), d.bytes()
	headers := d.varint()
	r.headers = d.b
	for i := int64(0); i < headers && !d.bad; i++ {
		if k := d.bytes(); k == nil {
			d.bad = true
		}
		d.bytes()
	}
	if d.bad || headers < 0 || len(d.b) > 0 || delta < int64(it.next) || delta > int64(it.h.LastOffsetDelta) {
		it.err = fmt.Errorf("%w: record %d of %d is malformed", ErrInvalidRecord, it.h.NumRecords-it.left, it.h.NumRecords)
		return false
	}
	r.nheaders, r.OffsetDelta = int(headers), int32(delta)
	it.next = r.OffsetDelta + 1
	it.left--
	it.Record = r
	return true
}

// Err is why iteration ended early; nil when it did not.
func (it *Records) Err() error { return it.err }

// Offset is the current record's offset.
func (it *Records) Offset() int64 { return it.h.BaseOffset + int64(it.Record.OffsetDelta) }

// Timestamp is the current record's timestamp in milliseconds.
func (it *Records) Timestamp() int64 {
	if it.h.LogAppendTime() {
		return it.h.MaxTimestamp
	}
	return it.h.BaseTimestamp + it.Record.TimestampDelta
}
