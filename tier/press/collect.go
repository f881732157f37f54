package press

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/planted"
	"github.com/firnlog/firn/tier/cold"
)

// collect deletes what has been garbage for the grace period (P3). One broker
// does it, the one with the oldest live session; two at once do no harm.
func (p *Press) collect(ctx context.Context) error {
	s, ok := p.session()
	if !ok {
		return nil
	}
	state := p.Journal.State()
	for _, v := range state.Sessions() {
		if !v.Sealed && v.ID < s.ID {
			return nil
		}
	}
	bad, err := p.collectObjects(ctx, state)
	if err == nil {
		err = p.collectSessions(ctx, state)
	}
	return errors.Join(err, bad)
}

// collectObjects deletes garbage. What an index object that cannot be read lists is not
// known: it stays, bad tells of it, and keeps nothing else.
func (p *Press) collectObjects(ctx context.Context, state *catalog.State) (bad, err error) {
	due := PlanSweep(state, p.seen, p.Now(), p.Grace)
	for len(due) > 0 {
		some := due[:min(len(due), sweepMost)]
		due = due[len(some):]
		gone, names := make([]catalog.ObjectRef, 0, len(some)), []string(nil)
		for _, ref := range some {
			alone, err := p.remove(ctx, ref)
			if _, illegible := errors.AsType[*unreadable](err); illegible {
				bad = errors.Join(bad, err)
				continue
			}
			if err != nil {
				return bad, err
			}
			gone, names = append(gone, ref), append(names, alone...)
		}
		if len(gone) == 0 {
			continue
		}
		if err := cold.DeleteAll(ctx, p.Store, p.atOnce, names); err != nil {
			return bad, err
		}
		if _, err := p.one(ctx, &catalog.Sweep{Objects: gone}); err != nil {
			return bad, err
		}
		for _, ref := range gone {
			delete(p.seen, ref)
		}
		p.Logger.Info("deleted objects that nothing refers to", "objects", len(gone))
	}
	return bad, nil
}

// sweepMost is how many deletes are told to the journal at once.
const sweepMost = 1000

// deletesMost is how many objects are deleted at once. Sealing waits meanwhile, and brokers
// put several at once: one delete after the other would not keep up on a store far away.
const deletesMost = 32

// remove deletes what a reference in the garbage stands for, but for the object of that
// name itself, if there is one: its name is returned.
func (p *Press) remove(ctx context.Context, ref catalog.ObjectRef) (alone []string, err error) {
	switch {
	case ref.IsCancelled():
		for _, prefix := range []string{catalog.Seg(ref.A, 0).Name(), catalog.Index(ref.A, 0).Name()} {
			prefix = prefix[:strings.LastIndexByte(prefix, '/')+1]
			if err := p.removeAll(ctx, prefix, func(string) bool { return true }); err != nil {
				return nil, err
			}
		}
		return nil, nil
	case ref.Kind == catalog.KindIndex:
		if err := p.removeListed(ctx, ref); err != nil { // before the object that lists them
			return nil, err
		}
	}
	return []string{ref.Name()}, nil
}

// removeListed deletes the segments that an index object lists.
func (p *Press) removeListed(ctx context.Context, ref catalog.ObjectRef) error {
	xs, err := p.readIndex(ctx, ref)
	if errors.Is(err, cold.ErrNotFound) {
		return nil // an earlier turn got further than its word to the journal
	}
	if err != nil {
		return err
	}
	names := make([]string, len(xs))
	for i, x := range xs {
		names[i] = x.Object.Name()
	}
	return cold.DeleteAll(ctx, p.Store, p.atOnce, names)
}

func (p *Press) removeAll(ctx context.Context, prefix string, which func(name string) bool) error {
	var names []string
	for info, err := range p.Store.List(ctx, prefix, "") {
		if err != nil {
			return fmt.Errorf("list %s: %w", prefix, err)
		}
		if which(info.Name) {
			names = append(names, info.Name)
		}
	}
	return cold.DeleteAll(ctx, p.Store, p.atOnce, names)
}

// collectSessions deletes the WAL objects of sealed sessions in which no extent
// lies any more; fences stay for ever (S10).
func (p *Press) collectSessions(ctx context.Context, state *catalog.State) error {
	used := map[uint64]bool{}
	for ref := range state.Referenced() {
		if ref.Kind == catalog.KindWAL {
			used[ref.A] = true
		}
	}
	owners := map[uint64]bool{}
	for t := range state.AllTopics() {
		for _, c := range t.Partitions {
			owners[c.Owner] = true
		}
	}
	now := p.Now()
	for _, v := range state.Sessions() {
		if v.Sealed && used[v.ID] && planted.Is(planted.SweepEarly) {
			name := catalog.WAL(v.ID, v.Fence).Name()
			_ = p.removeAll(ctx, name[:strings.LastIndexByte(name, '/')+1], func(n string) bool { return n != name })
		}
		if !v.Sealed || used[v.ID] {
			delete(p.dead, v.ID)
			continue
		}
		since, known := p.dead[v.ID]
		if !known {
			p.dead[v.ID], since = now, now
		}
		if now.Sub(since) < p.Grace {
			continue
		}
		if !v.Swept {
			fence := catalog.WAL(v.ID, v.Fence).Name()
			prefix := fence[:strings.LastIndexByte(fence, '/')+1]
			if err := p.removeAll(ctx, prefix, func(name string) bool { return name != fence || planted.Is(planted.FenceDeleted) }); err != nil {
				return err
			}
			if _, err := p.one(ctx, &catalog.SweepSession{Session: v.ID}); err != nil {
				return fmt.Errorf("sweep session %d: %w", v.ID, err)
			}
			p.Logger.Info("deleted the WAL objects of a session", "session", v.ID, "slots", v.Fence)
		}
		if !owners[v.ID] {
			if _, err := p.one(ctx, &catalog.ForgetSession{Session: v.ID}); err != nil {
				return fmt.Errorf("forget session %d: %w", v.ID, err)
			}
			delete(p.dead, v.ID)
		}
	}
	return nil
}
