package tier

import (
	"context"
	"fmt"
	"slices"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
)

// lookupBytes is how much of a run a search reads at a time: a few index
// intervals.
const lookupBytes = 256 << 10

// Found is what a search by time found.
type Found struct {
	Offset    int64
	Timestamp int64 // milliseconds
}

// FirstAt finds the first record in [from, upto) whose timestamp is at or after
// t, to the record, inside compressed batches, too (ListOffsets). false when there
// is none. Runs and batches that end before t are told by the catalog, the footers
// and the batch headers, and are not read.
func (r *Reader) FirstAt(ctx context.Context, p record.Partition, from, upto, t int64) (Found, bool, error) {
	for at := from; at < upto; {
		place, ok := r.locator.Extents(p, at)
		if !ok {
			return Found{}, false, fmt.Errorf("find time %d in %s from offset %d: %w", t, p, at, ErrNowhere)
		}
		if len(place.Extents) == 0 && place.Index.MaxTimestamp < t {
			at = place.Index.Next
			continue
		}
		extents, err := r.resolve(ctx, place, at)
		if err != nil {
			return Found{}, false, fmt.Errorf("find time %d in %s from offset %d: %w", t, p, at, err)
		}
		if extents[0].Base > at { // a locator that breaks its word must not hang us
			return Found{}, false, fmt.Errorf("find time %d in %s from offset %d: %w", t, p, at, ErrNowhere)
		}
		for _, e := range extents {
			if e.Base >= upto || e.Base > at {
				break
			}
			if e.MaxTimestamp >= t {
				var found Found
				hit := false
				err := r.scan(ctx, p, e, max(at, from), upto, t, func(h record.Header, batch []byte) (bool, error) {
					if h.MaxTimestamp < t {
						return false, nil
					}
					err := r.unpack(ctx, h, batch, func(o, ts int64) bool {
						if ts >= t && o >= from && o < upto {
							found, hit = Found{o, ts}, true
						}
						return hit
					})
					return hit, err
				})
				if err != nil || hit {
					return found, hit, err
				}
			}
			at = e.Next
		}
	}
	return Found{}, false, nil
}

// MaxAt finds the record in [from, upto) that has the largest timestamp, the first
// of them (KIP-734). false when there is no record.
func (r *Reader) MaxAt(ctx context.Context, p record.Partition, from, upto int64) (Found, bool, error) {
	fail := func(err error) (Found, bool, error) {
		return Found{}, false, fmt.Errorf("find the largest time in %s: %w", p, err)
	}
	places, err := r.places(p, from, upto)
	if err != nil {
		return fail(err)
	}
	best, found := Found{}, false
	for {
		// The most promising place that is left: only the first and the last run
		// may promise a record that is out of range.
		i := -1
		for j := range places {
			top := places[j].top()
			worth := !found || top > best.Timestamp || top == best.Timestamp && places[j].base() < best.Offset
			if worth && (i < 0 || top > places[i].top()) {
				i = j
			}
		}
		if i < 0 {
			return best, found, nil
		}
		u := places[i]
		if len(u.Extents) == 0 {
			extents, err := r.indexes.get(ctx, u.Index.Object)
			if err != nil {
				return fail(err)
			}
			var listed []Place // in their line's place: of equal ones the first counts
			for _, e := range extents {
				if e.Next > from && e.Base < upto {
					listed = append(listed, Place{Extents: []catalog.Extent{e}})
				}
			}
			places = slices.Replace(places, i, i+1, listed...)
			continue
		}
		places = slices.Delete(places, i, i+1)
		f, ok, err := r.maxOf(ctx, p, u.Extents[0], from, upto)
		if err != nil {
			return fail(err)
		}
		if ok && (!found || f.Timestamp > best.Timestamp || f.Timestamp == best.Timestamp && f.Offset < best.Offset) {
			best, found = f, true
		}
	}
}

// top is the largest timestamp that a place promises.
func (p Place) top() int64 {
	if len(p.Extents) == 0 {
		return p.Index.MaxTimestamp
	}
	return p.Extents[0].MaxTimestamp
}

// base is the first offset of a place.
func (p Place) base() int64 {
	if len(p.Extents) == 0 {
		return p.Index.Base
	}
	return p.Extents[0].Base
}

// places lists what is known to hold [from, upto), one extent or index line each.
func (r *Reader) places(p record.Partition, from, upto int64) ([]Place, error) {
	var out []Place
	for at := from; at < upto; {
		place, ok := r.locator.Extents(p, at)
		if !ok || len(place.Extents) > 0 && place.Extents[0].Base > at {
			return nil, ErrNowhere
		}
		if len(place.Extents) == 0 {
			out = append(out, place)
			at = place.Index.Next
			continue
		}
		for i, e := range place.Extents {
			if e.Base >= upto || e.Base > at {
				break
			}
			out = append(out, Place{Extents: place.Extents[i : i+1]})
			at = e.Next
		}
	}
	return out, nil
}

// maxOf finds the record with the largest timestamp of one run.
func (r *Reader) maxOf(ctx context.Context, p record.Partition, e catalog.Extent, from, upto int64) (best Found, found bool, err error) {
	err = r.scan(ctx, p, e, max(e.Base, from), upto, e.MaxTimestamp, func(h record.Header, batch []byte) (bool, error) {
		if found && h.MaxTimestamp <= best.Timestamp {
			return false, nil
		}
		err := r.unpack(ctx, h, batch, func(o, ts int64) bool {
			if (!found || ts > best.Timestamp) && o >= from && o < upto {
				best, found = Found{o, ts}, true
			}
			return false
		})
		return found && best.Timestamp >= e.MaxTimestamp, err
	})
	if err != nil || found && best.Timestamp >= e.MaxTimestamp {
		return best, found, err
	}
	// What the run promises is out of range, or is in no record: clients write what a
	// header says. Look at all of it.
	err = r.scan(ctx, p, e, max(e.Base, from), upto, -1, func(h record.Header, batch []byte) (bool, error) {
		return false, r.unpack(ctx, h, batch, func(o, ts int64) bool {
			if (!found || ts > best.Timestamp || ts == best.Timestamp && o < best.Offset) && o >= from && o < upto {
				best, found = Found{o, ts}, true
			}
			return false
		})
	})
	return best, found, err
}

// unpack calls fn with offset and timestamp of each record of a batch until it is done. Few
// batches are decompressed at once, whoever asks: each may take dozens of megabytes, which
// it has only meanwhile.
func (r *Reader) unpack(ctx context.Context, h record.Header, batch []byte, fn func(offset, timestamp int64) (done bool)) error {
	if h.Codec() != record.None {
		select {
		case r.unpacking <- struct{}{}:
			defer func() { <-r.unpacking }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	dec := record.BorrowDecoder()
	defer dec.Return()
	it := record.Iterate(h, batch, dec)
	for it.Next() {
		if fn(it.Offset(), it.Timestamp()) {
			return nil
		}
	}
	return it.Err()
}

// scan gives fn the batches of a run from the offset on, until it says that it has
// what it wants. Batches of a large run that the footer's index knows to lie
// before time t are passed over.
func (r *Reader) scan(ctx context.Context, p record.Partition, e catalog.Extent, offset, upto, t int64, fn func(h record.Header, batch []byte) (bool, error)) error {
	if e.Len > walkMost && t >= 0 {
		run, err := r.run(ctx, p, e)
		if err != nil {
			return fmt.Errorf("find time %d in %s: %w", t, p, err)
		}
		for _, x := range run.Index {
			if x.MaxTimestamp >= t {
				break
			}
			offset = max(offset, x.Base)
		}
	}
	for upto = min(upto, e.Next); offset < upto; {
		got, err := r.Read(ctx, p, offset, upto, lookupBytes)
		if err != nil {
			return err
		}
		done, err := each(&got, fn)
		next := got.Next
		got.Release()
		if err != nil {
			return fmt.Errorf("find time %d in %s from offset %d: %w", t, p, offset, err)
		}
		if done || next == offset {
			return nil
		}
		offset = next
	}
	return nil
}

// each calls fn for each batch until it is done.
func each(b *Batches, fn func(h record.Header, batch []byte) (bool, error)) (bool, error) {
	for _, v := range b.Views {
		for len(v) > 0 {
			h, batch, rest, err := record.Next(v)
			if err != nil {
				return false, err
			}
			if done, err := fn(h, batch); done || err != nil {
				return done, err
			}
			v = rest
		}
	}
	return false, nil
}
