package trace

import (
	"fmt"
	"strings"
	"sync"
)

// Recorder is an Observer that writes a transcript, a line for each call in the
// order in which they ended: for tests that hold the I/O of a component against a
// golden file. It holds no times. The zero value is ready.
type Recorder struct {
	mu    sync.Mutex
	lines []string
}

// Began implements Observer.
func (r *Recorder) Began(Op) {}

// Ended implements Observer.
func (r *Recorder) Ended(e Event) {
	line := Line(e)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
}

// Take returns the transcript so far and starts a new one.
func (r *Recorder) Take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.lines
	r.lines = nil
	if len(all) == 0 {
		return ""
	}
	return strings.Join(all, "\n") + "\n"
}

// Line is an event in words, without its duration.
func Line(e Event) string {
	name := e.Name
	if name == "" {
		name = `""`
	}
	switch e.Op {
	case Put:
		return fmt.Sprintf("put %s (%d bytes): %s", name, e.Bytes, e.Outcome)
	case Get:
		return fmt.Sprintf("get %s [%s] (%d bytes): %s", name, e.Range, e.Bytes, e.Outcome)
	case List:
		return fmt.Sprintf("list %s (%d objects): %s", name, e.Objects, e.Outcome)
	}
	return fmt.Sprintf("%s %s: %s", e.Op, name, e.Outcome)
}

// Both is an Observer that tells two.
func Both(a, b Observer) Observer { return pair{a, b} }

type pair struct{ a, b Observer }

func (p pair) Began(op Op)   { p.a.Began(op); p.b.Began(op) }
func (p pair) Ended(e Event) { p.a.Ended(e); p.b.Ended(e) }
