package broker

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
)

// grown is a state with that many partitions in topics of per, all owned by the
// session that it returns.
func grown(t testing.TB, partitions, per int) (*catalog.State, uint64) {
	s := catalog.NewState()
	apply := func(cmds ...catalog.Command) []catalog.Result {
		res := s.Apply(s.Number()+1, cmds)
		for _, r := range res {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
		}
		return res
	}
	apply(&catalog.CreateCluster{ID: "c"})
	id := apply(&catalog.RegisterSession{Node: 1})[0].ID
	owners := make([]uint64, per)
	for i := range owners {
		owners[i] = id
	}
	for n := range partitions / per {
		apply(&catalog.CreateTopic{Name: fmt.Sprint("t", n), ID: record.TopicID{0: 1, 14: byte(n >> 8), 15: byte(n)}, Replicas: 1, Owners: owners})
	}
	return s, id
}

// TestFollowingLooksAtWhatHasChanged: of 100,000 partitions an entry that touches one
// costs one look.
func TestFollowingLooksAtWhatHasChanged(t *testing.T) {
	s, id := grown(t, 100_000, 100)
	looked := 0
	led := map[record.Partition]bool{}
	look := func(p record.Partition) (int32, bool) { looked++; return 0, led[p] }
	take, gone, _ := shifts(s, nil, id, look)
	if len(take) != 100_000 || len(gone) != 0 {
		t.Fatalf("%d to take, %d gone", len(take), len(gone))
	}
	for _, p := range take {
		led[p.ID] = true
	}
	next := func(old *catalog.State, c catalog.Command) *catalog.State {
		s := old.Clone()
		if r := s.Apply(s.Number()+1, []catalog.Command{c}); r[0].Err != nil {
			t.Fatal(r[0].Err)
		}
		return s
	}
	one := take[77].ID
	trimmed := next(s, &catalog.Trim{Items: []catalog.TrimItem{{Partition: one, LogStart: 5}}})
	for _, since := range []*catalog.State{s, nil} {
		if take, gone, cut := shifts(trimmed, since, id, look); len(take)+len(gone) > 0 || len(cut) != 1 || cut[0].ID != one {
			t.Fatalf("%v to take, %v gone, %v cut", take, gone, cut)
		}
	}
	freed := next(s, &catalog.Release{Session: id, Partitions: []record.Partition{one}})
	looked = 0
	if take, gone, _ = shifts(freed, s, id, look); len(take) != 0 || len(gone) != 1 || gone[0] != (pump.Ended{Partition: one}) || looked != 1 {
		t.Fatalf("%v to take, %v gone, %d looks", take, gone, looked)
	}
	delete(led, one)
	if !freed.Orphaned() || s.Orphaned() {
		t.Fatal("a partition without owner is not seen, or one is seen where there is none")
	}
	back := next(freed, &catalog.Take{Session: id, Items: []catalog.TakeItem{{Partition: one, Epoch: 1}}})
	if take, gone, _ = shifts(back, freed, id, look); len(take) != 1 || take[0].ID != one || len(gone) != 0 {
		t.Fatalf("%v to take, %v gone", take, gone)
	}
	led[one] = true // under the epoch before: it was given up, and the pump does not know yet
	if take, gone, _ = shifts(back, freed, id, look); len(take) != 1 || take[0].ID != one || len(gone) != 0 {
		t.Fatalf("%v to take, %v gone", take, gone)
	}
	later := func(record.Partition) (int32, bool) { return 1, true }
	if take, gone, _ = shifts(freed, s, id, later); len(take)+len(gone) != 0 {
		t.Fatalf("an old state takes away a later epoch: %v, %v", take, gone)
	}
	delete(led, one)
	dropped := next(back, &catalog.DeleteTopic{ID: one.Topic})
	if take, gone, _ = shifts(dropped, back, id, look); len(take) != 0 || len(gone) != 99 {
		t.Fatalf("%v to take, %d gone", take, len(gone))
	}
	if bad := dropped.Check(); len(bad) > 0 {
		t.Fatal(bad)
	}
}

// BenchmarkFollowOneEntry is what an entry that covers one partition costs a broker
// that leads them all: to apply, and to follow.
func BenchmarkFollowOneEntry(b *testing.B) {
	for _, c := range [][2]int{{10_000, 100}, {100_000, 100}, {100_000, 10_000}} {
		b.Run(fmt.Sprintf("%d partitions, %d a topic", c[0], c[1]), func(b *testing.B) {
			s, id := grown(b, c[0], c[1])
			p := record.Partition{Topic: record.TopicID{0: 1, 15: 3}, Index: 7}
			led := func(record.Partition) (int32, bool) { return 0, true }
			var apply, follow time.Duration
			slot := uint64(0)
			for b.Loop() {
				began := time.Now()
				next := s.Clone()
				next.Apply(next.Number()+1, []catalog.Command{&catalog.Cover{Session: id, From: slot, To: slot + 1, Extents: []catalog.Located{
					{Partition: p, Extent: catalog.Extent{Base: int64(slot), Next: int64(slot) + 1, Object: catalog.WAL(id, slot), Len: 100}},
				}}})
				slot++
				apply += time.Since(began)
				began = time.Now()
				if take, gone, _ := shifts(next, s, id, led); len(take)+len(gone) > 0 {
					b.Fatal("it follows what it leads")
				}
				follow += time.Since(began)
				s = next
			}
			b.ReportMetric(float64(apply.Microseconds())/float64(b.N), "apply-µs")
			b.ReportMetric(float64(follow.Microseconds())/float64(b.N), "follow-µs")
		})
	}
}

// A partition that is opened because somebody asked for it, and deleted meanwhile, is led no
// more as soon as that is heard of: also when the states that were followed have it in
// neither, or are ahead of the one that it was opened as of.
func TestWhatIsAskedForAndDeletedIsLedNoMore(t *testing.T) {
	for _, ahead := range []bool{false, true} {
		t.Run(fmt.Sprint("followed meanwhile: ", ahead), func(t *testing.T) {
			h := newHeir(t)
			ctx := t.Context()
			if err := h.takeOver(ctx); err != nil {
				t.Fatal(err)
			}
			f := follower{turn: make(chan struct{}, 1)}
			follow := func() {
				t.Helper()
				if err := f.follow(ctx, h.session, time.Now(), func() {}); err != nil {
					t.Fatal(err)
				}
			}
			follow()
			mine, _ := h.pump.Session()
			h.commit(&catalog.CreateTopic{Name: "t", ID: h.id.Topic, Replicas: 1, Owners: []uint64{mine.ID}})
			gone := func() {
				h.commit(&catalog.DeleteTopic{ID: h.id.Topic})
				follow()
			}
			if ahead {
				h.producers = func(context.Context, cold.Store, *catalog.State, ...record.Partition) (map[record.Partition][]ingest.Producer, error) {
					gone()
					return nil, nil
				}
			}
			newSettling(h.journal.Journal, h.session).own(ctx, []record.Partition{h.id})
			if !ahead {
				if _, led := h.led(h.id); !led {
					t.Fatal("what was asked for is not led")
				}
				gone()
			}
			if _, led := h.led(h.id); led {
				t.Error("it is deleted and led")
			}
		})
	}
}
