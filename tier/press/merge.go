package press

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/object"
)

// rounds is how many jobs one turn of merging does before the other duties have
// theirs.
const rounds = 16

// linger presses runs that still lie in WAL objects of sealed sessions into sealed
// objects, so that the WAL objects can go (S10): what no hot tier holds any more.
// It works on the partitions that this broker leads.
func (p *Press) linger(ctx context.Context) error {
	for range rounds {
		s, ok := p.session()
		if !ok {
			return nil
		}
		work, err := p.led(ctx, PlanLinger(p.Journal.State(), s.ID, p.Limits, p.skip()))
		if err != nil || len(work) == 0 {
			return err
		}
		if err := p.avoiding(p.rewrite(ctx, s, object.Sealed, work)); err != nil {
			return err
		}
	}
	p.more = true
	return nil
}

// merge presses small extents into larger ones.
func (p *Press) merge(ctx context.Context) error {
	for range rounds {
		s, ok := p.session()
		if !ok {
			return nil
		}
		own, shared := PlanMerge(p.Journal.State(), s.ID, p.Limits, p.skip(), p.Setting)
		own, err := p.led(ctx, own)
		if err != nil {
			return err
		}
		shared, err = p.led(ctx, shared)
		if err != nil || len(own)+len(shared) == 0 {
			return err
		}
		if len(shared) > 0 {
			if err := p.avoiding(p.rewrite(ctx, s, object.Sealed, shared)); err != nil {
				return err
			}
		}
		for _, w := range own {
			if err := p.avoiding(p.rewrite(ctx, s, object.Segment, []Stretch{w})); err != nil {
				return err
			}
		}
	}
	p.more = true
	return nil
}

// led leaves out what this broker does not lead, or not yet (P4).
func (p *Press) led(ctx context.Context, work []Stretch) ([]Stretch, error) {
	kept := work[:0]
	for _, w := range work {
		switch _, err := p.Writer.Producers(ctx, w.Partition); {
		case errors.Is(err, ErrNotLed):
		case err != nil:
			return nil, fmt.Errorf("producers of %s: %w", w.Partition, err)
		default:
			kept = append(kept, w)
		}
	}
	return kept, nil
}

// avoidFor is how long an object that could not be read is left alone.
const avoidFor = 10 * time.Minute

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
// that the others get on. That the catalog moved on meanwhile ends the turn: the
// next one plans anew.
func (p *Press) avoiding(err error) error {
	if bad, ok := errors.AsType[*unreadable](err); ok {
		p.avoid[bad.object] = p.Now().Add(avoidFor)
		p.Logger.Error("an object could not be read; what lies in it stays there", "object", bad.object.Name(), "err", bad.err)
		return nil
	}
	return err
}

// rewrite writes stretches into one object, in memory. They are no more than about
// Budget bytes.
func (p *Press) rewrite(ctx context.Context, s *catalog.Session, kind object.Kind, work []Stretch) error {
	var size int64
	count := 0
	began := p.Now()
	err := p.job(ctx, s.ID, func(j *job) (*catalog.CommitJob, error) {
		got, err := p.fetch(ctx, work)
		if err != nil {
			return nil, err
		}
		r := runs{e: j.begin(kind, 0)}
		for _, w := range work {
			for _, x := range w.Extents {
				b := got.of(x)
				if err := object.VerifyRun(runOf(w.Partition, x), b); err != nil {
					return nil, &unreadable{x.Object, fmt.Errorf("bytes [%d, %d): %w", x.Pos, x.Pos+x.Len, err)}
				}
				if err := r.add(ctx, p, w.Partition, x.Epoch, b); err != nil {
					return nil, err
				}
				size, count = size+x.Len, count+1
			}
		}
		if err := r.end(ctx, p); err != nil {
			return nil, err
		}
		extents, err := j.put(r.e, 0)
		return &catalog.CommitJob{Extents: extents}, err
	})
	if err == nil {
		p.Logger.Info("merged", "partitions", len(work), "extents", count, "bytes", size, "took", p.Now().Sub(began).Round(time.Millisecond).String())
	}
	return err
}

// runs appends batches to an object, and begins a run where one must.
type runs struct {
	e     *object.Encoder
	at    record.Partition
	epoch int32
	next  int64
	n     int
}

// add appends consecutive batches of a partition. They are not copied.
func (r *runs) add(ctx context.Context, p *Press, id record.Partition, epoch int32, batches []byte) error {
	for len(batches) > 0 {
		h, batch, rest, err := record.Next(batches)
		if err != nil {
			return err
		}
		batches = rest
		if r.n == 0 || r.at != id || r.epoch != epoch || r.next != h.BaseOffset {
			if err := r.end(ctx, p); err != nil {
				return err
			}
			r.e.Begin(id, epoch, h.BaseOffset)
			r.at, r.epoch = id, epoch
			r.n++
		}
		r.e.Append(h, batch)
		r.next = h.NextOffset()
	}
	return nil
}

// end ends a run: its footer has all that is known of the partition's producers (P4).
func (r *runs) end(ctx context.Context, p *Press) error {
	if r.n == 0 {
		return nil
	}
	ps, err := p.Writer.Producers(ctx, r.at)
	if err != nil {
		return fmt.Errorf("producers of %s: %w", r.at, err)
	}
	if len(ps) > 0 {
		r.e.Producers(ps)
	}
	return nil
}
