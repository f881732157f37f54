package tier

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/object"
)

// gatherBytes is about the size of the batches that compaction writes.
const gatherBytes = 256 << 10

// compactAll rewrites partitions of topics with cleanup.policy=compact key by key,
// by Kafka's rules (semantics 52): of each key the newest record stays, tombstones
// stay for delete.retention.ms, every record keeps its offset, and the log ends
// where it ended.
func (p *Press) compactAll(ctx context.Context) error {
	s, err := p.session()
	if err != nil {
		return err
	}
	state := p.Journal.State()
	skip := p.skip()
	for _, id := range state.Owned(s.ID) {
		t, _ := state.Topic(id.Topic)
		if !t.Has("cleanup.policy", "compact", p.Setting) {
			continue
		}
		c, ok := p.Journal.State().Partition(id)
		if !ok {
			continue
		}
		k := CleaningOf(t, p.Setting)
		if _, front := PlanCompact(c, k, math.MaxInt64, p.nowMs()); front == 0 {
			continue // spares asking the owner
		}
		stable, err := p.stable(ctx, id)
		if err != nil {
			return err
		}
		for _, x := range c.Extents {
			if skip(x.Object) {
				stable = min(stable, x.Base)
				break
			}
		}
		dirty, front := PlanCompact(c, k, stable, p.nowMs())
		if front == 0 {
			continue
		}
		err = p.compactOne(ctx, s, c, dirty, front, k)
		if err = p.avoiding(err); err != nil && !errors.Is(err, errMoved) {
			return fmt.Errorf("%s-%d: %w", t.Name, id.Index, err)
		}
	}
	return nil
}

// stable is the offset from which on a transaction is open; the largest offset when
// none is.
func (p *Press) stable(ctx context.Context, id record.Partition) (int64, error) {
	ps, err := p.Owner.Producers(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("producers of %s: %w", id, err)
	}
	stable := int64(math.MaxInt64)
	for _, q := range ps {
		if q.TxnStart >= 0 {
			stable = min(stable, q.TxnStart)
		}
	}
	return stable, nil
}

// keyDigest stands for a key: 128 bits of SHA-256, of which nobody finds two alike.
type keyDigest [16]byte

func digest(key []byte) keyDigest {
	sum := sha256.Sum256(key)
	return keyDigest(sum[:16])
}

// newest is the offset of the newest record of each key in a stretch that was not
// compacted before, up to the offset known.
type newest struct {
	offsets map[keyDigest]int64
	most    int
	known   int64
	full    bool
}

// add notes the keys of a batch; false when there is no room for them, and known is
// where the batch begins. Records of transactions supersede nothing: they may have
// been aborted.
func (n *newest) add(h record.Header, batch []byte, dec *record.Decoder) error {
	if n.full {
		return nil
	}
	if len(n.offsets)+int(min(h.NumRecords, math.MaxInt32)) > n.most && len(n.offsets) > 0 {
		n.full = true
		return nil
	}
	n.known = h.NextOffset()
	if h.Control() || h.Transactional() {
		return nil
	}
	it := record.Iterate(h, batch, dec)
	for it.Next() {
		if it.Record.Key != nil {
			n.offsets[digest(it.Record.Key)] = it.Offset()
		}
	}
	return it.Err()
}

// errEnough ends a stream early.
var errEnough = errors.New("enough")

// compactOne rewrites the extents before front of a partition, of which those before
// dirty hold each key once. It reads them twice in bounded memory: the dirty ones
// for their keys, then all that lie below the last key that it could remember.
func (p *Press) compactOne(ctx context.Context, s *catalog.Session, c *catalog.Partition, dirty, front int, k Cleaning) error {
	dec := record.BorrowDecoder()
	defer dec.Return()
	n := newest{offsets: map[keyDigest]int64{}, most: p.Keys, known: c.Extents[dirty].Base}
	for _, x := range c.Extents[dirty:front] {
		err := p.stream(ctx, x, func(h record.Header, batch []byte) error {
			if err := n.add(h, batch, dec); err != nil {
				return &errUnreadable{x.Object, err}
			}
			if n.full {
				return errEnough
			}
			return nil
		})
		if errors.Is(err, errEnough) {
			break
		}
		if err != nil {
			return err
		}
	}
	for front > 0 && c.Extents[front-1].Base >= n.known {
		front--
	}
	rule := keeping{
		newest: n.offsets, known: n.known, dirtyFrom: c.Extents[dirty].Base,
		// Older values of a key may be in what was pressed out of the catalog.
		tombstonesBefore: sub(p.nowMs(), k.DeleteRetention), tombstonesGo: len(c.Index) == 0,
	}
	var before, after int64
	err := p.job(ctx, s.ID, func(j *job) (*catalog.CommitJob, error) {
		out := &segments{press: p, job: j, ctx: ctx, partition: c.ID, aborts: newAborts(p), number: compactedFrom}
		defer out.discard()
		for _, x := range c.Extents[:front] {
			out.left += x.Len
		}
		w := rewriter{emit: out.add}
		comp := record.BorrowCompressor()
		defer comp.Return()
		for _, x := range c.Extents[:front] {
			before += x.Len
			err := p.stream(ctx, x, func(h record.Header, batch []byte) error {
				if err := out.aborts.look(ctx, c.ID, x, h); err != nil {
					return err
				}
				if h.BaseOffset == n.known {
					// What follows was not looked at: it stays dirty (W5).
					if err := w.flush(); err != nil {
						return err
					}
					if err := out.end(0); err != nil {
						return err
					}
				}
				if h.BaseOffset >= n.known {
					return out.add(h, batch)
				}
				return w.take(h, batch, dec, comp, rule)
			})
			if err != nil {
				return nil, err
			}
		}
		if err := w.flush(); err != nil {
			return nil, err
		}
		if err := out.end(0); err != nil {
			return nil, err
		}
		after = located(out.extents)
		return &catalog.CommitJob{Extents: out.extents}, nil
	})
	if err == nil {
		p.Observer.Rewritten("compact", before, after)
		p.Logger.Info("compacted by key", "partition", c.ID.String(), "keys", len(n.offsets), "bytes", before, "left", after)
	}
	return err
}

// segments writes batches of one partition into segments of bounded size.
type segments struct {
	press     *Press
	job       *job
	ctx       context.Context // of the one call that they live in
	partition record.Partition
	aborts    *aborts
	number    uint64 // of the next object
	left      int64  // bytes that may still come
	out       *sink
	runs      runs
	extents   []catalog.Located
}

func (s *segments) add(h record.Header, batch []byte) error {
	if s.out != nil && s.out.Size() >= s.press.Limits.Target {
		if err := s.end(s.number + 1); err != nil {
			return err
		}
	}
	if s.out == nil {
		out, err := s.job.open(object.Segment, s.number, min(s.left, s.press.Limits.Target))
		if err != nil {
			return err
		}
		s.out, s.runs = out, runs{press: s.press, enc: out.Encoder, known: s.aborts.list}
	}
	return s.runs.add(s.ctx, s.partition, h.LeaderEpoch, h, batch)
}

// end puts the segment that is open. The next one has the given number.
func (s *segments) end(next uint64) error {
	number := s.number
	s.number = next
	if s.out == nil {
		return nil
	}
	if err := s.runs.end(s.ctx); err != nil {
		return err
	}
	xs, err := s.out.finish(s.ctx)
	if err != nil {
		return fmt.Errorf("segment %d: %w", number, err)
	}
	s.left -= s.out.Size()
	s.extents = append(s.extents, xs...)
	s.discard()
	return nil
}

func (s *segments) discard() {
	if s.out != nil {
		s.out.discard()
		s.out = nil
	}
}

// keeping decides which records stay.
type keeping struct {
	newest           map[keyDigest]int64
	known            int64 // records below it are known to newest, from dirtyFrom on
	dirtyFrom        int64
	tombstonesBefore int64 // ms
	tombstonesGo     bool
}

// keep decides one record. A tombstone goes once it is old and was kept by a
// compaction before: nothing older of its key is left then, and readers have had
// the time since to see it.
func (k keeping) keep(offset, timestamp int64, key, value []byte) bool {
	if key == nil || offset >= k.known {
		return true
	}
	if last, ok := k.newest[digest(key)]; ok && last > offset {
		return false
	}
	return value != nil || !k.tombstonesGo || offset >= k.dirtyFrom || timestamp >= k.tombstonesBefore
}

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
		return w.put(empty(w.from, w.next, w.epoch))
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

// empty is a batch without records that spans the offsets [base, next), at most
// 2³¹ of them. See package record for the layout.
func empty(base, next int64, epoch int32) []byte {
	b := make([]byte, record.HeaderLen)
	binary.BigEndian.PutUint32(b[8:], record.HeaderLen-record.Overhead)
	b[16] = 2
	binary.BigEndian.PutUint32(b[23:], uint32(next-1-base))
	for i := 27; i < 57; i++ { // no timestamps, producer, epoch or sequence: all are -1
		b[i] = 0xff
	}
	binary.BigEndian.PutUint32(b[17:], record.CRC(b))
	record.Rebase(b, base, epoch)
	return b
}
