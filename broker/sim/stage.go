package sim

import (
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
	at   time.Duration // since the begin
	seq  uint64
	proc *process // whose it is: it does not happen once that is dead, and waits while it sleeps
	do   func()
}

func (c *clock) at(t time.Time, p *process, do func()) {
	if t.Before(c.now) {
		t = c.now
	}
	c.seq++
	c.events.push(event{t.Sub(begin), c.seq, p, do})
}

func (c *clock) after(d time.Duration, p *process, do func()) { c.at(c.now.Add(d), p, do) }

// step lets the next event happen; false when it lies at or behind the limit.
func (c *clock) step(limit time.Time) bool {
	for end := limit.Sub(begin); len(c.events) > 0 && c.events[0].at < end; {
		e := c.events.pop()
		c.now = begin.Add(e.at)
		p := e.proc
		switch {
		case p == nil:
			e.do()
		case p.dead:
			continue
		case p.asleep.After(c.now): // it is told when it wakes
			c.at(p.asleep, p, e.do)
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
		if e := &p.clock.events[i]; e.proc == p && e.at == p.asleep.Sub(begin) {
			e.at = at.Sub(begin)
		}
	}
	p.asleep = at
	for i := len(p.clock.events)/2 - 1; i >= 0; i-- {
		p.clock.events.down(i)
	}
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

// events is a heap: what happens next is first.
type events []event

func (e events) before(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}

func (e *events) push(x event) {
	*e = append(*e, x)
	e.up(len(*e) - 1)
}

func (e *events) pop() event {
	h := *e
	last := len(h) - 1
	x := h[0]
	h[0], h[last] = h[last], event{}
	*e = h[:last]
	e.down(0)
	return x
}

func (e events) up(i int) {
	for i > 0 {
		above := (i - 1) / 2
		if !e.before(i, above) {
			return
		}
		e[i], e[above] = e[above], e[i]
		i = above
	}
}

func (e events) down(i int) {
	for {
		below := 2*i + 1
		if below >= len(e) {
			return
		}
		if below+1 < len(e) && e.before(below+1, below) {
			below++
		}
		if !e.before(below, i) {
			return
		}
		e[i], e[below] = e[below], e[i]
		i = below
	}
}
