package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/hot"
)

// disk is what a broker keeps across its lives: a hot tier as package tier/hot promises
// it. What was synced survives everything but the loss of the disk; what was not may be
// gone, or damaged, after the loss of power.
type disk struct {
	w    *world // nil: nothing fails, and takes no time
	id   int    // another one is empty
	gens []*generation
}

// generation holds consecutive slots of one session (H3).
type generation struct {
	session hot.Session
	first   uint64
	slots   [][]hot.Entry
	synced  int  // so many of them
	broken  bool // a sync has failed
	settled bool
	over    bool // nothing is appended to it any more
	forgot  bool
}

// tier is the disk as one life of a broker uses it. It implements pump.Hot and
// broker.Leftovers.
type tier struct {
	*disk
	p       *process
	session hot.Session
	started bool
	below   uint64 // sessions below take nothing more
	next    uint64
	open    *generation
}

// mount opens the disk: what lies on it is of earlier lives.
func (d *disk) mount(p *process) *tier {
	for _, g := range d.gens {
		g.settled, g.over = false, true
	}
	return &tier{disk: d, p: p}
}

// blackout is the loss of power.
func (d *disk) blackout() {
	for _, g := range d.gens {
		keep := g.synced + d.w.rng.IntN(len(g.slots)-g.synced+1)
		g.slots = g.slots[:keep]
		for i := g.synced; i < keep; i++ {
			if d.w.rng.IntN(2) == 0 { // its table is there, and not all of its values
				g.slots[i] = slices.Clone(g.slots[i])
				g.slots[i][0].Value = nil
			}
		}
	}
}

// copied is the disk of a machine that was cloned.
func (d *disk) copied(id int) *disk {
	c := &disk{w: d.w, id: id}
	for _, g := range d.gens {
		h := *g
		h.slots = slices.Clone(g.slots)
		c.gens = append(c.gens, &h)
	}
	return c
}

// fails reports whether something goes wrong.
func (d *disk) fails(p float64) bool { return d.w != nil && !d.w.healed && d.w.chance(p*d.w.trouble) }

// works lets time pass as a disk does.
func (t *tier) works(most time.Duration) {
	if t.w == nil {
		return
	}
	if d := time.Duration(t.w.rng.Int64N(int64(most))); !t.w.healed && t.w.rng.IntN(40) == 0 {
		_ = t.p.Sleep(background, 30*d)
	} else {
		_ = t.p.Sleep(background, d)
	}
}

// StartSession implements pump.Hot.
func (t *tier) StartSession(s hot.Session, first uint64) error {
	t.works(time.Millisecond)
	if s.ID < t.below {
		return fmt.Errorf("%w: session %d", hot.ErrOrder, s.ID)
	}
	t.session, t.started, t.next, t.open = s, true, first, nil
	return nil
}

// Append implements pump.Hot.
func (t *tier) Append(slot hot.Slot, entries []hot.Entry) error {
	t.works(2 * time.Millisecond)
	if t.fails(1) {
		return hot.ErrFull
	}
	if !t.started || slot.Session < t.below || slot.Session != t.session.ID || slot.Seq < t.next {
		return fmt.Errorf("%w: slot %d of session %d", hot.ErrOrder, slot.Seq, slot.Session)
	}
	g := t.open
	if g == nil || g.broken || g.first+uint64(len(g.slots)) != slot.Seq {
		g = &generation{session: t.session, first: slot.Seq, settled: true}
		t.gens = append(t.gens, g)
		t.open = g
	}
	held := slices.Clone(entries)
	for i := range held {
		held[i].Value = slices.Clone(held[i].Value)
	}
	g.slots = append(g.slots, held)
	t.next = slot.Seq + 1
	return nil
}

// Sync implements pump.Hot.
func (t *tier) Sync(slot hot.Slot) error {
	for _, g := range t.gens {
		if g.session.ID != slot.Session || slot.Seq < g.first || slot.Seq >= g.first+uint64(len(g.slots)) {
			continue
		}
		if slot.Seq < g.first+uint64(g.synced) {
			return nil
		}
		if g.broken {
			return hot.ErrUnavailable
		}
		upto := len(g.slots)
		t.works(6 * time.Millisecond)
		if t.fails(0.25) {
			g.broken = true
			return hot.ErrUnavailable
		}
		g.synced = max(g.synced, upto)
		return nil
	}
	return hot.ErrNotHeld
}

// Over implements broker.Leftovers.
func (t *tier) Over(below uint64) { t.below = max(t.below, below) }

// Generations implements broker.Leftovers.
func (t *tier) Generations() []hot.Info {
	var out []hot.Info
	for i, g := range t.gens {
		out = append(out, hot.Info{ID: uint64(i), Session: g.session, First: g.first, Next: g.first + uint64(len(g.slots)), Settled: g.settled})
	}
	return out
}

// Settle implements broker.Leftovers.
func (t *tier) Settle(s hot.Session, fence uint64) {
	if t.session.ID == s.ID {
		t.started = false
	}
	t.gens = slices.DeleteFunc(t.gens, func(g *generation) bool {
		if g.session.ID == s.ID {
			g.settled, g.over = true, true
			return g.session.Nonce != s.Nonce
		}
		return false
	})
}

// Leftover implements broker.Leftovers.
func (t *tier) Leftover(session, from uint64, fn func(seq uint64, entries []hot.Entry) error) error {
	for _, g := range slices.Clone(t.gens) {
		if g.session.ID != session || g.forgot {
			continue
		}
		for i, entries := range g.slots {
			if seq := g.first + uint64(i); seq >= from {
				if err := fn(seq, entries); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Left implements broker.Leftovers.
func (t *tier) Left(session, from uint64) (ps []record.Partition) {
	_ = t.Leftover(session, from, func(_ uint64, entries []hot.Entry) error {
		for _, e := range entries {
			if !slices.Contains(ps, e.Partition) {
				ps = append(ps, e.Partition)
			}
		}
		return nil
	})
	return ps
}

// Forget implements broker.Leftovers.
func (t *tier) Forget(session uint64) {
	for _, g := range t.gens {
		if g.session.ID == session {
			g.forgot = true
		}
	}
}
