// Package fiber runs blocking code on one thread, step by step, in an order that its
// caller chooses: for simulations and for the exploration of every order of events.
//
// A Fiber runs until it parks, and goes on when somebody resumes it. Fibers of one
// Loop never run beside each other, so that what they share needs no lock, and the
// same choices give the same run.
package fiber

import "iter"

// Loop is the thread on which fibers run. It is not for concurrent use.
type Loop struct{ current *Fiber }

// Fiber is one call under way.
type Fiber struct {
	loop   *Loop
	next   func() (struct{}, bool)
	stop   func()
	yield  func(struct{}) bool
	killed bool
	done   bool
}

// killed unwinds a fiber that is killed where it is parked.
type killed struct{}

// New makes a fiber of f, which begins with the first Resume. A fiber that is not
// resumed to its end must be killed.
func (l *Loop) New(f func()) *Fiber {
	b := &Fiber{loop: l}
	b.next, b.stop = iter.Pull(func(yield func(struct{}) bool) {
		b.yield = yield
		defer func() {
			if r := recover(); r != nil && !b.killed {
				panic(r)
			}
		}()
		f()
	})
	return b
}

// Resume lets the fiber go on until it parks or ends.
func (b *Fiber) Resume() {
	if b.done {
		return
	}
	before := b.loop.current
	b.loop.current = b
	if _, parked := b.next(); !parked {
		b.done = true
	}
	b.loop.current = before
}

// Done reports whether the fiber has ended.
func (b *Fiber) Done() bool { return b.done }

// Kill ends a fiber where it is parked: what it has deferred runs, nothing else. It
// must not be the one that runs.
func (b *Fiber) Kill() {
	if b.done {
		return
	}
	before := b.loop.current
	b.loop.current = b
	b.killed, b.done = true, true
	b.stop()
	b.loop.current = before
}

// Park stops the fiber that calls until it is resumed. When it is killed instead,
// Park does not return.
func (l *Loop) Park() {
	b := l.current
	if b == nil {
		panic("fiber: only a fiber can wait")
	}
	if b.killed || !b.yield(struct{}{}) {
		panic(killed{})
	}
}

// Current is the fiber that runs; nil when none does.
func (l *Loop) Current() *Fiber { return l.current }
