package press

import (
	"bytes"
	"testing"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/replay"
	"github.com/firnlog/firn/replay/audit"
)

// TestToolsFindTheBucketAsItIs: whatever brokers are at, live, dead or zombies, an audit has
// no finding, and a replay delivers what was acknowledged: of topics that are not compacted
// every record, of the others the newest of each key, unless it is an old tombstone.
func TestToolsFindTheBucketAsItIs(t *testing.T) {
	seeds := *simSeeds
	if testing.Short() {
		seeds = 8
	}
	delivered := 0
	for seed := uint64(1); seed <= seeds; seed++ {
		w := newWorld(seed, sound)
		w.brokers[0].boot(true)
		for range 20 + w.rng.IntN(300) {
			w.act()
		}
		if err := journal.Begin(t.Context(), w.bucket, w.state, [16]byte{99}, journal.Options{}); err != nil {
			t.Fatal(err)
		}
		r, err := audit.Run(t.Context(), w.bucket, audit.Options{})
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		for _, f := range r.Findings {
			t.Errorf("seed %d: %s: %s", seed, f.Where, f.What)
		}
		for _, topic := range w.state.Topics() {
			h, err := replay.Open(t.Context(), w.bucket, topic.Name, replay.Options{})
			if err != nil {
				t.Errorf("seed %d: %v", seed, err)
				continue
			}
			spans, err := h.Resolve(t.Context(), replay.Choice{To: replay.End()})
			if err != nil {
				t.Errorf("seed %d: %v", seed, err)
				continue
			}
			got := make([]map[int64]bool, len(topic.Partitions))
			next := make([]int64, len(topic.Partitions))
			for i := range got {
				got[i] = map[int64]bool{}
			}
			_, err = h.Replay(t.Context(), spans, replay.How{}, func(x *replay.Record) error {
				delivered++
				want := w.model[record.Partition{Topic: topic.ID, Index: x.Partition}].records[x.Offset]
				if x.Offset < next[x.Partition] || !bytes.Equal(x.Key, want.key) || !bytes.Equal(x.Value, want.value) || x.Timestamp != want.ts {
					t.Errorf("seed %d: %s-%d, offset %d is %q=%q, want %q=%q", seed, topic.Name, x.Partition, x.Offset, x.Key, x.Value, want.key, want.value)
				}
				next[x.Partition] = x.Offset + 1
				got[x.Partition][x.Offset] = true
				return nil
			})
			if err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
			at := 1_000_000 + w.rng.Int64N(w.now.UnixMilli()-1_000_000+2)
			times, err := h.Resolve(t.Context(), replay.Choice{From: replay.Time(at), To: replay.End()})
			if err != nil {
				t.Errorf("seed %d: %v", seed, err)
				continue
			}
			for i, p := range topic.Partitions {
				m := w.model[p.ID]
				first := p.LogStart
				for first < int64(len(m.records)) && (m.records[first].ts < at || !got[i][first]) {
					first++
				}
				if times[i].From != first {
					t.Errorf("seed %d: %s-%d: the first record at %d is at offset %d, want %d", seed, topic.Name, i, at, times[i].From, first)
				}
				if spans[i].From != p.LogStart || spans[i].To != int64(len(m.records)) {
					t.Errorf("seed %d: %s-%d has offsets [%d, %d), want [%d, %d)", seed, topic.Name, i, spans[i].From, spans[i].To, p.LogStart, len(m.records))
				}
				newest := map[string]int64{}
				for o := p.LogStart; o < int64(len(m.records)); o++ {
					newest[string(m.records[o].key)] = o
				}
				for o := p.LogStart; o < int64(len(m.records)); o++ {
					x := m.records[o]
					if !got[i][o] && (!m.compact || newest[string(x.key)] == o && (x.value != nil || x.ts >= w.now.UnixMilli()-5000)) {
						t.Errorf("seed %d: %s-%d, offset %d is not delivered", seed, topic.Name, i, o)
					}
				}
			}
		}
	}
	if delivered < 100 {
		t.Errorf("%d records: the test tests nothing", delivered)
	}
}

// TestToolsFindEveryDamage: a byte of any run that the log needs, or any object, damaged or
// gone: an audit has a finding, and a replay ends with an error and delivers nothing wrong.
func TestToolsFindEveryDamage(t *testing.T) {
	seeds := *simSeeds
	if testing.Short() {
		seeds = 8
	}
	for seed := uint64(1); seed <= seeds; seed++ {
		w := newWorld(seed, sound)
		w.brokers[0].boot(true)
		for range 20 + w.rng.IntN(300) {
			w.act()
		}
		if err := journal.Begin(t.Context(), w.bucket, w.state, [16]byte{99}, journal.Options{}); err != nil {
			t.Fatal(err)
		}
		var runs []catalog.Located
		names := map[record.TopicID]string{}
		for _, topic := range w.state.Topics() {
			names[topic.ID] = topic.Name
			for _, p := range topic.Partitions {
				xs, err := all(w.bucket, p)
				if err != nil {
					t.Fatal(err)
				}
				for _, x := range xs {
					if x.Next > p.LogStart {
						runs = append(runs, catalog.Located{Partition: p.ID, Extent: x})
					}
				}
			}
		}
		if len(runs) == 0 {
			continue
		}
		x := runs[w.rng.IntN(len(runs))]
		name := x.Object.Name()
		if w.rng.IntN(4) == 0 {
			_ = w.bucket.Delete(t.Context(), name)
		} else {
			w.bucket.Corrupt(name, int(x.Pos+w.rng.Int64N(x.Len)))
		}
		r, err := audit.Run(t.Context(), w.bucket, audit.Options{})
		if err != nil || len(r.Findings) == 0 {
			t.Errorf("seed %d: %s is damaged in %s at [%d, %d): %v, %d findings", seed, name, x.Partition, x.Base, x.Next, err, len(r.Findings))
		}
		h, err := replay.Open(t.Context(), w.bucket, names[x.Partition.Topic], replay.Options{})
		if err != nil {
			continue // it is a slot that the catalog does not describe yet
		}
		spans, err := h.Resolve(t.Context(), replay.Choice{Partitions: []int32{x.Partition.Index}, To: replay.End()})
		if err == nil {
			_, err = h.Replay(t.Context(), spans, replay.How{}, func(y *replay.Record) error {
				if want := w.model[x.Partition].records[y.Offset]; !bytes.Equal(y.Key, want.key) || !bytes.Equal(y.Value, want.value) {
					t.Errorf("seed %d: offset %d is %q=%q, want %q=%q", seed, y.Offset, y.Key, y.Value, want.key, want.value)
				}
				return nil
			})
		}
		if err == nil {
			t.Errorf("seed %d: %s is damaged in %s at [%d, %d), and replayed", seed, name, x.Partition, x.Base, x.Next)
		}
	}
}
