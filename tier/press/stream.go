package press

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

const (
	// streamChunk is how much of an extent is read at once, and largestBatch what
	// is believed of a batch that says its length.
	streamChunk  = 4 << 20
	largestBatch = 1 << 30
	// parallelGets is how many GETs rewriting has under way.
	parallelGets = 8
	// gapMost is how far apart two runs of an object may lie to be read with one
	// GET: less than what a request costs.
	gapMost = 128 << 10
)

// unreadable says which object could not be read; the rest goes on without it.
type unreadable struct {
	object catalog.ObjectRef
	err    error
}

func (e *unreadable) Error() string { return fmt.Sprintf("%s: %v", e.object, e.err) }
func (e *unreadable) Unwrap() error { return e.err }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func runOf(id record.Partition, x catalog.Extent) object.Run {
	return object.Run{Partition: id, Epoch: x.Epoch, Base: x.Base, Next: x.Next, Pos: x.Pos, Len: x.Len, CRC: x.CRC, MaxTimestamp: x.MaxTimestamp, Records: x.Records}
}

// span is a stretch of an object's bytes.
type span struct {
	object   catalog.ObjectRef
	from, to int64
	bytes    []byte
}

// spans are the bytes of many extents in memory.
type spans map[catalog.ObjectRef][]*span

func (s spans) of(x catalog.Extent) []byte {
	for _, p := range s[x.Object] {
		if x.Pos >= p.from && x.Pos+x.Len <= p.to {
			return p.bytes[x.Pos-p.from:][:x.Len:x.Len]
		}
	}
	return nil
}

// fetch reads the extents into memory: what lies near each other in one object by
// one GET.
func (p *Press) fetch(ctx context.Context, work []Stretch) (spans, error) {
	var all []catalog.Extent
	for _, w := range work {
		all = append(all, w.Extents...)
	}
	slices.SortFunc(all, func(a, b catalog.Extent) int { return cmp.Or(a.Object.Compare(b.Object), cmp.Compare(a.Pos, b.Pos)) })
	out := spans{}
	var gets []*span
	for _, x := range all {
		if n := len(gets); n > 0 && gets[n-1].object == x.Object && x.Pos-gets[n-1].to <= gapMost {
			gets[n-1].to = max(gets[n-1].to, x.Pos+x.Len)
			continue
		}
		s := &span{object: x.Object, from: x.Pos, to: x.Pos + x.Len}
		gets = append(gets, s)
		out[x.Object] = append(out[x.Object], s)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelGets)
	for _, s := range gets {
		g.Go(func() (err error) {
			s.bytes, err = p.get(ctx, s.object, s.from, s.to-s.from, nil)
			return err
		})
	}
	return out, g.Wait()
}

// get appends bytes of an object to buf. That they are not there is the object's
// fault, any other error the store's.
func (p *Press) get(ctx context.Context, ref catalog.ObjectRef, pos, n int64, buf []byte) ([]byte, error) {
	if n == 0 {
		return buf, nil
	}
	before := len(buf)
	b, err := p.Store.Get(ctx, ref.Name(), cold.Range{Offset: pos, Length: n}, buf)
	switch {
	case errors.Is(err, cold.ErrNotFound), errors.Is(err, cold.ErrRange):
		return buf, &unreadable{ref, err}
	case err != nil:
		return buf, fmt.Errorf("read %s: %w", ref, err)
	case int64(len(b)-before) != n:
		return buf, &unreadable{ref, fmt.Errorf("%w: %d of %d bytes at %d", object.ErrCorrupt, len(b)-before, n, pos)}
	}
	return b, nil
}

// stream gives fn the batches of an extent in order, in bounded memory: a few
// megabytes, or the largest batch. They are valid until fn returns. Each is as it was
// written, for who has seen enough before the end; that they are all, and the right ones,
// is known when stream returns nil: the checksum of the whole comes last (P2).
func (p *Press) stream(ctx context.Context, x catalog.Extent, fn func(h record.Header, batch []byte) error) error {
	bad := func(err error) error {
		return &unreadable{x.Object, fmt.Errorf("%w: bytes [%d, %d): %w", object.ErrCorrupt, x.Pos, x.Pos+x.Len, err)}
	}
	var buf, rest []byte
	read, crc, at := int64(0), uint32(0), x.Base
	for read < x.Len || len(rest) > 0 {
		need := int64(record.HeaderLen)
		if len(rest) >= record.Overhead {
			need = int64(int32(binary.BigEndian.Uint32(rest[8:]))) + record.Overhead
			if need < record.HeaderLen || need > largestBatch {
				return bad(fmt.Errorf("a batch of %d bytes at offset %d", need, at))
			}
		}
		if int64(len(rest)) < need {
			if read == x.Len {
				return bad(fmt.Errorf("the last batch, at offset %d, is cut short", at))
			}
			n := min(max(streamChunk, need-int64(len(rest))), x.Len-read)
			buf = append(buf[:0], rest...) // rest is a view behind the start of buf: it moves down
			b, err := p.get(ctx, x.Object, x.Pos+read, n, buf)
			if err != nil {
				return err
			}
			crc = crc32.Update(crc, castagnoli, b[len(buf):])
			read += n
			buf, rest = b, b
			continue
		}
		h, batch, more, err := record.Next(rest)
		if err != nil {
			return bad(err)
		}
		if h.BaseOffset != at || h.LeaderEpoch != x.Epoch || h.LastOffsetDelta < 0 {
			return bad(fmt.Errorf("offset %d of epoch %d where %d of epoch %d belongs", h.BaseOffset, h.LeaderEpoch, at, x.Epoch))
		}
		if sum := record.CRC(batch); sum != h.CRC {
			return bad(fmt.Errorf("the batch at offset %d has CRC-32C %08x and says %08x", at, sum, h.CRC))
		}
		at, rest = h.NextOffset(), more
		if err := fn(h, batch); err != nil {
			return err
		}
	}
	if crc != x.CRC || at != x.Next {
		return bad(fmt.Errorf("CRC-32C %08x up to offset %d, the catalog says %08x and %d", crc, at, x.CRC, x.Next))
	}
	return nil
}
