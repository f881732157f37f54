package replay

import (
	"errors"
	"fmt"
	"testing"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/mem"
)

func TestLocateNamesObjectAndJournalEntry(t *testing.T) {
	w := newWorld(t, mem.New(), 2)
	w.write(5, 0, 0, 1)
	w.cover()
	covered := w.open().Entry()
	xs := w.press(0, 0, 5, 5, 0)
	pressed := w.open().Entry()
	tail := w.write(5, 0, 0)
	h := w.open()
	for _, c := range []struct {
		partition int32
		offset    int64
		object    catalog.ObjectRef
		recorded  bool
		entry     uint64
	}{
		{1, 4, catalog.WAL(w.session, 0), true, covered},
		{0, 0, xs[0].Object, true, pressed},
		{0, 7, tail, false, 0},
	} {
		l, err := h.Locate(t.Context(), c.partition, c.offset)
		if err != nil || l.Object != c.object || l.Unrecorded == c.recorded || l.Base > c.offset || l.Next <= c.offset {
			t.Fatalf("%+v: %+v %v", c, l, err)
		}
		o, err := FindOrigin(t.Context(), w.store, h.State(), l.Object, &l.Partition)
		if err != nil {
			t.Fatal(err)
		}
		var entries []uint64
		if c.recorded {
			entries = []uint64{c.entry}
		}
		want(t, o, Origin{Entries: entries})
	}
	for _, o := range []int64{-1, 10} {
		if _, err := h.Locate(t.Context(), 0, o); !errors.Is(err, ErrNotInLog) {
			t.Fatal(err)
		}
	}
	// What was collected is said to be before what is left.
	for n := uint64(1); n <= covered; n++ {
		if err := w.store.Delete(t.Context(), fmt.Sprintf("%s%020d", journal.PrefixEntries, n)); err != nil {
			t.Fatal(err)
		}
	}
	o, err := FindOrigin(t.Context(), w.store, h.State(), catalog.WAL(w.session, 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	want(t, o, Origin{Before: covered + 1})
}

func TestStorageTellsEveryPlace(t *testing.T) {
	w := newWorld(t, mem.New(), 2)
	w.write(5, 100, 0, 1)
	w.write(5, 100, 0, 1)
	w.cover()
	w.press(0, 0, 5, 5, 100)
	w.write(5, 100, 1)
	got, err := w.open().Storage(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	runs := func(s Storage) [4]int64 {
		return [4]int64{s.Unrecorded.Runs, s.WAL.Runs, s.Shared.Runs, s.Own.Runs}
	}
	want(t, runs(got[0]), [4]int64{0, 1, 0, 1})
	want(t, runs(got[1]), [4]int64{1, 2, 0, 0})
	if got[1].End != 15 || got[1].Session != w.session || got[1].LastUpload.IsZero() {
		t.Fatalf("%+v", got[1])
	}
}

// A journal that was begun anew goes on a million numbers higher, and what was damaged of
// the old one still lies there.
func TestTheOriginIsFoundInAJournalThatWasBegunAnew(t *testing.T) {
	w := newWorld(t, mem.New(), 1)
	ref := w.write(5, 0, 0)
	w.cover()
	covered := w.open().Entry()
	w.fence()
	s := w.j.State()
	damaged := fmt.Sprintf("%s%020d", journal.PrefixEntries, covered-1)
	if err := w.store.Delete(t.Context(), damaged); err != nil {
		t.Fatal(err)
	}
	if err := w.store.PutIfAbsent(t.Context(), damaged, cold.Bytes([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	state, err := s.Rebuild(catalog.Rebuilt{Number: s.Number() + 1<<20, Fences: []catalog.SessionEnd{{Session: w.session, Nonce: nonce, Fence: w.slot}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := journal.Begin(t.Context(), w.store, state, nonce, journal.Options{}); err != nil {
		t.Fatal(err)
	}
	store := &readOnly{Store: w.store, t: t}
	o, err := FindOrigin(t.Context(), store, state, ref, nil)
	if err != nil {
		t.Fatal(err)
	}
	want(t, o, Origin{Entries: []uint64{covered}})
	if n := store.gets.Load(); n > 10 {
		t.Errorf("%d GETs for %d entries", n, covered)
	}
}
