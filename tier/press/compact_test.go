package press

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
)

// TestCompactionKeepsTheNewestOfEachKey compacts random logs, again and again, and
// compares what is left with what a map would hold.
func TestCompactionKeepsTheNewestOfEachKey(t *testing.T) { // kafka semantics 52
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 3))
		type rec struct {
			offset int64
			value  []byte
			ts     int64
		}
		model := map[string]rec{}
		var rs []sealedRun
		next := int64(0)
		for e := range int32(1 + rng.IntN(3)) {
			r := sealedRun{Extent: catalog.Extent{Base: next, Epoch: e}}
			for range 1 + rng.IntN(8) {
				b := record.Builder{Codec: record.Codec(rng.IntN(5))}
				if rng.IntN(3) == 0 {
					b.HasProducer, b.Template = true, record.Header{ProducerID: 5, BaseSequence: int32(next)}
				}
				n := 1 + rng.IntN(6)
				for i := range n {
					k := fmt.Sprint("k", rng.IntN(6))
					var v []byte
					if rng.IntN(4) > 0 {
						v = fmt.Appendf(nil, "v%d", next+int64(i))
					}
					ts := int64(rng.IntN(1000))
					b.Add(ts, []byte(k), v)
					model[k] = rec{next + int64(i), v, ts}
				}
				x, err := b.Build()
				if err != nil {
					t.Fatal(err)
				}
				record.Rebase(x, next, e)
				next += int64(n)
				r.bytes = append(r.bytes, x...)
			}
			r.Next = next
			rs = append(rs, r)
		}
		const since = 500
		for pass := range 2 {
			got := map[string]rec{}
			at := int64(0)
			var out []sealedRun
			err := rewrite(rs, since, func(epoch int32, batch []byte) error {
				h, err := record.ParseHeader(batch)
				if err != nil {
					return err
				}
				if h.BaseOffset != at {
					t.Fatalf("seed %d: a batch begins at %d, want %d", seed, h.BaseOffset, at)
				}
				if record.CRC(batch) != h.CRC || h.LeaderEpoch != epoch && h.ProducerID < 0 {
					t.Fatalf("seed %d: batch at %d: CRC or epoch %d is wrong", seed, at, h.LeaderEpoch)
				}
				at = h.NextOffset()
				it := record.Iterate(h, batch, new(record.Decoder))
				for it.Next() {
					k := string(it.Record.Key)
					if _, twice := got[k]; twice {
						t.Fatalf("seed %d: %s is there twice", seed, k)
					}
					got[k] = rec{it.Offset(), bytes.Clone(it.Record.Value), it.Timestamp()}
				}
				if n := len(out); n == 0 || out[n-1].Epoch != epoch {
					out = append(out, sealedRun{Extent: catalog.Extent{Epoch: epoch}})
				}
				out[len(out)-1].bytes = append(out[len(out)-1].bytes, batch...)
				return it.Err()
			})
			if err != nil {
				t.Fatalf("seed %d pass %d: %v", seed, pass, err)
			}
			if at != next {
				t.Fatalf("seed %d: the log ends at %d, want %d: consumers would wait for ever", seed, at, next)
			}
			for k, m := range model {
				g, ok := got[k]
				if gone := m.value == nil && m.ts < since; gone {
					if ok {
						t.Fatalf("seed %d: an old tombstone of %s stays", seed, k)
					}
					continue
				}
				if !ok || g.offset != m.offset || !bytes.Equal(g.value, m.value) || g.ts != m.ts {
					t.Fatalf("seed %d pass %d: %s is %+v, want %+v", seed, pass, k, g, m)
				}
			}
			rs = out
		}
	}
}

func TestCompactionBeginsWhenHalfIsDirty(t *testing.T) {
	x := func(o catalog.ObjectRef, n int64) catalog.Extent { return catalog.Extent{Object: o, Len: n} }
	for _, c := range []struct {
		extents []catalog.Extent
		want    int
	}{
		{nil, 0},
		{[]catalog.Extent{x(catalog.Seg(1, 0), 10)}, 0},
		{[]catalog.Extent{x(catalog.Seg(1, 0), 10), x(catalog.Seg(2, 0), 5)}, 0},
		{[]catalog.Extent{x(catalog.Seg(1, 0), 10), x(catalog.Seg(2, 0), 5), x(catalog.Seg(3, 0), 5)}, 3},
		{[]catalog.Extent{x(catalog.Seg(1, 0), 5), x(catalog.Seg(1, 0), 5), x(catalog.Seg(2, 0), 9)}, 0},
		{[]catalog.Extent{x(catalog.Seg(1, 0), 5), x(catalog.Seg(2, 0), 9), x(catalog.WAL(1, 0), 9)}, 2},
		{[]catalog.Extent{x(catalog.WAL(1, 0), 9), x(catalog.Seg(2, 0), 9)}, 0},
	} {
		if got := len(Dirty(&catalog.Partition{Extents: c.extents}, 100)); got != c.want {
			t.Errorf("%v: %d extents, want %d", c.extents, got, c.want)
		}
	}
}

func TestRetentionGivesUpWholeExtentsFromTheFront(t *testing.T) {
	c := &catalog.Partition{Bytes: 60}
	for i := range int64(6) {
		c.Extents = append(c.Extents, catalog.Extent{Base: i * 10, Next: i*10 + 10, Len: 10, MaxTimestamp: 100 * i})
	}
	for _, x := range []struct{ now, age, size, want int64 }{
		{1000, -1, -1, 0},
		{1000, 750, -1, 30}, // 0, 100 and 200 are older than 250
		{1000, -1, 25, 30},  // three extents hold 30 bytes
		{1000, -1, 30, 30},
		{1000, 1, -1, 60},
		{1000, 950, 25, 30},
	} {
		if got := expired(c, x.now, x.age, x.size); got != x.want {
			t.Errorf("%+v: %d", x, got)
		}
	}
}
