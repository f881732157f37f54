package fiber

import (
	"fmt"
	"testing"
)

func TestAFiberThatIsKilledRunsWhatItHasDeferredAlone(t *testing.T) {
	var l Loop
	trace := ""
	b := l.New(func() {
		defer func() { trace += "d" }()
		trace += "a"
		l.Park()
		trace += "b"
		l.Park()
		trace += "c"
	})
	b.Resume()
	b.Resume()
	b.Kill()
	b.Resume()
	if trace != "abd" || !b.Done() || l.Current() != nil {
		t.Fatal(trace)
	}
}

// counter is two fibers that add one to a number, with a step between reading and
// writing it.
type counter struct {
	loop   Loop
	fibers []*Fiber
	steps  [2]int
	n      int
}

func (c *counter) Events() (out []Event) {
	for i, b := range c.fibers {
		if !b.Done() {
			out = append(out, Event{fmt.Sprint(i), func() { c.steps[i]++; b.Resume() }})
		}
	}
	return out
}

func (c *counter) Key() string { return fmt.Sprint(c.steps, c.n) }

func (c *counter) Check() error {
	if len(c.Events()) == 0 && c.n != 2 {
		return fmt.Errorf("it is %d", c.n)
	}
	return nil
}

func (c *counter) Close() {
	for _, b := range c.fibers {
		b.Kill()
	}
}

func TestAnOrderThatIsWrongIsFound(t *testing.T) {
	for _, atomic := range []bool{true, false} {
		got := Explore(1000, func() World {
			c := &counter{}
			for range 2 {
				c.fibers = append(c.fibers, c.loop.New(func() {
					n := c.n
					if !atomic {
						c.loop.Park()
					}
					c.n = n + 1
				}))
			}
			return c
		})
		if (got.Err == nil) != atomic || atomic && (!got.Whole || got.Worlds != 4) {
			t.Errorf("atomic %v: %+v", atomic, got)
		}
	}
}
