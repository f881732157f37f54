package broker

import (
	"fmt"
	"testing"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
)

// racks is a state with one live session in each of some racks, and their ids.
func racks(t testing.TB, names ...string) (*catalog.State, []uint64) {
	s := catalog.NewState()
	s.Apply(1, []catalog.Command{&catalog.CreateCluster{ID: "c"}})
	var ids []uint64
	for i, r := range names {
		res := s.Apply(s.Number()+1, []catalog.Command{&catalog.RegisterSession{Node: int32(i), Rack: r}})
		if res[0].Err != nil {
			t.Fatal(res[0].Err)
		}
		ids = append(ids, res[0].ID)
	}
	return s, ids
}

func create(t testing.TB, s *catalog.State, n byte, owners []uint64) record.TopicID {
	id := record.TopicID{0: 1, 15: n}
	c := &catalog.CreateTopic{Name: fmt.Sprint("t", n), ID: id, Replicas: 1, Owners: owners}
	if r := s.Apply(s.Number()+1, []catalog.Command{c}); r[0].Err != nil {
		t.Fatal(r[0].Err)
	}
	return id
}

// TestNewTopicsAreSpreadOverRacks: also those that are created together.
func TestNewTopicsAreSpreadOverRacks(t *testing.T) {
	s, heirs := racks(t, "a", "a", "b", "b")
	owned := map[uint64]int{}
	for _, owners := range share(s, heirs, []wanted{{record.TopicID{1}, 2}, {record.TopicID{2}, 2}, {record.TopicID{3}, 2}, {record.TopicID{4}, 2}}, true) {
		in := map[string]int{}
		for _, id := range owners {
			v, _ := s.Session(id)
			in[v.Rack]++
			owned[id]++
		}
		if in["a"] != 1 || in["b"] != 1 {
			t.Errorf("a topic of two partitions has %v", in)
		}
	}
	for _, id := range heirs {
		if owned[id] != 2 {
			t.Errorf("%v: an even share is 2", owned)
		}
	}
}

// TestAFlappingBrokerMovesNothing: only when the brokers have been the same for a while
// is anything given away, and then no more than an even share needs.
func TestAFlappingBrokerMovesNothing(t *testing.T) {
	s, ids := racks(t, "a", "b")
	owners := make([]uint64, 100)
	for i := range owners {
		owners[i] = ids[0]
	}
	create(t, s, 1, owners)
	var even balance
	now := time.Unix(0, 0)
	for i := range 100 {
		now = now.Add(steady - time.Millisecond)
		heirs := ids[:1+i%2]
		if ps := even.surplus(s, heirs, ids[0], now); len(ps) > 0 {
			t.Fatalf("%d partitions move while a broker flaps", len(ps))
		}
	}
	even.surplus(s, ids, ids[0], now)
	now = now.Add(steady)
	if ps := even.surplus(s, ids, ids[1], now); len(ps) != 0 {
		t.Fatalf("a broker that has nothing gives %d", len(ps))
	}
	if ps := even.surplus(s, ids, ids[0], now); len(ps) != 50 {
		t.Fatalf("%d move, want 50", len(ps))
	}
	if ps := even.surplus(s, ids, ids[0], now.Add(steady/2)); len(ps) != 0 {
		t.Fatalf("%d more at once", len(ps))
	}
}

// A broker that rotates its session, as one does every few seconds where much is written, is
// the same as before: what is uneven is evened out all the same, and a broker whose new
// session has nothing yet is not taken for empty.
func TestRotationsKeepNothingFromItsPlace(t *testing.T) {
	s, ids := racks(t, "a", "b", "c", "d")
	owners := make([]uint64, 100)
	for i := range owners {
		owners[i] = ids[i%2]
	}
	topic := create(t, s, 1, owners)
	apply := func(cmds ...catalog.Command) []catalog.Result {
		s = s.Clone()
		res := s.Apply(s.Number()+1, cmds)
		for _, r := range res {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
		}
		return res
	}
	var even balance
	now := time.Unix(0, 0)
	moves := 0
	for tick := range 60 {
		now = now.Add(time.Second)
		node := tick % 4
		old := ids[node]
		ids[node] = apply(&catalog.RegisterSession{Node: int32(node)})[0].ID
		heirs := append([]uint64{}, ids...)
		if node == 1 { // between the two entries of its rotation
			if got := share(s, heirs, []wanted{{topic, 4}, {record.TopicID{9}, 2}}, false); fmt.Sprint(got) != fmt.Sprint([][]uint64{{ids[2], ids[3], ids[2], ids[3]}, {ids[2], ids[3]}}) && moves == 0 {
				t.Fatalf("orphans go to %v, of %v", got, ids)
			}
		}
		apply(&catalog.Move{Old: old, New: ids[node]})
		if ps := even.surplus(s, heirs, ids[0], now); len(ps) > 0 {
			if moves++; len(ps) != 25 {
				t.Fatalf("%d partitions move, want 25", len(ps))
			}
			items := make([]catalog.TakeItem, len(ps))
			for i, id := range ps {
				p, _ := s.Partition(id)
				items[i] = catalog.TakeItem{Partition: id, Epoch: p.Epoch + 1}
			}
			apply(&catalog.Release{Session: ids[0], Partitions: ps}, &catalog.Take{Session: ids[2], Items: items})
		}
	}
	if moves != 1 {
		t.Errorf("a broker that has twice its share gives of it %d times in a minute, want once", moves)
	}
}

// Where nobody is there to have them, new partitions are nobody's until somebody is.
func TestWithoutHeirsPartitionsAreNobodys(t *testing.T) {
	s, _ := racks(t)
	owners := share(s, nil, []wanted{{record.TopicID{1}, 3}}, true)
	if fmt.Sprint(owners) != "[[0 0 0]]" {
		t.Fatalf("%v", owners)
	}
	create(t, s, 1, owners[0])
}
