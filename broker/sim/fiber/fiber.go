// Package fiber runs blocking code on one thread, step by step, in an order that its
// caller chooses: for simulations and for the exploration of every order of events.
//
// A Fiber runs until it parks, and goes on when somebody resumes it. Fibers of one
// Loop never run beside each other, so that what they share needs no lock, and the
// same choices give the same run.
package fiber

import (
	"iter"
	"sync"
)

// Loop is the thread on which fibers run. It is not for concurrent use.
type Loop struct{ current *Fiber }

// Fiber is one call under way.
type Fiber struct {
	loop   *Loop
	call   func()
	on     *strand // nil before it begins and after it has ended
	killed bool
	done   bool
}

// killed unwinds a fiber that is killed where it is parked.
type killed struct{}

// New makes a fiber of f, which begins with the first Resume. A fiber that is not
// resumed to its end must be killed.
func (l *Loop) New(f func()) *Fiber { return &Fiber{loop: l, call: f} }

// Resume lets the fiber go on until it parks or ends.
func (b *Fiber) Resume() {
	if b.done {
		return
	}
	if b.on == nil {
		b.on = rested()
		b.on.fiber = b
	}
	b.step()
}

// step lets the strand go on until the fiber parks or ends.
func (b *Fiber) step() {
	before := b.loop.current
	b.loop.current = b
	b.on.next()
	b.loop.current = before
	if b.on.fiber == nil {
		b.done = true
		b.on.rest()
		b.on = nil
	}
}

// Done reports whether the fiber has ended.
func (b *Fiber) Done() bool { return b.done }

// Kill ends a fiber where it is parked: what it has deferred runs, nothing else. It
// must not be the one that runs.
func (b *Fiber) Kill() {
	if b.done {
		return
	}
	b.killed, b.done = true, true
	if b.on != nil {
		b.step()
	}
}

// Park stops the fiber that calls until it is resumed. When it is killed instead,
// Park does not return.
func (l *Loop) Park() {
	b := l.current
	if b == nil {
		panic("fiber: only a fiber can wait")
	}
	if !b.killed {
		b.on.yield(struct{}{})
	}
	if b.killed {
		panic(killed{})
	}
}

// Current is the fiber that runs; nil when none does.
func (l *Loop) Current() *Fiber { return l.current }

// strand is a coroutine that runs one fiber after another: its stack has to grow once,
// not for each.
type strand struct {
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
	fiber *Fiber
}

// resting are strands without a fiber, of all loops.
var resting struct {
	sync.Mutex
	strands []*strand
}

// restingMost is how many are kept.
const restingMost = 256

func rested() *strand {
	resting.Lock()
	defer resting.Unlock()
	if n := len(resting.strands); n > 0 {
		s := resting.strands[n-1]
		resting.strands = resting.strands[:n-1]
		return s
	}
	s := &strand{}
	s.next, s.stop = iter.Pull(s.run)
	return s
}

func (s *strand) rest() {
	resting.Lock()
	keep := len(resting.strands) < restingMost
	if keep {
		resting.strands = append(resting.strands, s)
	}
	resting.Unlock()
	if !keep {
		s.stop()
	}
}

func (s *strand) run(yield func(struct{}) bool) {
	s.yield = yield
	for {
		s.fiber.run()
		s.fiber = nil
		if !yield(struct{}{}) {
			return
		}
	}
}

func (b *Fiber) run() {
	defer func() {
		if r := recover(); r != nil && !b.killed {
			panic(r)
		}
	}()
	b.call()
}
