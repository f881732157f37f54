package tier

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/hot"
	"github.com/firnlog/firn/tier/object"
)

// Flush ends the generation that is being filled and seals all that can be, for a
// broker that is about to stop.
func (p *Press) Flush(ctx context.Context) error {
	if p.Hot == nil {
		return nil
	}
	p.Hot.Rotate()
	return p.seal(ctx)
}

// seal ends the generation that is old enough, and seals those that have ended. One
// that fails does not hold up the others.
func (p *Press) seal(ctx context.Context) error {
	if p.Hot == nil {
		return nil
	}
	var errs []error
	for _, g := range p.Hot.Generations() {
		s, err := p.session()
		if err != nil {
			return err
		}
		id, committed := p.Owner.Committed()
		if id != s.ID {
			return nil // another session began just now
		}
		switch PlanSeal(g, s.ID, committed, p.Now(), p.SealEvery) {
		case SealRotate:
			p.Hot.Rotate()
		case SealNow:
			if err := p.sealOne(ctx, s, g); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				errs = append(errs, fmt.Errorf("generation of slots %d to %d of session %d: %w", g.First, g.Next, g.Session.ID, err))
			}
		}
	}
	return errors.Join(errs...)
}

// sealOne presses one generation into a sealed object and segments, without
// reading anything from the bucket. When the hot tier has lost it, the catalog is
// made to point into the WAL objects, which merging presses later.
func (p *Press) sealOne(ctx context.Context, s *catalog.Session, g hot.Info) error {
	mine := g.Session.ID == s.ID
	if mine && s.Covered < g.First {
		// The hot tier missed slots before these.
		if err := p.Owner.Index(ctx); err != nil {
			return err
		}
	}
	shares, err := p.Hot.Shares(g.ID)
	if err != nil {
		return ignoreGone(err)
	}
	held, err := p.Hot.Hold(g.ID)
	if err != nil {
		return ignoreGone(err)
	}
	defer held.Release()
	began := p.Now()
	extents, size := 0, int64(0)
	err = p.job(ctx, s.ID, func(j *job) (*catalog.CommitJob, error) {
		c, err := p.pressGeneration(ctx, j, s, g, shares, held)
		if err == nil && c != nil {
			extents, size = len(c.Extents), located(c.Extents)
		}
		return c, err
	})
	switch {
	case errors.Is(err, hot.ErrDamaged):
		p.Logger.Warn("the hot tier lost records that are to be sealed; the bucket has them", "slots", g.Next-g.First, "err", err)
		if mine {
			if err := p.Owner.Index(ctx); err != nil {
				return err
			}
		}
		return ignoreGone(p.Hot.Drop(g.ID))
	case errors.Is(err, catalog.ErrInvalidExtents):
		// Something came in between, such as a trim: the next turn would meet it
		// again. The catalog describes the slots by WAL objects, which are merged.
		p.Logger.Warn("a generation does not fit the catalog; its WAL objects will be merged", "err", err)
		if mine {
			if err := p.Owner.Index(ctx); err != nil {
				return err
			}
		}
		return ignoreGone(p.Hot.MarkSealed(g.ID))
	case err != nil:
		return err
	}
	if err := p.Owner.Covered(ctx); err != nil {
		return err
	}
	p.Observer.Sealed(size, extents)
	p.Logger.Info("sealed", "slots", g.Next-g.First, "bytes", size, "extents", extents, "took", p.Now().Sub(began).Round(time.Millisecond).String())
	return ignoreGone(p.Hot.MarkSealed(g.ID))
}

func located(xs []catalog.Located) (n int64) {
	for _, x := range xs {
		n += x.Len
	}
	return n
}

func ignoreGone(err error) error {
	if errors.Is(err, hot.ErrNotHeld) {
		return nil
	}
	return err
}

// pressGeneration puts the objects of a generation. They refer to the bytes of the
// hot tier, which stay until the puts have returned.
func (p *Press) pressGeneration(ctx context.Context, j *job, s *catalog.Session, g hot.Info, shares []hot.Share, held Held) (*catalog.CommitJob, error) {
	state := p.Journal.State()
	c := &catalog.CommitJob{}
	if v, ok := state.Session(s.ID); ok && g.Session.ID == s.ID && g.Next > v.Covered {
		c.From, c.To = v.Covered, g.Next
	}
	from, own := map[record.Partition]int64{}, map[record.Partition]bool{}
	for _, sh := range shares {
		part, ok := state.Partition(sh.Partition)
		if !ok {
			continue // the topic was deleted
		}
		if o, ok := SealFrom(part, s.ID, sh.Base, sh.Next); ok {
			from[sh.Partition], own[sh.Partition] = o, sh.Bytes >= p.Limits.Own
		}
	}
	if len(from) == 0 && c.To == c.From {
		return nil, nil // all of it lies in sealed form, or is gone
	}
	sealed := sealing{press: p, job: j}
	sealed.begin(object.Sealed, 0)
	segment, at := sealing{press: p, job: j}, record.Partition{}
	next := uint64(1)
	finish := func(s *sealing) error {
		xs, err := s.put(ctx)
		c.Extents = append(c.Extents, xs...)
		return err
	}
	err := held.Scan(func(e hot.Entry) error {
		first, wanted := from[e.Partition]
		if !wanted || e.Last < first {
			return ctx.Err()
		}
		if e.Partition != at {
			at = e.Partition
			if err := finish(&segment); err != nil {
				return err
			}
			if own[at] {
				segment.begin(object.Segment, next)
				next++
			}
		}
		into := &sealed
		if own[at] {
			into = &segment
		}
		return into.add(ctx, e.Partition, e.Epoch, first, e.Value)
	})
	if err == nil {
		err = finish(&segment)
	}
	if err == nil {
		err = finish(&sealed)
	}
	if err != nil {
		return nil, err
	}
	inOrder(c.Extents)
	return c, nil
}

// inOrder sorts extents as the catalog wants them.
func inOrder(xs []catalog.Located) {
	slices.SortFunc(xs, func(a, b catalog.Located) int {
		return cmp.Or(a.Partition.Compare(b.Partition), cmp.Compare(a.Base, b.Base))
	})
}

// sealing is an object that refers to bytes which stay where they are.
type sealing struct {
	press *Press
	job   *job
	enc   *object.Encoder
	n     uint64
	runs  runs
}

func (s *sealing) begin(kind object.Kind, n uint64) {
	s.enc = object.NewEncoder(s.job.header(kind, n), s.press.nowMs(), nil)
	s.n, s.runs = n, runs{press: s.press, enc: s.enc}
}

// add appends batches of a partition from an offset on.
func (s *sealing) add(ctx context.Context, id record.Partition, epoch int32, from int64, batches []byte) error {
	for len(batches) > 0 {
		h, batch, rest, err := record.Next(batches)
		if err != nil {
			return fmt.Errorf("%w: %w", hot.ErrDamaged, err)
		}
		batches = rest
		if h.BaseOffset < from {
			continue
		}
		if err := s.runs.add(ctx, id, epoch, h, batch); err != nil {
			return err
		}
	}
	return nil
}

// put puts the object, unless it has no runs.
func (s *sealing) put(ctx context.Context) ([]catalog.Located, error) {
	if s.enc == nil || s.runs.n == 0 {
		return nil, nil
	}
	if err := s.runs.end(ctx); err != nil {
		return nil, err
	}
	rs, err := s.enc.Finish()
	if err != nil {
		return nil, err
	}
	enc := s.enc
	s.enc = nil
	return s.job.put(ctx, s.n, cold.Bytes(enc.Segments()...), enc.Identity(), rs)
}

// runs appends batches to an object and begins a run where one must: at another
// partition, epoch, or behind a gap.
type runs struct {
	press *Press
	enc   *object.Encoder
	at    record.Partition
	epoch int32
	base  int64
	next  int64
	n     int
	// known is the aborted transactions of partitions, as far as footers told.
	known map[record.Partition][]object.Aborted
}

func (r *runs) add(ctx context.Context, id record.Partition, epoch int32, h record.Header, batch []byte) error {
	if h.LeaderEpoch != epoch || h.LastOffsetDelta < 0 {
		return fmt.Errorf("%w: batch at offset %d of %s has epoch %d, not %d", object.ErrCorrupt, h.BaseOffset, id, h.LeaderEpoch, epoch)
	}
	if r.n == 0 || r.at != id || r.epoch != epoch || r.next != h.BaseOffset {
		if err := r.end(ctx); err != nil {
			return err
		}
		r.enc.Begin(id, epoch, h.BaseOffset)
		r.at, r.epoch, r.base = id, epoch, h.BaseOffset
		r.n++
	}
	r.enc.Append(h, batch)
	r.next = h.NextOffset()
	return nil
}

// end ends a run: its footer has all that is known of the partition's producers (W4).
func (r *runs) end(ctx context.Context) error {
	if r.n == 0 {
		return nil
	}
	ps, err := r.press.Owner.Producers(ctx, r.at)
	if err != nil {
		return fmt.Errorf("producers of %s: %w", r.at, err)
	}
	if len(ps) > 0 {
		r.enc.Producers(ps)
	}
	var aborted []object.Aborted
	for _, a := range r.known[r.at] {
		if a.First < r.next && a.Last >= r.base {
			aborted = append(aborted, a)
		}
	}
	if len(aborted) > 0 {
		r.enc.Aborted(aborted)
	}
	return nil
}
