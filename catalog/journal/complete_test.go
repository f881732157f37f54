package journal

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/mem"
)

// TestAJournalThatLostItsNewestEntriesIsRefused: whoever went on would give numbers
// away again, or found a second cluster over the first one's objects.
func TestAJournalThatLostItsNewestEntriesIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		object string // beside entries 1 to 6
		lost   []uint64
		refuse string
	}{
		"nothing":                       {"", nil, ""},
		"a session of the newest entry": {catalog.WAL(6, 9).Name(), nil, ""},
		"a job of the newest entry":     {catalog.Seg(6<<10|3, 0).Name(), nil, ""},
		"a session that came later":     {catalog.WAL(7, 0).Name(), nil, "needs entry 7"},
		"a job that came later":         {catalog.Seg(8<<10, 0).Name(), nil, "needs entry 8"},
		"an index object of later":      {catalog.Index(9<<10, 0).Name(), nil, "needs entry 9"},
		"an entry in the middle":        {"", []uint64{4}, "it can be read up to entry 3"},
		"all entries":                   {catalog.WAL(2, 0).Name(), []uint64{1, 2, 3, 4, 5, 6}, "it can be read up to entry 0"},
		"objects that are not ours":     {"wal/README", []uint64{1, 2, 3, 4, 5, 6}, ""}, // founds a cluster
	} {
		synctest.Test(t, func(t *testing.T) {
			s := mem.New()
			a, stop := open(t, s, Options{})
			for i := range 5 {
				register(t, a, int32(i))
			}
			stop()
			if c.object != "" {
				if err := s.PutIfAbsent(t.Context(), c.object, cold.Bytes([]byte("x"))); err != nil {
					t.Fatal(err)
				}
			}
			for _, n := range c.lost {
				if err := s.Delete(t.Context(), numbered(PrefixEntries, n)); err != nil {
					t.Fatal(err)
				}
			}
			_, err := Open(t.Context(), s, Options{})
			if (err != nil) != (c.refuse != "") || err != nil && (!errors.Is(err, ErrLost) || !strings.Contains(err.Error(), c.refuse)) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// TestASnapshotThatCannotBeReadCostsNothing but time: an older one, or the entries, do
// as well.
func TestASnapshotThatCannotBeReadCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New()
		a, stop := open(t, s, Options{SnapshotEvery: 5})
		defer stop()
		for i := range 22 {
			register(t, a, int32(i))
			synctest.Wait() // until the snapshot is there that is put beside the journal
		}
		synctest.Wait()                             // snapshots are put beside the journal
		for _, n := range []uint64{20, 15, 10, 5} { // the newest first, in the end all
			if !s.Corrupt(numbered(PrefixSnapshots, n), 60) {
				t.Fatalf("no snapshot %d", n)
			}
			r := NewReader(s)
			if err := r.Catchup(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			if r.State().Number() != a.State().Number() {
				t.Fatalf("without snapshot %d: entry %d, want %d", n, r.State().Number(), a.State().Number())
			}
		}
	})
}
