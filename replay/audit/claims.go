package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// stretch is offsets [from, to) of a partition.
type stretch struct {
	partition record.Partition
	from, to  int64
}

// claim is what an extent says of a stretch of an object.
type claim struct {
	partition record.Partition
	topic     string // name-partition, for people
	catalog.Extent
}

func (c claim) stretch() stretch { return stretch{c.partition, c.Base, c.Next} }

func (c claim) String() string { return fmt.Sprintf("offsets [%d, %d) of %s", c.Base, c.Next, c.topic) }

// line is an index line of a partition.
type line struct {
	partition record.Partition
	topic     string
	catalog.IndexRef
}

// objects holds to the catalog every object that it refers to; with suspects, only
// those and what lies in their stretches now. What is wrong is suspect afterwards.
func (a *auditor) objects(ctx context.Context, s *catalog.State, only []suspect) error {
	first := only == nil
	again := map[catalog.ObjectRef]bool{}
	hurt := map[record.Partition][]stretch{}
	for _, x := range only {
		again[x.object] = true
		for _, h := range x.hurt {
			hurt[h.partition] = append(hurt[h.partition], h)
		}
	}
	wanted := func(p record.Partition, from, to int64) bool {
		return first || slices.ContainsFunc(hurt[p], func(h stretch) bool { return h.from < to && from < h.to })
	}
	claims := map[catalog.ObjectRef][]claim{}
	var lines []line
	for t := range s.AllTopics() {
		for _, p := range t.Partitions {
			name := fmt.Sprintf("%s-%d", t.Name, p.ID.Index)
			for _, x := range p.Extents {
				if again[x.Object] || wanted(p.ID, x.Base, x.Next) {
					claims[x.Object] = append(claims[x.Object], claim{p.ID, name, x})
				}
			}
			for _, l := range p.Index {
				if again[l.Object] || wanted(p.ID, l.Base, l.Next) {
					lines = append(lines, line{p.ID, name, l})
				}
			}
		}
	}
	listed := 0
	for _, l := range lines {
		listed += int(l.Extents) + 1
	}
	a.expect(len(claims) + listed)
	refs := make([]catalog.ObjectRef, 0, len(claims))
	for r := range claims {
		refs = append(refs, r)
	}
	slices.SortFunc(refs, catalog.ObjectRef.Compare)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(a.opts.Parallel)
	for _, r := range refs {
		g.Go(func() error { return a.object(gctx, s, r, claims[r], first) })
	}
	// A few index objects at a time: what they list is not held longer than it takes.
	for some := range slices.Chunk(lines, 4*a.opts.Parallel) {
		lists, err := a.lists(gctx, some)
		if err != nil {
			return errors.Join(g.Wait(), err)
		}
		for i, l := range some {
			for _, x := range lists[i] {
				if first || again[l.Object] || again[x.Object] || wanted(l.partition, x.Base, x.Next) {
					g.Go(func() error { return a.object(gctx, s, x.Object, []claim{{l.partition, l.topic, x}}, first) })
				} else {
					a.progress()
				}
			}
		}
	}
	return g.Wait()
}

// lists reads index objects and checks A3.
func (a *auditor) lists(ctx context.Context, lines []line) ([][]catalog.Extent, error) {
	out := make([][]catalog.Extent, len(lines))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(a.opts.Parallel)
	for i, l := range lines {
		g.Go(func() (err error) {
			out[i], err = a.list(gctx, l)
			a.progress()
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i, l := range lines {
		a.used[l.Object] = struct{}{}
		for _, x := range out[i] {
			a.used[x.Object] = struct{}{}
		}
	}
	return out, nil
}

func (a *auditor) list(ctx context.Context, l line) ([]catalog.Extent, error) {
	hurt := []stretch{{l.partition, l.Base, l.Next}}
	wrong := func(format string, args ...any) {
		a.doubt(l.Object, hurt, format+"; it describes offsets [%d, %d) of %s", append(args, l.Base, l.Next, l.topic)...)
	}
	b, err := a.store.Get(ctx, l.Object.Name(), cold.Whole, nil)
	if errors.Is(err, cold.ErrNotFound) {
		wrong("A2: missing")
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", l.Object, err)
	}
	h, _, bad := object.Verify(b)
	if len(bad) > 0 {
		wrong("A2: %v", bad[0])
		return nil, nil
	}
	if h.Kind != object.Index || h.Session != l.Object.A || h.Slot != l.Object.B {
		wrong("A2: it says that it is %s %d of %d", h.Kind, h.Slot, h.Session)
		return nil, nil
	}
	payload, err := object.DecodeIndex(b, l.Object.A, l.Object.B)
	var xs []catalog.Extent
	if err == nil {
		xs, err = catalog.DecodeExtents(payload)
	}
	if err != nil {
		wrong("A3: its list cannot be read: %v", err)
		return nil, nil
	}
	at, bytes := l.Base, int64(0)
	for _, x := range xs {
		switch {
		case x.Base > at:
			wrong("A3: no extent for offsets [%d, %d)", at, x.Base)
			return xs, nil
		case x.Base < at:
			wrong("A3: two extents for offsets [%d, %d)", x.Base, min(at, x.Next))
			return xs, nil
		}
		at, bytes = max(at, x.Next), bytes+x.Len
	}
	switch {
	case at != l.Next:
		wrong("A3: its extents end at %d", at)
	case len(xs) != int(l.Extents) || bytes != l.Bytes:
		wrong("A3: it lists %d extents of %d bytes, the catalog says %d of %d", len(xs), bytes, l.Extents, l.Bytes)
	}
	return xs, nil
}

// sum names the first few of many claims.
func sum(cs []claim) string {
	const few = 3
	var b strings.Builder
	for i, c := range cs[:min(len(cs), few)] {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(c.String())
	}
	if n := len(cs) - few; n > 0 {
		fmt.Fprintf(&b, " and %d more runs", n)
	}
	return b.String()
}
