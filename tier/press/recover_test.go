package press

import (
	"context"
	"errors"
	"testing"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/replay/salvage"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// recover loses all entries of the journal behind a state that once was, or all, with nil,
// and goes on from what firn catalog recover makes of it.
func (w *world) recover(old *catalog.State) (*catalog.State, error) {
	ctx := context.Background()
	for _, n := range w.brokers {
		if !n.dead {
			n.dead = true
			n.cancel()
		}
	}
	if old != nil {
		if err := journal.Begin(ctx, w.bucket, old, [16]byte{99}, journal.Options{}); err != nil {
			return nil, err
		}
	}
	names := salvage.Wishes{Names: map[record.TopicID]salvage.Name{}}
	for _, t := range w.state.Topics() {
		names.Names[t.ID] = salvage.Name{Topic: t.Name, Partitions: len(t.Partitions)}
	}
	// A session of which nothing is left but its end tells that there was more.
	last := w.state.Number() + 1
	if err := w.bucket.PutIfAbsent(ctx, catalog.WAL(last, 0).Name(), cold.Bytes(object.EncodeFence(last, 0, [16]byte{98}, [16]byte{99}, 0))); err != nil {
		return nil, err
	}
	var p salvage.Plan
	for range 2 { // the sessions end in between
		inv, err := salvage.Take(ctx, w.bucket, salvage.Options{ClusterID: "w"})
		if err == nil && inv.Whole {
			err = errors.New("it says that nothing is lost")
		}
		if err == nil {
			p, err = salvage.Make(inv, names)
		}
		if err == nil {
			err = salvage.End(ctx, w.bucket, p.Fences)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := salvage.Write(ctx, w.bucket, p); err != nil {
		return nil, err
	}
	r := journal.NewReader(w.bucket)
	if err := r.Catchup(ctx, nil); err != nil {
		return nil, err
	}
	if bad := r.State().Check(); len(bad) > 0 {
		return nil, errors.Join(bad...)
	}
	return r.State(), nil
}

// TestNothingIsLostWithTheJournal: whatever brokers were at, and however much of the newest
// entries is lost, and index objects with them, every record that was acknowledged is there
// again, and stays while brokers go on from there. Log starts are what the last entry that
// is left says.
func TestNothingIsLostWithTheJournal(t *testing.T) {
	seeds := *simSeeds
	if testing.Short() {
		seeds = 8
	}
	for seed := uint64(1); seed <= 2*seeds; seed++ {
		w := newWorld(seed, sound)
		w.brokers[0].boot(true)
		for range 300 {
			w.act()
		}
		was, n := w.state, len(w.old)
		old := w.old[n-1-w.rng.IntN(n)*w.rng.IntN(n)/n].state
		if seed%8 == 0 {
			old = nil
		}
		for info := range w.bucket.List(t.Context(), catalog.PrefixIndex, "") {
			if w.rng.IntN(4) == 0 {
				_ = w.bucket.Delete(t.Context(), info.Name)
			}
		}
		behind := uint64(0)
		if old != nil {
			behind = old.Number()
		}
		s, err := w.recover(old)
		if err != nil {
			t.Errorf("seed %d, entries behind %d of %d: %v", seed, behind, was.Number(), err)
			continue
		}
		w.state, w.old, w.checked = s, nil, map[catalog.Located]bool{}
		// What retention had deleted already may have left holes.
		var items []catalog.TrimItem
		for _, x := range was.Topics() {
			for _, p := range x.Partitions {
				items = append(items, catalog.TrimItem{Partition: p.ID, LogStart: p.LogStart})
			}
		}
		w.must(&catalog.Trim{Items: items})
		if w.check(); w.fault == nil {
			w.peace()
		}
		if w.fault != nil {
			t.Errorf("seed %d, entries behind %d of %d: %v", seed, behind, was.Number(), w.fault)
		}
	}
}
