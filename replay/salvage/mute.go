package salvage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
)

// ErrUnowned says that a partition belongs to no broker that lives.
var ErrUnowned = errors.New("it belongs to no broker that lives: start one, and do the same again")

// mute reports whether an object is there whose footer cannot be read: then nobody knows
// what its runs say of producers, though they are whole.
func mute(ctx context.Context, store cold.Store, ref catalog.ObjectRef) (error, error) {
	x, err := open(ctx, store, ref)
	if errors.Is(err, cold.ErrRange) {
		return err, nil
	}
	return x.Err, err
}

// copyRuns puts runs that are whole, in an object whose footer is not, into other objects,
// which say what is known of producers: what was known before them, and what the batches
// say. They take their places in the name of the brokers that are to lead the partitions.
func copyRuns(ctx context.Context, store cold.Store, scribe *journal.Scribe, runs []catalog.Located, producers Producers) error {
	state := scribe.State()
	ends := make(map[record.Partition]int64, len(runs))
	owners := map[uint64][]catalog.Located{}
	for _, r := range runs {
		c, ok := state.Partition(r.Partition)
		if !ok {
			continue
		}
		if v, ok := state.Session(c.Owner); !ok || v.Sealed {
			return fmt.Errorf("%s: %w", r.Partition, ErrUnowned)
		}
		ends[r.Partition] = r.Base
		owners[c.Owner] = append(owners[c.Owner], r)
	}
	known, unknown, err := producers(ctx, store, state, ends)
	if err != nil {
		return err
	}
	for id, err := range unknown {
		return fmt.Errorf("what %s had before offset %d is lost or damaged as well: give that up first: %w", id, ends[id], err)
	}
	for _, owner := range slices.Sorted(maps.Keys(owners)) {
		var pieces []piece
		for _, r := range owners[owner] {
			p, err := fetch(ctx, store, r)
			if err != nil {
				return err
			}
			pieces = append(pieces, p)
		}
		res, err := scribe.Commit(ctx, &catalog.BeginJob{Session: owner})
		if err == nil {
			err = res[0].Err
		}
		if err != nil {
			return err
		}
		ref := catalog.Seg(res[0].ID, 0)
		extents, e := together(ref, pieces, known)
		if err := putOnce(ctx, store, ref, e); err != nil {
			return err
		}
		done, err := scribe.Commit(ctx, &catalog.CommitJob{Job: ref.A, Extents: extents, Objects: []catalog.ObjectRef{ref}})
		if err != nil || done[0].Err == nil {
			if err != nil {
				return err
			}
			continue
		}
		if _, err := scribe.Commit(ctx, &catalog.CancelJob{Job: ref.A}); err != nil {
			return errors.Join(done[0].Err, err)
		}
		return done[0].Err
	}
	return nil
}

// fetch reads a run that is whole.
func fetch(ctx context.Context, store cold.Store, r catalog.Located) (piece, error) {
	b, err := store.Get(ctx, r.Object.Name(), cold.Range{Offset: r.Pos, Length: r.Len}, nil)
	if err != nil {
		return piece{}, fmt.Errorf("read %s: %w", r.Object, err)
	}
	var held []Held
	for len(b) > 0 {
		h, batch, rest, err := record.Next(b)
		if err != nil {
			return piece{}, fmt.Errorf("%s: offsets [%d, %d): %w", r.Object, r.Base, r.Next, err)
		}
		held, b = append(held, Held{Partition: r.Partition, Epoch: r.Epoch, Base: h.BaseOffset, Next: h.NextOffset(), Batch: batch}), rest
	}
	ps, err := stretches(held)
	if err == nil && (len(ps) != 1 || ps[0].run == nil || ps[0].Base != r.Base || ps[0].Next != r.Next || ps[0].CRC != r.CRC) {
		err = catalog.ErrStale // it was whole a moment ago
	}
	if err != nil {
		return piece{}, fmt.Errorf("%s: offsets [%d, %d): %w", r.Object, r.Base, r.Next, err)
	}
	return ps[0], nil
}
