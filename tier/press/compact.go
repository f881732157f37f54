package press

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

const (
	// compactBytes bounds what one pass over a partition reads into memory, and
	// compactKeys what it remembers: 24 bytes for each key and the map around them.
	compactBytes = 128 << 20
	compactKeys  = 1 << 20
	// batchBytes is about the size of the batches that compaction writes.
	batchBytes = 256 << 10
)

// compact rewrites partitions of topics with cleanup.policy=compact key by key, by
// Kafka's rules: of each key the newest record stays, a tombstone stays for
// delete.retention.ms, offsets stay what they are and so does the end of the log.
// Only sealed runs are rewritten: nothing that is not committed, nothing that
// producers of the present still write behind.
func (p *Press) compact(ctx context.Context) error {
	s, ok := p.session()
	if !ok {
		return nil
	}
	for t := range p.Journal.State().AllTopics() {
		if !t.Has("cleanup.policy", "compact", p.Setting) {
			continue
		}
		lag := t.Int("min.compaction.lag.ms", p.Setting)
		keepTombstones := t.Int("delete.retention.ms", p.Setting)
		for _, c := range t.Partitions {
			if c.Owner != s.ID {
				continue
			}
			front := Dirty(c, p.now()-lag)
			if len(front) == 0 {
				continue
			}
			if err := p.compactOne(ctx, s, c.ID, front, p.now()-keepTombstones); err != nil {
				return fmt.Errorf("%s-%d: %w", t.Name, c.ID.Index, err)
			}
		}
	}
	return nil
}

// Dirty decides which extents of a partition are worth compacting together: a
// front part of what lies in sealed objects and is older than a time; none when
// less than half of it has come since the last compaction. What lies in one object
// at the very front is what that one wrote.
func Dirty(c *catalog.Partition, before int64) []catalog.Extent {
	n, bytes := 0, int64(0)
	for n < len(c.Extents) {
		x := c.Extents[n]
		if x.Object.Kind != catalog.KindSeg || x.MaxTimestamp > before || bytes+x.Len > compactBytes {
			break
		}
		bytes += x.Len
		n++
	}
	clean, objects := int64(0), 1
	for i := range n {
		if c.Extents[i].Object == c.Extents[0].Object {
			clean += c.Extents[i].Len
		}
		if i > 0 && c.Extents[i].Object != c.Extents[i-1].Object {
			objects++
		}
	}
	if objects < 2 || bytes-clean < clean {
		return nil
	}
	return c.Extents[:n]
}

// keyDigest stands for a key: 128 bits of SHA-256, which nobody finds two of.
type keyDigest [16]byte

func digest(key []byte) keyDigest {
	sum := sha256.Sum256(key)
	return keyDigest(sum[:16])
}

// sealedRun is a run in memory.
type sealedRun struct {
	catalog.Extent
	bytes []byte
}

func (p *Press) compactOne(ctx context.Context, s *catalog.Session, id record.Partition, front []catalog.Extent, tombstonesSince int64) error {
	var before, after int64
	err := p.job(ctx, s.ID, func(j *job) (*catalog.CommitJob, error) {
		var rs []sealedRun
		for _, x := range front {
			b, err := p.Store.Get(ctx, x.Object.Name(), cold.Range{Offset: x.Pos, Length: x.Len}, nil)
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", x.Object, err)
			}
			run := object.Run{Partition: id, Epoch: x.Epoch, Base: x.Base, Next: x.Next, Pos: x.Pos, Len: x.Len, CRC: x.CRC, MaxTimestamp: x.MaxTimestamp, Records: x.Records}
			if err := object.VerifyRun(run, b); err != nil {
				return nil, fmt.Errorf("%s: %w", x.Object, err)
			}
			rs = append(rs, sealedRun{x, b})
			before += x.Len
		}
		out := runs{e: j.begin(object.Segment, 0)}
		err := rewrite(rs, tombstonesSince, func(epoch int32, batch []byte) error {
			after += int64(len(batch))
			return out.add(ctx, p, id, epoch, batch)
		})
		if err == nil {
			err = out.end(ctx, p)
		}
		if err != nil {
			return nil, err
		}
		extents, err := j.put(out.e, 0)
		return &catalog.CommitJob{Extents: extents}, err
	})
	if err == nil {
		p.Logger.Info("compacted", "partition", id.String(), "bytes", before, "left", after)
	}
	return err
}

// rewrite gives emit the batches that are left of runs, dense and in order. Batches
// without a producer are gathered into larger ones; those of idempotent producers,
// and control batches, stay batches of their own, so that sequences and markers
// keep their meaning.
func rewrite(rs []sealedRun, tombstonesSince int64, emit func(epoch int32, batch []byte) error) error {
	dec := record.BorrowDecoder()
	defer dec.Return()
	comp := record.BorrowCompressor()
	defer comp.Return()
	newest, known, err := newestOf(rs, dec)
	if err != nil {
		return err
	}
	w := writer{emit: emit}
	for _, r := range rs {
		if err := w.epochIs(r.Epoch); err != nil {
			return err
		}
		for rest := r.bytes; len(rest) > 0; {
			h, batch, more, err := record.Next(rest)
			if err != nil {
				return err
			}
			rest = more
			keep := func(offset, timestamp int64, x record.Record) bool {
				if x.Key == nil || offset >= known {
					return true
				}
				if newest[digest(x.Key)] != offset {
					return false
				}
				return x.Value != nil || timestamp >= tombstonesSince
			}
			switch {
			case h.Control():
				err = w.whole(h, batch)
			case h.ProducerID >= 0 || h.LogAppendTime():
				at := func(x record.Record) (int64, int64) {
					ts := h.BaseTimestamp + x.TimestampDelta
					if h.LogAppendTime() {
						ts = h.MaxTimestamp
					}
					return h.BaseOffset + int64(x.OffsetDelta), ts
				}
				batch, err = comp.Filter(h, batch, dec, func(x record.Record) bool {
					o, ts := at(x)
					return keep(o, ts, x)
				})
				if err == nil {
					err = w.whole(h, batch)
				}
			default:
				err = w.gather(h, batch, dec, keep)
			}
			if err != nil {
				return err
			}
		}
	}
	return w.flush()
}

// newestOf finds the offset of the newest record of each key below known; there
// memory for keys ended, or the runs did.
func newestOf(rs []sealedRun, dec *record.Decoder) (newest map[keyDigest]int64, known int64, err error) {
	newest, known = map[keyDigest]int64{}, math.MaxInt64
	for _, r := range rs {
		for rest := r.bytes; len(rest) > 0; {
			h, batch, more, err := record.Next(rest)
			if err != nil {
				return nil, 0, err
			}
			rest = more
			if h.Control() {
				continue
			}
			if len(newest) >= compactKeys {
				return newest, h.BaseOffset, nil
			}
			it := record.Iterate(h, batch, dec)
			for it.Next() {
				if it.Record.Key != nil {
					newest[digest(it.Record.Key)] = it.Offset()
				}
			}
			if it.Err() != nil {
				return nil, 0, it.Err()
			}
		}
	}
	return newest, known, nil
}

// writer puts what is left into dense batches.
type writer struct {
	emit  func(epoch int32, batch []byte) error
	epoch int32
	// gathered are the records of batches [base, next) that were merged into b;
	// husk is the first of these batches without its records, for the case that none
	// is left.
	b          record.Builder
	base, next int64
	open       bool
	husks      [][]byte
}

func (w *writer) epochIs(e int32) error {
	if e == w.epoch {
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.epoch = e
	return nil
}

// whole emits a batch as it is.
func (w *writer) whole(h record.Header, batch []byte) error {
	if err := w.flush(); err != nil {
		return err
	}
	return w.emit(w.epoch, batch)
}

// gather adds what is left of a batch to the one that is being written.
func (w *writer) gather(h record.Header, batch []byte, dec *record.Decoder, keep func(offset, timestamp int64, x record.Record) bool) error {
	if w.open && (w.b.Size() >= batchBytes || h.LastOffset()-w.base > math.MaxInt32) {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if !w.open {
		w.open, w.base = true, h.BaseOffset
		w.b.Codec = h.Codec()
		w.b.Start(h.BaseOffset)
	}
	it := record.Iterate(h, batch, dec)
	for it.Next() {
		if !keep(it.Offset(), it.Timestamp(), it.Record) {
			continue
		}
		var hs []record.KeyValue
		it.Record.Headers(func(k string, v []byte) { hs = append(hs, record.KeyValue{Key: k, Value: v}) })
		w.b.AddAt(int32(it.Offset()-w.base), it.Timestamp(), it.Record.Key, it.Record.Value, hs...)
	}
	if it.Err() != nil {
		return it.Err()
	}
	if w.b.Len() == 0 { // none yet: if it stays so, empty batches hold the offsets
		husk, err := record.Filter(h, batch, dec, func(record.Record) bool { return false })
		if err != nil {
			return err
		}
		w.husks = append(w.husks, husk)
	}
	w.next = h.NextOffset()
	return nil
}

// flush emits what is gathered.
func (w *writer) flush() error {
	if !w.open {
		return nil
	}
	w.open = false
	husks := w.husks
	w.husks = w.husks[:0:0]
	if w.b.Len() == 0 {
		for _, b := range husks {
			if err := w.emit(w.epoch, b); err != nil {
				return err
			}
		}
		return nil
	}
	w.b.Until(int32(w.next - 1 - w.base))
	batch, err := w.b.Build()
	if err != nil {
		return err
	}
	record.Rebase(batch, w.base, w.epoch)
	return w.emit(w.epoch, batch)
}
