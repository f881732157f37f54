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
