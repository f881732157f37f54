package press

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
)

// TestATombstoneStaysForItsTimeSinceItWasFirstCompacted is KIP-534: however old its timestamp
// is, readers have delete.retention.ms from the first compaction on to see it, and no later
// one, however many there are, gives them more.
func TestATombstoneStaysForItsTimeSinceItWasFirstCompacted(t *testing.T) {
	for _, dedupe := range []bool{false, true} {
		for _, codec := range []record.Codec{record.None, record.Snappy} {
			t.Run(fmt.Sprintf("idempotent=%v,%s", dedupe, codec), func(t *testing.T) {
				w := newWorld(1, sound)
				w.calm = true
				n := w.brokers[0]
				n.boot(true)
				n.die = -1
				id := record.Partition{Topic: record.TopicID{2}} // delete.retention.ms=5000
				k := fmt.Appendf(nil, "k")
				turn := func(recs ...rec) {
					t.Helper()
					n.produce([]add{{id, recs, codec, dedupe}})
					n.Rotate()
					for _, do := range []func(context.Context) error{n.press.seal, n.press.compact} {
						if err := do(n.ctx); err != nil {
							t.Fatal(err)
						}
					}
					if w.check(); w.fault != nil {
						t.Fatal(w.fault)
					}
				}
				there := func() (value, grave bool) {
					c, _ := w.state.Partition(id)
					for _, x := range c.Extents {
						b, err := w.bucket.Get(t.Context(), x.Object.Name(), cold.Range{Offset: x.Pos, Length: x.Len}, nil)
						if err != nil {
							t.Fatal(err)
						}
						for r := range recordsOf(b) {
							if string(r.key) == string(k) {
								value, grave = value || r.value != nil, grave || r.value == nil
							}
						}
					}
					return value, grave
				}
				at := w.now.UnixMilli()
				others := 0
				more := func() (recs []rec) { // so that half is dirty
					for range 40 {
						others++
						recs = append(recs, rec{fmt.Appendf(nil, "other %d", others%20), fmt.Appendf(nil, "value %d", others), w.now.UnixMilli()})
					}
					return recs
				}
				turn(rec{k, []byte("v"), at}, rec{[]byte("l"), []byte("v"), at}, rec{k, nil, at - 3_600_000})
				if value, grave := there(); value || !grave {
					t.Fatalf("after the first compaction the value is there: %v, its tombstone: %v", value, grave)
				}
				for since := 1; since <= 6; since++ {
					w.now = w.now.Add(time.Second)
					before := w.counts["compacted"]
					if turn(more()...); w.counts["compacted"] == before {
						t.Fatalf("nothing was compacted after %d s", since)
					}
					if value, grave := there(); value || grave != (since < 5) {
						t.Fatalf("%d s after the first compaction the value is there: %v, its tombstone: %v", since, value, grave)
					}
				}
			})
		}
	}
}
