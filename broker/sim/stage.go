package sim

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/firnlog/firn/broker/sim/fiber"
)

// clock is virtual time: events in order, and those at the same time in the order in
// which they were asked for.
type clock struct {
	now    time.Time
	loop   fiber.Loop
	events events
	seq    uint64
}

type event struct {
	at   time.Time
	seq  uint64
	proc *process // whose it is: it does not happen once that is dead, and waits while it sleeps
	do   func()
}

func (c *clock) at(t time.Time, p *process, do func()) {
	if t.Before(c.now) {
		t = c.now
	}
	c.seq++
	heap.Push(&c.events, event{t, c.seq, p, do})
}

func (c *clock) after(d time.Duration, p *process, do func()) { c.at(c.now.Add(d), p, do) }

// step lets the next event happen; false when it lies at or behind the limit.
func (c *clock) step(limit time.Time) bool {
	for len(c.events) > 0 && c.events[0].at.Before(limit) {
		e := heap.Pop(&c.events).(event)
		c.now = e.at
		p := e.proc
		switch {
		case p == nil:
			e.do()
		case p.dead:
			continue
		case p.asleep.After(c.now): // it is told when it wakes
			e.at = p.asleep
			c.seq++
			e.seq = c.seq
			heap.Push(&c.events, e)
			continue
		default:
			e.do()
			p.wake()
		}
		return true
	}
	c.now = limit
	return false
}

// process is what can die, and sleep: a life of a broker, or the clients.
type process struct {
	clock   *clock
	rng     *rand.Rand
	dead    bool
	asleep  time.Time // until then nothing happens in it
	waiting []*waiting
	touched bool
}

// waiting is a fiber that waits.
type waiting struct {
	fiber *fiber.Fiber
	ctx   context.Context
	ready func() bool
}

func (p *process) spawn(f func()) {
	b := p.clock.loop.New(f)
	p.clock.after(0, p, b.Resume)
	p.waiting = append(p.waiting, &waiting{fiber: b}) // so that it can be killed
}

// wake lets those go on whose wait is over, until none is left.
func (p *process) wake() {
	if p.touched {
		return // by itself
	}
	p.touched = true
	defer func() { p.touched = false }()
	for again := true; again && !p.dead; {
		again = false
		for i := 0; i < len(p.waiting) && !p.dead; i++ {
			w := p.waiting[i]
			if w.ready == nil || !w.ready() && w.ctx.Err() == nil {
				continue
			}
			w.ready = nil
			w.fiber.Resume()
			again = true
		}
	}
	p.waiting = slices.DeleteFunc(p.waiting, func(w *waiting) bool { return w.fiber.Done() })
}

// rouse makes a process that sleeps wake up at another time.
func (p *process) rouse(at time.Time) {
	for i := range p.clock.events {
		if e := &p.clock.events[i]; e.proc == p && e.at.Equal(p.asleep) {
			e.at = at
		}
	}
	p.asleep = at
	heap.Init(&p.clock.events)
}

// kill ends the process where it stands: nothing of it runs again.
func (p *process) kill() {
	p.dead = true
	for _, w := range p.waiting {
		w.fiber.Kill()
	}
	p.waiting = nil
}

// Now implements pump.Stage.
func (p *process) Now() time.Time { return p.clock.now }

// Go implements pump.Stage.
func (p *process) Go(f func()) { p.spawn(f) }

// At implements pump.Stage.
func (p *process) At(t time.Time, f func()) { p.clock.at(t, p, f) }

// Wait implements pump.Stage.
func (p *process) Wait(ctx context.Context, ready func() bool) error {
	for !ready() {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := p.clock.loop.Current()
		i := slices.IndexFunc(p.waiting, func(w *waiting) bool { return w.fiber == b })
		if i < 0 {
			p.clock.loop.Park() // it was killed
		}
		p.waiting[i].ctx, p.waiting[i].ready = ctx, ready
		p.clock.loop.Park()
	}
	return nil
}

// Rand implements pump.Stage.
func (p *process) Rand() float64 { return p.rng.Float64() }

// Sleep implements pump.Stage.
func (p *process) Sleep(ctx context.Context, d time.Duration) error {
	over := false
	p.clock.after(d, p, func() { over = true })
	return p.Wait(ctx, func() bool { return over })
}

// events is a heap.
type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	(*e)[last] = event{}
	*e = (*e)[:last]
	return x
}
