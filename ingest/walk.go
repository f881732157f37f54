package ingest

import "fmt"

// Step is what a Walk wants to be done next.
type Step uint8

// Steps of a Walk.
const (
	StepFence Step = iota // put a fence into the slot, if absent
	StepRead              // read the object in the slot
	StepDone              // the slot holds the session's fence
)

// Walk fences a session (S6). It goes up from the first slot that the catalog
// does not cover, one slot at a time, and ends at the first that a put-if-absent
// has shown to be a gap, by filling it with the fence. It never jumps, and
// believes neither a listing nor a 404.
type Walk struct {
	slot, likely uint64
	step         Step
}

// NewWalk begins a walk at the first slot that the catalog does not cover. Slots
// below likely are said to exist, by a listing: they are read first, which saves
// a put each when it is true, and changes nothing when it is not.
func NewWalk(from, likely uint64) *Walk {
	w := &Walk{likely: likely}
	w.enter(from)
	return w
}

func (w *Walk) enter(slot uint64) {
	w.slot, w.step = slot, StepFence
	if slot < w.likely {
		w.step = StepRead
	}
}

// Next returns what to do, and the slot to do it to.
func (w *Walk) Next() (Step, uint64) { return w.step, w.slot }

// Fence takes the answer to the put of a fence into the slot. Everything but
// Created and Exists is undecided: the same fence is put again.
func (w *Walk) Fence(a Answer) {
	w.must(StepFence)
	switch a {
	case Created:
		w.step = StepDone
	case Exists:
		w.step = StepRead
	}
}

// Read takes what a read of the slot has found. Ours says that it is data of the
// session that is walked: the walk goes on above it. A fence, anybody's, is
// adopted. After a 404 the put decides. An unknown answer is asked for again.
func (w *Walk) Read(a Answer, who Owner) error {
	w.must(StepRead)
	switch {
	case a == Absent:
		w.step = StepFence
	case a != Found:
	case who == AFence:
		w.step = StepDone
	case who == Ours:
		w.enter(w.slot + 1)
	default:
		return fmt.Errorf("fence slot %d: %w", w.slot, ErrForeign)
	}
	return nil
}

func (w *Walk) must(s Step) {
	if w.step != s {
		panic("ingest: S6: a walk was told of a step that it did not ask for")
	}
}
