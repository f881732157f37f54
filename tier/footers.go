package tier

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// footerCache is how many bytes of footers and decoded index objects are kept.
const footerCache = 8 << 20

// shelf keeps small things that were read from one object each: footers, and the
// extents of index objects. One reads for many who wait.
type shelf[V any] struct {
	mu      sync.Mutex
	cached  *lru[catalog.ObjectRef, V]
	reading map[catalog.ObjectRef]*reading[V]
	read    func(context.Context, catalog.ObjectRef) (V, int64, error)
}

type reading[V any] struct {
	done  chan struct{}
	value V
	err   error
}

func newShelf[V any](budget int64, read func(context.Context, catalog.ObjectRef) (V, int64, error)) *shelf[V] {
	return &shelf[V]{cached: newLRU[catalog.ObjectRef, V](budget, nil), reading: make(map[catalog.ObjectRef]*reading[V]), read: read}
}

func (s *shelf[V]) get(ctx context.Context, ref catalog.ObjectRef) (V, error) {
	for {
		s.mu.Lock()
		if v, ok := s.cached.get(ref); ok {
			s.mu.Unlock()
			return v, nil
		}
		r := s.reading[ref]
		first := r == nil
		if first {
			r = &reading[V]{done: make(chan struct{})}
			s.reading[ref] = r
		}
		s.mu.Unlock()
		if !first {
			select {
			case <-r.done:
				if errors.Is(r.err, context.Canceled) || errors.Is(r.err, context.DeadlineExceeded) {
					continue // of the other one
				}
				return r.value, r.err
			case <-ctx.Done():
				return r.value, ctx.Err()
			}
		}
		v, cost, err := s.read(ctx, ref)
		s.mu.Lock()
		delete(s.reading, ref)
		if err == nil {
			s.cached.set(ref, v, cost)
		}
		s.mu.Unlock()
		r.value, r.err = v, err
		close(r.done)
		return v, err
	}
}

// readFooter fetches the footer of an object: its last bytes, and more of them
// when the footer is large. Damage is read once more.
func (r *Reader) readFooter(ctx context.Context, ref catalog.ObjectRef) (*object.Footer, int64, error) {
	var footer *object.Footer
	err := r.twice(func() error {
		need := int64(object.TailLen)
		for range 2 {
			tail, err := r.small(ctx, ref, cold.Tail(need))
			if err != nil {
				return err
			}
			if footer, need, err = object.OpenFooter(tail, sizeOf(tail)); err != nil {
				return fmt.Errorf("%w: footer of %s: %w", ErrDamaged, ref, err)
			}
			if footer != nil {
				return nil
			}
		}
		return fmt.Errorf("%w: footer of %s: too short", ErrDamaged, ref)
	})
	if err != nil {
		return nil, 0, err
	}
	return footer, int64(footer.Size()) + 128, nil
}

// sizeOf is the size of an object by its own account, from its trailer, which
// spares a Stat: a trailer that lies about it does not have the footer's checksum.
func sizeOf(tail []byte) int64 {
	if len(tail) < object.TrailerLen {
		return 0
	}
	t := tail[len(tail)-object.TrailerLen:]
	pos := binary.LittleEndian.Uint64(t)
	if pos > 1<<50 {
		return 0
	}
	return int64(pos) + int64(binary.LittleEndian.Uint32(t[8:])) + object.TrailerLen
}

// readIndex fetches the extents that were pressed into an index object.
func (r *Reader) readIndex(ctx context.Context, ref catalog.ObjectRef) ([]catalog.Extent, int64, error) {
	var extents []catalog.Extent
	err := r.twice(func() error {
		b, err := r.small(ctx, ref, cold.Whole)
		if err != nil {
			return err
		}
		payload, err := object.DecodeIndex(b, ref.A, ref.B)
		if err == nil {
			extents, err = catalog.DecodeExtents(payload)
		}
		if err != nil {
			return fmt.Errorf("%w: index %s: %w", ErrDamaged, ref, err)
		}
		return nil
	})
	return extents, int64(len(extents))*96 + 128, err
}

// twice does something again when it met damage: a proxy or a cache on the way may
// be to blame.
func (r *Reader) twice(f func() error) error {
	err := f()
	if errors.Is(err, ErrDamaged) {
		r.stats.damaged.Add(1)
		err = f()
	}
	return err
}

// small is one GET of few bytes, under the limit of those that are waited for.
func (r *Reader) small(ctx context.Context, ref catalog.ObjectRef, rng cold.Range) ([]byte, error) {
	select {
	case r.blocks.now <- struct{}{}:
		defer func() { <-r.blocks.now }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	r.stats.gets.Add(1)
	b, err := r.store.Get(ctx, ref.Name(), rng, nil)
	r.stats.fetched.Add(int64(len(b)))
	return b, err
}

// run returns the footer's line for the run that an extent describes.
func (r *Reader) run(ctx context.Context, p record.Partition, e catalog.Extent) (object.Run, error) {
	f, err := r.footers.get(ctx, e.Object)
	if err != nil {
		return object.Run{}, err
	}
	i := f.Find(p, e.Base)
	if i < 0 {
		return object.Run{}, fmt.Errorf("%w: %s has no run for offset %d of %s", ErrDamaged, e.Object, e.Base, p)
	}
	run, err := f.Whole(i)
	if err != nil {
		return run, fmt.Errorf("%w: %s: %w", ErrDamaged, e.Object, err)
	}
	if run.Pos != e.Pos || run.Len != e.Len || run.Base != e.Base || run.Next != e.Next {
		return run, fmt.Errorf("%w: %s: the run at offset %d is not what the catalog says", ErrDamaged, e.Object, e.Base)
	}
	return run, nil
}
