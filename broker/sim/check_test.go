package sim

import (
	"testing"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
)

// A tombstone that was not acknowledged may take an acknowledged record with it and go
// before anybody has seen it. It is believed only where there can have been one.
func TestARecordIsMissedUnlessATombstoneCanHaveTakenIt(t *testing.T) {
	const stay = 10 * time.Second
	id := record.Partition{Topic: record.TopicID{1}}
	of := &topic{name: "t", compacted: true, graves: stay}
	s := catalog.NewState()
	for _, c := range []catalog.Command{
		&catalog.CreateCluster{ID: "c"},
		&catalog.RegisterSession{Nonce: [16]byte{1}, Node: 1},
		&catalog.CreateTopic{Name: of.name, ID: id.Topic, Replicas: 1, Owners: []uint64{2}},
		&catalog.SealSession{Session: 2, Fence: 1, Extents: []catalog.Located{{Partition: id, Extent: catalog.Extent{Base: 0, Next: 4, Object: catalog.WAL(2, 0), Len: 1}}}},
	} {
		if r := s.Apply(s.Number()+1, []catalog.Command{c}); r[0].Err != nil {
			t.Fatal(r[0].Err)
		}
	}
	for _, c := range []struct {
		name   string
		change func(m *model, at map[int64]string)
		fine   bool
	}{
		{name: "a tombstone above, unseen and old enough", fine: true},
		{name: "no tombstone", change: func(m *model, _ map[int64]string) { m.graves = nil }},
		{name: "a tombstone of another key", change: func(m *model, _ map[int64]string) { m.graves = map[string][]time.Time{"j": m.graves["h"]} }},
		{name: "a tombstone before it", change: func(m *model, _ map[int64]string) { m.sentAt["v"] = begin.Add(2 * time.Second) }},
		{name: "a tombstone that is to be there still", change: func(m *model, _ map[int64]string) { m.graves["h"][0] = begin.Add(6 * time.Second) }},
		{name: "all above is known: it is there", change: func(_ *model, at map[int64]string) { at[2] = "x" }},
		{name: "all above is known: it was acknowledged", change: func(m *model, _ map[int64]string) { m.acked[2], m.seen[2] = "x", "x" }},
		{name: "all above is known: acks=1 has acknowledged it", change: func(m *model, _ map[int64]string) { m.loose = []loose{{offset: 2, value: "x", at: 1}} }},
		{name: "older records of the key outlive it", change: func(m *model, at map[int64]string) { at[0], m.keys["u"] = "u", "h" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(1)
			w.topics, w.now = []*topic{of}, begin.Add(15*time.Second)
			m := newModel()
			w.model[id] = m
			m.keys["v"], m.keys[tombstone([]byte("h"))] = "h", "h"
			m.sent(begin, []string{"v"})
			m.sent(begin.Add(time.Second), []string{tombstone([]byte("h"))})
			w.acked(id, 1, "v")
			at := map[int64]string{3: "w"}
			if c.change != nil {
				c.change(m, at)
			}
			if got := w.superseded(s, id, at, 1, "v"); got != c.fine {
				t.Errorf("accepted: %v", got)
			}
		})
	}
}
