package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/replay/salvage"
	"github.com/firnlog/firn/tier/cold"
)

func entryName(n uint64) string { return fmt.Sprintf("%s%020d", journal.PrefixEntries, n) }

// recover does what firn catalog recover --yes does.
func (w *world) recover(wishes salvage.Wishes) (salvage.Inventory, salvage.Plan) {
	w.t.Helper()
	var o salvage.Options
	inv, err := salvage.Take(w.t.Context(), w.store, o)
	if errors.Is(err, salvage.ErrClusterID) {
		o.ClusterID = "the-cluster"
		inv, err = salvage.Take(w.t.Context(), w.store, o)
	}
	if err == nil && inv.Whole {
		w.t.Fatal("it says that nothing is lost")
	}
	var p salvage.Plan
	if err == nil {
		p, err = salvage.Make(inv, wishes)
	}
	if err == nil {
		err = salvage.End(w.t.Context(), w.store, p.Fences)
	}
	if err == nil {
		inv, err = salvage.Take(w.t.Context(), w.store, o)
	}
	if err == nil {
		p, err = salvage.Make(inv, wishes)
	}
	if err == nil {
		err = salvage.Write(w.t.Context(), w.store, p)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return inv, p
}

// TestACatalogIsRebuiltFromWhatIsLeft: whatever is lost of the journal, afterwards the
// bucket is sound, a broker can begin on it, and every record that lies in it is in the
// log again.
func TestACatalogIsRebuiltFromWhatIsLeft(t *testing.T) {
	names := salvage.Wishes{Names: map[record.TopicID]salvage.Name{{1}: {Topic: "t"}, {2}: {Topic: "__consumer_offsets"}}}
	full := map[string][2]int64{"t-0": {0, 20}, "t-1": {0, 20}, "__consumer_offsets-0": {0, 2}}
	type loss struct {
		name string
		do   func(w *world)
		want map[string][2]int64
		lost []string // stretches that are said to be lost
		says string   // among what is unknown
	}
	losses := []loss{
		{name: "an entry in the middle, behind the snapshot", do: func(w *world) { w.remove(entryName(15)) }, says: "entry 15 of the journal is lost"},
		{name: "an entry that is damaged", do: func(w *world) { w.flip(entryName(15), 50) }, says: "entry 15"},
		{name: "the side object of an entry", do: func(w *world) { w.remove(w.names()["side object"]) }, says: "entry 14"},
		{name: "the newest boundary damaged", do: func(w *world) { w.flip(w.names()["boundary"], 44) }},
		{name: "snapshots and the entry between them", do: func(w *world) {
			w.remove(w.names()["snapshot"])
			w.remove(entryName(12))
		}, says: "entry 12"},
		{name: "all snapshots", do: func(w *world) {
			w.remove(w.names()["snapshot"])
			w.remove(w.names()["named snapshot"])
		}, says: "entries 1 to 5 of the journal are lost"},
		{name: "all snapshots and the boundary", do: func(w *world) {
			for _, n := range []string{"snapshot", "named snapshot", "boundary"} {
				w.remove(w.names()[n])
			}
		}},
		{name: "the whole catalog", do: func(w *world) {
			for i := range w.store.List(w.t.Context(), journal.PrefixAll, "") {
				w.remove(i.Name)
			}
		}, says: "behind 1 nothing is known"},
		{name: "a sealed object with the journal", do: func(w *world) {
			w.remove(entryName(15))
			w.remove(w.names()["sealed object"])
		}}, // slot 0, which waits to be swept, holds the same runs
		{name: "a slot in the middle with the journal", do: func(w *world) {
			w.remove(entryName(15))
			w.remove(catalog.WAL(2, 2).Name())
		}, lost: []string{"t-1 [5, 10)"}},
		{name: "a segment at the front with the journal", do: func(w *world) {
			w.remove(entryName(15))
			w.remove(w.names()["listed segment"])
			w.remove(w.names()["waiting slot"])
		}, want: map[string][2]int64{"t-0": {5, 20}, "t-1": {0, 20}, "__consumer_offsets-0": {0, 2}}, lost: []string{"t-0 [0, 5)"}},
		{name: "a live slot that is damaged", do: func(w *world) {
			w.remove(entryName(15))
			w.flip(catalog.WAL(w.b, 0).Name(), -1)
		}, lost: []string{"t-0 [10, 15)", "t-1 [10, 15)"}},
	}
	for n := uint64(6); n <= 16; n++ {
		losses = append(losses, loss{name: fmt.Sprintf("snapshots and all entries from %d on", n), do: func(w *world) {
			w.remove(w.names()["snapshot"])
			w.remove(w.names()["named snapshot"])
			for k := n; k <= 16; k++ {
				w.remove(entryName(k))
			}
		}})
		if n > 13 {
			losses = append(losses, loss{name: fmt.Sprintf("entries from %d on, and a trace of them", n), do: func(w *world) {
				for k := n; k <= 16; k++ {
					w.remove(entryName(k))
				}
				w.wal(16, 0, 1) // a session that entry 16 registered, says its name
			}})
		}
	}
	for _, c := range losses {
		t.Run(c.name, func(t *testing.T) {
			w := build(t, lies{})
			c.do(w)
			before := map[string]int64{}
			for i := range w.store.List(t.Context(), "", "") {
				before[i.Name] = i.Size
			}
			inv, p := w.recover(names)
			for name, size := range before {
				if i, err := w.store.Stat(t.Context(), name); err != nil || i.Size != size {
					t.Errorf("%s was overwritten or deleted", name)
				}
			}
			if c.says != "" && !strings.Contains(strings.Join(p.Unknown, "\n"), c.says) {
				t.Errorf("it does not say %q: %q", c.says, p.Unknown)
			}
			var lost []string
			for _, x := range append(p.Lost, p.Raised...) {
				lost = append(lost, fmt.Sprintf("%s-%d [%d, %d)", x.Topic, x.Partition, x.From, x.To))
			}
			if slices.Sort(lost); !slices.Equal(lost, c.lost) {
				t.Errorf("lost %q, want %q", lost, c.lost)
			}
			r, err := Run(t.Context(), w.store, Options{})
			if err != nil || len(r.Findings) > 0 {
				t.Fatalf("%v %+v", err, r.Findings)
			}
			want := c.want
			if want == nil {
				want = full
			}
			w.with(journal.Options{}, func(j *journal.Journal) {
				s := j.State()
				if s.Number() != p.Number || s.Number() <= inv.Top || s.ClusterID() == "" {
					t.Errorf("it goes on at entry %d of cluster %q", s.Number(), s.ClusterID())
				}
				for _, x := range s.Topics() {
					for _, p := range x.Partitions {
						name := fmt.Sprintf("%s-%d", x.Name, p.ID.Index)
						if got := [2]int64{p.LogStart, p.Next}; got != want[name] {
							t.Errorf("%s: offsets %d, want %d", name, got, want[name])
						}
						if p.Owner != 0 || p.Epoch < 1000 {
							t.Errorf("%s: owner %d, epoch %d", name, p.Owner, p.Epoch)
						}
					}
				}
				if len(s.Topics()) != 2 {
					t.Errorf("%d topics", len(s.Topics()))
				}
				id := w.commit(j, &catalog.RegisterSession{}).ID
				if id != p.Number+1 {
					t.Errorf("the next session is %d", id)
				}
			})
			inv, err = salvage.Take(t.Context(), w.store, salvage.Options{})
			if err != nil || !inv.Whole {
				t.Errorf("afterwards: %v, whole %v: %s", err, inv.Whole, inv.Why)
			}
		})
	}
}

// TestRecoveryThatIsInterruptedIsDoneAgain at every put of its.
func TestRecoveryThatIsInterruptedIsDoneAgain(t *testing.T) {
	for puts := range 6 {
		w := build(t, lies{})
		w.remove(entryName(15))
		w.remove(catalog.WAL(2, 2).Name()) // needs a filler
		ctx, die := context.WithCancel(t.Context())
		s := &dying{Store: w.store, left: puts, die: die}
		o := salvage.Options{}
		err := func() error {
			inv, err := salvage.Take(ctx, s, o)
			if err != nil {
				return err
			}
			p, err := salvage.Make(inv, salvage.Wishes{})
			if err != nil {
				return err
			}
			if err := salvage.End(ctx, s, p.Fences); err != nil {
				return err
			}
			if inv, err = salvage.Take(ctx, s, o); err != nil {
				return err
			}
			if p, err = salvage.Make(inv, salvage.Wishes{}); err != nil {
				return err
			}
			return salvage.Write(ctx, s, p)
		}()
		die()
		if (err == nil) != (puts >= 4) { // a fence, a filler, the boundary, the snapshot
			t.Fatalf("%d puts: %v", puts, err)
		}
		if err != nil {
			// Its fillers lie there already, and what they stand for is lost all the same.
			if _, p := w.recover(salvage.Wishes{}); len(p.Lost) != 1 || p.Lost[0].From != 5 || p.Lost[0].To != 10 {
				t.Errorf("%d puts, and again: lost %v", puts, p.Lost)
			}
		}
		r, err := Run(t.Context(), w.store, Options{})
		if err != nil || len(r.Findings) > 0 {
			t.Errorf("%d puts: %v %+v", puts, err, r.Findings)
		}
	}
}

func TestRecoverySaysWhatItCannotDo(t *testing.T) {
	w := build(t, lies{})
	inv, err := salvage.Take(t.Context(), w.store, salvage.Options{})
	if err != nil || !inv.Whole {
		t.Errorf("a whole catalog: %v %s", err, inv.Why)
	}
	w.remove(w.names()["snapshot"])
	w.remove(w.names()["named snapshot"])
	if _, err := salvage.Take(t.Context(), w.store, salvage.Options{}); err == nil || !strings.Contains(err.Error(), "id of the cluster is lost") {
		t.Errorf("without the id of the cluster: %v", err)
	}
	// Names that are lost are not invented.
	_, p := w.recover(salvage.Wishes{Names: map[record.TopicID]salvage.Name{{2}: {Topic: "__consumer_offsets", Partitions: 50}}})
	if len(p.Topics) != 2 || p.Topics[0].Name != "recovered-"+(record.TopicID{1}).String() || p.Topics[0].Named || !p.Topics[1].Named || p.Topics[0].Partitions != 2 || p.Topics[1].Partitions != 50 || p.State.PartitionCount() != 52 {
		t.Errorf("%+v", p.Topics)
	}
	// Somebody writes.
	w = build(t, lies{})
	w.remove(entryName(15))
	m := &meddler{Store: w.store, name: entryName(16), do: func() { w.wal(w.b, 2, 1, run{w.t0, 20, 1}) }}
	inv, err = salvage.Take(t.Context(), m, salvage.Options{Watch: time.Nanosecond})
	if err != nil || !slices.Equal(inv.Alive, []uint64{w.b}) {
		t.Errorf("alive: %v %v", err, inv.Alive)
	}
	// A topic that was deleted while the journal was whole stays deleted.
	w = build(t, lies{})
	w.with(journal.Options{}, func(j *journal.Journal) {
		w.commit(j, &catalog.DeleteTopic{ID: record.TopicID{1}}) // 17
		time.Sleep(time.Millisecond)
		w.commit(j, &catalog.ProducerIDs{Count: 1}) // 18
		w.commit(j, &catalog.ProducerIDs{Count: 1}) // 19
	})
	w.remove(entryName(18))
	if _, p := w.recover(salvage.Wishes{}); len(p.Topics) != 0 {
		t.Errorf("a deleted topic is there again: %+v", p.Topics)
	}
	for i := range w.store.List(t.Context(), "", "") {
		w.remove(i.Name)
	}
	if _, err := salvage.Take(t.Context(), w.store, salvage.Options{}); err == nil || !strings.Contains(err.Error(), "nothing of a cluster") {
		t.Errorf("an empty bucket: %v", err)
	}
}

// dying is a store whose caller dies at a put.
type dying struct {
	cold.Store
	left int
	die  func()
}

func (d *dying) PutIfAbsent(ctx context.Context, name string, body cold.Body) error {
	if d.left == 0 {
		d.die()
		return ctx.Err()
	}
	d.left--
	return d.Store.PutIfAbsent(ctx, name, body)
}
