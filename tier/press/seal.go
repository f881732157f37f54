package press

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/hot"
	"github.com/firnlog/firn/tier/object"
)

// segmentFrom is the bytes of a partition in one generation from which on it gets
// a segment of its own: objects of that size cost next to nothing for being many.
const segmentFrom = 16 << 20

// batchesMost is how many batches end a generation before its age or size does: until
// they are sealed, the catalog may have a line for each.
const batchesMost = 1 << 18

// seal ends the generation that is old enough, and seals those that have ended.
func (p *Press) seal(ctx context.Context) error {
	if p.Hot == nil {
		return nil
	}
	s, ok := p.session()
	if !ok {
		return nil
	}
	for _, g := range p.Hot.Generations() {
		switch {
		case g.Sealed:
			continue
		case g.Filling:
			if g.Batches > 0 && p.Now().Sub(g.Opened) >= p.SealEvery || g.Batches >= batchesMost {
				p.Hot.Rotate()
			}
			continue
		case g.Session.ID != s.ID && !g.Settled:
			continue // of a session whose end is not known yet
		}
		if session, slot := p.Writer.Committed(); g.Session.ID == session && slot < g.Next {
			continue // not all of it is committed
		}
		if err := p.sealOne(ctx, s, g); err != nil {
			return fmt.Errorf("generation of slots %d to %d of session %d: %w", g.First, g.Next, g.Session.ID, err)
		}
	}
	return nil
}

// sealOne presses one generation into a sealed object and segments, without
// reading anything from the bucket.
func (p *Press) sealOne(ctx context.Context, s *catalog.Session, g hot.Info) error {
	if v, ok := p.Journal.State().Session(s.ID); ok {
		s = v // the generation before this one has moved the mark
	}
	if g.Session.ID == s.ID && s.Covered < g.First {
		// The hot tier missed some slots: let the catalog point into them.
		if err := p.Writer.Index(ctx); err != nil {
			return err
		}
		v, ok := p.Journal.State().Session(s.ID)
		if !ok || v.Covered < g.First { // it has ended: whoever seals it tells of them
			return fmt.Errorf("%w: slots %d to %d are not described", catalog.ErrStale, s.Covered, g.First)
		}
		s = v
	}
	shares, err := p.Hot.Shares(g.ID)
	if err != nil {
		return ignoreGone(err)
	}
	large := map[record.Partition]bool{}
	for _, sh := range shares {
		large[sh.Partition] = sh.Bytes >= segmentFrom
	}
	pin, err := p.Hot.Hold(g.ID)
	if err != nil {
		return ignoreGone(err)
	}
	defer pin.Release()
	began := p.Now()
	var extents []catalog.Located
	err = p.job(ctx, s.ID, func(j *job) (*catalog.CommitJob, error) {
		var err error
		if extents, err = p.press(ctx, j, s.ID, pin, large); err != nil {
			return nil, err
		}
		c := &catalog.CommitJob{Extents: extents}
		if g.Session.ID == s.ID && g.Next > s.Covered {
			c.From, c.To = s.Covered, g.Next
			c.Tips, err = p.Writer.Tips(ctx, s.ID, g.Next)
		}
		return c, err
	})
	switch {
	case errors.Is(err, hot.ErrDamaged):
		// Its slots are in the bucket all the same: let the catalog point there. It stays a
		// cache of what is whole in it, and may hold leftovers, which are nowhere else (P2).
		p.Logger.Warn("a generation of the hot tier is damaged; its slots will be pressed from the bucket", "generation", g.ID, "err", err)
		if err := p.Writer.Index(ctx); err != nil {
			return err
		}
		return ignoreGone(p.Hot.MarkSealed(g.ID))
	case errors.Is(err, catalog.ErrInvalidExtents), errors.Is(err, catalog.ErrNotOwner), errors.Is(err, ErrNotLed):
		// Part of it was trimmed, pressed already, or has got another owner: the
		// catalog describes the rest by WAL objects, which linger presses.
		p.Logger.Debug("generation does not fit any more", "err", err)
		if err := p.Writer.Index(ctx); err != nil {
			return err
		}
	case err != nil:
		return err
	}
	if err := p.Writer.Covered(ctx); err != nil {
		return err
	}
	p.Logger.Info("sealed", "slots", g.Next-g.First, "bytes", g.Bytes, "runs", len(extents), "took", p.Now().Sub(began).Round(time.Millisecond).String())
	return ignoreGone(p.Hot.MarkSealed(g.ID))
}

func ignoreGone(err error) error {
	if errors.Is(err, hot.ErrNotHeld) {
		return nil
	}
	return err
}

// press writes the objects of a generation.
func (p *Press) press(ctx context.Context, j *job, session uint64, pin Held, large map[record.Partition]bool) ([]catalog.Located, error) {
	sealed := runs{e: j.begin(object.Sealed, 0)}
	var own *runs // the segment of the partition that is scanned
	var at record.Partition
	var out []catalog.Located
	next := uint64(1)
	state := p.Journal.State()
	finish := func() error {
		if own == nil {
			return nil
		}
		if err := own.end(ctx, p); err != nil {
			return err
		}
		xs, err := j.put(own.e, next)
		out, own, next = append(out, xs...), nil, next+1
		return err
	}
	err := pin.Scan(func(e hot.Entry) error {
		c, ok := state.Partition(e.Partition)
		if !ok || c.Owner != session && e.Last < c.Next {
			return nil // deleted; or somebody else's, who knows its producers (P4)
		}
		if e.Partition != at {
			if err := finish(); err != nil {
				return err
			}
			at = e.Partition
			if large[at] {
				own = &runs{e: j.begin(object.Segment, next)}
			}
		}
		into := &sealed
		if own != nil {
			into = own
		}
		return into.add(ctx, p, e.Partition, e.Epoch, e.Value)
	})
	if err == nil {
		err = finish()
	}
	if err == nil {
		err = sealed.end(ctx, p)
	}
	if err != nil {
		return nil, err
	}
	if sealed.n > 0 {
		xs, err := j.put(sealed.e, 0)
		if err != nil {
			return nil, err
		}
		out = append(out, xs...)
	}
	sortLocated(out)
	return out, nil
}

func sortLocated(xs []catalog.Located) {
	slices.SortFunc(xs, func(a, b catalog.Located) int {
		if c := a.Partition.Compare(b.Partition); c != 0 {
			return c
		}
		return int(min(max(a.Base-b.Base, -1), 1))
	})
}
