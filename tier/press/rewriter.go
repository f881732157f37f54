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
	// horizon is that of the tombstones in b, if it has any.
	horizon int64
	graves  bool
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
	horizon, stay := rule.tombstones(h)
	graves := false
	left, err := comp.Filter(h, batch, dec, func(x record.Record) bool {
		ok := rule.keep(h.BaseOffset+int64(x.OffsetDelta), x.Key, x.Value, stay)
		graves = graves || ok && x.Value == nil
		return ok
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
	if at, ok := h.DeleteHorizon(); graves && (!ok || at != horizon) {
		if left, err = comp.SetDeleteHorizon(h, left, dec, horizon); err != nil {
			return err
		}
		if h, err = record.ParseHeader(left); err != nil {
			return err
		}
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

// gather adds what is left of a batch to the one that is being built. Tombstones that go at
// different times do not lie in one batch: those that go last would keep the others.
func (w *rewriter) gather(h record.Header, batch []byte, dec *record.Decoder, rule keeping) error {
	it := record.Iterate(h, batch, dec)
	var hs []record.KeyValue
	horizon, stay := rule.tombstones(h)
	for it.Next() {
		r := it.Record
		if !rule.keep(it.Offset(), r.Key, r.Value, stay) {
			continue
		}
		if r.Value == nil {
			if w.graves && w.horizon != horizon {
				w.next = it.Offset()
				if err := w.flush(); err != nil {
					return err
				}
			}
			w.horizon, w.graves = horizon, true
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
		if w.graves {
			w.b.DeleteHorizon(w.horizon)
			w.graves = false
		}
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
