package salvage

import (
	"errors"
	"testing"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/object"
)

// Of an object whose footer rots nobody knows what its runs say of producers, and nobody leads
// their partitions, though every record can be read. The runs are copied, and what is damaged
// among them is given up; producers are known behind both.
func TestRunsWhoseFooterRotsAreCopied(t *testing.T) {
	for _, alsoRun := range []bool{false, true} {
		w := newWreck(t)
		w.put(0, w.slot(0, map[int32]int{0: 2, 1: 1}))
		b := w.slot(1, map[int32]int{0: 3, 1: 1})
		_, f, err := object.Open(b)
		if err != nil {
			t.Fatal(err)
		}
		second, err := f.Run(1)
		if err != nil {
			t.Fatal(err)
		}
		w.put(1, b)
		w.fence(2)
		fenced, err := pump.Fence(t.Context(), pump.FenceOptions{Store: w.store, Session: pump.Session{ID: w.id, Nonce: w.nonce}})
		if err != nil {
			t.Fatal(err)
		}
		w.commit(&catalog.SealSession{Session: w.id, Fence: fenced.Slot, Extents: fenced.Extents(w.id)})
		ref := catalog.WAL(w.id, 1)
		loss := func() (Loss, error) { return FindLoss(t.Context(), w.store, state(t, w.store), ref, 0) }
		if _, err := loss(); !errors.Is(err, ErrIntact) {
			t.Fatal(err)
		}
		b[len(b)-object.TrailerLen-1] ^= 1
		if alsoRun {
			b[second.Pos+65] ^= 1
		}
		if err := w.store.Delete(t.Context(), ref.Name()); err != nil {
			t.Fatal(err)
		}
		w.put(1, b)
		l, err := loss()
		if lost := len(l.Runs); err != nil || len(l.Mute) != 2-lost || lost > 0 != alsoRun {
			t.Fatalf("%+v, %v", l, err)
		}
		give := func(want error) {
			t.Helper()
			if err := GiveUp(t.Context(), w.store, l, pump.LoadProducersBelow); !errors.Is(err, want) {
				t.Fatalf("%v, want %v", err, want)
			}
		}
		if !alsoRun {
			give(ErrUnowned)
		}
		me := w.commit(&catalog.RegisterSession{Nonce: [16]byte{4}})
		var items []catalog.TakeItem
		for p := range int32(2) {
			c, _ := state(t, w.store).Partition(record.Partition{Topic: w.topic, Index: p})
			items = append(items, catalog.TakeItem{Partition: c.ID, Epoch: 1, Start: c.Next})
		}
		w.commit(&catalog.Take{Session: me, Items: items})
		give(nil)
		w.want("p0", w.log(0), []string{"0-2:2", "2-5:3"})
		if alsoRun {
			w.want("p1", w.log(1), []string{"0-1:1", "1-2:0"})
		} else {
			w.want("p1", w.log(1), []string{"0-1:1", "1-2:1"})
		}
		w.want("producers of p0", w.producers(0, 5), []int64{10})
		w.want("producers of p1", w.producers(1, 2), []int64{10})
		if _, err := loss(); !errors.Is(err, ErrUnknown) {
			t.Errorf("a second time: %v", err)
		}
		s := state(t, w.store)
		if n := len(s.Jobs()); n > 0 {
			t.Errorf("%d jobs are open", n)
		}
		for _, err := range s.Check() {
			t.Error(err)
		}
	}
}
