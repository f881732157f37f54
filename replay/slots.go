package replay

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// mostProbes is how many slots are asked for at once.
const mostProbes = 16

// slot is what one slot of a session holds.
type slot struct {
	header object.Header
	footer *object.Footer
	there  bool
}

// walk adds to the tails what a live session has put at and above its covered mark,
// up to the first gap (S4) or the fence (S6), or one that cannot be read: then the ends of
// its partitions are not known. Slots are asked for by name, several at once: a LIST would
// be no proof.
func (h *History) walk(ctx context.Context, v *view, s *catalog.Session) error {
	for at, width := s.Covered, uint64(1); ; width = min(2*width, mostProbes) {
		slots, bad := make([]slot, width), make([]error, width)
		g, gctx := errgroup.WithContext(ctx)
		for i := range slots {
			g.Go(func() error {
				slots[i], bad[i] = h.slot(gctx, catalog.WAL(s.ID, at+uint64(i)))
				if errors.Is(bad[i], ErrDamaged) {
					return nil // it matters when its turn comes
				}
				return bad[i]
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		for i := range slots {
			ref := catalog.WAL(s.ID, at+uint64(i))
			x, err := &slots[i], bad[i]
			switch {
			case err != nil:
			case !x.there || x.header.Kind == object.Fence && x.header.Session == s.ID:
				return nil
			case x.header.Kind != object.WAL || x.header.Session != s.ID || x.header.Slot != ref.B || x.header.Nonce != s.Nonce:
				err = fmt.Errorf("%w: %s says that it is %s %d of session %d", ErrDamaged, ref, x.header.Kind, x.header.Slot, x.header.Session)
			default:
				err = v.extend(ref, x.footer)
			}
			if err != nil {
				v.torn[s.ID] = err
				return nil
			}
		}
		at += width
	}
}

// extend adds the runs of a slot to the tails of the partitions that its session
// owns. Of others it holds what was described when they were given up (S8, S9).
func (v *view) extend(ref catalog.ObjectRef, f *object.Footer) error {
	for i := range f.Len() {
		r, err := f.Run(i)
		if err != nil {
			return fmt.Errorf("%w: footer of %s: %w", ErrDamaged, ref, err)
		}
		if r.Partition.Topic != v.topic.ID {
			continue
		}
		p, err := v.partition(r.Partition.Index)
		if err != nil || p.Owner != ref.A || r.Next <= p.Next {
			continue
		}
		if end := v.end(p); r.Base != end || r.Epoch != p.Epoch {
			return fmt.Errorf("%w: %s continues %s at offset %d in epoch %d: the log ends at %d, its epoch is %d", ErrDamaged, ref, r.Partition, r.Base, r.Epoch, end, p.Epoch)
		}
		v.tails[p.ID.Index] = append(v.tails[p.ID.Index], catalog.Extent{
			Base: r.Base, Next: r.Next, Epoch: r.Epoch, Object: ref, Pos: r.Pos, Len: r.Len,
			MaxTimestamp: r.MaxTimestamp, CRC: r.CRC, Records: r.Records,
		})
	}
	return nil
}

// twice reads once more what was found damaged: that may have been done on the way (H3).
func twice[T any](read func() (T, error)) (T, error) {
	v, err := read()
	if errors.Is(err, ErrDamaged) {
		v, err = read()
	}
	return v, err
}

// slot reads header and footer of an object.
func (h *History) slot(ctx context.Context, ref catalog.ObjectRef) (slot, error) {
	return twice(func() (slot, error) { return h.slotOnce(ctx, ref) })
}

// slotOnce is one GET for most.
func (h *History) slotOnce(ctx context.Context, ref catalog.ObjectRef) (slot, error) {
	bad := func(err error) (slot, error) { return slot{}, fmt.Errorf("%w: %s: %w", ErrDamaged, ref, err) }
	tail, err := h.store.Get(ctx, ref.Name(), cold.Tail(object.TailLen), nil)
	if errors.Is(err, cold.ErrNotFound) {
		return slot{}, nil
	}
	if err != nil {
		return slot{}, fmt.Errorf("read %s: %w", ref, err)
	}
	size, err := object.SizeOf(tail)
	if err != nil {
		return bad(err)
	}
	f, need, err := object.OpenFooter(tail, size)
	if err == nil && f == nil {
		if tail, err = h.store.Get(ctx, ref.Name(), cold.Tail(need), nil); err != nil {
			return slot{}, fmt.Errorf("read %s: %w", ref, err)
		}
		f, _, err = object.OpenFooter(tail, size)
	}
	if err != nil {
		return bad(err)
	}
	if f == nil {
		return bad(errors.New("its footer is cut short"))
	}
	head := tail
	if int64(len(tail)) < size {
		if head, err = h.store.Get(ctx, ref.Name(), cold.Range{Length: object.HeaderLen}, nil); err != nil {
			return slot{}, fmt.Errorf("read %s: %w", ref, err)
		}
	}
	header, err := object.ParseHeader(head)
	if err != nil {
		return bad(err)
	}
	return slot{header: header, footer: f, there: true}, nil
}
