package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// loose is a run in a slot that the catalog does not refer to, and that it seemed not
// to describe either.
type loose struct {
	ref catalog.ObjectRef
	run object.Run
}

// walked is what a live session has put at and above its covered mark, up to the
// first gap.
type walked struct {
	session uint64
	slots   []slot
}

type slot struct {
	ref  catalog.ObjectRef
	runs []object.Run
	bad  error
	torn bool // nobody can tell whose it is, or what is in it: it is the last one
}

// walk reads the slots of live sessions (S4). What they mean is judged later, by a
// catalog that was read after them.
func (a *auditor) walk(ctx context.Context, s *catalog.State) ([]walked, error) {
	var out []walked
	for _, v := range s.Sessions() {
		if v.Sealed {
			continue
		}
		w := walked{session: v.ID}
		for at := v.Covered; ; at += uint64(a.opts.Parallel) {
			some := make([]slot, a.opts.Parallel)
			there := make([]bool, len(some))
			g, gctx := errgroup.WithContext(ctx)
			for i := range some {
				g.Go(func() (err error) {
					some[i], there[i], err = a.slot(gctx, v, at+uint64(i))
					return err
				})
			}
			if err := g.Wait(); err != nil {
				return nil, err
			}
			end := slices.Index(there, false)
			if end < 0 {
				end = len(some)
			}
			for i, x := range some[:end] {
				w.slots = append(w.slots, x)
				if x.torn {
					end = i
					break
				}
			}
			if end < len(some) {
				a.ends[v.ID] = at + uint64(end)
				break
			}
		}
		out = append(out, w)
	}
	return out, nil
}

// slot reads one slot; false means that the walk ends before it: there is nothing, or
// a fence.
func (a *auditor) slot(ctx context.Context, v *catalog.Session, n uint64) (slot, bool, error) {
	x := slot{ref: catalog.WAL(v.ID, n)}
	b, err := a.store.Get(ctx, x.ref.Name(), cold.Whole, nil)
	if errors.Is(err, cold.ErrNotFound) {
		return x, false, nil
	}
	if err != nil {
		return x, false, fmt.Errorf("read %s: %w", x.ref, err)
	}
	h, runs, bad := object.Verify(b)
	if len(bad) > 0 {
		_, f, err := object.Open(b)
		if err == nil {
			_, err = f.Runs()
		}
		x.bad, x.torn = bad[0], err != nil
	}
	switch {
	case x.torn:
	case h.Session != v.ID || h.Slot != n || h.Nonce != v.Nonce || h.Kind != object.WAL && h.Kind != object.Fence:
		x.bad, x.torn = fmt.Errorf("it says that it is %s %d of %d, written by %x", h.Kind, h.Slot, h.Session, h.Nonce), true
	case h.Kind == object.Fence:
		return x, false, nil
	}
	for i := range runs {
		if err := producers(runs[i]); err != nil && x.bad == nil {
			x.bad = err
		}
		runs[i].Details = object.Details{}
	}
	x.runs = runs
	return x, true, nil
}

// judge holds what live sessions had put, and what was loose, to a catalog that was
// read later (A4, A5).
func (a *auditor) judge(s *catalog.State, walks []walked) {
	ends := map[record.Partition]int64{}
	for _, w := range walks {
		v, ok := s.Session(w.session)
		if !ok || v.Swept {
			continue
		}
		for _, x := range w.slots {
			if v.Sealed && x.ref.B >= v.Fence {
				break
			}
			if x.ref.B < v.Covered {
				if x.torn {
					break // described since: it was read again with what describes it
				}
				for _, r := range x.runs {
					a.described(s, x.ref, r)
				}
				continue
			}
			if x.torn {
				a.find(x.ref.Name(), "A4: %v; what session %d has put from here on cannot be read, and when its broker is gone nobody can lead what it had: firn object give-up %s goes on without it", x.bad, v.ID, x.ref.Name())
				break
			}
			if x.bad != nil {
				a.find(x.ref.Name(), "A4: %v", x.bad)
			}
			a.tail(s, v, x, ends)
		}
	}
	for _, l := range a.loose {
		a.described(s, l.ref, l.run)
	}
	a.sentence()
}

// tail holds one committed slot of a live session to the ends of the logs (A4).
func (a *auditor) tail(s *catalog.State, v *catalog.Session, x slot, ends map[record.Partition]int64) {
	var cs []claim
	for _, r := range x.runs {
		p, ok := s.Partition(r.Partition)
		if !ok {
			continue // of a topic that was deleted
		}
		if p.Owner == v.ID && r.Epoch > p.Epoch {
			a.accuse(x.ref, "A4: %s: offsets [%d, %d) are of epoch %d, which the catalog has not given: its is %d", a.name(s, r.Partition), r.Base, r.Next, r.Epoch, p.Epoch)
			continue
		}
		if p.Owner != v.ID || r.Epoch != p.Epoch || r.Next <= p.Next {
			a.described(s, x.ref, r)
			continue
		}
		end, seen := ends[r.Partition]
		if !seen {
			end = p.Next
		}
		switch {
		case r.Base > end:
			a.accuse(x.ref, "A4: %s: offsets [%d, %d) are missing: it continues at %d", a.name(s, r.Partition), end, r.Base, r.Base)
		case r.Base < end:
			a.accuse(x.ref, "A4: %s: offsets [%d, %d) were given away before: the log ended at %d", a.name(s, r.Partition), r.Base, min(end, r.Next), end)
		}
		ends[r.Partition] = max(end, r.Next)
		cs = append(cs, claim{Extent: catalog.Extent{Len: r.Len, Records: r.Records}})
	}
	a.count(cs)
}

// described checks A5 for a run that was committed and that no extent names: its
// offsets are described, under its epoch; or retention or DeleteRecords took them.
func (a *auditor) described(s *catalog.State, ref catalog.ObjectRef, r object.Run) {
	if why := undescribed(s, r); why != "" {
		a.accuse(ref, "A5: %s: %s", a.name(s, r.Partition), why)
	}
}

// accuse is find for one of the many runs of an object: the first speaks for all.
func (a *auditor) accuse(ref catalog.ObjectRef, format string, args ...any) {
	if _, known := a.accused[ref]; !known {
		a.accused[ref] = accusation{what: fmt.Sprintf(format, args...)}
	}
	x := a.accused[ref]
	x.runs++
	a.accused[ref] = x
}

type accusation struct {
	what string
	runs int
}

func (a *auditor) sentence() {
	for ref, x := range a.accused {
		more := ""
		if x.runs > 1 {
			more = fmt.Sprintf("; and so for %d more runs", x.runs-1)
		}
		a.find(ref.Name(), "%s%s", x.what, more)
	}
}

func undescribed(s *catalog.State, r object.Run) string {
	p, ok := s.Partition(r.Partition)
	switch {
	case !ok || r.Next <= p.LogStart:
		return ""
	case r.Next > p.Next:
		return fmt.Sprintf("offsets [%d, %d) were committed here and are out of reach: the catalog's log ends at %d", max(r.Base, p.Next), r.Next, p.Next)
	}
	if epoch, known := epochAt(p, max(r.Base, p.LogStart)); known && epoch != r.Epoch {
		return fmt.Sprintf("offsets [%d, %d) were committed here in epoch %d, and the catalog has others of epoch %d in their place", r.Base, r.Next, r.Epoch, epoch)
	}
	return ""
}

// epochAt is the leader epoch under which an offset was written.
func epochAt(p *catalog.Partition, offset int64) (int32, bool) {
	if i := p.Find(offset); i < len(p.Extents) && p.Extents[i].Base <= offset {
		return p.Extents[i].Epoch, true
	}
	for i := len(p.Epochs) - 1; i >= 0; i-- {
		if p.Epochs[i].Start <= offset {
			return p.Epochs[i].Epoch, true
		}
	}
	return 0, false
}

func (a *auditor) name(s *catalog.State, p record.Partition) string {
	if t, ok := s.Topic(p.Topic); ok {
		return fmt.Sprintf("%s-%d", t.Name, p.Index)
	}
	return p.String()
}

// unclaimed remembers the runs of a slot that seem not to be described: a newer
// catalog decides. Those of live sessions above their mark are walked instead.
func (a *auditor) unclaimed(s *catalog.State, ref catalog.ObjectRef, f *object.Footer) error {
	for i := range f.Len() {
		r, err := f.Run(i)
		if err != nil {
			return err
		}
		if v, ok := s.Session(ref.A); ok && ref.B < v.Covered && undescribed(s, r) != "" {
			a.mu.Lock()
			a.loose = append(a.loose, loose{ref, r})
			a.mu.Unlock()
		}
	}
	return nil
}

// fences checks that every sealed session has its fence in its place (A4). Fences are
// never replaced nor deleted.
func (a *auditor) fences(ctx context.Context, s *catalog.State) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(a.opts.Parallel)
	for _, v := range s.Sessions() {
		if v.Sealed {
			g.Go(func() error { return a.fence(gctx, v) })
		}
	}
	return g.Wait()
}

func (a *auditor) fence(ctx context.Context, v *catalog.Session) error {
	ref := catalog.WAL(v.ID, v.Fence)
	b, err := a.store.Get(ctx, ref.Name(), cold.Whole, nil)
	if errors.Is(err, cold.ErrNotFound) {
		a.find(ref.Name(), "A4: the fence of session %d is missing: its broker could write again", v.ID)
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", ref, err)
	}
	h, _, bad := object.Verify(b)
	switch {
	case len(bad) > 0:
		a.find(ref.Name(), "A4: it is the fence of session %d: %v", v.ID, bad[0])
	case h.Kind != object.Fence || h.Session != v.ID || h.Slot != v.Fence || h.Nonce != v.Nonce:
		a.find(ref.Name(), "A4: it should be the fence of session %d, and says that it is %s %d of %d", v.ID, h.Kind, h.Slot, h.Session)
	}
	return nil
}
