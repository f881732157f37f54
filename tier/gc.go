package tier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

const (
	// deletesAtOnce is how many deletes one turn of collecting does at most, and
	// parallelDeletes how many are under way.
	deletesAtOnce   = 2048
	parallelDeletes = 8
)

// collection is what collecting remembers between its turns, by the monotonic
// clock: a restart only makes garbage wait longer.
type collection struct {
	seen map[catalog.ObjectRef]time.Time // garbage, and when it was first seen
	dead map[uint64]*deadSession
}

// deadSession is a sealed session in whose WAL objects no extent lies.
type deadSession struct {
	since time.Time
	next  uint64 // slots below are deleted
}

// collect deletes what has been garbage for the grace period (W3), a bounded number
// of objects each turn.
func (p *Press) collect(ctx context.Context) error {
	s, err := p.session()
	if err != nil {
		return err
	}
	state := p.Journal.State()
	if err := p.cancelStray(ctx, state, s.ID); err != nil {
		return err
	}
	if Collector(state) != s.ID {
		return nil
	}
	return errors.Join(p.collectObjects(ctx, state), p.collectSessions(ctx, state))
}

// cancelStray cancels jobs of this session that nobody works on: their begin was
// committed although the answer got lost, or their cancel was not.
func (p *Press) cancelStray(ctx context.Context, state *catalog.State, session uint64) error {
	p.mu.Lock()
	var stray []uint64
	if p.starting == 0 { // else one of them may be about to be known
		stray = Stray(state, session, func(id uint64) bool { return p.running[id] })
	}
	p.mu.Unlock()
	for _, id := range stray {
		if _, err := p.one(ctx, &catalog.CancelJob{Job: id}); err != nil && !errors.Is(err, catalog.ErrNoJob) {
			return fmt.Errorf("cancel job %d: %w", id, err)
		}
	}
	return nil
}

func (p *Press) collectObjects(ctx context.Context, state *catalog.State) error {
	due := PlanSweep(state, p.gc.seen, p.Now(), p.Grace)
	due = due[:min(len(due), deletesAtOnce)]
	if len(due) == 0 {
		return nil
	}
	gone := make([]bool, len(due))
	orphans := make([]int, len(due))
	var g errgroup.Group // one that fails does not keep the others
	g.SetLimit(parallelDeletes)
	for i, ref := range due {
		g.Go(func() (err error) {
			// Nothing becomes referenced again (S12), and it costs nothing to look.
			if !p.Journal.State().IsGarbage(ref) {
				return nil
			}
			if orphans[i], err = p.remove(ctx, ref); err == nil {
				gone[i] = true
			}
			return err
		})
	}
	failed := g.Wait()
	var swept []catalog.ObjectRef
	objects, strays := 0, 0
	for i, ref := range due {
		if !gone[i] {
			continue
		}
		swept = append(swept, ref)
		if ref.IsCancelled() {
			strays += orphans[i]
		} else {
			objects += orphans[i]
		}
	}
	if len(swept) > 0 {
		if _, err := p.one(ctx, &catalog.Sweep{Objects: swept}); err != nil {
			return errors.Join(failed, fmt.Errorf("sweep %d objects: %w", len(swept), err))
		}
		p.Observer.Deleted("object", objects)
		p.Observer.Deleted("orphan", strays)
		p.Logger.Info("deleted objects that nothing refers to", "objects", objects, "orphans", strays)
	}
	return failed
}

// remove deletes what a reference in the garbage stands for, and says how many
// objects that were.
func (p *Press) remove(ctx context.Context, ref catalog.ObjectRef) (int, error) {
	if ref.IsCancelled() {
		n := 0
		for _, first := range []catalog.ObjectRef{catalog.Seg(ref.A, 0), catalog.Index(ref.A, 0)} {
			m, err := p.removeListed(ctx, folder(first), "")
			if n += m; err != nil {
				return n, err
			}
		}
		return n, nil
	}
	n := 1
	if ref.Kind == catalog.KindIndex {
		m, err := p.removeIndexed(ctx, ref)
		if n += m; err != nil {
			return n, err
		}
	}
	return n, p.delete(ctx, ref.Name())
}

func (p *Press) delete(ctx context.Context, name string) error {
	if err := p.Store.Delete(ctx, name); err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	return nil
}

// removeIndexed deletes the segments that an index object lists. They were the
// partition's alone, and left the catalog's count of references when they were
// pressed: the index object is the last that knows them, and goes after them.
func (p *Press) removeIndexed(ctx context.Context, ref catalog.ObjectRef) (int, error) {
	b, err := p.Store.Get(ctx, ref.Name(), cold.Whole, nil)
	if errors.Is(err, cold.ErrNotFound) {
		return 0, nil // an earlier turn got further than its word to the journal
	}
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", ref, err)
	}
	payload, err := object.DecodeIndex(b)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", ref, err)
	}
	xs, err := catalog.DecodeExtents(payload)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", ref, err)
	}
	var last catalog.ObjectRef
	n := 0
	for _, x := range xs {
		if x.Object == last {
			continue
		}
		if last = x.Object; last.Kind != catalog.KindSeg || p.Journal.State().Refs(last) > 0 {
			return n, fmt.Errorf("%s lists %s, which cannot be its own: nothing is deleted", ref, last)
		}
		if err := p.delete(ctx, last.Name()); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// removeListed deletes the objects of a folder that come after a name.
func (p *Press) removeListed(ctx context.Context, prefix, after string) (int, error) {
	var names []string
	for info, err := range p.Store.List(ctx, prefix, after) {
		if err != nil {
			return 0, fmt.Errorf("list %s: %w", prefix, err)
		}
		names = append(names, info.Name)
	}
	slices.Sort(names)
	for i, n := range names {
		if err := p.delete(ctx, n); err != nil {
			return i, err
		}
	}
	return len(names), nil
}

// folder is the part of a name that all objects of its job or session begin with.
func folder(r catalog.ObjectRef) string {
	name := r.Name()
	return name[:strings.LastIndexByte(name, '/')+1]
}

// collectSessions deletes the WAL objects of sealed sessions in which no extent
// lies any more, slot by slot, and what a zombie put above the fence. Fences stay
// for ever (S10). Then the journal learns of it, and the session is forgotten once
// nothing names it as an owner.
func (p *Press) collectSessions(ctx context.Context, state *catalog.State) error {
	now := p.Now()
	bury := PlanBury(state)
	for id := range p.gc.dead {
		if !slices.ContainsFunc(bury, func(v *catalog.Session) bool { return v.ID == id }) {
			delete(p.gc.dead, id)
		}
	}
	budget := uint64(deletesAtOnce)
	for _, v := range bury {
		d := p.gc.dead[v.ID]
		if d == nil {
			d = &deadSession{since: now}
			p.gc.dead[v.ID] = d
		}
		if now.Sub(d.since) < p.Grace || budget == 0 {
			continue
		}
		if !v.Swept {
			n := min(budget, v.Fence-d.next)
			if err := p.removeSlots(ctx, v.ID, d.next, d.next+n); err != nil {
				return err
			}
			d.next += n
			if budget -= n; d.next < v.Fence {
				continue
			}
			above, err := p.removeListed(ctx, folder(catalog.WAL(v.ID, 0)), catalog.WAL(v.ID, v.Fence).Name())
			if err != nil {
				return err
			}
			if _, err := p.one(ctx, &catalog.SweepSession{Session: v.ID}); err != nil {
				return fmt.Errorf("sweep session %d: %w", v.ID, err)
			}
			p.Observer.Deleted("wal", int(v.Fence)+above)
			p.Logger.Info("deleted the WAL objects of a session", "session", v.ID, "slots", v.Fence, "above_the_fence", above)
		}
		if len(p.Journal.State().Owned(v.ID)) > 0 {
			continue
		}
		if _, err := p.one(ctx, &catalog.ForgetSession{Session: v.ID}); err != nil && !errors.Is(err, catalog.ErrOwned) {
			return fmt.Errorf("forget session %d: %w", v.ID, err)
		}
	}
	return nil
}

// removeSlots deletes WAL objects by name: that a LIST does not show one proves
// nothing (S6).
func (p *Press) removeSlots(ctx context.Context, session, from, to uint64) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelDeletes)
	for slot := from; slot < to; slot++ {
		g.Go(func() error { return p.delete(gctx, catalog.WAL(session, slot).Name()) })
	}
	return g.Wait()
}
