package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/doctor"
	"github.com/firnlog/firn/tier/object"
)

// stray is an object that nothing seemed to refer to when it was listed.
type stray struct {
	cold.Info
	ref   catalog.ObjectRef
	known bool // ref is what its name says
}

// unreferenced lists the bucket and keeps what the catalog does not refer to. What it
// keeps is little: the rest goes by.
func (a *auditor) unreferenced(ctx context.Context, s *catalog.State) ([]stray, error) {
	var out []stray
	for info, err := range a.store.List(ctx, "", "") {
		if err != nil {
			return nil, fmt.Errorf("list the bucket: %w", err)
		}
		if strings.HasPrefix(info.Name, journal.PrefixAll) || strings.HasPrefix(info.Name, doctor.Prefix) {
			continue
		}
		ref, err := catalog.ParseRef(info.Name)
		if err == nil && a.referenced(s, ref) {
			continue
		}
		out = append(out, stray{info, ref, err == nil})
	}
	return out, nil
}

// referenced reports whether something refers to an object that is listed, or keeps it.
func (a *auditor) referenced(s *catalog.State, ref catalog.ObjectRef) bool {
	_, used := a.used[ref]
	if used || s.Refs(ref) > 0 {
		return true
	}
	v, ok := s.Session(ref.A)
	return ref.Kind == catalog.KindWAL && ok && v.Sealed && ref.B == v.Fence
}

// orphans says of every stray why nothing refers to it, by a catalog that was read
// after it was listed.
func (a *auditor) orphans(ctx context.Context, s *catalog.State, strays []stray) error {
	var lines []line // what was pressed since, and what goes with index objects in the garbage
	for t := range s.AllTopics() {
		for _, p := range t.Partitions {
			for _, l := range p.Index {
				if _, known := a.used[l.Object]; !known && len(strays) > 0 {
					lines = append(lines, line{p.ID, t.Name, l})
				}
			}
		}
	}
	for some := range slices.Chunk(lines, 4*a.opts.Parallel) {
		if _, err := a.lists(ctx, some); err != nil {
			return err
		}
	}
	doomed, err := a.doomed(ctx, s)
	if err != nil {
		return err
	}
	now := time.Now()
	for _, x := range strays {
		why := "its name is none of Firn's"
		if x.known {
			if a.referenced(s, x.ref) || doomed[x.ref] {
				continue
			}
			if why, err = a.why(ctx, s, x.ref); err != nil {
				return err
			}
		}
		if why == "" {
			continue
		}
		if _, err := a.store.Stat(ctx, x.Name); errors.Is(err, cold.ErrNotFound) {
			continue // deleted since it was listed
		}
		a.report.Orphans = append(a.report.Orphans, Orphan{x.Name, x.Size, max(0, now.Sub(x.Modified)).Round(time.Second), why})
	}
	slices.SortFunc(a.report.Orphans, func(x, y Orphan) int { return cmp.Compare(x.Name, y.Name) })
	return nil
}

// why says why nothing refers to an object; "" when it waits for its time.
func (a *auditor) why(ctx context.Context, s *catalog.State, ref catalog.ObjectRef) (string, error) {
	if ref.Kind != catalog.KindWAL {
		open := slices.ContainsFunc(s.Jobs(), func(j *catalog.Job) bool { return j.ID == ref.A })
		switch {
		case open, s.IsGarbage(ref), s.IsGarbage(catalog.Cancelled(ref.A)):
			return "", nil
		}
		return fmt.Sprintf("job %d is over, and nothing of it lies here", ref.A), nil
	}
	o, err := a.open(ctx, ref)
	if errors.Is(err, cold.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	a.spare(o.reader.Buffer())
	fence := o.bad == nil && o.header.Kind == object.Fence
	v, ok := s.Session(ref.A)
	switch {
	case !ok && fence:
		return "", nil // of a session that the catalog has forgotten: kept for ever (S10)
	case !ok:
		return fmt.Sprintf("the catalog knows no session %d", ref.A), nil
	case v.Swept:
		return fmt.Sprintf("the slots of session %d were swept", ref.A), nil
	case v.Sealed && ref.B > v.Fence:
		return fmt.Sprintf("it lies above the fence of session %d, in slot %d", ref.A, v.Fence), nil
	case ref.B < v.Covered:
		// It waits for its session to be swept. What it holds must lie elsewhere (A5).
		if o.bad == nil && !fence && o.named(s) == nil {
			if err := a.unclaimed(s, ref, o.footer); err != nil {
				a.find(ref.Name(), "A2: %v", err)
			}
		}
		return "", nil
	}
	return a.above(ctx, v, ref, fence)
}

// above says whether a slot of a live session, at or above its mark, can be reached.
func (a *auditor) above(ctx context.Context, v *catalog.Session, ref catalog.ObjectRef, fence bool) (string, error) {
	if end, known := a.ends[v.ID]; known && ref.B > end && !fence {
		if _, err := a.store.Stat(ctx, catalog.WAL(v.ID, end).Name()); errors.Is(err, cold.ErrNotFound) {
			return fmt.Sprintf("slot %d of session %d before it is empty: it is not committed", end, v.ID), nil
		}
	}
	return "", nil
}

// doomed are the objects that index objects in the garbage list: they go with them.
func (a *auditor) doomed(ctx context.Context, s *catalog.State) (map[catalog.ObjectRef]bool, error) {
	out := map[catalog.ObjectRef]bool{}
	for ref := range s.Garbage() {
		if ref.Kind != catalog.KindIndex {
			continue
		}
		b, err := a.store.Get(ctx, ref.Name(), cold.Whole, nil)
		if errors.Is(err, cold.ErrNotFound) {
			continue // deleted already: they were before it
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", ref, err)
		}
		payload, err := object.DecodeIndex(b, ref.A, ref.B)
		if err != nil {
			continue
		}
		xs, _ := catalog.DecodeExtents(payload)
		for _, x := range xs {
			out[x.Object] = true
		}
	}
	return out, nil
}
