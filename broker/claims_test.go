package broker

import (
	"testing"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
)

// TestWhoWritesDoesNotWaitForSegments: partitions whose newest run shares an object are
// made ready first, all at once; those with segments of their own some at a time.
func TestWhoWritesDoesNotWaitForSegments(t *testing.T) {
	part := func(i int, at ...catalog.ObjectRef) *catalog.Partition {
		p := &catalog.Partition{ID: record.Partition{Index: int32(i)}}
		for _, o := range at {
			p.Extents = append(p.Extents, catalog.Extent{Object: o})
		}
		return p
	}
	var ps []*catalog.Partition
	for i := range 1000 {
		seg := catalog.Seg(7, uint64(i))
		switch {
		case i%10 == 0:
			ps = append(ps, part(i, seg, catalog.WAL(3, uint64(i)))) // alone in its slot, and few are
		case i%10 == 1:
			ps = append(ps, part(i, seg, catalog.Seg(8, 0)))
		case i%10 == 2:
			ps = append(ps, part(i))
		default:
			ps = append(ps, part(i, seg))
		}
	}
	seen := map[int32]bool{}
	for n, some := range claims(ps) {
		if n > 0 && len(some) > alone {
			t.Errorf("%d segments at a time", len(some))
		}
		for _, p := range some {
			if seen[p.ID.Index] {
				t.Errorf("partition %d twice", p.ID.Index)
			}
			seen[p.ID.Index] = true
			if first := p.ID.Index%10 < 3; first != (n == 0) {
				t.Errorf("partition %d is made ready in turn %d", p.ID.Index, n)
			}
		}
	}
	if len(seen) != len(ps) {
		t.Errorf("%d of %d", len(seen), len(ps))
	}
	if c := claims(ps[:100]); len(c) != 1 || len(c[0]) != 100 {
		t.Error("few objects are read together")
	}
	if c := claims(nil); len(c) != 1 || len(c[0]) != 0 {
		t.Errorf("nothing: %v", c)
	}
}
