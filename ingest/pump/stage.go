package pump

import (
	"context"
	"sync"
	"time"
)

// Stage is where a Pump's work runs, and a Fence's, when it is not goroutines and the
// clock: one thread, on which a call goes on until it waits, and virtual time. It is
// for simulations (broker/sim): the same seed gives the same order of everything.
//
// A Pump on a stage has no Run. It is used from the stage alone.
type Stage interface {
	Now() time.Time
	// Go starts f beside the caller, which goes on first.
	Go(f func())
	// At calls f at a time, and never earlier.
	At(t time.Time, f func())
	// Wait returns when ready says true, which is asked after everything that
	// happens; or ctx's error.
	Wait(ctx context.Context, ready func() bool) error
	// Sleep returns after d, or ctx's error.
	Sleep(ctx context.Context, d time.Duration) error
	// Rand is a number in [0, 1).
	Rand() float64
}

// turn is one turn of the loop on a stage: what Run does between two waits.
func (p *Pump) turn() {
	st := p.opts.Stage
	now := st.Now()
	next := p.machine.Step(now)
	p.perform(context.Background(), now, p.machine.Take())
	if next.IsZero() || !p.turnAt.IsZero() && !next.Before(p.turnAt) {
		return // it comes soon enough
	}
	p.turnAt = next
	st.At(next, func() {
		if p.turnAt.Equal(next) {
			p.turnAt = time.Time{}
		}
		p.turn()
	})
}

// Fault is why the process must stop (S3), of a Pump on a stage; nil as long as it
// need not.
func (p *Pump) Fault() error { return p.fault }

func (p *Pump) now() time.Time {
	if p.opts.Stage != nil {
		return p.opts.Stage.Now()
	}
	return time.Now()
}

// tell gives the loop an event.
func (p *Pump) tell(e event) {
	if p.opts.Stage == nil {
		p.events <- e
		return
	}
	p.handle(e)
	p.turn()
}

// crew is tasks that run beside each other and are waited for.
type crew struct {
	stage Stage
	tasks sync.WaitGroup
	n     int // on a stage
}

func (c *crew) Go(f func()) {
	if c.stage == nil {
		c.tasks.Go(f)
		return
	}
	c.n++
	c.stage.Go(func() {
		defer func() { c.n-- }()
		f()
	})
}

func (c *crew) Wait() {
	if c.stage == nil {
		c.tasks.Wait()
		return
	}
	_ = c.stage.Wait(context.Background(), func() bool { return c.n == 0 })
}

// receive takes a value that one of a crew sends into a channel with room for it.
func receive[T any](stage Stage, from <-chan T) T {
	if stage != nil {
		_ = stage.Wait(context.Background(), func() bool { return len(from) > 0 })
	}
	return <-from
}

func pause(ctx context.Context, stage Stage, d time.Duration) error {
	if stage != nil {
		return stage.Sleep(ctx, d)
	}
	return sleep(ctx, d)
}
