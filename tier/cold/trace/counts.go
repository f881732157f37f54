package trace

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// Counts is an Observer that adds up. The zero value is ready.
type Counts struct {
	cells    [Ops][Outcomes]cell
	inFlight [Ops]atomic.Int64
}

type cell struct {
	calls, bytes, nanoseconds atomic.Int64
}

// Began implements Observer.
func (c *Counts) Began(op Op) { c.inFlight[op].Add(1) }

// Ended implements Observer.
func (c *Counts) Ended(e Event) {
	c.inFlight[e.Op].Add(-1)
	at := &c.cells[e.Op][e.Outcome]
	at.calls.Add(1)
	at.bytes.Add(e.Bytes)
	at.nanoseconds.Add(int64(e.Took))
}

// Calls is how many calls of the op ended so.
func (c *Counts) Calls(op Op, o Outcome) int64 { return c.cells[op][o].calls.Load() }

// Bytes is how many bytes they moved.
func (c *Counts) Bytes(op Op, o Outcome) int64 { return c.cells[op][o].bytes.Load() }

// Took is how long they took together.
func (c *Counts) Took(op Op, o Outcome) time.Duration {
	return time.Duration(c.cells[op][o].nanoseconds.Load())
}

// InFlight is how many calls of the op have begun and not ended.
func (c *Counts) InFlight(op Op) int64 { return c.inFlight[op].Load() }

// Total is how many calls of the op ended, however.
func (c *Counts) Total(op Op) (n int64) {
	for o := range Outcomes {
		n += c.Calls(op, o)
	}
	return n
}

// String lists what happened, a line for each op and outcome.
func (c *Counts) String() string {
	var b strings.Builder
	for op := range Ops {
		for o := range Outcomes {
			if n := c.Calls(op, o); n > 0 {
				fmt.Fprintf(&b, "%s %s %d calls %d bytes\n", op, o, n, c.Bytes(op, o))
			}
		}
	}
	return b.String()
}
