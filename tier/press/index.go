package press

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// index presses old extents of partitions that have many into index objects, so
// that the catalog does not grow with history (protocol.md 6).
func (p *Press) index(ctx context.Context) error {
	s, ok := p.session()
	if !ok {
		return nil
	}
	work := legible(PlanPress(p.Journal.State(), s.ID, p.Limits, p.Setting), p.skip())
	for len(work) > 0 {
		some := work[:min(len(work), 256)]
		work = work[len(some):]
		err := p.job(ctx, s.ID, func(j *job) (*catalog.CommitJob, error) {
			c := &catalog.CommitJob{}
			for i, w := range some {
				line := w.Line(catalog.Index(j.id, uint64(i)))
				xs, err := p.listed(ctx, w.Lines)
				if err != nil {
					return nil, err
				}
				xs = append(xs, w.Extents...)
				if len(xs) != int(line.Extents) {
					return nil, fmt.Errorf("index lines of %s: %w: %d extents, the catalog says %d", w.Partition, object.ErrCorrupt, len(xs), line.Extents)
				}
				b := object.EncodeIndex(j.id, uint64(i), p.Nonce, p.wallMs(), catalog.EncodeExtents(xs))
				_, identity, err := object.Identity(b)
				if err != nil {
					return nil, err
				}
				if err := j.send(line.Object, cold.Bytes(b), identity); err != nil {
					return nil, err
				}
				c.Presses = append(c.Presses, catalog.Press{Partition: w.Partition, Line: line})
			}
			return c, nil
		})
		if bad := p.avoiding(err); bad != nil {
			return bad
		}
		if err != nil {
			p.more = true // without what cannot be read
			continue
		}
		p.Logger.Info("pressed extents out of the catalog", "partitions", len(some))
	}
	return nil
}

// legible is work without lines whose index objects skip says of: the extents behind
// them become a line of their own.
func legible(work []Pressing, skip func(catalog.ObjectRef) bool) []Pressing {
	out := work[:0]
	for _, w := range work {
		if slices.ContainsFunc(w.Lines, func(l catalog.IndexRef) bool { return skip(l.Object) }) {
			w.Lines = nil
		}
		if len(w.Extents)+len(w.Lines) > 0 {
			out = append(out, w)
		}
	}
	return out
}

// listed are the extents that index lines stand for.
func (p *Press) listed(ctx context.Context, lines []catalog.IndexRef) (xs []catalog.Extent, err error) {
	for _, l := range lines {
		more, err := p.readIndex(ctx, l.Object)
		if err != nil {
			return nil, err
		}
		xs = append(xs, more...)
	}
	return xs, nil
}

// readIndex reads the extents that an index object lists.
func (p *Press) readIndex(ctx context.Context, ref catalog.ObjectRef) ([]catalog.Extent, error) {
	b, err := p.Store.Get(ctx, ref.Name(), cold.Whole, nil)
	if errors.Is(err, cold.ErrNotFound) {
		return nil, &unreadable{ref, err}
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", ref, err)
	}
	payload, err := object.DecodeIndex(b, ref.A, ref.B)
	if err != nil {
		return nil, &unreadable{ref, err}
	}
	xs, err := catalog.DecodeExtents(payload)
	if err != nil {
		return nil, &unreadable{ref, err}
	}
	return xs, nil
}
