package salvage

import (
	"errors"
	"slices"
	"testing"

	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/object"
)

// What the disk of a broker still has of a slot is put in its place: nothing is lost but what
// is damaged there, too, no log has a gap, and producers are known that sent it.
func TestWhatADiskStillHasOfASlotIsKept(t *testing.T) {
	w := newWreck(t)
	w.put(0, w.slot(0, map[int32]int{0: 1}))
	held := func(p int32, base int64, sequence int32) Held {
		b := record.Builder{HasProducer: true, Template: record.Header{ProducerID: 50, BaseSequence: sequence}}
		b.Add(1, nil, []byte("held"))
		batch, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		record.Rebase(batch, base, 0)
		return Held{Partition: record.Partition{Topic: w.topic, Index: p}, Base: base, Next: base + 1, Batch: batch}
	}
	rotten := held(1, 1, 4)
	rotten.Batch = nil
	was := map[uint64][]Held{1: {held(1, 0, 3), rotten, held(1, 2, 5), held(0, 1, 0), held(0, 2, 1)}}
	w.put(1, w.slot(1, map[int32]int{0: 2, 1: 3})[:90])
	find := func(held map[uint64][]Held) (Torn, error) {
		return FindTorn(t.Context(), w.store, state(t, w.store), w.id, []uint64{1}, TornOptions{Held: held})
	}
	if _, err := find(map[uint64][]Held{1: {held(0, 1, 0), held(0, 3, 1)}}); !errors.Is(err, errHeld) {
		t.Errorf("batches with a gap: %v", err)
	}
	if _, err := find(map[uint64][]Held{1: {held(0, 2, 0)}}); err == nil {
		t.Error("batches that do not continue the log are taken for the slot's")
	}
	found, err := find(was)
	if err != nil || len(found.Lost) != 1 || len(found.Kept) != 3 || len(found.Blind) != 0 {
		t.Fatalf("%+v, %v", found, err)
	}
	if _, err := w.give(found); err != nil {
		t.Fatal(err)
	}
	w.want("p0", w.log(0), []string{"0-1:1", "1-3:2"})
	w.want("p1", w.log(1), []string{"0-1:1", "1-2:0", "2-3:1"})
	w.want("p2", w.log(2), []string{})
	w.want("producers of p0", w.producers(0, 3), []int64{10, 50})
	w.want("producers of p1", w.producers(1, 3), []int64{50})
	for _, err := range state(t, w.store).Check() {
		t.Error(err)
	}
}

// Producers are known behind batches as whoever appends them knows them.
func TestProducersBehindBatches(t *testing.T) {
	batch := func(id int64, epoch int16, sequence int32, base int64) record.Header {
		return record.Header{ProducerID: id, ProducerEpoch: epoch, BaseSequence: sequence, BaseOffset: base, LastOffsetDelta: 1}
	}
	before := []object.Producer{{ID: 1, TxnStart: -1, Batches: []object.Produced{{FirstSequence: 0, LastSequence: 1, Base: 0, Last: 1}}}, {ID: 2, Epoch: 3, TxnStart: -1, Batches: []object.Produced{{}}}}
	kept := slices.Clone(before[0].Batches)
	var sent []record.Header
	for i := range int32(5) {
		sent = append(sent, batch(1, 0, 2+2*i, int64(10+2*i)))
	}
	sent = append(sent, batch(-1, -1, -1, 20), batch(2, 4, 0, 22), batch(3, 0, 7, 24))
	got := appended(before, sent, 99)
	if len(got) != 3 || got[0].ID != 1 || len(got[0].Batches) != 5 || got[0].Batches[0].FirstSequence != 2 || got[0].Batches[4] != (object.Produced{FirstSequence: 10, LastSequence: 11, Base: 18, Last: 19}) {
		t.Errorf("%+v", got)
	}
	if p := got[1]; p.ID != 2 || p.Epoch != 4 || len(p.Batches) != 1 || p.Batches[0].Base != 22 || p.TimestampMs != 99 {
		t.Errorf("a new epoch: %+v", p)
	}
	if p := got[2]; p.ID != 3 || p.TxnStart != -1 || len(p.Batches) != 1 {
		t.Errorf("a new producer: %+v", p)
	}
	if !slices.Equal(before[0].Batches, kept) {
		t.Error("what was known before was changed")
	}
}
