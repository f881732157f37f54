package sim

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/firnlog/firn/broker/sim/fiber"
	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/tier/cold"
)

// chronicle is the small world of S11: a writer that may sleep at any point, one that
// commits, makes snapshots, moves the boundary and deletes, and a reader. All three are
// the journal's own code. What must hold: after an entry with a number everybody has the
// same state, and no command that was told to be committed is missing in it.
type chronicle struct {
	w      *small
	states map[uint64][32]byte
	told   map[uint64]string // who was told that its command is entry n
}

// note holds a state against what others have seen after the same entry.
func (c *chronicle) note(who string, s *catalog.State) {
	if s.Number() == 0 {
		return
	}
	h := sha256.Sum256(s.Encode())
	if was, ok := c.states[s.Number()]; ok && was != h {
		c.w.fail("S11: %s has another state after entry %d", who, s.Number())
	}
	c.states[s.Number()] = h
}

// committed notes an entry that somebody was told is his.
func (c *chronicle) committed(who string, s *catalog.State) {
	if was, ok := c.told[s.Number()]; ok && was != who {
		c.w.fail("S11: entry %d is told to be of %s and of %s", s.Number(), was, who)
	}
	c.told[s.Number()] = who
	c.note(who, s)
}

type chronicleScope struct {
	asleep  int // entries that the sleeper wants to commit
	busy    int // entries of the one that cleans up
	reads   int // how often the reader looks
	faults  int
	sleeper func(port) port
	cleaner func(port) port
	reader  func(port) port
}

func newChronicle(sc chronicleScope) *small {
	w := &small{bucket: map[string]stored{}, faults: sc.faults}
	c := &chronicle{w: w, states: map[uint64][32]byte{}, told: map[uint64]string{}}
	ctx := context.Background()
	scribe := func(name string, n byte, change func(port) port) (*proc, *journal.Scribe) {
		p := w.proc(name)
		s := port{p: p}
		if change != nil {
			s = change(s)
		}
		return p, journal.NewScribe(s, [16]byte{n}, journal.Options{
			SnapshotEvery: 1, Keep: time.Nanosecond, Sleep: p.Sleep, Rand: func() float64 { return 0 },
		})
	}
	a, sleeper := scribe("sleeper", 1, sc.sleeper)
	b, cleaner := scribe("cleaner", 2, sc.cleaner)
	if err := cleaner.Open(ctx, "c"); err != nil {
		panic(err)
	}
	if err := sleeper.Open(ctx, "c"); err != nil {
		panic(err)
	}
	a.spawn(func() {
		for range sc.asleep {
			if _, err := sleeper.Commit(ctx, &catalog.RegisterSession{Node: 1}); err == nil {
				c.committed("the sleeper", sleeper.State())
			}
		}
	})
	b.spawn(func() {
		for range sc.busy {
			if _, err := cleaner.Commit(ctx, &catalog.RegisterSession{Node: 2}); err == nil {
				c.committed("the cleaner", cleaner.State())
				cleaner.Housekeep(ctx)
			}
		}
	})
	if sc.reads > 0 {
		p := w.proc("reader")
		s := port{p: p}
		if sc.reader != nil {
			s = sc.reader(s)
		}
		r := journal.NewReader(s).OneByOne()
		if err := r.Catchup(ctx, nil); err != nil {
			panic(err)
		}
		p.spawn(func() {
			for range sc.reads {
				if r.Catchup(ctx, nil) == nil {
					c.note("the reader", r.State())
				}
			}
		})
	}
	w.extra = func() string { return fmt.Sprint(c.told, len(c.states)) }
	return w
}

func chronicles(sc chronicleScope) func() fiber.World {
	return func() fiber.World { return newChronicle(sc) }
}

// Each order of a writer that sleeps, one that cleans up, and a reader (S11, J1 to J5).
func TestNoOrderOfEventsSplitsTheJournal(t *testing.T) {
	for _, sc := range []chronicleScope{
		{asleep: 1, busy: 2},
		{asleep: 1, busy: 1, faults: 1},
		{busy: 2, reads: 1},
		{asleep: 1, busy: 3},
		{asleep: 1, busy: 2, faults: 1},
		{asleep: 1, busy: 2, reads: 1},
	}[:shallow(3, 6)] {
		visit(t, sc, chronicles(sc))
	}
}

// What S11 forbids, as a store would have it that hides things from the code.
func TestEveryShortcutOfTheJournalIsCaught(t *testing.T) {
	boundary := func(name string) bool { return strings.HasPrefix(name, journal.PrefixBoundaries) }
	for _, v := range []struct {
		name string
		chronicleScope
	}{
		{"a writer does not look at the boundary after its put", chronicleScope{asleep: 1, busy: 2, sleeper: func(s port) port { s.hide = boundary; return s }}},
		{"entries are deleted before the boundary is there", chronicleScope{asleep: 1, busy: 2, cleaner: func(s port) port { s.void = boundary; return s }}},
		{"a reader does not look at the boundary", chronicleScope{asleep: 1, busy: 2, reads: 1, reader: func(s port) port { s.hide = boundary; return s }}},
		{"any 412 is success", chronicleScope{asleep: 1, busy: 1, sleeper: func(s port) port { s.take = true; return s }}},
		{"no answer is success", chronicleScope{asleep: 1, busy: 1, faults: 1, sleeper: func(s port) port { s.lose = true; return s }}},
	} {
		t.Run(v.name, func(t *testing.T) {
			notice(t, chronicles(v.chronicleScope))
		})
	}
}

var _ cold.Store = port{}
