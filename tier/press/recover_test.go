package press

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/replay/audit"
	"github.com/firnlog/firn/replay/salvage"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// recover loses all entries of the journal behind a state that once was, or all, with nil,
// and goes on from what firn catalog recover makes of it.
func (w *world) recover(old *catalog.State) (*catalog.State, salvage.Plan, error) {
	ctx, p := context.Background(), salvage.Plan{}
	for _, n := range w.brokers {
		if !n.dead {
			n.dead = true
			n.cancel()
		}
	}
	if old != nil {
		if err := journal.Begin(ctx, w.bucket, old, [16]byte{99}, journal.Options{}); err != nil {
			return nil, p, err
		}
	}
	names := salvage.Wishes{Names: map[record.TopicID]salvage.Name{}}
	for _, t := range w.state.Topics() {
		names.Names[t.ID] = salvage.Name{Topic: t.Name, Partitions: len(t.Partitions)}
	}
	// A session of which nothing is left but its end tells that there was more.
	last := w.state.Number() + 1
	if err := w.bucket.PutIfAbsent(ctx, catalog.WAL(last, 0).Name(), cold.Bytes(object.EncodeFence(last, 0, [16]byte{98}, [16]byte{99}, 0))); err != nil {
		return nil, p, err
	}
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
			return nil, p, err
		}
	}
	if err := salvage.Write(ctx, w.bucket, p); err != nil {
		return nil, p, err
	}
	r := journal.NewReader(w.bucket)
	if err := r.Catchup(ctx, nil); err != nil {
		return nil, p, err
	}
	if bad := r.State().Check(); len(bad) > 0 {
		return nil, p, errors.Join(bad...)
	}
	return r.State(), p, nil
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
		s, _, err := w.recover(old)
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
		r, err := audit.Run(t.Context(), w.bucket, audit.Options{})
		if err != nil || len(r.Findings) > 0 {
			t.Errorf("seed %d, entries behind %d of %d: %v %v", seed, behind, was.Number(), err, r.Findings)
		}
		if w.check(); w.fault == nil {
			w.peace()
		}
		if w.fault != nil {
			t.Errorf("seed %d, entries behind %d of %d: %v", seed, behind, was.Number(), w.fault)
		}
	}
}

// TestWhatIsLostWithAnObjectIsItsOwn: with the newest entries a sealed object or segment is
// lost. No more is given up than the offsets that lay in it and in no other object, but for
// those that an index object lists, and that go with it.
func TestWhatIsLostWithAnObjectIsItsOwn(t *testing.T) {
	seeds := *simSeeds
	if testing.Short() {
		seeds = 8
	}
	for seed := uint64(1); seed <= seeds; seed++ {
		w := newWorld(seed, sound)
		w.brokers[0].boot(true)
		for range 300 {
			w.act()
		}
		was, n := w.state, len(w.old)
		old := w.old[n-1-w.rng.IntN(n)*w.rng.IntN(n)/n].state
		var names []string
		for info := range w.bucket.List(t.Context(), catalog.PrefixSeg, "") {
			names = append(names, info.Name)
		}
		if len(names) == 0 {
			continue
		}
		name := names[w.rng.IntN(len(names))]
		b, err := w.bucket.Get(t.Context(), name, cold.Whole, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, runs, _ := object.Verify(b)
		_ = w.bucket.Delete(t.Context(), name)
		var left []object.Run
		listed := map[string]bool{}
		for info := range w.bucket.List(t.Context(), catalog.PrefixIndex, "") {
			ref, _ := catalog.ParseRef(info.Name)
			xs, err := (&Press{Options: Options{Store: w.bucket}}).readIndex(t.Context(), ref)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range xs {
				listed[x.Object.Name()] = true
			}
		}
		for info := range w.bucket.List(t.Context(), "", "") {
			if ref, err := catalog.ParseRef(info.Name); err == nil && ref.Kind != catalog.KindIndex && !listed[info.Name] {
				b, _ := w.bucket.Get(t.Context(), info.Name, cold.Whole, nil)
				_, more, _ := object.Verify(b)
				left = append(left, more...)
			}
		}
		_, p, err := w.recover(old)
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
			continue
		}
		for _, x := range append(p.Lost, p.Raised...) {
			topic, _ := was.TopicNamed(x.Topic)
			part := topic.Partitions[x.Partition]
			for o := max(x.From, part.LogStart); o < x.To; o++ {
				holds := func(r object.Run) bool { return r.Partition == part.ID && r.Base <= o && o < r.Next }
				// What was compacted does not always fit what was not.
				if !slices.ContainsFunc(runs, holds) || slices.ContainsFunc(left, holds) && !w.model[part.ID].compact {
					t.Errorf("seed %d: offset %d of %s-%d is given up with %s: in it %v, elsewhere %v", seed, o, x.Topic, x.Partition, name, slices.ContainsFunc(runs, holds), slices.ContainsFunc(left, holds))
					break
				}
			}
		}
		r, err := audit.Run(t.Context(), w.bucket, audit.Options{})
		if err != nil || len(r.Findings) > 0 {
			t.Errorf("seed %d: %v %v", seed, err, r.Findings)
		}
	}
}
