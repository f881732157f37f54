package ingest

import "fmt"

// Step is what a Walk wants to be done to a slot.
type Step uint8

// Steps of a Walk.
const (
	StepRead  Step = iota // read the object in the slot
	StepFence             // put a fence into the slot, if absent; if it is taken, say by whom
)

// Try is one step to be taken.
type Try struct {
	Step Step
	Slot uint64
}

// Walk fences a session (S6). It goes up from the first slot that the catalog
// does not cover, and ends at the first slot that holds no data, which it fills
// with a fence. That there was a gap is shown by nothing but a put-if-absent:
// neither a listing nor a 404 is believed.
//
// The session may be alive, and fill hundreds of slots in the time of one of our
// round trips. So once a slot that looked like the end turns out to hold data,
// fences are tried further up as well, at distances that double: one of them lies
// ahead of the session, which ends there at the latest. The end is the lowest fence
// with data in all slots below it; fences above it are rubbish like everything
// there (W5).
type Walk struct {
	slot   uint64 // the lowest that is not known to hold data
	likely uint64 // slots below are likely to be filled
	eager  bool   // the session was seen to be ahead
	known  map[uint64]Owner
	absent map[uint64]bool // answered a read with 404: the put decides
	done   bool
	tries  []Try
}

const (
	walkReads = 64 // slots read at once
	walkReach = 14 // doublings of the distance: 16,383 slots ahead
)

// NewWalk begins a walk at the first slot that the catalog does not cover. Slots
// below likely are said to exist, by a listing: they are read first, which saves
// a put each when it is true, and changes nothing when it is not.
func NewWalk(from, likely uint64) *Walk {
	return &Walk{slot: from, likely: likely, known: make(map[uint64]Owner), absent: make(map[uint64]bool)}
}

// Next returns what to do now, all at once if possible. It may ask again for what
// was not answered definitely. It is empty when the walk is done. The slice is
// valid until the next call.
func (w *Walk) Next() []Try {
	w.tries = w.tries[:0]
	switch {
	case w.done:
	case w.slot < w.likely:
		for slot := w.slot; slot < min(w.slot+walkReads, w.likely); slot++ {
			switch _, known := w.known[slot]; {
			case known:
			case !w.absent[slot]:
				w.tries = append(w.tries, Try{StepRead, slot})
			case slot == w.slot:
				w.tries = append(w.tries, Try{StepFence, slot})
			}
		}
	default:
		w.tries = append(w.tries, Try{StepFence, w.slot})
		for k := 1; k <= walkReach && w.eager; k++ {
			slot := w.slot + 1<<k - 1
			if _, known := w.known[slot]; !known {
				w.tries = append(w.tries, Try{StepFence, slot})
			}
		}
	}
	return w.tries
}

// Answer takes what became of a step. who says whose object is in the slot, after
// Exists or Found: Ours is data of the session that is walked, AFence anybody's
// fence. All that is not definite changes nothing, and is asked for again. The
// error says that the session cannot be fenced: a slot holds something foreign.
func (w *Walk) Answer(t Try, a Answer, who Owner) error {
	switch {
	case t.Step == StepFence && a == Created:
		who = AFence
	case t.Step == StepFence && a == Exists:
		w.eager = w.eager || who == Ours
	case t.Step == StepRead && a == Found:
	case t.Step == StepRead && a == Absent:
		w.absent[t.Slot] = true
		return nil
	default:
		return nil
	}
	if t.Slot >= w.slot {
		w.known[t.Slot] = who
	}
	if who == AFence && (t.Slot < w.likely || w.slot >= w.likely) {
		w.likely = t.Slot // everything of interest lies below
	}
	for !w.done {
		switch who, known := w.known[w.slot]; {
		case !known:
			return nil
		case who == AFence:
			w.done = true
		case who == Ours:
			delete(w.known, w.slot)
			w.slot++
		default:
			return fmt.Errorf("fence slot %d: %w", w.slot, ErrForeign)
		}
	}
	return nil
}

// End returns the slot of the session's fence, once the walk is done.
func (w *Walk) End() (slot uint64, done bool) { return w.slot, w.done }
