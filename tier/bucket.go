package tier

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
)

const (
	// readMost bounds one read of the bucket; who wants more reads on.
	readMost = 8 << 20
	// readLeast is what is fetched for one batch, so that a batch across the end
	// of a block does not take two rounds.
	readLeast = 256 << 10
	// mostPieces bounds the runs that one read touches: WAL objects hold little
	// of each partition.
	mostPieces = 32
	// walkMost is up to which position in a run the batches before the offset are
	// walked over rather than looked up in the footer: they are in the block that
	// is fetched anyway.
	walkMost = blockSize
)

// readExtents adds batches of the extents, the first of which holds the offset.
func (r *Reader) readExtents(ctx context.Context, out *Batches, p record.Partition, extents []catalog.Extent, offset, upto int64, maxBytes int) error {
	if i := slices.IndexFunc(extents, func(e catalog.Extent) bool { return e.Base >= upto }); i > 0 {
		extents = extents[:i]
	}
	st, known := r.streams.take(p, offset)
	base, pos, err := r.seek(ctx, p, extents[0], offset, st)
	if err != nil {
		return err
	}
	bytes := int64(min(max(maxBytes, readLeast), readMost))
	for {
		pieces := plan(extents, base, pos, bytes, mostPieces)
		got, err := r.fetchPieces(ctx, pieces)
		if err == nil {
			err = r.walk(out, p, pieces, got, &st, offset, upto, maxBytes)
		}
		fetched := false
		for i := range got {
			fetched = fetched || got[i].fetched
			for _, c := range got[i].chunks {
				out.held = append(out.held, c.lend())
			}
		}
		if err != nil {
			return err
		}
		if len(out.Views) > 0 || len(pieces) == 0 {
			r.goOn(st, known, extents, out, fetched)
			if r.blocks.spread(out.held, out.Bytes) {
				out.copy()
			}
			return nil
		}
		if at := st.need; at > 0 {
			// Not one batch was whole: ask for all of the first.
			out.Release()
			if err := r.believe(ctx, p, extents[0], st.pos, pos+at); err != nil {
				return err
			}
			bytes, st.need = at, 0
			continue
		}
		return nil // the first batch ends behind upto
	}
}

// believe checks that the batch at pos ends at end, both relative to the run, before
// much memory is taken for what a damaged length may say: the footer knows where a
// later batch begins.
func (r *Reader) believe(ctx context.Context, p record.Partition, e catalog.Extent, pos, end int64) error {
	if end-pos <= readMost {
		return nil
	}
	run, err := r.run(ctx, p, e)
	if err != nil {
		return err
	}
	for _, x := range run.Index {
		if x.Pos > pos && x.Pos < end {
			r.blocks.forget(e.Object, e.Pos+pos, record.Overhead)
			return fmt.Errorf("%w: %s, batch at byte %d of a run of %s: it ends at byte %d, and another one begins at byte %d", ErrDamaged, e.Object, pos, p, end, x.Pos)
		}
	}
	return nil
}

// seek finds where in a run to begin: a batch at or before the offset. A stream
// that goes on knows; a run that begins near the offset is walked; otherwise the
// footer's index says.
func (r *Reader) seek(ctx context.Context, p record.Partition, e catalog.Extent, offset int64, st stream) (base, pos int64, err error) {
	if offset == e.Base {
		return e.Base, 0, nil
	}
	if st.object == e.Object && st.pos > 0 && st.pos < e.Len {
		return offset, st.pos, nil
	}
	if e.Len <= walkMost {
		return e.Base, 0, nil
	}
	run, err := r.run(ctx, p, e)
	if err != nil {
		return 0, 0, err
	}
	base = e.Base
	for _, x := range run.Index {
		if x.Base > offset {
			break
		}
		base, pos = x.Base, x.Pos
	}
	return base, pos, nil
}

// fetchPieces fetches all pieces at once.
func (r *Reader) fetchPieces(ctx context.Context, pieces []piece) ([]stretch, error) {
	got, errs := make([]stretch, len(pieces)), make([]error, len(pieces))
	var wg sync.WaitGroup
	for i := range pieces {
		get := func() {
			q := pieces[i]
			got[i], errs[i] = r.blocks.get(ctx, q.extent.Object, q.extent.Pos+q.pos, q.n, false)
		}
		if i == len(pieces)-1 {
			get()
		} else {
			wg.Go(get)
		}
	}
	wg.Wait()
	// A piece behind the first that failed is left for the next read.
	for i, err := range errs {
		if err == nil {
			continue
		}
		for j := i + 1; j < len(got); j++ {
			got[j].release()
		}
		if i == 0 {
			return nil, err
		}
		return got[:i], nil
	}
	return got, nil
}

// walk adds the batches of what was fetched, from the one that holds the offset
// on, and leaves in st where it stopped. Each batch is checked: it begins at the
// offset that the one before ended at, is of the run's epoch, and has the CRC that
// its producer gave it. Together these cover each bit of it, so that the run's
// own CRC would say nothing more. st.need is set to the bytes of a first batch
// that did not fit the piece.
func (r *Reader) walk(out *Batches, p record.Partition, pieces []piece, got []stretch, st *stream, offset, upto int64, maxBytes int) error {
	for i := range got {
		q, s := &pieces[i], &got[i]
		e := &q.extent
		at, pos, end := q.base, q.pos, q.pos+q.n
		view := int64(-1) // where in the run the last view begins
		bad := func(format string, a ...any) error {
			r.blocks.forget(e.Object, e.Pos+q.pos, q.n)
			return fmt.Errorf("%w: %s, batch at byte %d, offset %d of %s: %s", ErrDamaged, e.Object, e.Pos+pos, at, p, fmt.Sprintf(format, a...))
		}
		for pos < e.Len {
			var size int64
			if head, _ := s.bytes(e.Pos+pos, min(record.Overhead, end-pos)); len(head) == record.Overhead {
				size = int64(int32(binary.BigEndian.Uint32(head[8:]))) + record.Overhead
				if size < record.HeaderLen || size > e.Len-pos {
					return bad("its length is %d, the run has %d", size, e.Len-pos)
				}
			}
			if size == 0 && end == e.Len {
				return bad("it has no header in the %d bytes that are left of the run", end-pos)
			}
			if size == 0 || pos+size > end {
				if st.partition, st.next, st.object, st.pos = p, at, e.Object, pos; len(out.Views) == 0 {
					st.need = pos - pieces[0].pos + max(size, record.HeaderLen)
					if size == 0 {
						st.need = min(pos-pieces[0].pos+walkMost, e.Len-pieces[0].pos)
					}
				}
				return nil
			}
			b, shared := s.bytes(e.Pos+pos, size)
			h, err := record.ParseHeader(b)
			switch {
			case err != nil:
				return bad("%v", err)
			case h.BaseOffset != at:
				return bad("it begins at offset %d", h.BaseOffset)
			case h.LeaderEpoch != e.Epoch || h.LastOffsetDelta < 0 || h.NextOffset() > e.Next:
				return bad("epoch %d and last offset %d in a run of epoch %d up to %d", h.LeaderEpoch, h.LastOffset(), e.Epoch, e.Next)
			}
			next := h.NextOffset()
			if next > offset {
				if !out.fits(len(b), maxBytes) {
					st.partition, st.next, st.object, st.pos = p, at, e.Object, pos
					return nil
				}
				// Before upto is looked at: a damaged offset delta would seem to be
				// records that nobody may see yet, for ever.
				if crc := record.CRC(b); crc != h.CRC {
					return bad("CRC-32C is %08x, the batch says %08x", crc, h.CRC)
				}
				if next > upto {
					st.partition, st.next, st.object, st.pos = p, at, e.Object, pos
					return nil
				}
				// Neighbours in one chunk become one view.
				if v, one := s.join(e.Pos, view, pos+size); shared && one {
					out.extend(v, next, len(b))
				} else {
					out.add(at, next, b, FromBucket)
					if view = -1; shared {
						view = pos
					}
				}
			}
			at, pos = next, pos+size
		}
		if at != e.Next {
			return bad("the run ends there, not at offset %d", e.Next)
		}
		st.partition, st.next, st.object, st.pos = p, at, catalog.ObjectRef{}, 0
	}
	return nil
}

// goOn remembers the stream and asks for what it will read next.
func (r *Reader) goOn(st stream, known bool, extents []catalog.Extent, out *Batches, fetched bool) {
	if !known {
		st.ahead, st.wasted = ahead{}, r.stats.wasted.Load()
		r.streams.put(st)
		return
	}
	wasted := r.stats.wasted.Load()
	missed := fetched && st.ahead.asked > 0 && st.wasted != wasted
	st.wasted = wasted
	had := max(0, st.ahead.asked-int64(out.Bytes))
	if missed {
		had = 0
	}
	var ask int64
	st.ahead, ask = st.ahead.advance(int64(out.Bytes), missed, aheadLimit(r.cache, r.streams.len()))
	r.streams.put(st)
	if ask == 0 {
		return
	}
	i := slices.IndexFunc(extents, func(e catalog.Extent) bool { return st.next < e.Next })
	if i < 0 {
		return
	}
	for _, q := range plan(extents[i:], st.next, st.pos, had+ask, 4*mostPieces) {
		skip := min(had, q.n)
		had -= skip
		if q.n == skip {
			continue
		}
		select {
		case r.wanted <- want{q.extent.Object, q.extent.Pos + q.pos + skip, q.n - skip}:
			r.stats.ahead.Add(q.n - skip)
		default:
			r.stats.skipped.Add(q.n - skip)
		}
	}
}
