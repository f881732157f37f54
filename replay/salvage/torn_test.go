package salvage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/mem"
	"github.com/firnlog/firn/tier/object"
)

// wreck is a session that is not sealed, of a topic with four partitions.
type wreck struct {
	t     *testing.T
	store cold.Store
	j     *journal.Scribe
	id    uint64
	nonce [16]byte
	topic record.TopicID
	next  map[int32]int64
}

func newWreck(t *testing.T) *wreck {
	t.Helper()
	w := &wreck{t: t, store: mem.New(), nonce: [16]byte{3}, topic: record.TopicID{1}, next: map[int32]int64{}}
	w.j = journal.NewScribe(w.store, [16]byte{1}, journal.Options{})
	if err := w.j.Open(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	w.id = w.commit(&catalog.RegisterSession{Nonce: w.nonce})
	w.commit(&catalog.CreateTopic{Name: "t", ID: w.topic, Owners: []uint64{w.id, w.id, w.id, w.id}})
	return w
}

func (w *wreck) commit(cmd catalog.Command) uint64 {
	w.t.Helper()
	err := w.j.Catchup(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	res, err := w.j.Commit(w.t.Context(), cmd)
	if err != nil || res[0].Err != nil {
		w.t.Fatal(err, res)
	}
	return res[0].ID
}

// slot makes a slot with so many records for each of some partitions, which producer 10 + n
// has sent.
func (w *wreck) slot(n uint64, records map[int32]int) []byte {
	w.t.Helper()
	e := object.NewEncoder(object.Header{Kind: object.WAL, Session: w.id, Slot: n, Nonce: w.nonce}, 1000, nil)
	for p := range int32(4) {
		if records[p] == 0 {
			continue
		}
		base := w.next[p]
		e.Begin(record.Partition{Topic: w.topic, Index: p}, 0, base)
		for range records[p] {
			var build record.Builder
			build.Add(w.next[p], nil, fmt.Appendf(nil, "%d", n))
			b, err := build.Build()
			if err != nil {
				w.t.Fatal(err)
			}
			record.Rebase(b, w.next[p], 0)
			h, err := record.ParseHeader(b)
			if err != nil {
				w.t.Fatal(err)
			}
			e.Append(h, b)
			w.next[p]++
		}
		e.Producers([]object.Producer{{ID: 10 + int64(n), TimestampMs: int64(n), TxnStart: -1, Batches: []object.Produced{{Base: base, Last: base}}}})
	}
	if _, err := e.Finish(); err != nil {
		w.t.Fatal(err)
	}
	return join(e)
}

func (w *wreck) put(n uint64, b []byte) {
	w.t.Helper()
	if err := w.store.PutIfAbsent(w.t.Context(), catalog.WAL(w.id, n).Name(), cold.Bytes(b)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *wreck) fence(n uint64) {
	w.t.Helper()
	w.put(n, object.EncodeFence(w.id, n, w.nonce, [16]byte{9}, 0))
}

func (w *wreck) find(deleted bool, slots ...uint64) (Torn, error) {
	return FindTorn(w.t.Context(), w.store, state(w.t, w.store), w.id, slots, TornOptions{Deleted: deleted})
}

func (w *wreck) give(t Torn) (Torn, error) {
	return GiveUpTorn(w.t.Context(), w.store, t, pump.LoadProducersBelow)
}

// log is what the catalog describes of a partition, with the records of each run.
func (w *wreck) log(p int32) (out []string) {
	w.t.Helper()
	c, _ := state(w.t, w.store).Partition(record.Partition{Topic: w.topic, Index: p})
	for _, x := range c.Extents {
		out = append(out, fmt.Sprintf("%d-%d:%d", x.Base, x.Next, x.Records))
	}
	return out
}

// producers are the ids that are known at the end of the nth run of a partition's log.
func (w *wreck) producers(p int32, end int64) (ids []int64) {
	w.t.Helper()
	id := record.Partition{Topic: w.topic, Index: p}
	known, unknown, err := pump.LoadProducersBelow(w.t.Context(), w.store, state(w.t, w.store), map[record.Partition]int64{id: end})
	if err != nil || len(unknown) > 0 {
		w.t.Fatal(err, unknown)
	}
	for _, x := range known[id] {
		ids = append(ids, x.ID)
	}
	slices.Sort(ids)
	return ids
}

func (w *wreck) want(what string, got, want any) {
	w.t.Helper()
	if g, w2 := fmt.Sprint(got), fmt.Sprint(want); g != w2 {
		w.t.Errorf("%s: %s, want %s", what, g, w2)
	}
}

// What lay in slots that are given up is known by where later slots go on; of partitions
// that none tells of, the log goes on behind all that can have been. Everything else is
// described as it lies, and each run knows the producers that were known before it.
func TestASessionIsSealedWithoutSlots(t *testing.T) {
	w := newWreck(t)
	w.put(0, w.slot(0, map[int32]int{0: 2, 1: 1}))
	w.put(1, w.slot(1, map[int32]int{0: 1, 1: 1})[:90])
	w.put(2, w.slot(2, map[int32]int{0: 1}))
	w.put(3, w.slot(3, map[int32]int{0: 3, 2: 4})[:0])
	w.put(4, w.slot(4, map[int32]int{0: 1}))
	w.put(5, w.slot(5, map[int32]int{0: 1})[:70])
	w.put(6, w.slot(6, map[int32]int{1: 2}))
	if _, err := w.find(false, 1); !errors.Is(err, ErrAlso) {
		t.Errorf("a slot that was not named: %v", err)
	}
	found, err := w.find(false, 3, 1, 5, 3)
	if err != nil {
		t.Fatal(err)
	}
	w.want("lost", len(found.Lost), 3)
	if _, err := w.store.Stat(t.Context(), catalog.WAL(w.id, 7).Name()); !errors.Is(err, cold.ErrNotFound) {
		t.Errorf("looking has written: %v", err)
	}
	if found, err = w.give(found); err != nil {
		t.Fatal(err)
	}
	w.want("end", found.End, 7)
	w.want("p0", w.log(0), []string{"0-2:2", "2-3:0", "3-4:1", "4-7:0", "7-8:1", fmt.Sprintf("8-%d:0", 8+slotMost)})
	w.want("p1", w.log(1), []string{"0-1:1", "1-2:0", "2-4:2"})
	w.want("p2", w.log(2), []string{fmt.Sprintf("0-%d:0", 3*slotMost)})
	w.want("p3", w.log(3), []string{fmt.Sprintf("0-%d:0", 3*slotMost)})
	w.want("producers of p0", w.producers(0, 8), []int64{10, 12, 14})
	w.want("producers of p0 behind its second filler", w.producers(0, 7), []int64{10, 12})
	w.want("producers of p1", w.producers(1, 4), []int64{10, 16})
	s := state(t, w.store)
	if v, _ := s.Session(w.id); !v.Sealed || v.Fence != 7 || len(s.Jobs()) > 0 {
		t.Errorf("%+v, %d jobs", v, len(s.Jobs()))
	}
	for ref := range s.Garbage() {
		if s.Refs(ref) > 0 || ref.IsCancelled() {
			t.Errorf("%s is garbage", ref)
		}
	}
	for _, err := range s.Check() {
		t.Error(err)
	}
	if _, err := w.give(found); !errors.Is(err, catalog.ErrSealed) {
		t.Errorf("a second time: %v", err)
	}
}

// Of a slot whose header alone is damaged the footer tells what is in it: runs that can be
// read are kept, the others have fillers of their own, and both know their producers.
func TestWhatCanBeReadOfASlotThatIsGivenUpIsKept(t *testing.T) {
	w := newWreck(t)
	w.put(0, w.slot(0, map[int32]int{0: 1}))
	b := w.slot(1, map[int32]int{0: 2, 1: 3, 2: 1})
	_, f, err := object.Open(b)
	if err != nil {
		t.Fatal(err)
	}
	r, err := f.Run(1)
	if err != nil {
		t.Fatal(err)
	}
	b[20] ^= 1
	b[r.Pos+70] ^= 1
	w.put(1, b)
	found, err := w.find(false, 1)
	if err != nil || len(found.Lost) != 1 || len(found.Kept) != 2 || len(found.Blind) != 0 {
		t.Fatalf("%+v, %v", found, err)
	}
	if _, err := w.give(found); err != nil {
		t.Fatal(err)
	}
	w.want("p0", w.log(0), []string{"0-1:1", "1-3:2"})
	w.want("p1", w.log(1), []string{"0-3:0"})
	w.want("p2", w.log(2), []string{"0-1:1"})
	w.want("p3", w.log(3), []string{})
	w.want("producers of p0", w.producers(0, 3), []int64{10, 11})
	w.want("producers of p1", w.producers(1, 3), []int64{11})
}

// What lands while the operator thinks counts, and so does a fence; what somebody else has
// told the journal meanwhile wins.
func TestWhatLandsBeforeASlotIsGivenUpCounts(t *testing.T) {
	for _, fenced := range []bool{false, true} {
		w := newWreck(t)
		w.put(0, w.slot(0, map[int32]int{0: 1}))
		w.put(1, w.slot(1, map[int32]int{0: 1})[:90])
		found, err := w.find(false, 1)
		if err != nil {
			t.Fatal(err)
		}
		w.put(2, w.slot(2, map[int32]int{0: 1}))
		if fenced {
			w.fence(3)
		}
		if found, err = w.give(found); err != nil || found.End != 3 {
			t.Fatal(found.End, err)
		}
		w.want("p0", w.log(0), []string{"0-1:1", "1-2:0", "2-3:1"})
	}
	w := newWreck(t)
	w.put(0, w.slot(0, map[int32]int{0: 1})[:90])
	w.put(1, w.slot(1, map[int32]int{0: 1}))
	found, err := w.find(false, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.commit(&catalog.Cover{Session: w.id, To: 1})
	if _, err := w.give(found); !errors.Is(err, catalog.ErrStale) {
		t.Errorf("the mark moved: %v", err)
	}
}

// Whatever ends it in the middle, the same again comes to the same.
func TestGivingUpASlotGoesOnAfterAnInterruption(t *testing.T) {
	for puts := range 6 {
		w := newWreck(t)
		w.put(0, w.slot(0, map[int32]int{0: 1, 1: 1})[:90])
		w.put(1, w.slot(1, map[int32]int{0: 1}))
		found, err := w.find(false, 0)
		if err != nil {
			t.Fatal(err)
		}
		left := puts
		_, err = GiveUpTorn(t.Context(), &dying{w.store, &left}, found, pump.LoadProducersBelow)
		if err != nil {
			if !errors.Is(err, cold.ErrDenied) {
				t.Fatal(err)
			}
			if found, err = w.find(false, 0); err != nil {
				t.Fatalf("after %d puts: %v", puts, err)
			}
			if _, err = w.give(found); err != nil {
				t.Fatalf("after %d puts: %v", puts, err)
			}
		} else if puts < 4 {
			t.Fatalf("it took %d puts", puts)
		}
		w.want("p0", w.log(0), []string{"0-1:0", "1-2:1"})
		s := state(t, w.store)
		for id := range int32(4) {
			c, _ := s.Partition(record.Partition{Topic: w.topic, Index: id})
			for _, x := range c.Extents {
				if _, err := w.store.Stat(t.Context(), x.Object.Name()); err != nil || s.IsGarbage(x.Object) || s.IsGarbage(catalog.Cancelled(x.Object.A)) {
					t.Errorf("after %d puts: %s is needed, and garbage: %v", puts, x.Object, err)
				}
			}
		}
	}
}

// dying is a store that refuses after so many puts.
type dying struct {
	cold.Store
	left *int
}

func (d *dying) PutIfAbsent(ctx context.Context, name string, body cold.Body) error {
	if *d.left--; *d.left < 0 {
		return cold.ErrDenied
	}
	return d.Store.PutIfAbsent(ctx, name, body)
}

// Nothing is given up that can be read, or that nobody can have acknowledged.
func TestSlotsThatAreNotGivenUp(t *testing.T) {
	w := newWreck(t)
	w.put(0, w.slot(0, map[int32]int{0: 1}))
	rotten := w.slot(1, map[int32]int{0: 1})
	rotten[object.HeaderLen+65] ^= 1
	w.put(1, rotten)
	w.put(2, w.slot(2, map[int32]int{0: 1})[:90])
	w.put(4, w.slot(4, map[int32]int{1: 1})[:90])
	w.fence(6)
	for _, x := range []struct {
		name  string
		slots []uint64
		want  error
	}{
		{"a slot that is whole", []uint64{0}, ErrLegible},
		{"a slot whose footer is whole", []uint64{1}, ErrLegible},
		{"a slot behind one that is free", []uint64{2, 4}, ErrBeyond},
		{"a slot that is missing", []uint64{2, 3, 4}, ErrAbsent},
		{"a slot behind the fence", []uint64{2, 3, 4, 5, 7}, ErrFree},
		{"a fence", []uint64{6}, ErrLegible},
	} {
		if _, err := w.find(false, x.slots...); !errors.Is(err, x.want) {
			t.Errorf("%s: %v, want %v", x.name, err, x.want)
		}
	}
	if found, err := w.find(false, 2); err != nil || found.End != 3 {
		t.Errorf("what is damaged, at the end: %+v, %v", found, err)
	}
	if found, err := w.find(true, 2, 3, 4); err != nil || found.End != 5 {
		t.Errorf("what was there, by the operator's word: %+v, %v", found, err)
	}
	w.commit(&catalog.Cover{Session: w.id, To: 1})
	if _, err := w.find(false, 0); !errors.Is(err, ErrUnknown) {
		t.Errorf("a slot below the mark: %v", err)
	}
	next := newWreck(t)
	next.put(0, next.slot(0, map[int32]int{0: 1}))
	if _, err := next.find(true, 1); !errors.Is(err, ErrFree) {
		t.Errorf("the next slot: %v", err)
	}
	if _, err := FindTorn(t.Context(), w.store, state(t, w.store), 99, []uint64{0}, TornOptions{}); !errors.Is(err, catalog.ErrNoSession) {
		t.Errorf("a session that never was: %v", err)
	}
}
