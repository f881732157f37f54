package press

import (
	"context"
	"flag"
	"testing"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/tier/cold"
)

var (
	simSeed  = flag.Uint64("sim.seed", 0, "run this seed of the simulation alone, and show what it does")
	simSeeds = flag.Uint64("sim.seeds", 25, "how many seeds of the simulation to run")
)

// simulate runs one seed; nil when all invariants held to the end.
func simulate(seed uint64, steps int, pl plant) *world {
	w := newWorld(seed, pl)
	w.brokers[0].boot(true)
	for range steps {
		w.act()
		if w.check(); w.fault != nil {
			return w
		}
	}
	w.settle()
	return w
}

// act is one step.
func (w *world) act() {
	if w.rng.IntN(4) == 0 {
		w.now = w.now.Add(time.Duration(w.rng.IntN(4000)) * time.Millisecond)
	}
	w.brokers[w.rng.IntN(2)].act()
}

// TestNothingIsLostOrLeftWhateverDies is S10 to S12 under crashes before and after
// each operation on bucket and journal, with a zombie that goes on pressing, merging,
// compacting and deleting, a hot tier that refuses slots, and partitions that are released
// and taken back while a generation that holds them waits or is pressed. Run one seed again with -sim.seed.
func TestNothingIsLostOrLeftWhateverDies(t *testing.T) {
	if *simSeed != 0 {
		w := simulate(*simSeed, 400, sound)
		for _, l := range w.trace {
			t.Log(l)
		}
		if w.fault != nil {
			t.Fatal(w.fault)
		}
		return
	}
	seeds := *simSeeds
	if testing.Short() {
		seeds = 8
	}
	sum := map[string]int{}
	for seed := uint64(1); seed <= seeds; seed++ {
		w := simulate(seed, 400, sound)
		if w.fault != nil {
			t.Fatalf("seed %d, after %d entries: %v\nagain: go test ./tier/press -run WhateverDies -sim.seed %d -v", seed, w.state.Number(), w.fault, seed)
		}
		for k, n := range w.counts {
			sum[k] += n
		}
	}
	t.Log(sum)
	for _, k := range []string{"ops", "interleaved", "indexed meanwhile", "crashes", "deletes", "slots", "boots", "sealed", "merged", "compacted", "pressed lines", "more than one line", "jobs refused", "slots refused", "released", "taken"} {
		if sum[k] == 0 {
			t.Errorf("no %s: the simulation tests nothing", k)
		}
	}
}

// TestSealingIsNotOutrunByTheMark: a generation is sealed at the first attempt though the
// covered mark moves while it is being written. With ten thousand active partitions the
// mark moves more often than a generation can be written.
func TestSealingIsNotOutrunByTheMark(t *testing.T) {
	w := newWorld(1, sound)
	w.calm, w.restless = true, true
	n := w.brokers[0]
	n.boot(true)
	n.die = -1
	for range 3 {
		n.append()
	}
	n.Rotate()
	sealing := n.gens[len(n.gens)-1]
	if err := n.press.seal(n.ctx); err != nil || w.fault != nil {
		t.Fatal(err, w.fault)
	}
	if !sealing.Sealed || w.counts["indexed meanwhile"] == 0 || w.counts["jobs refused"] != 1 {
		t.Fatalf("sealed: %v, %v", sealing.Sealed, w.counts)
	}
	for _, p := range n.partitions() {
		c, _ := w.state.Partition(p)
		for _, x := range c.Extents {
			if x.Object.Kind == catalog.KindWAL && x.Object.B < sealing.Next {
				t.Errorf("%s [%d, %d) is still in slot %d", p, x.Base, x.Next, x.Object.B)
			}
		}
	}
	if w.check(); w.fault != nil {
		t.Fatal(w.fault)
	}
}

// TestGenerationsThatWaitTogetherAreSealedAlone: what was sealed a moment ago is no gap
// before the next generation, for which the catalog would get a line for each run that is
// committed.
func TestGenerationsThatWaitTogetherAreSealedAlone(t *testing.T) {
	w := newWorld(1, sound)
	w.calm = true
	n := w.brokers[0]
	n.boot(true)
	n.die = -1
	for range 3 {
		n.append()
		n.append()
		n.Rotate()
	}
	n.append()
	before := w.state.Number()
	if err := n.press.seal(n.ctx); err != nil || w.fault != nil {
		t.Fatal(err, w.fault)
	}
	if v, _ := w.state.Session(n.session); v.Covered != 6 || w.counts["sealed"] != 3 {
		t.Fatalf("slots below %d are covered, %v", v.Covered, w.counts)
	}
	if entries := w.state.Number() - before; entries != 2*3 {
		t.Fatalf("three generations took %d entries of the journal, two each are enough", entries)
	}
	if w.check(); w.fault != nil {
		t.Fatal(w.fault)
	}
}

// misread is a store of which every other read takes one key for another.
type misread struct {
	cold.Store
	seed, reads int
}

func (m *misread) Get(ctx context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	b, err := m.Store.Get(ctx, name, r, buf)
	if m.reads++; err != nil || m.reads%2 == 0 {
		return b, err
	}
	var digits []int
	for i := len(buf) + 1; i < len(b); i++ {
		if b[i-1] == 'k' && b[i] >= '0' && b[i] <= '8' {
			digits = append(digits, i)
		}
	}
	if len(digits) > 0 {
		b[digits[m.seed%len(digits)]] ^= 1 << (m.seed % 3)
	}
	return b, nil
}

// TestWhatIsReadDamagedDecidesNothing: what compaction reads wrong for its keys makes no
// record look like an older one of another key. It has no room for all keys here, and so
// does not read to the end, where the checksum of the whole would tell.
func TestWhatIsReadDamagedDecidesNothing(t *testing.T) { // P2
	noticed := 0
	for seed := range 200 {
		w := newWorld(uint64(seed), sound)
		w.calm = true
		n := w.brokers[0]
		n.boot(true)
		n.die = -1
		for range 6 {
			n.append()
		}
		n.Rotate()
		if err := n.press.seal(n.ctx); err != nil {
			t.Fatal(err)
		}
		n.press.Store = &misread{Store: n.press.Store, seed: seed}
		if err := n.press.compact(n.ctx); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		noticed += len(n.press.avoid)
		if w.check(); w.fault != nil {
			t.Errorf("seed %d: %v", seed, w.fault)
		}
	}
	if noticed == 0 {
		t.Error("nothing was damaged")
	}
}

// TestOldIndexLinesAreJoined: lines that were made when there was less history become one
// when there are too many, whoever made them; all that they listed is found through the
// new ones, and the old objects go.
func TestOldIndexLinesAreJoined(t *testing.T) {
	w := newWorld(1, sound)
	w.calm = true
	run := func(n *node, what func(context.Context) error) {
		t.Helper()
		if err := what(n.ctx); err != nil || w.fault != nil {
			t.Fatal(err, w.fault)
		}
		if w.check(); w.fault != nil {
			t.Fatal(w.fault)
		}
	}
	begin := func(n *node, lines int) {
		n.boot(true)
		n.die = -1
		n.press.Limits.Own, n.press.Limits.Lines = 300, lines
	}
	lines := func() (most, listed int) {
		for topic := range w.state.AllTopics() {
			for _, p := range topic.Partitions {
				most = max(most, len(p.Index))
				for _, l := range p.Index {
					listed += int(l.Extents)
				}
			}
		}
		return most, listed
	}
	many, few := w.brokers[1], w.brokers[0]
	begin(many, 1000)
	for range 200 {
		many.append()
		many.Rotate()
		run(many, many.press.seal)
		run(many, many.press.merge)
		run(many, many.press.index)
	}
	before, listed := lines()
	if before < 10 {
		t.Fatalf("%d index lines at most: there is nothing to join", before)
	}
	begin(few, 3)
	for range 20 {
		run(few, few.press.index)
	}
	after, still := lines()
	if after > 2*3+1 || still < listed {
		t.Fatalf("%d lines became %d, and list %d extents instead of %d", before, after, still, listed)
	}
	run(few, few.press.collect) // the grace period begins when the collector sees them
	w.now = w.now.Add(2 * w.grace)
	run(few, few.press.collect)
	for ref := range w.state.Garbage() {
		if ref.Kind == catalog.KindListless {
			t.Errorf("%s, which was joined, is still there", ref)
		}
	}
}

// TestTheCatalogRefusesASealThatLacksASlot is I9: what a hot tier has lost without
// knowing is not lost with it.
func TestTheCatalogRefusesASealThatLacksASlot(t *testing.T) {
	for seed := uint64(1); seed <= 30; seed++ {
		if w := simulate(seed, 400, gapHidden); w.fault != nil {
			t.Fatalf("seed %d: %v", seed, w.fault)
		}
	}
}

// TestTheSimulationSeesShortcuts plants what S10 to S12 forbid, and H3.
func TestTheSimulationSeesShortcuts(t *testing.T) {
	for _, c := range []struct {
		name string
		pl   plant
	}{
		{"objects are deleted before the journal knows", deleteFirst},
		{"no grace period for readers", noGrace},
		{"a rewrite is not registered", unregistered},
		{"fences are deleted", fencesGo},
		{"a generation hides a slot that it did not take, and nobody names the tips", gapUntold},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := uint64(1); seed <= 100; seed++ {
				if w := simulate(seed, 400, c.pl); w.fault != nil {
					t.Logf("seed %d: %v", seed, w.fault)
					return
				}
			}
			t.Fatal("100 seeds saw nothing")
		})
	}
}
