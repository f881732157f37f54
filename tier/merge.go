package tier

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

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
	largestBatch = 64 << 20
	// parallelGets is how many GETs rewriting has under way.
	parallelGets = 4
	// avoidFor is how long an object that could not be read is left alone.
	avoidFor = 10 * time.Minute
)

// errUnreadable says which object could not be read; the rest goes on without it.
type errUnreadable struct {
	object catalog.ObjectRef
	err    error
}

func (e *errUnreadable) Error() string { return fmt.Sprintf("%s: %v", e.object, e.err) }
func (e *errUnreadable) Unwrap() error { return e.err }

// mergeAll presses what lies in WAL objects of sealed sessions into sealed objects,
// so that the WAL objects can go, and then small extents into larger ones.
func (p *Press) mergeAll(ctx context.Context) error {
	for {
		s, err := p.session()
		if err != nil {
			return err
		}
		work := PlanLinger(p.Journal.State(), s.ID, p.Limits, p.skip())
		if len(work) == 0 {
			break
		}
		if err := p.avoiding(p.gather(ctx, s, work)); err != nil {
			return err
		}
	}
	s, err := p.session()
	if err != nil {
		return err
	}
	own, shared := PlanMerge(p.Journal.State(), s.ID, p.Limits, p.skip(), p.Setting)
	if len(shared) > 0 {
		if err := p.avoiding(p.gather(ctx, s, shared)); err != nil {
			return err
		}
	}
	for _, w := range own {
		if err := p.avoiding(p.mergeOwn(ctx, s, w)); err != nil {
			return err
		}
	}
	return nil
}

// skip is which objects merging leaves alone.
func (p *Press) skip() func(catalog.ObjectRef) bool {
	pending := func(catalog.ObjectRef) bool { return false }
	if p.Hot != nil {
		pending = Pending(p.Hot.Generations())
	}
	now := p.Now()
	for ref, until := range p.avoid {
		if now.After(until) {
			delete(p.avoid, ref)
		}
	}
	return func(ref catalog.ObjectRef) bool {
		_, bad := p.avoid[ref]
		return bad || pending(ref)
	}
}

// avoiding makes an object that could not be read be left alone for a while, so
// that the others get on. That the catalog moved on meanwhile is no error.
func (p *Press) avoiding(err error) error {
	if bad, ok := errors.AsType[*errUnreadable](err); ok {
		p.avoid[bad.object] = p.Now().Add(avoidFor)
		p.Observer.Failed("read")
		p.Logger.Error("an object could not be read; what lies in it stays there", "object", bad.object.Name(), "err", bad.err)
		return nil
	}
	if errors.Is(err, catalog.ErrInvalidExtents) || errors.Is(err, catalog.ErrStale) || errors.Is(err, catalog.ErrNoJob) {
		p.Logger.Debug("the catalog moved on", "err", err)
		return errMoved
	}
	return err
}

// errMoved ends a turn: the next one plans anew.
var errMoved = errors.New("the catalog moved on")

// gather rewrites stretches of many partitions into one sealed object, in memory.
// Each WAL object is read once.
func (p *Press) gather(ctx context.Context, s *catalog.Session, work []Stretch) error {
	var size int64
	err := p.job(ctx, s.ID, func(j *job) (*catalog.CommitJob, error) {
		spans, err := p.fetchSpans(ctx, work)
		if err != nil {
			return nil, err
		}
		f := newAborts(p)
		out := sealing{press: p, job: j}
		out.begin(object.Sealed, 0)
		out.runs.known = f.list
		for _, w := range work {
			for _, x := range w.Extents {
				b := spans[x.Object].of(x)
				if err := object.VerifyRun(runOf(w.Partition, x), b); err != nil {
					return nil, &errUnreadable{x.Object, err}
				}
				for len(b) > 0 {
					h, batch, rest, err := record.Next(b)
					if err != nil {
						return nil, &errUnreadable{x.Object, err}
					}
					if err := f.look(ctx, w.Partition, x, h); err != nil {
						return nil, err
					}
					if err := out.runs.add(ctx, w.Partition, x.Epoch, h, batch); err != nil {
						return nil, err
					}
					b = rest
				}
				size += x.Len
			}
		}
		if err := p.pace.spend(ctx, size); err != nil {
			return nil, err
		}
		xs, err := out.put(ctx)
		return &catalog.CommitJob{Extents: xs}, err
	})
	if err == nil {
		p.Observer.Rewritten("merge", size, size)
		p.Logger.Info("merged extents", "partitions", len(work), "bytes", size)
	}
	return err
}

func runOf(id record.Partition, x catalog.Extent) object.Run {
	return object.Run{Partition: id, Epoch: x.Epoch, Base: x.Base, Next: x.Next, Pos: x.Pos, Len: x.Len, CRC: x.CRC, MaxTimestamp: x.MaxTimestamp, Records: x.Records}
}

// span is a stretch of an object's bytes.
type span struct {
	from, to int64
	bytes    []byte
}

func (s *span) of(x catalog.Extent) []byte { return s.bytes[x.Pos-s.from:][:x.Len:x.Len] }

// fetchSpans reads what the extents need of each object with one GET.
func (p *Press) fetchSpans(ctx context.Context, work []Stretch) (map[catalog.ObjectRef]*span, error) {
	spans := map[catalog.ObjectRef]*span{}
	for _, w := range work {
		for _, x := range w.Extents {
			if s := spans[x.Object]; s == nil {
				spans[x.Object] = &span{from: x.Pos, to: x.Pos + x.Len}
			} else {
				s.from, s.to = min(s.from, x.Pos), max(s.to, x.Pos+x.Len)
			}
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelGets)
	for ref, s := range spans {
		g.Go(func() (err error) {
			if err := p.pace.spend(gctx, s.to-s.from); err != nil {
				return err
			}
			s.bytes, err = p.get(gctx, ref, s.from, s.to-s.from, nil)
			return err
		})
	}
	return spans, g.Wait()
}

// get reads bytes of an object. That they are not there is the object's fault, any
// other error the store's.
func (p *Press) get(ctx context.Context, ref catalog.ObjectRef, pos, n int64, buf []byte) ([]byte, error) {
	before := len(buf)
	b, err := p.Store.Get(ctx, ref.Name(), cold.Range{Offset: pos, Length: n}, buf)
	switch {
	case errors.Is(err, cold.ErrNotFound), errors.Is(err, cold.ErrRange):
		return buf, &errUnreadable{ref, err}
	case err != nil:
		return buf, fmt.Errorf("read %s: %w", ref, err)
	case int64(len(b)-before) != n:
		return buf, &errUnreadable{ref, fmt.Errorf("%w: %d of %d bytes at %d", object.ErrCorrupt, len(b)-before, n, pos)}
	}
	return b, nil
}

// mergeOwn rewrites a stretch of one partition into a segment, through the spool.
func (p *Press) mergeOwn(ctx context.Context, s *catalog.Session, w Stretch) error {
	size := w.Bytes()
	err := p.job(ctx, s.ID, func(j *job) (*catalog.CommitJob, error) {
		out, err := j.open(object.Segment, 0, size)
		if err != nil {
			return nil, err
		}
		defer out.discard()
		f := newAborts(p)
		r := runs{press: p, enc: out.Encoder, known: f.list}
		for _, x := range w.Extents {
			err := p.stream(ctx, x, func(h record.Header, batch []byte) error {
				if err := f.look(ctx, w.Partition, x, h); err != nil {
					return err
				}
				return r.add(ctx, w.Partition, x.Epoch, h, batch)
			})
			if err != nil {
				return nil, err
			}
		}
		if err := r.end(ctx); err != nil {
			return nil, err
		}
		xs, err := out.finish(ctx)
		return &catalog.CommitJob{Extents: xs}, err
	})
	if err == nil {
		p.Observer.Rewritten("merge", size, size)
		p.Logger.Info("merged extents into a segment", "partition", w.Partition.String(), "extents", len(w.Extents), "bytes", size)
	}
	return err
}

// stream gives fn the batches of an extent in order, in bounded memory. They are
// valid until fn returns. What it gave counts only when it returns nil: the
// checksum of the whole is known at the end (W2).
func (p *Press) stream(ctx context.Context, x catalog.Extent, fn func(h record.Header, batch []byte) error) error {
	bad := func(err error) error {
		return &errUnreadable{x.Object, fmt.Errorf("%w: bytes [%d, %d): %w", object.ErrCorrupt, x.Pos, x.Pos+x.Len, err)}
	}
	var buf, rest []byte
	read, crc, at := int64(0), uint32(0), x.Base
	for read < x.Len || len(rest) > 0 {
		need := int64(record.HeaderLen)
		if h := rest; len(h) >= record.Overhead {
			need = int64(int32(uint32(h[8])<<24|uint32(h[9])<<16|uint32(h[10])<<8|uint32(h[11]))) + record.Overhead
			if need < record.HeaderLen || need > largestBatch {
				return bad(fmt.Errorf("a batch of %d bytes at offset %d", need, at))
			}
		}
		if int64(len(rest)) < need {
			if read == x.Len {
				return bad(fmt.Errorf("the last batch, at offset %d, is cut short", at))
			}
			n := min(max(streamChunk, need-int64(len(rest))), x.Len-read)
			if err := p.pace.spend(ctx, n); err != nil {
				return err
			}
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

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// aborts gathers from footers which transactions were aborted. Only runs that have
// transactions cost a read; each footer is read once.
type aborts struct {
	press  *Press
	list   map[record.Partition][]object.Aborted
	looked map[catalog.Located]bool
	known  map[catalog.ObjectRef]*object.Footer
}

func newAborts(p *Press) *aborts {
	return &aborts{press: p, list: map[record.Partition][]object.Aborted{}, looked: map[catalog.Located]bool{}, known: map[catalog.ObjectRef]*object.Footer{}}
}

// look reads the footer's line for the extent when a batch of it is part of a
// transaction or ends one.
func (f *aborts) look(ctx context.Context, id record.Partition, x catalog.Extent, h record.Header) error {
	at := catalog.Located{Partition: id, Extent: x}
	if !h.Transactional() && !h.Control() || f.looked[at] {
		return nil
	}
	foot := f.known[x.Object]
	if foot == nil {
		var err error
		if foot, err = f.read(ctx, x.Object); err != nil {
			return err
		}
		f.known[x.Object] = foot
	}
	i := foot.Find(id, x.Base)
	if i < 0 {
		return &errUnreadable{x.Object, fmt.Errorf("%w: no run of %s at offset %d", object.ErrCorrupt, id, x.Base)}
	}
	run, err := foot.Whole(i)
	if err != nil {
		return &errUnreadable{x.Object, err}
	}
	f.looked[at] = true
	for _, a := range run.Aborted {
		if !slices.Contains(f.list[id], a) {
			f.list[id] = append(f.list[id], a)
		}
	}
	return nil
}

func (f *aborts) read(ctx context.Context, ref catalog.ObjectRef) (*object.Footer, error) {
	need := int64(object.TailLen)
	for range 2 {
		tail, err := f.press.Store.Get(ctx, ref.Name(), cold.Tail(need), nil)
		if errors.Is(err, cold.ErrNotFound) {
			return nil, &errUnreadable{ref, err}
		}
		if err != nil {
			return nil, fmt.Errorf("footer of %s: %w", ref, err)
		}
		size, err := object.SizeOf(tail)
		if err != nil {
			return nil, &errUnreadable{ref, err}
		}
		foot, more, err := object.OpenFooter(tail, size)
		if err != nil {
			return nil, &errUnreadable{ref, err}
		}
		if foot != nil {
			return foot, nil
		}
		need = more
	}
	return nil, &errUnreadable{ref, fmt.Errorf("%w: footer is too short", object.ErrCorrupt)}
}
