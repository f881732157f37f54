package press

import (
	"math"

	"github.com/firnlog/firn/record"
)

// gatherBytes is about the size of the batches that compaction writes.
const gatherBytes = 256 << 10

// rewriter turns batches into dense ones without the records that go. Those of
// producers without ids are gathered into larger batches; others stay batches of
// their own, so that sequences and markers keep their meaning. Where no record is
// left, one empty batch holds the offsets, so that consumers reach the end.
type rewriter struct {
	emit  func(h record.Header, batch []byte) error
	epoch int32
	// [from, next) is taken and not emitted yet; b has what is left of it, if any.
	from, next int64
	open       bool
	b          record.Builder
}

// take takes a batch.
func (w *rewriter) take(h record.Header, batch []byte, dec *record.Decoder, comp *record.Compressor, rule keeping) error {
	long := h.LastOffset()-w.from > math.MaxInt32
	if w.epoch != h.LeaderEpoch || w.next != h.BaseOffset || long || w.open && w.b.Size() >= gatherBytes {
		if err := w.flush(); err != nil {
			return err
		}
		w.epoch, w.from, w.next = h.LeaderEpoch, h.BaseOffset, h.BaseOffset
	}
	if h.Control() {
		return w.whole(h, batch)
	}
	if h.ProducerID < 0 && !h.LogAppendTime() {
		return w.gather(h, batch, dec, rule)
	}
	left, err := comp.Filter(h, batch, dec, func(x record.Record) bool {
		ts := h.BaseTimestamp + x.TimestampDelta
		if h.LogAppendTime() {
			ts = h.MaxTimestamp
		}
		return rule.keep(h.BaseOffset+int64(x.OffsetDelta), ts, x.Key, x.Value)
	})
	if err != nil {
		return err
	}
	if h, err = record.ParseHeader(left); err != nil {
		return err
	}
	if h.NumRecords == 0 {
		w.next = h.NextOffset()
		return nil
	}
	return w.whole(h, left)
}

// whole emits a batch as it is, behind what was taken before.
func (w *rewriter) whole(h record.Header, batch []byte) error {
	if err := w.flush(); err != nil {
		return err
	}
	w.from, w.next = h.NextOffset(), h.NextOffset()
	return w.emit(h, batch)
}

// gather adds what is left of a batch to the one that is being built.
func (w *rewriter) gather(h record.Header, batch []byte, dec *record.Decoder, rule keeping) error {
	it := record.Iterate(h, batch, dec)
	var hs []record.KeyValue
	for it.Next() {
		r := it.Record
		if !rule.keep(it.Offset(), it.Timestamp(), r.Key, r.Value) {
			continue
		}
		if !w.open {
			w.open, w.b.Codec = true, h.Codec()
			w.b.Start(w.from)
		}
		hs = hs[:0]
		r.Headers(func(k string, v []byte) { hs = append(hs, record.KeyValue{Key: k, Value: v}) })
		w.b.AddAt(int32(it.Offset()-w.from), it.Timestamp(), r.Key, r.Value, hs...)
	}
	w.next = h.NextOffset()
	return it.Err()
}

// flush emits what was taken.
func (w *rewriter) flush() error {
	if w.open {
		w.open = false
		w.b.Until(int32(w.next - 1 - w.from))
		b, err := w.b.Build()
		if err != nil {
			return err
		}
		record.Rebase(b, w.from, w.epoch)
		return w.put(b)
	}
	if w.from < w.next {
		return w.put(record.Empty(w.from, w.next, w.epoch))
	}
	return nil
}

func (w *rewriter) put(b []byte) error {
	h, err := record.ParseHeader(b)
	if err != nil {
		return err
	}
	w.from = w.next
	return w.emit(h, b)
}
