package replay

import (
	"context"
	"errors"
	"fmt"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// pressed reads the extents that lie in an index object.
func (h *History) pressed(ctx context.Context, ref catalog.ObjectRef) ([]catalog.Extent, error) {
	return twice(func() ([]catalog.Extent, error) { return h.pressedOnce(ctx, ref) })
}

func (h *History) pressedOnce(ctx context.Context, ref catalog.ObjectRef) ([]catalog.Extent, error) {
	b, err := h.store.Get(ctx, ref.Name(), cold.Whole, nil)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", ref, err)
	}
	payload, err := object.DecodeIndex(b, ref.A, ref.B)
	var xs []catalog.Extent
	if err == nil {
		xs, err = catalog.DecodeExtents(payload)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: index %s: %w", ErrDamaged, ref, err)
	}
	return xs, nil
}

// extent is the one that holds an offset.
func (h *History) extent(ctx context.Context, v *view, p *catalog.Partition, offset int64) (catalog.Extent, error) {
	place, ok := v.place(p, offset)
	if !ok {
		return catalog.Extent{}, fmt.Errorf("%s, offset %d: %w", p.ID, offset, tier.ErrNowhere)
	}
	if len(place.Extents) > 0 {
		return place.Extents[0], nil
	}
	xs, err := h.pressed(ctx, place.Index.Object)
	if err != nil {
		return catalog.Extent{}, err
	}
	for _, e := range xs {
		if e.Base <= offset && offset < e.Next {
			return e, nil
		}
	}
	return catalog.Extent{}, fmt.Errorf("%w: index %s does not list offset %d of %s", ErrDamaged, place.Index.Object, offset, p.ID)
}

// each calls visit for the extents that overlap [from, to), in order, and index for
// the index objects that had to be read. One index object is in memory at a time.
func (h *History) each(ctx context.Context, v *view, p *catalog.Partition, from, to int64, index func(catalog.IndexRef), visit func(catalog.Extent) error) error {
	for at := from; at < to; {
		place, ok := v.place(p, at)
		if !ok {
			return fmt.Errorf("%s, offset %d: %w", p.ID, at, tier.ErrNowhere)
		}
		xs := place.Extents
		if len(xs) == 0 {
			if index != nil {
				index(place.Index)
			}
			var err error
			if xs, err = h.pressed(ctx, place.Index.Object); err != nil {
				return err
			}
		}
		before := at
		for _, e := range xs {
			if e.Next <= at {
				continue
			}
			if e.Base >= to || e.Base > at {
				break
			}
			if err := visit(e); err != nil {
				return err
			}
			at = e.Next
		}
		if at == before {
			return fmt.Errorf("%w: %s: nothing describes offset %d", ErrDamaged, p.ID, at)
		}
	}
	return nil
}

// run is what an object's footer says of an extent.
func (h *History) run(ctx context.Context, p record.Partition, e catalog.Extent) (object.Run, error) {
	s, err := h.slot(ctx, e.Object)
	if err != nil {
		return object.Run{}, err
	}
	if !s.there {
		return object.Run{}, fmt.Errorf("%w: %s: %w", ErrMissing, e.Object, cold.ErrNotFound)
	}
	i := s.footer.Find(p, e.Base)
	if i < 0 {
		return object.Run{}, fmt.Errorf("%w: the footer of %s does not know offset %d of %s", ErrDamaged, e.Object, e.Base, p)
	}
	r, err := s.footer.Whole(i)
	if err == nil && (r.Base != e.Base || r.Next != e.Next || r.Pos != e.Pos || r.Len != e.Len) {
		err = errors.New("the run is not what the catalog says")
	}
	if err != nil {
		return r, fmt.Errorf("%w: %s: %w", ErrDamaged, e.Object, err)
	}
	return r, nil
}
